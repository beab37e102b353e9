import type { Texts } from "./en.ts";

export const es: Texts = {
  mail: {
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
  },
  pages: {
    verify: {
      title: "Verifique su dirección de correo",
      intro: "Pulse el botón para confirmar que esta dirección de correo es suya.",
      label: "Código del correo",
      button: "Verificar",
      empty:
        "¿El campo está vacío? Entonces el código de este enlace ya se usó o ha caducado. Escriba el código de su correo más reciente, o pida uno nuevo donde escribió su dirección.",
      ignore: "¿No ha pedido nada? Entonces cierre esta página: sin el botón no se verifica nada.",
      failed:
        "No ha funcionado. Es posible que el código sea incorrecto, ya se haya usado o haya caducado. Compruébelo, o pida uno nuevo y vuelva a intentarlo más tarde.",
    },
    verified: {
      title: "Su dirección de correo está verificada",
      text: "Puede cerrar esta página y volver a donde escribió la dirección.",
    },
    login: {
      title: "Su código para iniciar sesión",
      intro: "Escriba este código donde empezó a iniciar sesión:",
      gone: "Ya no es válido",
      warning: "No dé nunca el código a nadie, sea quien sea quien lo pida.",
      question:
        "¿No ha intentado iniciar sesión? Entonces lo ha hecho otra persona. Con este botón el código deja de funcionar.",
      button: "No he sido yo",
    },
    reported: {
      title: "Gracias",
      text: "Si el código aún era válido, ya no lo es.",
      warning: "¿Ha dado el código a alguien? Entonces avise de inmediato a los responsables del servicio.",
    },
    retry: {
      title: "Vuelva a intentarlo",
      text: "No ha funcionado en este momento. Vuelva atrás e inténtelo de nuevo dentro de un momento.",
    },
  },
};
