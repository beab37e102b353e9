import type { MailTexts } from "./en.ts";

export const pl: MailTexts = {
  code: {
    button: "Dalej",
    orContinue: "Można też kontynuować tutaj:",
    validity: "Kodu można użyć tylko raz. Czas ważności od chwili zamówienia: {{duration}}.",
    secrecy: "Proszę nigdy nie podawać nikomu tego kodu, bez względu na to, kto o niego prosi.",
  },
  verification: {
    subject: "Kod do potwierdzenia tego adresu e-mail w usłudze {{service}}",
    title: "Potwierdzenie adresu e-mail",
    intro: "Aby potwierdzić ten adres e-mail w usłudze {{service}}, proszę wpisać ten kod:",
    ignore:
      "To nie Państwo prosili o ten kod? Można zignorować tę wiadomość: bez kodu nic nie zostanie potwierdzone.",
  },
  login: {
    subject: "Kod do logowania w usłudze {{service}}",
    title: "Logowanie",
    intro: "Aby zalogować się w usłudze {{service}}, proszę wpisać ten kod:",
    question: "To nie była próba logowania z Państwa strony?",
    report: "Proszę to zgłosić",
  },
  notice: {
    subject: "Zmieniono adresy e-mail Państwa konta w usłudze {{service}}",
    title: "Zmieniono Państwa konto",
    added: "Do Państwa konta w usłudze {{service}} dodano adres e-mail.",
    verified:
      "Adres e-mail Państwa konta w usłudze {{service}} został potwierdzony i od teraz może otrzymywać kody.",
    removed: "Z Państwa konta w usłudze {{service}} usunięto adres e-mail.",
    when: "Data i godzina: {{time}}.",
    whenFrom: "Data i godzina: {{time}}, z adresu {{client}}.",
    advice:
      "Jeśli to Państwa działanie, nie trzeba nic robić. Jeśli nie, proszę natychmiast powiadomić operatora usługi.",
  },
};
