import type { MailTexts } from "./en.ts";

export const cs: MailTexts = {
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
};
