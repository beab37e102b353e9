import type { Texts } from "./en.ts";

export const sv: Texts = {
  mail: {
    code: {
      button: "Fortsätt",
      orContinue: "Eller fortsätt här:",
      validity: "Koden kan användas en gång, inom {{duration}} från din begäran.",
      secrecy: "Lämna aldrig ut koden till någon, vem som än frågar efter den.",
    },
    verification: {
      subject: "Din kod för att bekräfta den här e-postadressen för {{service}}",
      title: "Bekräfta din e-postadress",
      intro: "Ange den här koden för att bekräfta e-postadressen för {{service}}:",
      ignore:
        "Har du inte bett om koden? Då kan du bortse från det här meddelandet: utan koden bekräftas ingenting.",
    },
    login: {
      subject: "Din kod för att logga in på {{service}}",
      title: "Logga in",
      intro: "Ange den här koden för att logga in på {{service}}:",
      question: "Var det inte du som försökte logga in?",
      report: "Meddela att det inte var du",
    },
    notice: {
      subject: "E-postadresserna för ditt konto hos {{service}} har ändrats",
      title: "Ditt konto har ändrats",
      added: "En e-postadress har lagts till i ditt konto hos {{service}}.",
      verified:
        "En e-postadress i ditt konto hos {{service}} har bekräftats och kan från och med nu användas för koder.",
      removed: "En e-postadress har tagits bort från ditt konto hos {{service}}.",
      when: "Tidpunkt: {{time}}.",
      whenFrom: "Tidpunkt: {{time}}, från {{client}}.",
      advice: "Var det du? Då behöver du inte göra något. Om inte, meddela genast de ansvariga för tjänsten.",
    },
  },
  pages: {
    verify: {
      title: "Bekräfta din e-postadress",
      intro: "Tryck på knappen för att bekräfta att det här är din e-postadress.",
      label: "Kod från mejlet",
      button: "Bekräfta",
      empty:
        "Är fältet tomt? Då har länkens kod redan använts eller gått ut. Ange koden från ditt senaste mejl, eller be om en ny där du angav din adress.",
      ignore: "Har du inte bett om det här? Stäng då sidan: utan knappen bekräftas ingenting.",
      failed:
        "Det gick inte. Koden kan vara fel, redan använd eller ha gått ut. Kontrollera den, eller be om en ny och försök igen senare.",
    },
    verified: {
      title: "Din e-postadress är bekräftad",
      text: "Du kan stänga den här sidan och gå tillbaka dit där du angav adressen.",
    },
    login: {
      title: "Din kod för att logga in",
      intro: "Ange den här koden där du började logga in:",
      gone: "Gäller inte längre",
      warning: "Ge aldrig koden till någon, vem som än frågar efter den.",
      question:
        "Har du inte försökt logga in? Då var det någon annan. Med den här knappen slutar koden att fungera.",
      button: "Det var inte jag",
    },
    reported: {
      title: "Tack",
      text: "Om koden fortfarande fungerade gör den inte det längre.",
      warning: "Har du gett koden till någon? Kontakta då genast dem som driver tjänsten.",
    },
    retry: {
      title: "Försök igen",
      text: "Det gick inte just nu. Gå tillbaka och försök igen om en stund.",
    },
  },
};
