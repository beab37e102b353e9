import { fileURLToPath } from "node:url";
import type { BrowserContextOptions, Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { texts } from "../../src/texts/texts.ts";
import { openPage } from "../support/chromium.ts";
import { outcomeOf } from "../support/errors.ts";
import { startEnrolment, startLogin } from "../support/pages/mail-links.ts";
import { startPage } from "../support/pages/verify-page.ts";
import { eventTypes } from "../support/users.ts";

/** Warnings and errors of the console, such as blocked styles and failed scripts. */
function complaintsOf(page: Page): string[] {
  const complaints: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(error.message));
  return complaints;
}

/** Evaluates a script in the page. It is text because the tests are compiled without the types of the DOM. */
function evaluate<T>(page: Page, script: string): Promise<T> {
  return page.evaluate(script) as Promise<T>;
}

const settings: [string, BrowserContextOptions][] = [
  ["scripts on", { javaScriptEnabled: true }],
  ["scripts off", { javaScriptEnabled: false }],
];

describe.each(settings)("in Chromium with %s", (_, options) => {
  it("verifies the address by the link of the mail and its button", async () => {
    const { test, admin, otpEmailId, link, code } = await startEnrolment();
    const page = await openPage({ ...options, locale: "de-DE" });
    const complaints = complaintsOf(page);
    await page.goto(link);
    expect(await page.inputValue("#code")).toBe(code);
    await page.click("button");
    await page.waitForURL(`${test.origin}/verify?done=verified`);
    expect(await page.textContent("h1")).toBe(texts.de.pages.verified.title);
    expect((await admin.getOTPEmail({ userId: "u", otpEmailId })).otpEmail?.isVerified).toBe(true);

    // Neither a reload nor a second submission shows a failure.
    await page.reload();
    expect(await page.textContent("h1")).toBe(texts.de.pages.verified.title);
    await page.goto(link);
    await page.fill("#code", code.toLowerCase());
    await page.click("button");
    expect(await page.textContent("h1")).toBe(texts.de.pages.verified.title);
    expect(complaints).toEqual([]);
  });

  it("reports a wrong code in the language of the browser", async () => {
    const { link } = await startEnrolment();
    const page = await openPage({ ...options, locale: "ja-JP" });
    await page.goto(link);
    await page.fill("#code", "00000000");
    await page.click("button");
    expect(await page.textContent("[role=alert]")).toBe(texts.ja.pages.verify.failed);
    expect(await page.inputValue("#code")).toBe("");
  });

  it("reports a login that the reader did not start", async () => {
    const { test, client, answer, link, code } = await startLogin();
    const page = await openPage({ ...options, locale: "fr-FR" });
    const complaints = complaintsOf(page);
    await page.goto(link);
    expect(await page.textContent(".code")).toBe(code);
    await page.click("button");
    await page.waitForURL(`${test.origin}/verify?done=reported`);
    expect(await page.textContent("h1")).toBe(texts.fr.pages.reported.title);
    expect(await outcomeOf(client.verifyOTPEmailChallenge(answer))).toBe("CHALLENGE_ENDED");
    expect(complaints).toEqual([]);
  });
});

it("a mail scanner that runs scripts and follows all links uses nothing up", async () => {
  const enrolled = await startEnrolment();
  const asked = await startLogin();
  const scan = async (mail: string) => {
    const page = await openPage({ javaScriptEnabled: true });
    const links = new Set(mail.match(/https?:\/\/[^\s"<]+/g));
    expect(links.size).toBeGreaterThan(0);
    // A set visits what is added while it is walked.
    for (const link of links) {
      await page.goto(link, { waitUntil: "networkidle" });
      const found = await evaluate<string[]>(
        page,
        "[...document.querySelectorAll('[href], [src], [action]')].map((e) => e.href ?? e.src ?? e.action).filter((u) => typeof u === 'string')",
      );
      for (const next of found) links.add(next);
      await page.mouse.move(100, 300);
      await page.mouse.wheel(0, 500);
      await page.screenshot();
    }
    // The action of the page's form is among them, opened with GET.
    expect(links.size).toBeGreaterThan(1);
  };
  await Promise.all([enrolled, asked].map(({ mail }) => scan(mail.text + mail.html)));
  const { test, admin, otpEmailId, code, link } = enrolled;
  expect(await eventTypes(test)).toEqual(["user.created", "otp_email.added"]);
  const page = await openPage();
  await page.goto(link);
  expect(await page.inputValue("#code")).toBe(code);
  expect(await outcomeOf(admin.verifyOTPEmail({ userId: "u", otpEmailId, code }))).toBe("OK");
  expect(await outcomeOf(asked.client.verifyOTPEmailChallenge(asked.answer))).toBe("OK");
});

it("another site can neither frame the page nor send its form", async () => {
  const { test, link } = await startEnrolment();
  const handle = new URL(link).searchParams.get("h");
  const page = await openPage();
  await page.route("http://evil.example/**", (route) =>
    route.fulfill({
      contentType: "text/html",
      body: `<iframe src="${link}"></iframe><form method="post" action="${test.origin}/verify"><input name="h" value="${handle}"><input name="code" value="00000000"></form>`,
    }),
  );
  await page.goto("http://evil.example/");
  const frame = page.frames().find((other) => other !== page.mainFrame());
  expect(await frame?.$("#code")).toBeNull();
  const [response] = await Promise.all([
    page.waitForResponse((answer) => answer.request().method() === "POST"),
    evaluate(page, "document.forms[0].submit()"),
  ]);
  expect(response.status()).toBe(403);
  expect(await eventTypes(test)).toEqual(["user.created", "otp_email.added"]);
});

describe.each(["light", "dark"] as const)("at 320 px in %s", (colorScheme) => {
  it.each(["en", "de", "ru", "ja", "ar"] as const)(
    "%s fits, is readable and selects the code with one click",
    async (locale) => {
      const code = "123456";
      const { origin } = await startPage({ "login~shown": code });
      const page = await openPage({ colorScheme, locale, viewport: { width: 320, height: 640 } });
      const complaints = complaintsOf(page);
      const lookAt = async (path: string) => {
        await page.goto(origin + path);
        const seen = await evaluate<Look>(page, look);
        expect(seen.pageWidth, path).toBeLessThanOrEqual(320);
        expect(Math.min(...seen.contrasts), path).toBeGreaterThanOrEqual(4.5);
        expect(seen.buttonHeight, path).toBeGreaterThanOrEqual(44);
        return seen;
      };
      expect((await lookAt("/verify?h=login~shown")).codeSize).toMatch(/^(2[4-9]|3\d)(\.\d+)?px$/);
      await page.click(".code");
      expect(await evaluate(page, "getSelection().toString().trim()")).toBe(code);
      const { codeReplacement } = await lookAt("/verify?h=login~gone");
      expect(codeReplacement).toBe(`"${texts[locale].pages.login.gone}"`);
      await lookAt("/verify");
      expect(complaints).toEqual([]);
    },
  );
});

interface Look {
  readonly pageWidth: number;
  /** The contrast of each text to its background (WCAG 2.2, 1.4.3). */
  readonly contrasts: readonly number[];
  readonly buttonHeight: number;
  readonly codeSize: string;
  /** What stands in for a missing code. */
  readonly codeReplacement: string;
}

const look = `(() => {
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const luminance = (color) => {
    const [r, g, b] = channels(color).map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const backgroundOf = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if (channels(color)[3] !== 0) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const contrastOf = (element) => {
    const colors = [getComputedStyle(element).color, backgroundOf(element)];
    const [a, b] = colors.map(luminance).sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  };
  const texts = [...document.querySelectorAll("h1, p, label, button, input:not([type=hidden])")];
  const code = document.querySelector(".code");
  return {
    pageWidth: document.documentElement.scrollWidth,
    contrasts: texts.map(contrastOf),
    buttonHeight: document.querySelector("button").getBoundingClientRect().height,
    codeSize: getComputedStyle(code).fontSize,
    codeReplacement: getComputedStyle(code, "::before").content,
  };
})()`;

// The pictures of the documentation: COUNTERSIGN_SCREENSHOTS=1 takes them anew.
it.each(["light", "dark"] as const)("looks as in docs/pages, %s", async (colorScheme) => {
  const { link } = await startEnrolment({ COUNTERSIGN_MAIL_FROM: "Example <codes@example.com>" });
  const page = await openPage({ colorScheme, viewport: { width: 600, height: 360 }, locale: "en-US" });
  await page.goto(link);
  const size = await evaluate<number>(page, "document.documentElement.scrollWidth");
  expect(size).toBe(600);
  if (process.env.COUNTERSIGN_SCREENSHOTS !== "1") return;
  const path = fileURLToPath(new URL(`../../docs/pages/verify.en.${colorScheme}.png`, import.meta.url));
  await page.screenshot({ path });
});
