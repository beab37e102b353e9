import type { MailTexts } from "./en.ts";

export const sv: MailTexts = {
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
};
