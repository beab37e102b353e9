/** English texts. Every other language has the same keys, with the same variables in each text. */
export const en = {
  /** {{service}} is the name of the service; {{duration}}, {{time}} and {{client}} are formatted in the language. */
  mail: {
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
      advice:
        "Was that you? Then there is nothing to do. If not, tell the people who run the service at once.",
    },
  },
  pages: {
    verify: {
      title: "Verify your email address",
      intro: "Press the button to verify that this is your email address.",
      label: "Code from the email",
      button: "Verify",
      empty:
        "Is the field empty? Then the code of this link was used or has expired. Enter the code of your newest email, or ask for a new one where you entered your address.",
      ignore: "You did not ask for this? Then close this page: without the button nothing is verified.",
      failed:
        "That did not work. The code may be wrong, used or expired. Check it, or ask for a new one and try again later.",
    },
    verified: {
      title: "Your email address is verified",
      text: "You can close this page and go back to where you entered the address.",
    },
    login: {
      title: "Your code to sign in",
      intro: "Enter this code where you began to sign in:",
      gone: "No longer valid",
      warning: "Never give the code to anyone, whoever asks for it.",
      question:
        "You did not try to sign in? Then somebody else did. With this button the code stops working.",
      button: "This was not me",
    },
    reported: {
      title: "Thank you",
      text: "If the code still worked, it does not work any more.",
      warning: "Did you give the code to anyone? Then tell the people who run the service at once.",
    },
    retry: {
      title: "Please try again",
      text: "That did not work just now. Go back and try again in a moment.",
    },
  },
};

/** Texts of a language, by mail or page and key. */
export type Texts = { readonly [P in keyof typeof en]: Section<(typeof en)[P]> };

type Section<T> = { readonly [P in keyof T]: { readonly [K in keyof T[P]]: string } };
