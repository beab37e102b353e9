import type { MailTexts } from "./en.ts";

export const nl: MailTexts = {
  code: {
    button: "Doorgaan",
    orContinue: "Of ga hier verder:",
    validity: "De code kan één keer worden gebruikt, binnen {{duration}} na uw aanvraag.",
    secrecy: "Geef de code nooit aan iemand anders, wie er ook om vraagt.",
  },
  verification: {
    subject: "Uw code om dit e-mailadres te bevestigen voor {{service}}",
    title: "Bevestig uw e-mailadres",
    intro: "Voer deze code in om dit e-mailadres te bevestigen voor {{service}}:",
    ignore:
      "Hebt u hier niet om gevraagd? Dan kunt u deze e-mail negeren: zonder de code wordt er niets bevestigd.",
  },
  login: {
    subject: "Uw code om in te loggen bij {{service}}",
    title: "Inloggen",
    intro: "Voer deze code in om in te loggen bij {{service}}:",
    question: "Hebt u niet geprobeerd in te loggen?",
    report: "Meld dat u dit niet was",
  },
  notice: {
    subject: "De e-mailadressen van uw account bij {{service}} zijn gewijzigd",
    title: "Uw account is gewijzigd",
    added: "Er is een e-mailadres toegevoegd aan uw account bij {{service}}.",
    verified:
      "Een e-mailadres van uw account bij {{service}} is bevestigd en kan vanaf nu voor codes worden gebruikt.",
    removed: "Er is een e-mailadres verwijderd uit uw account bij {{service}}.",
    when: "Tijdstip: {{time}}.",
    whenFrom: "Tijdstip: {{time}}, vanaf {{client}}.",
    advice:
      "Was u dit zelf? Dan hoeft u niets te doen. Zo niet, waarschuw dan meteen de beheerders van de dienst.",
  },
};
