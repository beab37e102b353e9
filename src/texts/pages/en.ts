/** What the pages say. Every other language has these keys. */
export const en = {
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
    question: "You did not try to sign in? Then somebody else did. With this button the code stops working.",
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
};

export type PageTexts = {
  readonly [P in keyof typeof en]: { readonly [K in keyof (typeof en)[P]]: string };
};
