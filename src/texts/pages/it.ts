import type { PageTexts } from "./en.ts";

export const it: PageTexts = {
  verify: {
    title: "Verifica il tuo indirizzo email",
    intro: "Premi il pulsante per confermare che questo è il tuo indirizzo email.",
    label: "Codice ricevuto via email",
    button: "Verifica",
    empty:
      "Il campo è vuoto? Allora il codice di questo link è già stato usato o è scaduto. Inserisci il codice della tua email più recente, oppure richiedine uno nuovo dove hai inserito l’indirizzo.",
    ignore:
      "Non hai richiesto nulla? Allora chiudi questa pagina: senza il pulsante non viene verificato niente.",
    failed:
      "Non ha funzionato. Il codice potrebbe essere errato, già usato o scaduto. Controllalo, oppure richiedine uno nuovo e riprova più tardi.",
  },
  verified: {
    title: "Il tuo indirizzo email è verificato",
    text: "Puoi chiudere questa pagina e tornare dove hai inserito l’indirizzo.",
  },
  login: {
    title: "Il tuo codice di accesso",
    intro: "Inserisci questo codice dove hai iniziato ad accedere:",
    gone: "Non più valido",
    warning: "Non dare mai il codice a nessuno, chiunque lo chieda.",
    question:
      "Non hai provato ad accedere? Allora lo ha fatto qualcun altro. Con questo pulsante il codice smette di funzionare.",
    button: "Non sono stato io",
  },
  reported: {
    title: "Grazie",
    text: "Se il codice era ancora valido, ora non lo è più.",
    warning: "Hai dato il codice a qualcuno? Allora avvisa subito chi gestisce il servizio.",
  },
  retry: {
    title: "Riprova",
    text: "In questo momento non ha funzionato. Torna indietro e riprova tra poco.",
  },
};
