import type { MailTexts } from "./en.ts";

export const de: MailTexts = {
  code: {
    button: "Weiter",
    orContinue: "Oder hier fortfahren:",
    validity: "Der Code kann einmal verwendet werden, innerhalb von {{duration}} nach Ihrer Anfrage.",
    secrecy: "Geben Sie den Code niemandem weiter, ganz gleich, wer danach fragt.",
  },
  verification: {
    subject: "Ihr Code zur Bestätigung dieser E-Mail-Adresse bei {{service}}",
    title: "E-Mail-Adresse bestätigen",
    intro: "Um diese E-Mail-Adresse bei {{service}} zu bestätigen, geben Sie diesen Code ein:",
    ignore:
      "Sie haben den Code nicht angefordert? Dann können Sie diese E-Mail ignorieren: Ohne den Code wird nichts bestätigt.",
  },
  login: {
    subject: "Ihr Code zur Anmeldung bei {{service}}",
    title: "Anmelden",
    intro: "Um sich bei {{service}} anzumelden, geben Sie diesen Code ein:",
    question: "Sie wollten sich nicht anmelden?",
    report: "Melden, dass Sie das nicht waren",
  },
  notice: {
    subject: "Die E-Mail-Adressen Ihres Kontos bei {{service}} wurden geändert",
    title: "Ihr Konto wurde geändert",
    added: "Ihrem Konto bei {{service}} wurde eine E-Mail-Adresse hinzugefügt.",
    verified:
      "Eine E-Mail-Adresse Ihres Kontos bei {{service}} wurde bestätigt und kann ab jetzt für Codes verwendet werden.",
    removed: "Aus Ihrem Konto bei {{service}} wurde eine E-Mail-Adresse entfernt.",
    when: "Zeitpunkt: {{time}}.",
    whenFrom: "Zeitpunkt: {{time}}, von {{client}}.",
    advice:
      "Waren Sie das? Dann müssen Sie nichts tun. Wenn nicht, wenden Sie sich sofort an die Betreiber des Dienstes.",
  },
};
