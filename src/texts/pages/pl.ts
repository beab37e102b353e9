import type { PageTexts } from "./en.ts";

export const pl: PageTexts = {
  verify: {
    title: "Potwierdź swój adres e-mail",
    intro: "Naciśnij przycisk, aby potwierdzić, że to Twój adres e-mail.",
    label: "Kod z wiadomości",
    button: "Potwierdź",
    empty:
      "Czy pole jest puste? W takim razie kod z tego linku został już użyty lub wygasł. Wpisz kod z najnowszej wiadomości albo poproś o nowy tam, gdzie podano adres.",
    ignore:
      "To nie była Twoja prośba? W takim razie zamknij tę stronę: bez naciśnięcia przycisku nic nie zostanie potwierdzone.",
    failed:
      "Nie udało się. Kod może być błędny, już użyty lub nieaktualny. Sprawdź go albo poproś o nowy i spróbuj później.",
  },
  verified: {
    title: "Twój adres e-mail został potwierdzony",
    text: "Możesz zamknąć tę stronę i wrócić tam, gdzie podano adres.",
  },
  login: {
    title: "Twój kod do logowania",
    intro: "Wpisz ten kod tam, gdzie zaczęło się logowanie:",
    gone: "Już nieważny",
    warning: "Nigdy nie podawaj nikomu tego kodu, bez względu na to, kto o niego prosi.",
    question:
      "To nie Ty próbujesz się zalogować? W takim razie robi to ktoś inny. Po naciśnięciu tego przycisku kod przestanie działać.",
    button: "To nie ja",
  },
  reported: {
    title: "Dziękujemy",
    text: "Jeśli kod jeszcze działał, to już nie działa.",
    warning: "Czy ktoś dostał od Ciebie ten kod? W takim razie natychmiast powiadom osoby prowadzące usługę.",
  },
  retry: {
    title: "Spróbuj ponownie",
    text: "Tym razem się nie udało. Wróć i spróbuj ponownie za chwilę.",
  },
};
