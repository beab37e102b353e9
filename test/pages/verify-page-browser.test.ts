import type { BrowserContextOptions, Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { texts } from "../../src/texts/texts.ts";
import { codeIn, startTestApp } from "../support/app.ts";
import { startChromium } from "../support/chromium.ts";
import { outcomeOf } from "../support/errors.ts";
import { addUser, addVerified, eventTypes } from "../support/users.ts";

const address = "mini@mouse.com";
const linkIn = (text: string) => /^http\S+\/verify\?h=\S+$/m.exec(text)?.[0] ?? "";

async function enrolment() {
  const test = await startTestApp();
  const admin = await test.admin();
  await addUser(admin);
  const { otpEmailId } = await admin.addOTPEmail({ userId: "u", email: { address } });
  const [mail] = await test.mails(address);
  return { test, admin, otpEmailId, mail: mail!, link: linkIn(mail!.text), code: codeIn(mail!) };
}

async function login() {
  const test = await startTestApp();
  const admin = await test.admin();
  await addUser(admin);
  const otpEmailId = await addVerified(admin);
  const token = await test.token("login", { org: "o", permissions: ["otp.challenge"] });
  const client = test.challengeClient(token);
  const request = { userId: "u", otpEmailId, audience: "https://app.example.com" };
  const { challengeId } = await client.createOTPEmailChallenge(request);
  const [mail] = await test.mails(address);
  const code = /^\d{6}$/m.exec(mail!.text)?.[0] ?? "";
  const answer = { userId: "u", otpEmailId, challengeId, code };
  return { test, client, answer, mail: mail!, link: linkIn(mail!.text), code };
}

/** What the browser complains about: refused styles and the like, errors of scripts. */
function complaintsOf(page: Page): string[] {
  const complaints: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(error.message));
  return complaints;
}

/** Runs in the page, of whose names the types here know nothing. */
function evaluate<T>(page: Page, script: string): Promise<T> {
  return page.evaluate(script) as Promise<T>;
}

const settings: [string, BrowserContextOptions][] = [
  ["scripts on", { javaScriptEnabled: true }],
  ["scripts off", { javaScriptEnabled: false }],
];

describe.each(settings)("in Chromium with %s", (_, options) => {
  it("a person verifies the address by the link of the mail and its button", async () => {
    const { test, admin, otpEmailId, link, code } = await enrolment();
    const browser = await startChromium();
    const page = await browser.newPage({ ...options, locale: "de-DE" });
    const complaints = complaintsOf(page);
    await page.goto(link);
    expect(await page.inputValue("#code")).toBe(code);
    await page.click("button");
    await page.waitForURL(`${test.origin}/verify?done=verified`);
    expect(await page.textContent("h1")).toBe(texts.de.pages.verified.title);
    expect((await admin.getOTPEmail({ userId: "u", otpEmailId })).otpEmail?.isVerified).toBe(true);

    // Neither to load the end again nor to go back and press the button again says that something is wrong.
    await page.reload();
    expect(await page.textContent("h1")).toBe(texts.de.pages.verified.title);
    await page.goto(link);
    await page.fill("#code", code.toLowerCase());
    await page.click("button");
    expect(await page.textContent("h1")).toBe(texts.de.pages.verified.title);
    expect(complaints).toEqual([]);
  });

  it("a wrong code is said to be one, in the language of the person", async () => {
    const { link } = await enrolment();
    const browser = await startChromium();
    const page = await browser.newPage({ ...options, locale: "ja-JP" });
    await page.goto(link);
    await page.fill("#code", "00000000");
    await page.click("button");
    expect(await page.textContent("[role=alert]")).toBe(texts.ja.pages.verify.failed);
    expect(await page.inputValue("#code")).toBe("");
  });

  it("a person says that a login was somebody else", async () => {
    const { test, client, answer, link, code } = await login();
    const browser = await startChromium();
    const page = await browser.newPage({ ...options, locale: "fr-FR" });
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

it("a mail scanner that opens all links, runs scripts and follows all links there uses nothing up", async () => {
  const enrolled = await enrolment();
  const asked = await login();
  const browser = await startChromium();
  const context = await browser.newContext({ javaScriptEnabled: true });
  const page = await context.newPage();
  for (const { mail } of [enrolled, asked]) {
    const links = new Set((mail.text + mail.html).match(/https?:\/\/[^\s"<]+/g));
    expect(links.size).toBeGreaterThan(0);
    const seen = new Set<string>();
    for (const link of links) {
      if (seen.has(link)) continue;
      seen.add(link);
      await page.goto(link, { waitUntil: "networkidle" });
      const found = await evaluate<string[]>(
        page,
        "[...document.querySelectorAll('[href], [src], [action]')].map((e) => e.href ?? e.src ?? e.action).filter((u) => typeof u === 'string')",
      );
      for (const next of found) links.add(next);
      // It moves over everything, scrolls, and takes its pictures.
      await page.mouse.move(100, 300);
      await page.mouse.wheel(0, 500);
      await page.screenshot();
    }
    // That of the page's own form is among them, by GET.
    expect(seen.size).toBeGreaterThan(1);
  }
  const { test, admin, otpEmailId, code, link } = enrolled;
  expect(await eventTypes(test)).toEqual(["user.created", "otp_email.added"]);
  await page.goto(link);
  expect(await page.inputValue("#code")).toBe(code);
  expect(await outcomeOf(admin.verifyOTPEmail({ userId: "u", otpEmailId, code }))).toBe("OK");
  expect(await outcomeOf(asked.client.verifyOTPEmailChallenge(asked.answer))).toBe("OK");
});

it("another site can neither frame the page nor send its form, whatever it knows", async () => {
  const { test, link } = await enrolment();
  const handle = new URL(link).searchParams.get("h");
  const browser = await startChromium();
  const page = await browser.newPage();
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
    "%s fits, is readable and selects at a touch",
    async (locale) => {
      const { link, code, test } = await login();
      const browser = await startChromium();
      const page = await browser.newPage({ colorScheme, locale, viewport: { width: 320, height: 640 } });
      const complaints = complaintsOf(page);
      for (const url of [link, `${test.origin}/verify?h=login~gone`, `${test.origin}/verify`]) {
        await page.goto(url);
        expect(await evaluate(page, "document.documentElement.scrollWidth"), url).toBeLessThanOrEqual(320);
        for (const contrast of await evaluate<number[]>(page, contrasts)) {
          expect(contrast, url).toBeGreaterThanOrEqual(4.5);
        }
        const { height = 0 } = (await page.locator("button").boundingBox()) ?? {};
        expect(height).toBeGreaterThanOrEqual(44);
      }
      await page.goto(link);
      expect(await evaluate(page, "getComputedStyle(document.querySelector('.code')).fontSize")).toMatch(
        /^(2[4-9]|3\d)(\.\d+)?px$/,
      );
      await page.click(".code");
      expect(await evaluate(page, "getSelection().toString().trim()")).toBe(code);
      await page.goto(`${test.origin}/verify?h=login~gone`);
      const shown = await evaluate(
        page,
        "getComputedStyle(document.querySelector('.code'), '::before').content",
      );
      expect(shown).toBe(`"${texts[locale].pages.login.gone}"`);
      expect(complaints).toEqual([]);
    },
  );
});

/** Of all text in the page to what is behind it (WCAG 2.2, 1.4.3). */
const contrasts = `(() => {
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const luminance = (color) => {
    const [r, g, b] = channels(color).map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if (channels(color)[3] !== 0) return color;
    }
    return "rgb(255, 255, 255)";
  };
  return [...document.querySelectorAll("h1, p, label, button, input:not([type=hidden])")].map((element) => {
    const [a, b] = [getComputedStyle(element).color, behind(element)].map(luminance).sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  });
})()`;
