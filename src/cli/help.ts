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

Settings (environment):
  COUNTERSIGN_LISTEN             host:port (127.0.0.1:8080)
  COUNTERSIGN_PUBLIC_URL         the origin that links in mails begin with (serve: needed)
  COUNTERSIGN_DATA_DIR           folder of the database and of local keys (./data)
  COUNTERSIGN_DATABASE_URL *     sqlite:PATH or postgres://… (sqlite:DATA_DIR/countersign.db)
  COUNTERSIGN_KEYS *             id:base64 of at least 32 bytes, comma separated; the first derives codes, all
                                 verify them (serve: needed)
  COUNTERSIGN_PROOF_KEYS *       PEM text, or the path of a PEM file: private keys on P-256; the first signs proofs of
                                 logins, all are published (serve: needed)
  COUNTERSIGN_PROOF_AUDIENCES    whom proofs may be for, comma separated, or * (serve: none; dev: *)
  COUNTERSIGN_ISSUERS            issuers whose tokens are accepted, comma separated: an https URL, or
                                 URL|JWKS_URL, or "local" (serve: needed)
  COUNTERSIGN_AUDIENCE           the aud that tokens carry (serve: needed; dev: countersign)
  COUNTERSIGN_ROLES_CLAIM        the claim {permission: {org: …}} (urn:zitadel:iam:org:project:roles)
  COUNTERSIGN_SMTP_URL *         smtp://user:password@host:port, smtps://…, smtp://user@host?auth=xoauth2,
                                 ses://REGION or webhook+https://…; several are tried in order (serve: needed)
  COUNTERSIGN_MAIL_FROM          Name <address> (serve: needed)
  COUNTERSIGN_DEFAULT_LANGUAGE   of mails and pages to whoever asks for no language that there is, such as en, de or ja (en)
  COUNTERSIGN_CODE_IN_SUBJECT    on or off: whether the subject of a mail shows its code (off)
  COUNTERSIGN_TEMPLATES_DIR      folder of own texts and layouts of mails, see docs/mail.md (none)
  COUNTERSIGN_BOUNCE_ADDRESS     address that mails come back to; bounces+MAIL@… must be delivered to it too (none: to
                                 the sender)
  COUNTERSIGN_BOUNCE_WEBHOOK_SECRET *  whsec_BASE64, with which /webhooks/bounces is signed (none: it is not there)
  COUNTERSIGN_SMTP_OAUTH_TOKEN_URL  where access tokens for ?auth=xoauth2 come from (none)
  COUNTERSIGN_SMTP_OAUTH_CLIENT_ID  who asks for them
  COUNTERSIGN_SMTP_OAUTH_CLIENT_SECRET *  its secret
  COUNTERSIGN_SMTP_OAUTH_REFRESH_TOKEN *  the refresh token
  COUNTERSIGN_MAIL_WEBHOOK_SECRET *  whsec_ and base64, signs what webhooks get; several while it changes
  COUNTERSIGN_DKIM_DOMAIN        mails are signed for it: that of the sender, or one above (none)
  COUNTERSIGN_DKIM_SELECTOR      where its public key is: SELECTOR._domainkey.DOMAIN
  COUNTERSIGN_DKIM_KEY *         PEM text, or the path of a PEM file: a private RSA key
  COUNTERSIGN_SENDERS_FILE       JSON file with senders of organizations: {"ORG_ID": {"from": …, "smtpUrl": …}}
  COUNTERSIGN_LINK_HOSTS         hosts that users themselves may name in a url_template, comma separated
                                 (the host of the public URL)
  COUNTERSIGN_ALLOWED_ORIGINS    browser origins, comma separated, or * (serve: none; dev: *)
  COUNTERSIGN_OAUTH_AUTHORIZE_URL where people get tokens, for /docs alone: a URL, or a path at the first issuer
                                 (/oauth/v2/authorize)
  COUNTERSIGN_OAUTH_TOKEN_URL    the same (/oauth/v2/token)
  COUNTERSIGN_OAUTH_SCOPES       what they ask for there, comma separated
                                 (openid,urn:zitadel:iam:org:project:id:zitadel:aud)
  COUNTERSIGN_REFLECTION         on or off: whether gRPC clients are told the contract (on)
  COUNTERSIGN_METRICS            on or off: /metrics for Prometheus, which anybody who reaches the port may read (off)
  COUNTERSIGN_TRUSTED_PROXIES    addresses and networks whose X-Forwarded-For is believed, comma separated
                                 (none)
  COUNTERSIGN_TLS_CERT *         PEM text, or the path of a PEM file
  COUNTERSIGN_TLS_KEY *          PEM text, or the path of a PEM file
  COUNTERSIGN_LOG_LEVEL          trace, debug, info, warn, error, fatal or silent (info)
  COUNTERSIGN_OTP_EMAILS_MAX     authenticators that a user may have (10)
  COUNTERSIGN_CODE_ALPHABET      of the code that verifies an address: crockford or digits (crockford)
  COUNTERSIGN_CODE_LENGTH        its characters (8)
  COUNTERSIGN_CODE_TTL           how long it lives, 30s to 10m (10m)
  COUNTERSIGN_LOGIN_CODE_LENGTH  digits of the code at login, 6 to 12 (6)
  COUNTERSIGN_LOGIN_CODE_TTL     how long that lives, 30s to 10m (5m)
  COUNTERSIGN_CODE_ATTEMPTS_MAX  wrong attempts until a code, of either kind, is dead (5)
  COUNTERSIGN_ATTEMPTS_PER_HOUR_MAX  wrong codes within an hour until the authenticator is locked (10)
  COUNTERSIGN_ATTEMPTS_IN_ROW_MAX  wrong codes in a row until it is locked for the longest time (100)
  COUNTERSIGN_LOCK_MIN           the first lock; each further one is twice as long (5m)
  COUNTERSIGN_LOCK_MAX           the longest lock (1d)
  COUNTERSIGN_MAIL_INTERVAL      between two mails for one authenticator (60s)
  COUNTERSIGN_MAILS_PER_HOUR_MAX  mails for one authenticator in an hour (5)
  COUNTERSIGN_MAILS_PER_DAY_MAX  the same in a day (20)
  COUNTERSIGN_ADDRESS_MAILS_PER_HOUR_MAX  mails to one address in an hour, over all users and organizations (5)
  COUNTERSIGN_CLIENT_MAILS_PER_HOUR_MAX  mails that one client address may ask for in an hour, or off (1000)
  COUNTERSIGN_ALL_MAILS_PER_HOUR_MAX  mails of all together in an hour, or off (10000)
  COUNTERSIGN_NOTICES_PER_DAY_MAX  changes of one user in a day that its other addresses are told of (20)

  * NAME_FILE holds the path of a file with the value instead.`;
