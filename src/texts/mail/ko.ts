import type { MailTexts } from "./en.ts";

export const ko: MailTexts = {
  code: {
    button: "계속",
    orContinue: "또는 여기에서 계속하세요:",
    validity: "이 코드는 한 번만 사용할 수 있습니다. 요청 후 유효 시간: {{duration}}.",
    secrecy: "누가 요청하더라도 코드를 절대 다른 사람에게 알려 주지 마세요.",
  },
  verification: {
    subject: "{{service}} 이메일 주소 확인 코드",
    title: "이메일 주소 확인",
    intro: "{{service}}에서 이 이메일 주소를 확인하려면 다음 코드를 입력하세요:",
    ignore:
      "코드를 요청하지 않으셨나요? 그렇다면 이 이메일을 무시하셔도 됩니다. 코드 없이는 아무것도 확인되지 않습니다.",
  },
  login: {
    subject: "{{service}} 로그인 코드",
    title: "로그인",
    intro: "{{service}}에 로그인하려면 다음 코드를 입력하세요:",
    question: "로그인을 시도하지 않으셨나요?",
    report: "본인이 아니라고 알리기",
  },
  notice: {
    subject: "{{service}} 계정의 이메일 주소가 변경되었습니다",
    title: "계정이 변경되었습니다",
    added: "{{service}} 계정에 이메일 주소가 추가되었습니다.",
    verified: "{{service}} 계정의 이메일 주소가 확인되어 이제 코드를 받는 데 사용할 수 있습니다.",
    removed: "{{service}} 계정에서 이메일 주소가 삭제되었습니다.",
    when: "일시: {{time}}.",
    whenFrom: "일시: {{time}}, 접속 주소: {{client}}.",
    advice:
      "본인이 하신 일인가요? 그렇다면 아무것도 하실 필요가 없습니다. 그렇지 않다면 즉시 서비스 운영자에게 알려 주세요.",
  },
};
