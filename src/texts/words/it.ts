import type { Texts } from "./en.ts";

export const it: Texts = {
  mail: {
    code: {
      button: "Continua",
      orContinue: "Oppure continui qui:",
      validity: "Il codice può essere usato una sola volta, entro {{duration}} dalla richiesta.",
      secrecy: "Non comunichi mai il codice a nessuno, chiunque lo chieda.",
    },
    verification: {
      subject: "Il Suo codice per confermare questo indirizzo e-mail per {{service}}",
      title: "Confermi il Suo indirizzo e-mail",
      intro: "Per confermare questo indirizzo e-mail per {{service}}, inserisca questo codice:",
      ignore: "Non lo ha richiesto? Può ignorare questa e-mail: senza il codice non viene confermato nulla.",
    },
    login: {
      subject: "Il Suo codice per accedere a {{service}}",
      title: "Accesso",
      intro: "Per accedere a {{service}}, inserisca questo codice:",
      question: "Non ha provato ad accedere?",
      report: "Segnali che non è stato Lei",
    },
    notice: {
      subject: "Gli indirizzi e-mail del Suo account {{service}} sono stati modificati",
      title: "Il Suo account è stato modificato",
      added: "Un indirizzo e-mail è stato aggiunto al Suo account {{service}}.",
      verified:
        "Un indirizzo e-mail del Suo account {{service}} è stato confermato e da ora può ricevere codici.",
      removed: "Un indirizzo e-mail è stato rimosso dal Suo account {{service}}.",
      when: "Data e ora: {{time}}.",
      whenFrom: "Data e ora: {{time}}, da {{client}}.",
      advice:
        "È stato Lei? Allora non deve fare nulla. In caso contrario, avvisi subito chi gestisce il servizio.",
    },
  },
  pages: {
    verify: {
      title: "Confermi il Suo indirizzo e-mail",
      intro: "Prema il pulsante per confermare che questo è il Suo indirizzo e-mail.",
      label: "Codice ricevuto per e-mail",
      button: "Conferma",
      empty:
        "Il campo è vuoto? Allora il codice di questo link è già stato usato o è scaduto. Inserisca il codice della Sua e-mail più recente, oppure ne richieda uno nuovo dove ha inserito l’indirizzo.",
      ignore:
        "Non lo ha richiesto? Allora chiuda questa pagina: senza il pulsante non viene confermato nulla.",
      failed:
        "Non ha funzionato. Il codice potrebbe essere errato, già usato o scaduto. Lo controlli, oppure ne richieda uno nuovo e riprovi più tardi.",
    },
    verified: {
      title: "Il Suo indirizzo e-mail è confermato",
      text: "Può chiudere questa pagina e tornare dove ha inserito l’indirizzo.",
    },
    login: {
      title: "Il Suo codice per accedere",
      intro: "Inserisca questo codice dove ha iniziato l’accesso:",
      gone: "Non più valido",
      warning: "Non comunichi mai il codice a nessuno, chiunque lo chieda.",
      question:
        "Non ha provato ad accedere? Allora lo ha fatto qualcun altro. Con questo pulsante il codice smette di funzionare.",
      button: "Non ero io",
    },
    reported: {
      title: "Grazie",
      text: "Se il codice era ancora valido, ora non lo è più.",
      warning: "Ha dato il codice a qualcuno? Allora avvisi subito chi gestisce il servizio.",
    },
    retry: {
      title: "La preghiamo di riprovare",
      text: "In questo momento non ha funzionato. Torni indietro e riprovi tra poco.",
    },
  },
};
