import type { PageTexts } from "./en.ts";

export const cs: PageTexts = {
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
};
