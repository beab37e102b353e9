import type { Texts } from "./en.ts";

export const nl: Texts = {
  mail: {
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
  },
  pages: {
    verify: {
      title: "Bevestig uw e-mailadres",
      intro: "Druk op de knop om te bevestigen dat dit uw e-mailadres is.",
      label: "Code uit de e-mail",
      button: "Bevestigen",
      empty:
        "Is het veld leeg? Dan is de code van deze link al gebruikt of verlopen. Voer de code uit uw nieuwste e-mail in, of vraag een nieuwe aan waar u uw adres hebt ingevoerd.",
      ignore: "Hebt u hier niet om gevraagd? Sluit dan deze pagina: zonder de knop wordt er niets bevestigd.",
      failed:
        "Dat is niet gelukt. De code is misschien onjuist, al gebruikt of verlopen. Controleer de code, of vraag een nieuwe aan en probeer het later opnieuw.",
    },
    verified: {
      title: "Uw e-mailadres is bevestigd",
      text: "U kunt deze pagina sluiten en teruggaan naar waar u het adres hebt ingevoerd.",
    },
    login: {
      title: "Uw code om in te loggen",
      intro: "Voer deze code in waar u bent begonnen met inloggen:",
      gone: "Niet meer geldig",
      warning: "Geef de code nooit aan iemand, wie er ook om vraagt.",
      question:
        "Hebt u niet geprobeerd in te loggen? Dan was het iemand anders. Met deze knop werkt de code niet meer.",
      button: "Dit was ik niet",
    },
    reported: {
      title: "Dank u wel",
      text: "Als de code nog werkte, werkt die nu niet meer.",
      warning: "Hebt u de code aan iemand gegeven? Waarschuw dan meteen de beheerders van de dienst.",
    },
    retry: {
      title: "Probeer het opnieuw",
      text: "Dat lukte zojuist niet. Ga terug en probeer het zo meteen opnieuw.",
    },
  },
};
