import type { Texts } from "./en.ts";

export const zh: Texts = {
  mail: {
    code: {
      button: "继续",
      orContinue: "或在此继续：",
      validity: "验证码仅可使用一次。自您提出请求起的有效时间：{{duration}}。",
      secrecy: "无论谁向您索要，都请勿将验证码告诉任何人。",
    },
    verification: {
      subject: "您用于验证此邮箱地址的 {{service}} 验证码",
      title: "验证您的邮箱地址",
      intro: "要在 {{service}} 验证此邮箱地址，请输入以下验证码：",
      ignore: "您没有请求过验证码？请忽略此邮件：没有验证码，就不会完成任何验证。",
    },
    login: {
      subject: "您的 {{service}} 登录验证码",
      title: "登录",
      intro: "要登录 {{service}}，请输入以下验证码：",
      question: "您没有尝试登录？",
      report: "报告这不是您本人的操作",
    },
    notice: {
      subject: "您的 {{service}} 账户的邮箱地址已更改",
      title: "您的账户已更改",
      added: "您的 {{service}} 账户添加了一个邮箱地址。",
      verified: "您的 {{service}} 账户的一个邮箱地址已通过验证，现在可用于接收验证码。",
      removed: "您的 {{service}} 账户移除了一个邮箱地址。",
      when: "时间：{{time}}。",
      whenFrom: "时间：{{time}}，来源：{{client}}。",
      advice: "如果是您本人操作，则无需执行任何操作。如果不是，请立即通知该服务的运营方。",
    },
  },
  pages: {
    verify: {
      title: "验证您的电子邮件地址",
      intro: "请按下按钮，确认这是您的电子邮件地址。",
      label: "邮件中的验证码",
      button: "验证",
      empty:
        "输入框是空的吗？这说明此链接的验证码已被使用或已过期。请输入最新邮件中的验证码，或在您填写地址的地方重新获取。",
      ignore: "不是您本人的请求？请关闭此页面：不按按钮，就不会验证任何内容。",
      failed: "操作未成功。验证码可能有误、已被使用或已过期。请检查验证码，或重新获取后稍后再试。",
    },
    verified: {
      title: "您的电子邮件地址已验证",
      text: "您可以关闭此页面，回到您填写地址的地方。",
    },
    login: {
      title: "您的登录验证码",
      intro: "请在您开始登录的地方输入此验证码：",
      gone: "已失效",
      warning: "无论谁索要，都切勿将验证码告诉任何人。",
      question: "不是您在尝试登录？那么是其他人在尝试。按下此按钮后，验证码将失效。",
      button: "这不是我",
    },
    reported: {
      title: "谢谢",
      text: "如果验证码此前仍然有效，现在已经失效。",
      warning: "您是否把验证码告诉过别人？如果是，请立即联系服务的运营者。",
    },
    retry: {
      title: "请重试",
      text: "暂时无法完成操作。请返回，稍后再试。",
    },
  },
};
