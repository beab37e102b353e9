import type { Texts } from "./en.ts";

export const fr: Texts = {
  mail: {
    code: {
      button: "Continuer",
      orContinue: "Ou continuez ici :",
      validity:
        "Le code ne peut être utilisé qu’une fois, dans un délai de {{duration}} après votre demande.",
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
  },
  pages: {
    verify: {
      title: "Vérifiez votre adresse e-mail",
      intro: "Appuyez sur le bouton pour confirmer que cette adresse e-mail est la vôtre.",
      label: "Code reçu par e-mail",
      button: "Vérifier",
      empty:
        "Le champ est vide ? Le code de ce lien a déjà été utilisé ou a expiré. Saisissez le code de votre e-mail le plus récent, ou demandez-en un nouveau là où vous avez saisi votre adresse.",
      ignore: "Vous n’avez rien demandé ? Fermez cette page : sans le bouton, rien n’est vérifié.",
      failed:
        "Cela n’a pas fonctionné. Le code est peut-être incorrect, déjà utilisé ou expiré. Vérifiez-le, ou demandez-en un nouveau et réessayez plus tard.",
    },
    verified: {
      title: "Votre adresse e-mail est vérifiée",
      text: "Vous pouvez fermer cette page et revenir là où vous avez saisi l’adresse.",
    },
    login: {
      title: "Votre code de connexion",
      intro: "Saisissez ce code là où vous avez commencé à vous connecter :",
      gone: "N’est plus valable",
      warning: "Ne donnez jamais ce code à personne, quelle que soit la personne qui le demande.",
      question:
        "Vous n’avez pas essayé de vous connecter ? Alors quelqu’un d’autre l’a fait. Ce bouton rend le code inutilisable.",
      button: "Ce n’était pas moi",
    },
    reported: {
      title: "Merci",
      text: "Si le code était encore valable, il ne l’est plus.",
      warning: "Avez-vous donné le code à quelqu’un ? Prévenez immédiatement les responsables du service.",
    },
    retry: {
      title: "Veuillez réessayer",
      text: "Cela n’a pas fonctionné pour le moment. Revenez en arrière et réessayez dans un instant.",
    },
  },
};
