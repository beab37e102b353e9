import type { Texts } from "./en.ts";

export const pt: Texts = {
  mail: {
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
  },
  pages: {
    verify: {
      title: "Confirme o seu endereço de e-mail",
      intro: "Clique no botão para confirmar que este endereço de e-mail é seu.",
      label: "Código recebido por e-mail",
      button: "Confirmar",
      empty:
        "O campo está vazio? Então o código deste link já foi usado ou expirou. Insira o código do seu e-mail mais recente ou peça um novo onde inseriu o seu endereço.",
      ignore: "Não pediu nada? Então feche esta página: sem o botão, nada é confirmado.",
      failed:
        "Não funcionou. O código pode estar errado, já ter sido usado ou ter expirado. Verifique-o ou peça um novo e tente mais tarde.",
    },
    verified: {
      title: "O seu endereço de e-mail está confirmado",
      text: "Pode fechar esta página e voltar para onde inseriu o endereço.",
    },
    login: {
      title: "O seu código para entrar",
      intro: "Insira este código onde começou a entrar:",
      gone: "Já não é válido",
      warning: "Nunca forneça o código a ninguém, seja quem for que o peça.",
      question: "Não tentou entrar? Então foi outra pessoa. Com este botão, o código deixa de funcionar.",
      button: "Não fui eu",
    },
    reported: {
      title: "Obrigado",
      text: "Se o código ainda era válido, deixou de o ser.",
      warning: "Deu o código a alguém? Então avise imediatamente os responsáveis pelo serviço.",
    },
    retry: {
      title: "Tente novamente",
      text: "Não funcionou neste momento. Volte atrás e tente novamente daqui a pouco.",
    },
  },
};
