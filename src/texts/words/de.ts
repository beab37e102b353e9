import type { Texts } from "./en.ts";

export const de: Texts = {
  mail: {
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
  },
  pages: {
    verify: {
      title: "E-Mail-Adresse bestätigen",
      intro: "Mit der Schaltfläche bestätigen Sie, dass dies Ihre E-Mail-Adresse ist.",
      label: "Code aus der E-Mail",
      button: "Bestätigen",
      empty:
        "Ist das Feld leer? Dann wurde der Code dieses Links schon verwendet oder ist abgelaufen. Geben Sie den Code Ihrer neuesten E-Mail ein, oder fordern Sie dort, wo Sie Ihre Adresse eingegeben haben, einen neuen an.",
      ignore:
        "Sie haben das nicht angefordert? Dann schließen Sie diese Seite: Ohne die Schaltfläche wird nichts bestätigt.",
      failed:
        "Das hat nicht funktioniert. Der Code ist vielleicht falsch, schon verwendet oder abgelaufen. Prüfen Sie ihn, oder fordern Sie einen neuen an und versuchen Sie es später noch einmal.",
    },
    verified: {
      title: "Ihre E-Mail-Adresse ist bestätigt",
      text: "Sie können diese Seite schließen und dorthin zurückkehren, wo Sie die Adresse eingegeben haben.",
    },
    login: {
      title: "Ihr Code zur Anmeldung",
      intro: "Geben Sie diesen Code dort ein, wo Sie die Anmeldung begonnen haben:",
      gone: "Nicht mehr gültig",
      warning: "Geben Sie den Code niemandem weiter, ganz gleich, wer danach fragt.",
      question:
        "Sie wollten sich nicht anmelden? Dann war es jemand anderes. Mit dieser Schaltfläche wird der Code ungültig.",
      button: "Das war ich nicht",
    },
    reported: {
      title: "Vielen Dank",
      text: "Falls der Code noch gültig war, ist er es jetzt nicht mehr.",
      warning:
        "Haben Sie den Code jemandem gegeben? Dann wenden Sie sich sofort an die Betreiber des Dienstes.",
    },
    retry: {
      title: "Bitte versuchen Sie es noch einmal",
      text: "Das hat gerade nicht funktioniert. Gehen Sie zurück und versuchen Sie es gleich noch einmal.",
    },
  },
};
