/** What `countersign --help` prints. */
export const help = `Countersign keeps email one-time-password authenticators for other people's users.

Usage: countersign COMMAND [OPTIONS]

  dev       Start for development: everything in one process, a mailbox that catches every mail, a user
            to try it with. Prints a token and the commands to paste.
  serve     Start for production. Refuses missing or unsafe settings, and names all of them at once.
  migrate   Bring the database up to date and stop. (dev and serve do this when they start.)
  doctor limits
            Print how likely one authenticator is to be guessed in a day under the settings, and why.
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
  COUNTERSIGN_DATABASE_URL *     sqlite:PATH (sqlite:DATA_DIR/countersign.db)
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
  COUNTERSIGN_SMTP_OAUTH_TOKEN_URL  where access tokens for ?auth=xoauth2 come from (none)
  COUNTERSIGN_SMTP_OAUTH_CLIENT_ID  who asks for them
  COUNTERSIGN_SMTP_OAUTH_CLIENT_SECRET *  its secret
  COUNTERSIGN_SMTP_OAUTH_REFRESH_TOKEN *  the refresh token
  COUNTERSIGN_MAIL_WEBHOOK_SECRET *  whsec_ and base64, signs what webhooks get
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
  COUNTERSIGN_TRUSTED_PROXIES    addresses and networks whose X-Forwarded-For is believed, comma separated
                                 (none)
  COUNTERSIGN_TLS_CERT *         PEM text, or the path of a PEM file
  COUNTERSIGN_TLS_KEY *          PEM text, or the path of a PEM file
  COUNTERSIGN_LOG_LEVEL          trace, debug, info, warn, error, fatal or silent (info)
  COUNTERSIGN_OTP_EMAILS_MAX     authenticators that a user may have (10)
  COUNTERSIGN_CODE_ALPHABET      crockford or digits (crockford)
  COUNTERSIGN_CODE_LENGTH        characters of a code (8)
  COUNTERSIGN_CODE_TTL           how long a code lives, 30s to 10m (10m)
  COUNTERSIGN_CODE_ATTEMPTS_MAX  wrong attempts until a code is dead (5)
  COUNTERSIGN_ATTEMPTS_PER_HOUR_MAX  wrong codes within an hour until the authenticator is locked (10)
  COUNTERSIGN_ATTEMPTS_IN_ROW_MAX  wrong codes in a row until it is locked for the longest time (100)
  COUNTERSIGN_LOCK_MIN           the first lock; each further one is twice as long (5m)
  COUNTERSIGN_LOCK_MAX           the longest lock (1d)
  COUNTERSIGN_MAIL_INTERVAL      between two mails for one authenticator (60s)
  COUNTERSIGN_MAILS_PER_HOUR_MAX  mails for one authenticator in an hour (5)
  COUNTERSIGN_MAILS_PER_DAY_MAX  the same in a day (20)
  COUNTERSIGN_ADDRESS_MAILS_PER_HOUR_MAX  mails to one address in an hour, over all users and organizations (5)
  COUNTERSIGN_CLIENT_MAILS_PER_HOUR_MAX  mails that one client address may ask for in an hour (1000)
  COUNTERSIGN_ALL_MAILS_PER_HOUR_MAX  mails of all together in an hour (10000)
  COUNTERSIGN_NOTICES_PER_DAY_MAX  changes of one user in a day that its other addresses are told of (20)

  * NAME_FILE holds the path of a file with the value instead.`;
