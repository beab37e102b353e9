import type { MailTexts } from "./en.ts";

export const it: MailTexts = {
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
};
