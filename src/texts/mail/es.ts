import type { MailTexts } from "./en.ts";

export const es: MailTexts = {
  code: {
    button: "Continuar",
    orContinue: "O continúe aquí:",
    validity: "El código solo se puede usar una vez, en un plazo de {{duration}} desde su solicitud.",
    secrecy: "No comparta nunca el código con nadie, sea quien sea quien se lo pida.",
  },
  verification: {
    subject: "Su código para verificar esta dirección de correo en {{service}}",
    title: "Verifique su dirección de correo",
    intro: "Para verificar esta dirección de correo en {{service}}, introduzca este código:",
    ignore: "¿No lo ha solicitado usted? Puede ignorar este correo: sin el código no se verifica nada.",
  },
  login: {
    subject: "Su código para iniciar sesión en {{service}}",
    title: "Iniciar sesión",
    intro: "Para iniciar sesión en {{service}}, introduzca este código:",
    question: "¿No ha intentado iniciar sesión?",
    report: "Indique que no ha sido usted",
  },
  notice: {
    subject: "Se han cambiado las direcciones de correo de su cuenta de {{service}}",
    title: "Su cuenta ha cambiado",
    added: "Se ha añadido una dirección de correo a su cuenta de {{service}}.",
    verified:
      "Se ha verificado una dirección de correo de su cuenta de {{service}}, que a partir de ahora puede recibir códigos.",
    removed: "Se ha eliminado una dirección de correo de su cuenta de {{service}}.",
    when: "Fecha y hora: {{time}}.",
    whenFrom: "Fecha y hora: {{time}}, desde {{client}}.",
    advice:
      "¿Ha sido usted? Entonces no tiene que hacer nada. Si no, avise de inmediato a los responsables del servicio.",
  },
};
