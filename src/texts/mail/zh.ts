import type { MailTexts } from "./en.ts";

export const zh: MailTexts = {
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
};
