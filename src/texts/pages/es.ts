import type { PageTexts } from "./en.ts";

export const es: PageTexts = {
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
};
