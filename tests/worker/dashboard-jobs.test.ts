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
    await page.getByRole("link", { name: "New job" }).click();
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
      await page.getByText("refuses the credentials").waitFor();
      await page.getByLabel("Header X-SEKOIAIO-INTAKE-KEY").fill(KEY);
      assert.equal(await page.getByLabel("Destination string").inputValue(), siem.plain(KEY));
      await page.getByRole("button", { name: "Send a test message" }).click();
      await page.getByText("The destination took the test message.").waitFor();

      await page.getByText("Every record is sent").waitFor();
      await page.getByRole("button", { name: "Add condition to the filter" }).click();
      await page.getByLabel("Field of condition 1").fill("ClientRequestPath");
      await page.getByLabel("Operator of condition 1").selectOption("startsWith");
      await page.getByLabel("Value of condition 1").fill("/checkout");
      await page.getByRole("button", { name: "Add condition to the filter" }).click();
      await page.getByLabel("Field of condition 2").fill("BotScore");
      assert.ok(!(await page.getByLabel("Operator of condition 2").locator("option").allTextContents()).includes("starts with"));
      await page.getByLabel("Operator of condition 2").selectOption("gt");
      await page.getByLabel("Value of condition 2").fill("0");
      assert.deepEqual(JSON.parse(await page.getByLabel("The same as JSON").inputValue()), CHECKOUT);

      const wanted = records.filter(({ ClientRequestPath, BotScore }) => ClientRequestPath.startsWith("/checkout") && BotScore > 0);
      await eventually("the preview", async () => (await figure(page)).startsWith(`${wanted.length} of 200 records`));
      assert.equal(await page.locator(".records code").first().textContent(), `${JSON.stringify(wanted[0])}\n`);
      await page.getByText("Not selected (").click();
      await page.getByText("the filter wants BotScore gt 0, and it is 0").first().waitFor();
      await page.getByText("records that came in the last 24 hours").waitFor();
      await visit.expectNoSeriousFaults();
      await page.evaluate("document.querySelector('.filter-editor').scrollIntoView()");
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

  test("a destination that refuses is told in plain words, at its field, and mended by editing", async () => {
    const [scope, token] = [freshScope(), "9b1f7a52-3c51-4c3c-8a43-0c1c64b0d4d1"];
    const own = await Siem.start({ intakeKeys: [token] });
    try {
      await browser.visit(worker.url, {}, async (visit) => {
        const { page } = visit;
        await visit.open("#/jobs");
        await begin(page, scope, "to be mended", own.plain("not-this-one"));
        visit.expectFailure(/\/logpush\/jobs$/, 400);
        await page.getByRole("button", { name: "Create job" }).click();
        const destination = page.getByRole("region", { name: "Destination" });
        await destination.getByText("The job was not saved, because of its destination").waitFor();
        await destination.getByText("refuses the credentials").waitFor();
        assert.deepEqual(await stored(scope), []);
        await visit.expectNoSeriousFaults();
        await page.getByLabel("Header X-SEKOIAIO-INTAKE-KEY").fill(token);
        assert.equal(await destination.getByText("The job was not saved").count(), 0);
        await page.getByRole("button", { name: "Create job" }).click();
        await page.getByText("to be mended is made").waitFor();

        // Later the key is changed at the destination: what comes waits, and the list says why.
        own.rotate("another-key");
        await worker.push(`${scope}/http_requests`, batch(shop(20)));
        const job = row(page, "to be mended");
        await eventually("the list to say so", async () => {
          if (await job.getByText("It waits for somebody to mend").count()) return true;
          await page.reload();
          await job.waitFor();
          return false;
        });
        await job.getByText("refuses the credentials").waitFor();
        await visit.picture("jobs-list-light");
        await job.getByRole("link", { name: "to be mended", exact: true }).click();
        await page.getByLabel("Header X-SEKOIAIO-INTAKE-KEY").fill("another-key");
        await page.getByRole("button", { name: "Save changes" }).click();
        await page.getByText("to be mended is saved").waitFor();
        const [{ id }] = await stored(scope);
        await worker.settled(scope, id);
        assert.equal(own.intake("another-key").records, 20);
      });
    } finally {
      await own.close();
    }
  });

  test("a filter pasted from Cloudflare fills the form, both edit each other, and what can not be read is said with its place", async () => {
    const scope = freshScope();
    await worker.push(`${scope}/http_requests`, batch(shop(40)));
    const { id } = await worker.createJob(scope, { name: "pasted", dataset: "http_requests", destination_conf: siem.plain(KEY) });
    await browser.visit(worker.url, {}, async (visit) => {
      const { page } = visit;
      await visit.open(`#/jobs/${scope}/${id}`);
      const json = page.getByLabel("The same as JSON");
      const pasted = { where: { or: [{ key: "ClientRequestMethod", operator: "eq", value: "POST" }, { and: [{ key: "BotScore", operator: "lt", value: 30 }, { key: "EdgeResponseStatus", operator: "in", value: [200, 404] }] }] } };
      await json.fill(`"filter": ${JSON.stringify(JSON.stringify(pasted))},`);
      assert.equal(await page.getByLabel("Field of condition 2.1").inputValue(), "BotScore");
      assert.equal(await page.getByLabel("Value of condition 2.2, one a line").inputValue(), "200\n404");
      await page.getByText("ClientRequestMethod is POST or (BotScore is below 30 and EdgeResponseStatus is one of 200, 404)").waitFor();
      await page.getByRole("button", { name: "Tidy the JSON" }).click();
      assert.deepEqual(JSON.parse(await json.inputValue()), pasted);

      // Values of the newest batch are suggested.
      await page.getByRole("group", { name: "Values of ClientRequestMethod in the newest batch" }).getByRole("button", { name: "GET 35 records" }).click();
      assert.equal(JSON.parse(await json.inputValue()).where.or[0].value, "GET");
      // By the keyboard alone: another condition in the inner group.
      await page.getByRole("button", { name: "Add condition to group 2" }).focus();
      await page.keyboard.press("Enter");
      await page.getByLabel("Field of condition 2.3").focus();
      await page.keyboard.type("ClientRequestPath");
      await page.keyboard.press("Tab");
      await page.keyboard.type("contains");
      await page.keyboard.press("Tab");
      await page.keyboard.type("products");
      assert.deepEqual(JSON.parse(await json.inputValue()).where.or[1].and[2], { key: "ClientRequestPath", operator: "contains", value: "products" });
      await page.getByRole("button", { name: "Remove condition 2.1" }).click();
      assert.equal(JSON.parse(await json.inputValue()).where.or[1].and.length, 2);

      await json.fill('{"where":{"and":[{"key":"BotScore","operator":"like","value":1}]}}');
      await page.getByText("where.and[0]: unknown operator `like`").first().waitFor();
      await page.getByRole("button", { name: "Save changes" }).click();
      await page.getByText("Before it can be saved").waitFor();
      await visit.expectNoSeriousFaults();
      await json.fill('{"where":{"key":"BotScor","operator":"geq","value":1}}');
      await page.getByText("The dataset has no field BotScor.", { exact: true }).waitFor();
      await json.fill(JSON.stringify(CHECKOUT));
      await page.getByRole("button", { name: "Save changes" }).click();
      await page.getByText("pasted is saved").waitFor();
    });
    const [job] = await stored(scope);
    assert.deepEqual(JSON.parse(job.filter), CHECKOUT);
    assert.equal(job.destination_conf, siem.plain(KEY));
  });

  test("a job that is only looked at is not changed, however its filter is written", async () => {
    const scope = freshScope();
    const filter = '{ "where": {"and": [ {"key":"BotScore","operator":"neq","value":"30"} ]}}';
    const { id } = await worker.createJob(scope, { name: "as written", dataset: "http_requests", destination_conf: siem.plain(KEY), filter });
    await browser.visit(worker.url, {}, async (visit) => {
      const { page } = visit;
      await visit.open(`#/jobs/${scope}/${id}`);
      await page.getByText("BotScore is not 30").waitFor();
      await page.getByText("No batch of http_requests has come in here yet").waitFor();
      assert.equal(await page.getByText("not saved", { exact: true }).count(), 0);
      await page.getByLabel("Name", { exact: true }).fill("renamed");
      await page.getByRole("button", { name: "Save changes" }).click();
      await page.getByText("renamed is saved").waitFor();
    });
    assert.equal((await stored(scope))[0].filter, filter);
  });

  test("a job is disabled, enabled, duplicated and deleted, and the reader is asked before the last", async () => {
    const scope = freshScope();
    const filter = { where: { key: "BotScore", operator: "gt", value: 50 } };
    const { id } = await worker.createJob(scope, { name: "first of two", dataset: "http_requests", destination_conf: siem.plain(KEY), filter, output_options: { field_names: ["RayID"], "CVE-2021-44228": true } });
    await browser.visit(worker.url, {}, async (visit) => {
      const { page } = visit;
      await visit.open("#/jobs");
      for (const [press, enabled] of [["Disable", false], ["Enable", true]] as const) {
        await page.getByRole("button", { name: `${press} first of two` }).click();
        await page.getByRole("button", { name: `${enabled ? "Disable" : "Enable"} first of two` }).waitFor();
        assert.equal((await stored(scope))[0].enabled, enabled);
      }
      await page.getByRole("link", { name: "Duplicate first of two" }).click();
      await page.getByRole("button", { name: "Create job" }).waitFor();
      assert.equal(await page.getByLabel("Name", { exact: true }).inputValue(), "Copy of first of two");
      await page.getByRole("button", { name: "Create job" }).click();
      await page.getByText("Copy of first of two is made, and not enabled yet.").waitFor();
      const [first, copy] = await stored(scope);
      assert.deepEqual([copy.filter, copy.output_options, copy.destination_conf, copy.enabled], [first.filter, first.output_options, first.destination_conf, false]);

      await page.getByRole("button", { name: "Delete first of two", exact: true }).click();
      const dialog = page.getByRole("dialog", { name: "Delete first of two?" });
      await dialog.getByRole("button", { name: "Cancel" }).click();
      assert.equal((await stored(scope)).length, 2);
      await page.getByRole("button", { name: "Delete first of two", exact: true }).click();
      await visit.expectNoSeriousFaults();
      await dialog.getByRole("button", { name: "Delete" }).click();
      await page.getByRole("link", { name: "first of two", exact: true }).waitFor({ state: "detached" });
      assert.deepEqual((await stored(scope)).map((job) => job.id !== id), [true]);
    });
  });

  test("output options: fields found by searching, in the chosen order, times and a sample; the preview shows them", async () => {
    const scope = freshScope();
    await worker.push(`${scope}/http_requests`, batch(shop(10)));
    await browser.visit(worker.url, {}, async (visit) => {
      const { page } = visit;
      await visit.open("#/jobs");
      await begin(page, scope, "shaped", siem.plain(KEY));
      await page.getByText("Chosen fields").click();
      for (const name of ["RayID", "EdgeStartTimestamp", "ClientRequestMethod"]) {
        await page.getByLabel("Search fields").fill(name);
        await page.getByRole("checkbox", { name: new RegExp(`^${name} `) }).check();
      }
      await page.getByRole("button", { name: "Move ClientRequestMethod up" }).click();
      await page.getByLabel("Times", { exact: true }).selectOption("unix");
      const shown = page.locator(".records code").first();
      await eventually("the preview", async () => /^{"RayID":"r0","ClientRequestMethod":"POST","EdgeStartTimestamp":\d{10}}\n$/.test((await shown.textContent()) ?? ""));
      await page.getByLabel("Sample rate").fill("2");
      await page.getByText("Enter a number above 0, and at most 1.").first().waitFor();
      await page.getByLabel("Sample rate").fill("0.5");
      await page.getByText("Templates, and what stands around records").click();
      await page.getByLabel("Between two records", { exact: true }).check();
      await page.getByLabel("Between two records: text").fill(",\\n");
      await visit.expectNoSeriousFaults();
      await page.getByRole("button", { name: "Create job" }).click();
      await page.getByText("shaped is made").waitFor();
    });
    const [job] = await stored(scope);
    assert.deepEqual(job.output_options, { field_names: ["RayID", "ClientRequestMethod", "EdgeStartTimestamp"], timestamp_format: "unix", sample_rate: 0.5, record_delimiter: ",\n" });
  });

  test("what is not saved is still there after a look elsewhere, and a dataset that nobody knows can be chosen", async () => {
    const scope = freshScope();
    await browser.visit(worker.url, {}, async (visit) => {
      const { page } = visit;
      await visit.open("#/jobs");
      await begin(page, scope, "half done", "queue://LOGS");
      await page.getByLabel("Dataset", { exact: true }).fill("a_dataset_of_next_week");
      await page.getByText("No batch of a_dataset_of_next_week has come in here yet").waitFor();
      await page.getByRole("link", { name: "All jobs" }).click();
      await page.getByRole("link", { name: "Continue the new job" }).click();
      await page.getByText("These changes were not saved yet").waitFor();
      assert.equal(await page.getByLabel("Name", { exact: true }).inputValue(), "half done");
      assert.equal(await page.getByLabel("Kind").inputValue(), "queue");
      await page.getByRole("button", { name: "Discard them" }).click();
      assert.equal(await page.getByLabel("Name", { exact: true }).inputValue(), "");
      await page.getByRole("link", { name: "All jobs" }).click();
      await page.getByRole("link", { name: "New job" }).waitFor();
    });
  });

  test("a read token sees everything but credentials, and can change nothing", async () => {
    const scope = freshScope();
    await worker.push(`${scope}/http_requests`, batch(shop(40)));
    const { id } = await worker.createJob(scope, { name: "looked at", dataset: "http_requests", destination_conf: siem.plain(KEY), filter: CHECKOUT });
    await browser.visit(worker.url, { token: SECRETS.READ_TOKEN, window: "phone", colours: "dark" }, async (visit) => {
      const { page } = visit;
      await visit.open("#/jobs");
      await row(page, "looked at").waitFor();
      assert.equal(await page.getByRole("link", { name: "New job" }).count(), 0);
      assert.equal(await page.getByRole("button", { name: /^(Delete|Disable|Enable)/ }).count(), 0);
      await visit.expectNoSidewaysScroll();
      await visit.picture("jobs-list-phone-dark");
      await visit.open(`#/jobs/${scope}/${id}`);
      await page.getByText("You can look at everything here").waitFor();
      assert.equal(await page.getByLabel("Destination string").inputValue(), siem.plain("REDACTED"));
      assert.ok(!(await page.content()).includes(KEY));
      await eventually("the preview", async () => (await figure(page)).startsWith("5 of 40 records"));
      assert.equal(await page.locator(".field-error").count(), 0);
      for (const control of await page.locator(".job-fields :is(input, select, textarea)").all()) {
        assert.ok(await control.isDisabled());
      }
      assert.equal(await page.getByRole("button", { name: /Save|Create|Duplicate|Delete|test message/ }).count(), 0);
      await visit.expectNoSeriousFaults();
      await visit.expectNoSidewaysScroll();
      await visit.picture("jobs-editor-phone-dark");
    });
  });
});
