import type { MailTexts } from "./en.ts";

export const pt: MailTexts = {
  code: {
    button: "Continuar",
    orContinue: "Ou continue aqui:",
    validity: "O código só pode ser usado uma vez, no prazo de {{duration}} após o seu pedido.",
    secrecy: "Nunca forneça o código a ninguém, seja quem for que o peça.",
  },
  verification: {
    subject: "O seu código para confirmar este endereço de e-mail em {{service}}",
    title: "Confirme o seu endereço de e-mail",
    intro: "Para confirmar este endereço de e-mail em {{service}}, insira este código:",
    ignore: "Não pediu este código? Pode ignorar este e-mail: sem o código, nada é confirmado.",
  },
  login: {
    subject: "O seu código para entrar em {{service}}",
    title: "Entrar",
    intro: "Para entrar em {{service}}, insira este código:",
    question: "Não tentou entrar?",
    report: "Avise que não foi você",
  },
  notice: {
    subject: "Os endereços de e-mail da sua conta em {{service}} foram alterados",
    title: "A sua conta foi alterada",
    added: "Um endereço de e-mail foi adicionado à sua conta em {{service}}.",
    verified:
      "Um endereço de e-mail da sua conta em {{service}} foi confirmado e, a partir de agora, pode receber códigos.",
    removed: "Um endereço de e-mail foi removido da sua conta em {{service}}.",
    when: "Data e hora: {{time}}.",
    whenFrom: "Data e hora: {{time}}, de {{client}}.",
    advice:
      "Foi você? Então não precisa fazer nada. Se não foi, avise imediatamente os responsáveis pelo serviço.",
  },
};
