// The page itself: what it is served with, what it weighs, and how one gets in.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
// @ts-expect-error plain JavaScript, which the scripts need before there are packages
import { chromiumMissing } from "../../scripts/chromium.mjs";
import { noBrowser, TestBrowser } from "../support/browser.ts";
import { eventually, SECRETS, TestWorker } from "../support/worker.ts";

/** What the first load of the overview may weigh, compressed: a second on a slow phone connection. */
const FIRST_LOAD_MAX_BYTES = 100_000;

let worker: TestWorker;
before(async () => void (worker = await TestWorker.start()));
after(async () => await worker.close());

const page = async (path: string, init: RequestInit = {}) => await fetch(worker.url + path, { redirect: "manual", ...init });

describe("how the page is served", () => {
  test("it is at / with headers that let it load nothing but its own files", async () => {
    const answer = await page("/");
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get("content-type"), "text/html; charset=utf-8");
    assert.equal(answer.headers.get("cache-control"), "no-cache");
    assert.equal(answer.headers.get("x-content-type-options"), "nosniff");
    assert.equal(answer.headers.get("referrer-policy"), "no-referrer");
    const policy = new Map((answer.headers.get("content-security-policy") ?? "").split("; ").map((one) => {
      const [name = "", ...sources] = one.split(" ");
      return [name, sources.join(" ")];
    }));
    assert.equal(policy.get("default-src"), "'none'");
    assert.equal(policy.get("frame-ancestors"), "'none'");
    for (const name of ["script-src", "style-src", "connect-src"]) assert.equal(policy.get(name), "'self'", name);
    const html = await answer.text();
    assert.doesNotMatch(html, /<script(?![^>]* src=)|<style|style=|\son\w+=/, "nothing inline");
    assert.doesNotMatch(html, /https?:/, "no other host");
  });

  test("its parts have names made of their content, and may be kept for a year", async () => {
    const parts = (await (await page("/")).text()).match(/\/page\/[^"]+/g) ?? [];
    assert.equal(parts.length, 2);
    for (const part of parts) {
      assert.match(part, /-[A-Z0-9]{8}\.(js|css)$/);
      assert.equal((await page(part)).headers.get("cache-control"), "public, max-age=31536000, immutable");
    }
  });

  test("the Worker's own paths, and whatever is no file, are answered by the Worker", async () => {
    assert.equal((await worker.get("/healthz")).json.ok, true);
    assert.equal((await worker.get("/stats")).json.error.code, "unauthorized");
    assert.equal((await worker.get("/metrics")).status, 401);
    assert.equal((await worker.get("/client/v4/zones/z/logpush/jobs")).json.errors[0].code, 10000);
    assert.equal((await worker.get("/ingest/zones/z/dns_logs")).status, 405);
    for (const path of ["/nothing", "/_headers", "/page/main.js"]) assert.equal((await worker.get(path)).json.error.code, "not_found", path);
  });

  test("a token is told what it may do, and no other is", async () => {
    const verify = async (token?: string) => await worker.get("/client/v4/user/tokens/verify", token);
    assert.deepEqual((await verify(SECRETS.API_TOKEN)).json.result, { id: "API_TOKEN", status: "active", access: "write" });
    assert.deepEqual((await verify(SECRETS.READ_TOKEN)).json.result, { id: "READ_TOKEN", status: "active", access: "read" });
    for (const token of [undefined, "wrong", SECRETS.INGEST_SECRET]) assert.equal((await verify(token)).status, 401, token);
    const posted = await worker.call("POST", "/client/v4/user/tokens/verify", {}, SECRETS.API_TOKEN);
    assert.deepEqual([posted.status, posted.headers.get("allow")], [405, "GET"]);
  });

  test("where there is no browser, tests say so, and fail where one has to be", () => {
    assert.match(chromiumMissing({ PATH: "/nowhere" }, []) ?? "", /no Chromium on PATH/);
    assert.throws(() => chromiumMissing({ PATH: "/nowhere", LOGPUSH_EDGE_REQUIRE_CHROMIUM: "1" }, []), /no Chromium on PATH/);
  });
});

describe("signing in", { skip: noBrowser, concurrency: 3 }, () => {
  let browser: TestBrowser;
  before(async () => void (browser = await TestBrowser.launch()));
  after(async () => await browser?.close());

  test("a wrong token is told so, and the right one opens the page", async () => {
    await browser.visit(worker.url, { token: null }, async (visit) => {
      visit.expectFailure(/\/user\/tokens\/verify$/, 401);
      await visit.open("#/jobs");
      const { page } = visit;
      await page.getByLabel("Token").fill("wrong");
      await page.keyboard.press("Enter");
      await page.getByText("does not know this token").waitFor();
      await visit.expectNoSeriousFaults();
      await page.getByLabel("Token").fill(SECRETS.API_TOKEN);
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { name: "Jobs", level: 1 }).waitFor();
      assert.equal(await page.getByText("read only").count(), 0);
    });
  });

  test("the token is in this tab's sessionStorage and nowhere else, and signing out forgets it", async () => {
    await browser.visit(worker.url, {}, async (visit, context) => {
      const { page } = visit;
      const everywhere = async () => (await page.evaluate("[location.href, document.cookie, document.documentElement.outerHTML, JSON.stringify({ ...localStorage })].join()")) as string;
      assert.ok(!(await everywhere()).includes(SECRETS.API_TOKEN));
      assert.deepEqual(await page.evaluate("Object.values({ ...sessionStorage })"), [SECRETS.API_TOKEN]);
      assert.deepEqual(await context.cookies(), []);
      await page.reload();
      await page.getByRole("navigation", { name: "Pages" }).waitFor();
      await page.getByRole("button", { name: "Sign out" }).click();
      await page.getByRole("heading", { name: "Sign in" }).waitFor();
      assert.equal(await page.evaluate("sessionStorage.length"), 0);
    });
  });

  test("a read token is shown as one", async () => {
    await browser.visit(worker.url, { token: SECRETS.READ_TOKEN }, async ({ page }) => {
      await page.getByText("read only").waitFor();
    });
  });

  test("a token that is not taken any more leads back here", async () => {
    await browser.visit(worker.url, {}, async (visit) => {
      await visit.page.goto(`${visit.url}/healthz`); // where nothing is read with it meanwhile
      await visit.page.evaluate("sessionStorage.setItem(Object.keys(sessionStorage)[0], 'revoked')");
      await visit.open();
      await visit.page.getByText("does not take this token any more").waitFor();
    });
  });

  test("who is vouched for by something in front of the Worker needs no token", async () => {
    await browser.visit(worker.url, { token: null }, async (visit) => {
      const { page } = visit;
      const vouched = { success: true, errors: [], messages: [], result: { id: "access", status: "active", access: "read" } };
      await page.route("**/user/tokens/verify", async (route) => await route.fulfill({ json: vouched }));
      await visit.open("#/nowhere"); // every other page asks more than is vouched for here: access.test.ts has the whole of it
      await page.getByRole("heading", { name: "There is no such page" }).waitFor();
      assert.equal(await page.getByRole("button", { name: "Sign out" }).count(), 0);
    });
  });

  test("when the Worker can not be asked, the page says so, and tries again when told to", async () => {
    await browser.visit(worker.url, { token: null }, async (visit) => {
      const { page } = visit;
      visit.expectFailure(/\/user\/tokens\/verify$/, "failed");
      visit.expectFailure(/\/user\/tokens\/verify$/, 401);
      await page.route("**/user/tokens/verify", async (route) => await route.abort("connectionrefused"));
      await visit.open();
      await page.getByRole("alert").getByText("did not answer").waitFor();
      await page.unroute("**/user/tokens/verify");
      await page.getByRole("button", { name: "Try again" }).click();
      await page.getByLabel("Token").waitFor();
    });
  });

  test("it can be used with the keyboard alone", async () => {
    await browser.visit(worker.url, {}, async ({ page }) => {
      await page.reload();
      await page.getByRole("heading", { name: "Overview", level: 1 }).waitFor();
      await page.keyboard.press("Tab");
      assert.equal(await page.evaluate("document.activeElement.textContent"), "Skip to the content");
      const address = page.url();
      await page.keyboard.press("Enter");
      assert.deepEqual([await page.evaluate("document.activeElement.id"), page.url()], ["main", address]);
      await page.getByRole("link", { name: "Jobs", exact: true }).focus();
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { name: "Jobs", level: 1 }).waitFor();
      await eventually("the focus on the new page's heading", async () => (await page.evaluate("document.activeElement.tagName")) === "H1");
    });
  });

  test("it weighs little, and nothing of other pages is loaded with it", async () => {
    await browser.visit(worker.url, { token: null }, async (visit) => {
      const loaded = new Map<string, number>();
      visit.page.on("response", (response) => {
        const { pathname } = new URL(response.url());
        if (response.ok() && !pathname.startsWith("/client/") && pathname !== "/stats") {
          void response.body().then((body) => loaded.set(pathname, gzipSync(body).length), () => {});
        }
      });
      await visit.signIn(SECRETS.READ_TOKEN);
      await visit.page.waitForLoadState("networkidle");
      const names = [...loaded.keys()].join(" ");
      const total = [...loaded.values()].reduce((sum, bytes) => sum + bytes, 0);
      assert.match(names, /overview/);
      assert.doesNotMatch(names, /jobs|dead-letters|tail/);
      assert.ok(total > 5_000 && total < FIRST_LOAD_MAX_BYTES, `${total} bytes: ${names}`);
    });
  });

  for (const colours of ["light", "dark"] as const) {
    test(`the sign-in has no serious fault, ${colours}, and fits a phone`, async () => {
      await browser.visit(worker.url, { token: null, colours, window: "phone" }, async (visit) => {
        visit.expectFailure(/\/user\/tokens\/verify$/, 401);
        await visit.open();
        await visit.page.getByLabel("Token").waitFor();
        await visit.expectNoSeriousFaults();
        await visit.expectNoSidewaysScroll();
      });
    });
  }
});
