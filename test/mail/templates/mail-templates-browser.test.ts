import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { builtInTemplate } from "../../../src/mail/templates/mail-templates.ts";
import { renderSample, type Sample, samples } from "../../../src/mail/templates/sample.ts";
import { directionOf, type Language, languages } from "../../../src/texts/languages.ts";
import { openPage } from "../../support/chromium.ts";

const folder = fileURLToPath(new URL("../../../docs/mail/", import.meta.url));

const htmlOf = (sample: Sample, language: Language) =>
  renderSample(sample, {
    templates: builtInTemplate,
    language,
    orgId: "o",
    serviceName: "Clubhouse",
    publicUrl: "https://otp.example.com",
    codeInSubject: false,
  }).html;

/** Measurements of the rendered mail. */
interface Look {
  readonly pageWidth: number;
  readonly direction: string;
  readonly buttons: Box[];
  readonly code: (Box & { direction: string; userSelect: string; fontSize: number; contrast: number }) | null;
  /** Lowest contrast ratio of all texts (WCAG 2.2, 1.4.3). */
  readonly contrast: number;
}

interface Box {
  readonly left: number;
  readonly right: number;
  readonly height: number;
  /** Whether its content is wider than the box. */
  readonly overflows: boolean;
}

const look = `(() => {
  const box = (e) => {
    const { left, right, height } = e.getBoundingClientRect();
    return { left, right, height, overflows: e.scrollWidth > e.clientWidth + 1 };
  };
  const channels = (color) => (color.match(/[\\d.]+/g) ?? []).map(Number);
  const luminance = (color) => {
    const [r, g, b] = channels(color).map((c) => (c / 255 <= 0.03928 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const backgroundOf = (e) => {
    for (; e; e = e.parentElement) {
      const color = getComputedStyle(e).backgroundColor;
      if (channels(color)[3] !== 0) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const contrast = (e) => {
    const [a, b] = [luminance(getComputedStyle(e).color), luminance(backgroundOf(e))].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  };
  const texts = [...document.body.querySelectorAll("*")].filter((e) =>
    [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim() !== ""));
  const code = document.querySelector(".code");
  const style = code && getComputedStyle(code);
  return {
    pageWidth: document.documentElement.scrollWidth,
    direction: getComputedStyle(document.body).direction,
    buttons: [...document.querySelectorAll("td[bgcolor] > a")].map(box),
    code: code && { ...box(code), direction: style.direction, userSelect: style.userSelect, fontSize: parseFloat(style.fontSize), contrast: contrast(code) },
    contrast: Math.min(...texts.map(contrast)),
  };
})()`;

/** Shown in docs/mail.md. */
function isShown(sample: Sample, language: Language, width: number, colorScheme: string): boolean {
  if (language === "en") return true;
  return (
    width === 320 && colorScheme === "light" && sample === "login" && (language === "ar" || language === "ja")
  );
}

describe("the mails in Chromium", () => {
  it.each([320, 600])(
    "fit %i px in every language, light and dark, with one button and a large code",
    {
      timeout: 120_000,
    },
    async (width) => {
      const page = await openPage({ viewport: { width, height: 100 } });
      await page.route("**", (route) => route.abort());
      const asked: string[] = [];
      page.on("request", (request) => asked.push(request.url()));
      for (const language of languages) {
        for (const sample of samples) {
          await page.setContent(htmlOf(sample, language));
          for (const colorScheme of ["light", "dark"] as const) {
            await page.emulateMedia({ colorScheme });
            const seen = (await page.evaluate(look)) as Look;
            const what = `${sample} in ${language}, ${colorScheme}`;
            expect(seen.pageWidth, what).toBe(width);
            expect(seen.direction, what).toBe(directionOf(language));
            expect(seen.contrast, what).toBeGreaterThanOrEqual(4.5);
            expect(seen.buttons, what).toHaveLength(sample.startsWith("notice") ? 0 : 1);
            expect(seen.code !== null, what).toBe(!sample.startsWith("notice"));
            for (const box of [...seen.buttons, ...(seen.code ? [seen.code] : [])]) {
              expect(box.left, what).toBeGreaterThanOrEqual(0);
              expect(box.right, what).toBeLessThanOrEqual(width);
              expect(box.height, what).toBeGreaterThanOrEqual(44);
              expect(box.overflows, what).toBe(false);
            }
            if (seen.code) {
              expect(seen.code, what).toMatchObject({ direction: "ltr", userSelect: "all" });
              expect(seen.code.fontSize, what).toBeGreaterThanOrEqual(28);
            }
            if (
              process.env.COUNTERSIGN_SCREENSHOTS === "1" &&
              isShown(sample, language, width, colorScheme)
            ) {
              mkdirSync(folder, { recursive: true });
              const path = `${folder}${sample}.${language}.${width}.${colorScheme}.png`;
              await page.screenshot({ path, fullPage: true });
            }
          }
        }
      }
      expect(asked).toEqual([]);
    },
  );

  it("selects the whole code with one click, and nothing else", async () => {
    const page = await openPage();
    for (const language of ["en", "ar"] as const) {
      await page.setContent(htmlOf("verification", language));
      await page.locator(".code").click();
      expect((await page.evaluate("String(getSelection())")) as string).toBe("7QZ4M2KX");
    }
  });
});
