import { describeDefault } from "../config/describe-default.ts";
import { type Setting, toPlainText } from "../config/setting.ts";
import { subjects } from "../config/settings.ts";
import { formatEntry } from "./format-entry.ts";

/** What `countersign --help` prints. */
export const help = `Countersign keeps email one-time-password authenticators for other people's users.

Usage: countersign COMMAND [OPTIONS]

  dev       Start for development: everything in one process, a mailbox that catches every mail, a user
            to try it with. Prints a token and the commands to paste.
  serve     Start for production. Refuses missing or unsafe settings, and names all of them at once.
  migrate   Bring the database up to date and stop. (dev and serve do this when they start.)
  backup FILE
            Copy the SQLite database into a new file, while the service runs.
  restore FILE
            Put such a copy in the place of a database that is gone. The service must not run.
  copy --from URL --to URL
            Make the second database the same as the first, whichever engines they are on, and compare
            both. Run again, it copies only what has changed.
  doctor limits
            Print how likely one authenticator is to be guessed in a day under the settings, and why.
  doctor database
            Look at every page and every index of the SQLite database, also while the service runs. Exit code 65 if it
            is damaged.
  mail preview
            Write a mail with sample data to a file, and its text part beside it.
              --out FILE        where to, such as mail.html (needed)
              --purpose P       verification, login, notice-added, notice-verified or notice-removed
              --language L      such as en, de or ja (COUNTERSIGN_DEFAULT_LANGUAGE)
              --org O           with the own templates and, for mail test, the sender of this organization
  mail test Send such a mail, and print what came of it.
              --to ADDRESS      whom to (needed); otherwise as mail preview
  outbox list
            Print mails, the latest first: --state queued, sent, failed or dropped, --org O, --limit N (50),
            --before MAIL for the next page, --addresses to show addresses as a whole.
  outbox retry MAIL | --all-failed
            Queue mails again that have failed, while their codes live. Exit code 1 if one is not queued.
  bounce [FILE]
            Record the delivery status notifications (RFC 3464) in a message or an mbox file, or in standard input.
            Exit code 75 if the database cannot be reached now.
  suppression list
            Print the addresses to which nothing is sent, because mail to them came back: --limit N (50), --skip N,
            --addresses to show them as a whole.
  suppression release ADDRESS | AUTHENTICATOR
            Let mails go to an address again.
  token     Print an access token of the local issuer, and nothing else.
              --subject S       whom it is for: the id of a user, or a name for a service (needed)
              --permission P    user.read, user.write or otp.challenge; may be given several times
              --org O           the permissions count in this organization only (otherwise in all)
              --ttl T           how long it is valid, such as 90s, 10m or 1h (default 1h)
  --help    Print this.

Settings are environment variables:

${settingsHelp()}

  * NAME_FILE holds the path of a file with the value instead.`;

function settingsHelp(): string {
  return Object.entries(subjects)
    .map(([title, settings]) => [`${title}:`, ...Object.entries(settings).map(settingHelp)].join("\n"))
    .join("\n\n");
}

function settingHelp([name, setting]: [string, Setting]): string {
  const term = setting.isSecret ? `${name} *` : name;
  const standard = describeDefault(setting);
  const notes = [
    setting.isNeeded ? "required by serve" : "",
    standard && !setting.isNeeded ? `default: ${standard}` : standard,
  ];
  const note = notes.filter(Boolean).join("; ");
  return formatEntry(term, toPlainText(note ? `${setting.help} [${note}]` : setting.help), 42);
}
