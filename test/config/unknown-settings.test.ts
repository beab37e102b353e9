import { describe, expect, it } from "vitest";
import {
  readConfig,
  readDataConfig,
  readMailConfig,
  readOperatorConfig,
  readPolicy,
} from "../../src/config/config.ts";
import { unknownSettings } from "../../src/config/unknown-settings.ts";

describe("unknownSettings", () => {
  it.each([
    ["COUNTERSIGN_SMTPURL", "COUNTERSIGN_SMTP_URL"],
    ["COUNTERSIGN_PUBLICURL", "COUNTERSIGN_PUBLIC_URL"],
    ["COUNTERSIGN_ISSUER", "COUNTERSIGN_ISSUERS"],
    ["COUNTERSIGN_KEY_FILE", "COUNTERSIGN_KEYS_FILE"],
    ["COUNTERSIGN_DATABASE", "COUNTERSIGN_DATABASE_URL"],
    ["COUNTERSIGN_SENDERS", "COUNTERSIGN_SENDERS_FILE"],
    ["COUNTERSIGN_LOGIN_CODE_LENGHT", "COUNTERSIGN_LOGIN_CODE_LENGTH"],
    ["countersign_listen", "COUNTERSIGN_LISTEN"],
  ])("reports %s with the nearest setting", (name, nearest) => {
    expect(unknownSettings({ [name]: "secret" })).toEqual([
      `${name} is not a setting: did you mean ${nearest}?`,
    ]);
  });

  it.each(["COUNTERSIGN_SOAK", "COUNTERSIGN_PORT", "COUNTERSIGN_WEB_CONSOLE_THEME", "COUNTERSIGN_"])(
    "suggests nothing where no setting is near: %s",
    (name) => {
      expect(unknownSettings({ [name]: "8080" })).toEqual([`${name} is not a setting`]);
    },
  );

  it("reports a file for a setting that is not a secret", () => {
    expect(unknownSettings({ COUNTERSIGN_PUBLIC_URL_FILE: "/run/url" })).toEqual([
      "COUNTERSIGN_PUBLIC_URL_FILE is not a setting: only secrets can come from a file. Set COUNTERSIGN_PUBLIC_URL",
    ]);
  });

  it("accepts settings, files of secrets, empty variables, and those of other programs", () => {
    const environment = {
      COUNTERSIGN_LISTEN: "x",
      COUNTERSIGN_KEYS_FILE: "x",
      COUNTERSIGN_SENDERS_FILE: "x",
      COUNTERSIGN_SMTPURL: "",
      PATH: "/bin",
      npm_package_bin_countersign: "x",
    };
    expect(unknownSettings(environment)).toEqual([]);
  });

  it("ignores the variables that Kubernetes sets for a service of that name", () => {
    const environment = {
      COUNTERSIGN_SERVICE_HOST: "10.0.0.11",
      COUNTERSIGN_SERVICE_PORT: "8080",
      COUNTERSIGN_SERVICE_PORT_GRPC: "8080",
      COUNTERSIGN_PORT: "tcp://10.0.0.11:8080",
      COUNTERSIGN_PORT_8080_TCP: "tcp://10.0.0.11:8080",
      COUNTERSIGN_PORT_8080_TCP_PROTO: "tcp",
      COUNTERSIGN_PORT_8080_TCP_PORT: "8080",
      COUNTERSIGN_PORT_8080_TCP_ADDR: "10.0.0.11",
      COUNTERSIGN_METRICS_SERVICE_HOST: "10.0.0.12",
      COUNTERSIGN_METRICS_PORT: "tcp://10.0.0.12:8080",
    };
    expect(unknownSettings(environment)).toEqual([]);
  });
});

describe("each command", () => {
  it.each<[string, (environment: Record<string, string>) => unknown]>([
    ["dev", (environment) => readConfig("dev", environment)],
    ["migrate, backup, restore, token and doctor database", readDataConfig],
    ["outbox, suppression and bounce", readOperatorConfig],
    ["mail", readMailConfig],
    ["doctor limits", readPolicy],
  ])("refuses a misspelt setting, also one that it doesn't read: %s", (_command, read) => {
    for (const name of [
      "COUNTERSIGN_LISTENN",
      "COUNTERSIGN_KEYZ",
      "COUNTERSIGN_MAIL_FORM",
      "COUNTERSIGN_CODE_TLL",
    ]) {
      expect(() => read({ [name]: "x" })).toThrow(`${name} is not a setting: did you mean`);
    }
    expect(() => read({ COUNTERSIGN_LISTEN: "127.0.0.1:0" })).not.toThrow();
  });
});
