import type { Texts } from "./en.ts";

export const cs: Texts = {
  mail: {
    code: {
      button: "Pokračovat",
      orContinue: "Nebo pokračujte zde:",
      validity: "Kód lze použít jen jednou. Doba platnosti od vyžádání: {{duration}}.",
      secrecy: "Kód nikdy nikomu nesdělujte, ať se na něj ptá kdokoli.",
    },
    verification: {
      subject: "Váš kód k ověření této e-mailové adresy pro službu {{service}}",
      title: "Ověření e-mailové adresy",
      intro: "Chcete-li ověřit tuto e-mailovou adresu pro službu {{service}}, zadejte tento kód:",
      ignore: "Nežádali jste o něj? Pak můžete tento e-mail ignorovat: bez kódu se nic neověří.",
    },
    login: {
      subject: "Váš kód k přihlášení do služby {{service}}",
      title: "Přihlášení",
      intro: "Chcete-li se přihlásit do služby {{service}}, zadejte tento kód:",
      question: "Nepokoušeli jste se přihlásit?",
      report: "Nahlaste, že jste to nebyli vy",
    },
    notice: {
      subject: "E-mailové adresy vašeho účtu u služby {{service}} byly změněny",
      title: "Váš účet byl změněn",
      added: "K vašemu účtu u služby {{service}} byla přidána e-mailová adresa.",
      verified:
        "E-mailová adresa vašeho účtu u služby {{service}} byla ověřena a od této chvíle může přijímat kódy.",
      removed: "Z vašeho účtu u služby {{service}} byla odebrána e-mailová adresa.",
      when: "Datum a čas: {{time}}.",
      whenFrom: "Datum a čas: {{time}}, z adresy {{client}}.",
      advice: "Byli jste to vy? Pak nemusíte nic dělat. Pokud ne, ihned to oznamte provozovateli služby.",
    },
  },
  pages: {
    verify: {
      title: "Ověřte svou e-mailovou adresu",
      intro: "Stisknutím tlačítka potvrdíte, že je tato e-mailová adresa vaše.",
      label: "Kód z e-mailu",
      button: "Ověřit",
      empty:
        "Je pole prázdné? Pak byl kód z tohoto odkazu už použit nebo vypršel. Zadejte kód z nejnovějšího e-mailu nebo požádejte o nový tam, kde jste zadali svou adresu.",
      ignore: "O nic jste nežádali? Pak tuto stránku zavřete: bez stisknutí tlačítka se nic neověří.",
      failed:
        "To se nepodařilo. Kód může být nesprávný, použitý nebo prošlý. Zkontrolujte ho, nebo požádejte o nový a zkuste to později.",
    },
    verified: {
      title: "Vaše e-mailová adresa je ověřena",
      text: "Tuto stránku můžete zavřít a vrátit se tam, kde jste adresu zadali.",
    },
    login: {
      title: "Váš kód pro přihlášení",
      intro: "Zadejte tento kód tam, kde jste se začali přihlašovat:",
      gone: "Už neplatí",
      warning: "Nikdy nikomu kód nesdělujte, ať o něj žádá kdokoli.",
      question: "Nepokoušeli jste se přihlásit? Pak to byl někdo jiný. Tímto tlačítkem kód přestane platit.",
      button: "To jsem nebyl(a) já",
    },
    reported: {
      title: "Děkujeme",
      text: "Pokud kód ještě platil, už neplatí.",
      warning: "Sdělili jste kód někomu? Pak to ihned oznamte provozovatelům služby.",
    },
    retry: {
      title: "Zkuste to prosím znovu",
      text: "Teď se to nepodařilo. Vraťte se zpět a za chvíli to zkuste znovu.",
    },
  },
};
