import type { Texts } from "./en.ts";

export const pl: Texts = {
  mail: {
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
  },
  pages: {
    verify: {
      title: "Potwierdzenie adresu e-mail",
      intro: "Proszę nacisnąć przycisk, aby potwierdzić, że to Państwa adres e-mail.",
      label: "Kod z wiadomości",
      button: "Potwierdź",
      empty:
        "Czy pole jest puste? W takim razie kod z tego linku został już użyty lub wygasł. Proszę wpisać kod z najnowszej wiadomości albo poprosić o nowy tam, gdzie podano adres.",
      ignore:
        "To nie Państwo o to prosili? Proszę zamknąć tę stronę: bez naciśnięcia przycisku nic nie zostanie potwierdzone.",
      failed:
        "Nie udało się. Kod może być błędny, już użyty lub nieaktualny. Proszę go sprawdzić albo poprosić o nowy i spróbować później.",
    },
    verified: {
      title: "Adres e-mail został potwierdzony",
      text: "Można zamknąć tę stronę i wrócić tam, gdzie podano adres.",
    },
    login: {
      title: "Kod do logowania",
      intro: "Proszę wpisać ten kod tam, gdzie rozpoczęto logowanie:",
      gone: "Już nieważny",
      warning: "Proszę nigdy nie podawać nikomu tego kodu, bez względu na to, kto o niego prosi.",
      question:
        "To nie była próba logowania z Państwa strony? W takim razie loguje się ktoś inny. Po naciśnięciu tego przycisku kod przestanie działać.",
      button: "To nie ja",
    },
    reported: {
      title: "Dziękujemy",
      text: "Jeśli kod jeszcze działał, to już nie działa.",
      warning:
        "Czy ktoś dostał od Państwa ten kod? W takim razie proszę natychmiast powiadomić osoby prowadzące usługę.",
    },
    retry: {
      title: "Proszę spróbować ponownie",
      text: "Tym razem się nie udało. Proszę wrócić i spróbować ponownie za chwilę.",
    },
  },
};
