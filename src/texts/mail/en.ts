/**
 * What the mails say. {{service}} is the name of the service, {{duration}}, {{time}} and {{client}} are put in words of the
 * language. Every other language has these keys, with the same variables.
 */
export const en = {
  code: {
    button: "Continue",
    orContinue: "Or continue here:",
    validity: "The code can be used once, within {{duration}} of your request.",
    secrecy: "Never give the code to anyone, whoever asks for it.",
  },
  verification: {
    subject: "Your code to verify this email address for {{service}}",
    title: "Verify your email address",
    intro: "To verify this email address for {{service}}, enter this code:",
    ignore: "You did not ask for it? Then you can ignore this email: without the code nothing is verified.",
  },
  login: {
    subject: "Your code to sign in to {{service}}",
    title: "Sign in",
    intro: "To sign in to {{service}}, enter this code:",
    question: "You did not try to sign in?",
    report: "Say that this was not you",
  },
  notice: {
    subject: "The email addresses of your account at {{service}} were changed",
    title: "Your account was changed",
    added: "An email address was added to your account at {{service}}.",
    verified:
      "An email address of your account at {{service}} was verified and can be used for codes from now on.",
    removed: "An email address was removed from your account at {{service}}.",
    when: "This was on {{time}}.",
    whenFrom: "This was on {{time}}, from {{client}}.",
    advice: "Was that you? Then there is nothing to do. If not, tell the people who run the service at once.",
  },
};

export type MailTexts = {
  readonly [P in keyof typeof en]: { readonly [K in keyof (typeof en)[P]]: string };
};
