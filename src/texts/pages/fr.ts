import type { PageTexts } from "./en.ts";

export const fr: PageTexts = {
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
};
