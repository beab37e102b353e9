import type { PageTexts } from "./en.ts";

export const pt: PageTexts = {
  verify: {
    title: "Confirme o seu endereço de e-mail",
    intro: "Prima o botão para confirmar que este endereço de e-mail é seu.",
    label: "Código recebido por e-mail",
    button: "Confirmar",
    empty:
      "O campo está vazio? Então o código desta ligação já foi usado ou expirou. Introduza o código do seu e-mail mais recente ou peça um novo onde introduziu o endereço.",
    ignore: "Não pediu nada? Então feche esta página: sem o botão, nada é confirmado.",
    failed:
      "Não funcionou. O código pode estar errado, já ter sido usado ou ter expirado. Verifique-o ou peça um novo e tente mais tarde.",
  },
  verified: {
    title: "O seu endereço de e-mail está confirmado",
    text: "Pode fechar esta página e voltar ao sítio onde introduziu o endereço.",
  },
  login: {
    title: "O seu código para iniciar sessão",
    intro: "Introduza este código onde começou a iniciar sessão:",
    gone: "Já não é válido",
    warning: "Nunca dê o código a ninguém, seja quem for que o peça.",
    question:
      "Não tentou iniciar sessão? Então foi outra pessoa. Com este botão, o código deixa de funcionar.",
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
};
