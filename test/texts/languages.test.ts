import { describe, expect, it } from "vitest";
import { chooseLanguage, directionOf } from "../../src/texts/languages.ts";

describe("chooseLanguage", () => {
  it.each([
    ["takes the requested language", ["de"], "de"],
    ["ignores the region", ["pt-BR,pt;q=0.9,en;q=0.8"], "pt"],
    ["ignores script and region", ["zh-Hant-TW"], "zh"],
    ["takes the best quality, whatever the order", ["en;q=0.5, FR;q=0.9"], "fr"],
    ["skips unavailable languages", ["da, no;q=0.9, sv;q=0.8"], "sv"],
    ["skips languages of quality 0", ["de;q=0, it;q=0.1"], "it"],
    ["takes the user's language if the request has none", [undefined, "uk"], "uk"],
    ["takes the user's language if the request accepts any", ["*", "ja"], "ja"],
    ["takes the user's language if none of the requested ones is available", ["da", "ar-EG"], "ar"],
    ["takes the default without any preference", [undefined, null, ""], "es"],
    ["takes the default for a malformed header", [";;q=,\u0000,=".repeat(1000), "xx"], "es"],
  ])("%s", (_, preferences, language) => {
    expect(chooseLanguage(preferences, "es")).toBe(language);
  });
});

it("directionOf returns rtl for Arabic only", () => {
  expect(directionOf("ar")).toBe("rtl");
  expect(directionOf("en")).toBe("ltr");
});
