import type { PageTexts } from "./en.ts";

export const nl: PageTexts = {
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
};
