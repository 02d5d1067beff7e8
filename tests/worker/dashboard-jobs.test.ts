// The jobs pages in a real browser: a job made through the form delivers what its preview said, a broken destination is
// mended, filters are pasted, and a read token looks without touching.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import type { Page } from "playwright-core";
import { noBrowser, TestBrowser } from "../support/browser.ts";
import { Siem } from "../support/siem.ts";
import { eventually, freshScope, SECRETS, TestWorker } from "../support/worker.ts";

const KEY = "3f1c9c1a-6a54-4b0e-9a0d-2f6f1f0e7b42";
const CHECKOUT = { where: { and: [{ key: "ClientRequestPath", operator: "startsWith", value: "/checkout" }, { key: "BotScore", operator: "gt", value: 0 }] } };

/** Requests of a shop: every fourth to the checkout, half of those with a bot score of 0. */
const shop = (count: number) =>
  Array.from({ length: count }, (_, n) => ({
    EdgeStartTimestamp: new Date(Date.now() + n).toISOString(), RayID: `r${n}`, ClientRequestMethod: n % 8 === 0 ? "POST" : "GET", EdgeResponseStatus: 200,
    ClientRequestPath: n % 4 === 0 ? `/checkout/${n}` : `/products/${n}`, BotScore: n % 8 === 0 ? 0 : (n % 90) + 1,
  }));

const lines = (records: readonly object[]) => records.map((record) => JSON.stringify(record));
const batch = (records: readonly object[]) => gzipSync(`${lines(records).join("\n")}\n`);

describe("jobs on the page", { skip: noBrowser }, () => {
  let worker: TestWorker;
  let browser: TestBrowser;
  let siem: Siem;
  before(async () => {
    siem = await Siem.start({ intakeKeys: [KEY] });
    worker = await TestWorker.start({ ALLOW_PRIVATE_DESTINATIONS: "true" });
    browser = await TestBrowser.launch();
  });
  after(async () => {
    await browser?.close();
    await worker?.close();
    await siem?.close();
  });

  const stored = async (scope: string): Promise<any[]> => (await worker.api("GET", `${scope}/logpush/jobs`)).json.result;
  const row = (page: Page, name: string) => page.getByRole("row").filter({ hasText: name });

  /** Fills in what a new job of this zone needs before its filter. */
  async function begin(page: Page, scope: string, name: string, destination: string): Promise<void> {
    await page.getByRole("link", { name: /^(New job|Make the first one)$/ }).click();
    await page.getByRole("heading", { name: "New job", level: 1 }).waitFor();
    await page.getByLabel("Name", { exact: true }).fill(name);
    await page.getByLabel("Zone id").fill(scope.split("/")[1] ?? "");
    await page.getByLabel("Destination string").fill(destination);
  }

  const figure = async (page: Page): Promise<string> => (await page.locator(".preview-figure").textContent()) ?? "";

  test("checkout requests with a bot score above zero: made through the form, previewed, and only they arrive", async () => {
    const scope = freshScope();
    const records = shop(200);
    await worker.push(`${scope}/http_requests`, batch(records));
    await browser.visit(worker.url, {}, async (visit) => {
      const { page } = visit;
      await visit.open("#/jobs");
      await page.getByText("There is no job yet").waitFor();
      await visit.expectNoSeriousFaults();
      await begin(page, scope, "checkout to the SIEM", siem.plain("wrong-key"));

      // The destination as a form: the fields show what the string says, and edit it.
      assert.equal(await page.getByLabel("Host and path").inputValue(), `${siem.host}/plain/batch`);
      await page.getByRole("button", { name: "Send a test message" }).click();
      await page.getByText("does not allow it").waitFor();
      await page.getByLabel("Header X-SEKOIAIO-INTAKE-KEY").fill(KEY);
      assert.equal(await page.getByLabel("Destination string").inputValue(), siem.plain(KEY));
      await page.getByRole("button", { name: "Send a test message" }).click();
      await page.getByText("The destination took the test message.").waitFor();

      await page.getByText("Every record is sent").waitFor();
      await page.getByRole("button", { name: "Add a condition to the filter" }).click();
      await page.getByLabel("Field of condition 1").fill("ClientRequestPath");
      await page.getByLabel("Operator of condition 1").selectOption("startsWith");
      await page.getByLabel("Value of condition 1").fill("/checkout");
      await page.getByRole("button", { name: "Add a condition to the filter" }).click();
      await page.getByLabel("Field of condition 2").fill("BotScore");
      assert.ok(!(await page.getByLabel("Operator of condition 2").locator("option").allTextContents()).includes("starts with"));
      await page.getByLabel("Operator of condition 2").selectOption("gt");
      await page.getByLabel("Value of condition 2").fill("0");
      assert.deepEqual(JSON.parse(await page.getByLabel("The same as JSON").inputValue()), CHECKOUT);

      const wanted = records.filter(({ ClientRequestPath, BotScore }) => ClientRequestPath.startsWith("/checkout") && BotScore > 0);
      await eventually("the preview", async () => (await figure(page)).startsWith(`${wanted.length} of 200 records`));
      assert.equal(await page.locator(".records code").first().textContent(), `${JSON.stringify(wanted[0])}\n`);
      await page.getByText("Not selected (").click();
      await page.getByText("the filter wants BotScore gt 0, and it is 0").waitFor();
      await page.getByText("records that came in the last 24 hours").waitFor();
      await visit.expectNoSeriousFaults();
      await visit.picture("jobs-editor-light");

      await page.getByRole("button", { name: "Create job" }).click();
      await page.getByText("checkout to the SIEM is made").waitFor();
      await row(page, "checkout to the SIEM").getByText("HTTPS endpoint").waitFor();
      await visit.expectNoSeriousFaults();
      const [job] = await stored(scope);
      assert.deepEqual(JSON.parse(job.filter), CHECKOUT);

      const more = shop(400);
      await worker.push(`${scope}/http_requests`, batch(more));
      await worker.settled(scope, job.id);
      const arrived = siem.intake(KEY).lines;
      assert.deepEqual(arrived, lines(more.filter(({ ClientRequestPath, BotScore }) => ClientRequestPath.startsWith("/checkout") && BotScore > 0)));
      // The newest batch is that one now: the preview counts what has arrived.
      await page.getByRole("link", { name: "checkout to the SIEM", exact: true }).click();
      await eventually("the preview", async () => (await figure(page)).startsWith(`${arrived.length} of 400 records`));
    });
  });
});
