import type { PageTexts } from "./en.ts";

export const sv: PageTexts = {
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
};
