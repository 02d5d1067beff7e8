// A real Chromium for one test file, and what has to hold of every visit to the page: nothing on the console, no request
// to another origin, no failed request that the test did not expect.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium, type Browser, type BrowserContext, type ConsoleMessage, type Page, type Response } from "playwright-core";
// @ts-expect-error plain JavaScript, which the scripts need before there are packages
import { chromiumMissing, findChromium } from "../../scripts/chromium.mjs";
import { SECRETS } from "./worker.ts";

/** For `describe`'s or `test`'s `skip`: why there is no browser, or false. Throws with LOGPUSH_EDGE_REQUIRE_CHROMIUM. */
export const noBrowser: string | false = chromiumMissing(process.env) ?? false;

const IMAGES = fileURLToPath(new URL("../../docs/images", import.meta.url));
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** How long anything on the page may take to appear. */
const PATIENCE_MILLIS = 10_000;

/** A window in CSS pixels. */
export const WINDOWS = {
  desk: { width: 1280, height: 900 },
  phone: { width: 360, height: 740 },
  /** What is left of `desk` at 200 % zoom. */
  zoomed: { width: 640, height: 450 },
} as const;

export interface VisitOptions {
  colours?: "light" | "dark";
  window?: keyof typeof WINDOWS;
  /** Signs in first, with this token; left out: API_TOKEN; null: not at all. */
  token?: string | null;
}

/** One visitor: a tab that shares nothing with others. */
export class Visit {
  readonly page: Page;
  /** Where the Worker is. */
  readonly url: string;
  readonly #faults: string[] = [];
  readonly #expected: { path: RegExp; status: number | "failed"; isSeen: boolean }[] = [];

  constructor(page: Page, url: string) {
    this.page = page;
    this.url = url;
    page.on("console", (message) => this.#said(message));
    page.on("pageerror", (error) => this.#faults.push(`the page threw: ${error.stack ?? error.message}`));
    page.on("request", (request) => {
      const { protocol, origin } = new URL(request.url());
      if (protocol !== "data:" && protocol !== "blob:" && origin !== this.url) this.#faults.push(`a request to ${request.url()}`);
    });
    page.on("response", (response) => this.#answered(response));
    page.on("requestfailed", (request) => {
      const why = request.failure()?.errorText ?? "";
      if (why === "net::ERR_ABORTED") return; // by the page itself, which went elsewhere
      if (!this.#isExpected(request.url(), "failed")) this.#faults.push(`${request.method()} ${request.url()} failed: ${why}`);
    });
  }

  /** A request that is to fail, as 401 for a wrong token; a test fails when it never did. */
  expectFailure(path: RegExp, status: number | "failed"): void {
    this.#expected.push({ path, status, isSeen: false });
  }

  /** Goes to a page: `#/jobs`. */
  async open(address = "#/"): Promise<void> {
    await this.page.goto(`${this.url}/${address}`);
  }

  async signIn(token: string): Promise<void> {
    this.expectFailure(/\/user\/tokens\/verify$/, 401); // it asks first whether a token is needed
    await this.open();
    await this.page.getByLabel("Token").fill(token);
    await this.page.getByRole("button", { name: "Sign in" }).click();
    await this.page.getByRole("navigation", { name: "Pages" }).waitFor();
  }

  /** axe finds nothing that is serious or worse. */
  async expectNoSeriousFaults(): Promise<void> {
    await this.page.evaluate(`${AXE};0`);
    const { violations } = (await this.page.evaluate("axe.run(document, { resultTypes: ['violations'] })")) as {
      violations: { id: string; impact: string; help: string; nodes: { html: string; failureSummary: string }[] }[];
    };
    const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
    const said = serious.map(({ id, help, nodes }) => `${id}: ${help}\n${nodes.map((node) => `  ${node.html}\n  ${node.failureSummary}`).join("\n")}`);
    assert.deepEqual(said, []);
  }

  /** The page can be read without scrolling sideways. */
  async expectNoSidewaysScroll(): Promise<void> {
    const [width, room] = (await this.page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")) as [number, number];
    assert.ok(width <= room, `the page is ${width} px wide, and the window ${room}`);
  }

  /** With LOGPUSH_EDGE_SCREENSHOTS (`npm run screenshots`): docs/images/{name}.png. Otherwise nothing. */
  async picture(name: string, { isWhole = false } = {}): Promise<void> {
    if (!process.env["LOGPUSH_EDGE_SCREENSHOTS"]) return;
    mkdirSync(IMAGES, { recursive: true });
    await this.page.screenshot({ path: join(IMAGES, `${name}.png`), fullPage: isWhole, animations: "disabled", caret: "hide" });
  }

  /** What the visit left behind has to be nothing. */
  end(): void {
    const missed = this.#expected.filter(({ isSeen }) => !isSeen).map(({ path, status }) => `no request to ${path} answered ${status}`);
    assert.deepEqual([...this.#faults, ...missed], []);
  }

  #said(message: ConsoleMessage): void {
    const text = message.text();
    if (message.type() !== "error" && message.type() !== "warning") return;
    if (text.startsWith("Failed to load resource")) return; // counted as a request
    this.#faults.push(`console.${message.type()}: ${text}`);
  }

  #answered(response: Response): void {
    const status = response.status();
    if (status < 400 || this.#isExpected(response.url(), status)) return;
    this.#faults.push(`${response.request().method()} ${response.url()} answered ${status}`);
  }

  #isExpected(url: string, status: number | "failed"): boolean {
    const matching = this.#expected.filter((one) => one.status === status && one.path.test(new URL(url).pathname));
    for (const one of matching) one.isSeen = true;
    return matching.length > 0;
  }
}

/** A browser for a test file. */
export class TestBrowser {
  readonly #browser: Browser;

  private constructor(browser: Browser) {
    this.#browser = browser;
  }

  static async launch(): Promise<TestBrowser> {
    const executablePath = findChromium(process.env);
    if (executablePath === undefined) throw new Error("there is no Chromium: skip tests where `noBrowser` says so");
    const args = [
      "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
      "--force-color-profile=srgb", "--font-render-hinting=none",
    ];
    return new TestBrowser(await chromium.launch({ executablePath, args, chromiumSandbox: process.getuid?.() !== 0 }));
  }

  /** A visit from its beginning to its end, after which nothing may have gone wrong. */
  async visit(url: string, options: VisitOptions, work: (visit: Visit, context: BrowserContext) => Promise<void>): Promise<void> {
    const { colours = "light", window = "desk", token = SECRETS.API_TOKEN } = options;
    const context = await this.#browser.newContext({
      viewport: WINDOWS[window], colorScheme: colours, reducedMotion: "reduce", locale: "en-US", timezoneId: "Europe/Berlin",
      permissions: ["clipboard-read", "clipboard-write"],
    });
    context.setDefaultTimeout(PATIENCE_MILLIS);
    try {
      const visit = new Visit(await context.newPage(), url);
      if (token !== null) await visit.signIn(token);
      await work(visit, context);
      visit.end();
    } finally {
      await context.close();
    }
  }

  async close(): Promise<void> {
    await this.#browser.close();
  }
}
