import type { MailTexts } from "./en.ts";

export const fr: MailTexts = {
  code: {
    button: "Continuer",
    orContinue: "Ou continuez ici :",
    validity: "Le code ne peut être utilisé qu’une fois, dans un délai de {{duration}} après votre demande.",
    secrecy: "Ne communiquez jamais ce code, quelle que soit la personne qui vous le demande.",
  },
  verification: {
    subject: "Votre code pour confirmer cette adresse e-mail auprès de {{service}}",
    title: "Confirmez votre adresse e-mail",
    intro: "Pour confirmer cette adresse e-mail auprès de {{service}}, saisissez ce code :",
    ignore:
      "Vous n’avez pas demandé ce code ? Vous pouvez ignorer cet e-mail : sans le code, rien n’est confirmé.",
  },
  login: {
    subject: "Votre code de connexion à {{service}}",
    title: "Connexion",
    intro: "Pour vous connecter à {{service}}, saisissez ce code :",
    question: "Vous n’avez pas essayé de vous connecter ?",
    report: "Signaler que ce n’était pas vous",
  },
  notice: {
    subject: "Les adresses e-mail de votre compte {{service}} ont été modifiées",
    title: "Votre compte a été modifié",
    added: "Une adresse e-mail a été ajoutée à votre compte {{service}}.",
    verified:
      "Une adresse e-mail de votre compte {{service}} a été confirmée et peut désormais recevoir des codes.",
    removed: "Une adresse e-mail a été supprimée de votre compte {{service}}.",
    when: "Date : {{time}}.",
    whenFrom: "Date : {{time}}, depuis {{client}}.",
    advice:
      "C’était vous ? Vous n’avez rien à faire. Sinon, prévenez immédiatement les responsables du service.",
  },
};
