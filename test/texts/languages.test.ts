import { describe, expect, it } from "vitest";
import { chooseLanguage, directionOf } from "../../src/texts/languages.ts";

describe("chooses the language", () => {
  it.each([
    ["that the request asks for", ["de"], "de"],
    ["of a region", ["pt-BR,pt;q=0.9,en;q=0.8"], "pt"],
    ["of a script", ["zh-Hant-TW"], "zh"],
    ["with the best quality, whatever the order", ["en;q=0.5, FR;q=0.9"], "fr"],
    ["that it has, and not the first wish", ["da, no;q=0.9, sv;q=0.8"], "sv"],
    ["that is not refused", ["de;q=0, it;q=0.1"], "it"],
    ["of the user if the request has no wish", [undefined, "uk"], "uk"],
    ["of the user if the request takes any", ["*", "ja"], "ja"],
    ["of the user if it has none of the request", ["da", "ar-EG"], "ar"],
    ["of the default if nobody has a wish", [undefined, null, ""], "es"],
    ["of the default for what is no header", [";;q=,\u0000,=".repeat(1000), "xx"], "es"],
  ])("%s", (_, wishes, language) => {
    expect(chooseLanguage(wishes, "es")).toBe(language);
  });
});

it("writes Arabic from right to left", () => {
  expect(directionOf("ar")).toBe("rtl");
  expect(directionOf("en")).toBe("ltr");
});
