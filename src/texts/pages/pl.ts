import type { PageTexts } from "./en.ts";

export const pl: PageTexts = {
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
};
