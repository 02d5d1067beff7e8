// The overview in a browser, over a Worker that has taken batches and pushed them on: to a destination that is well, and
// to one that refuses the credentials.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Page } from "playwright-core";
import { noBrowser, TestBrowser, type Visit } from "../support/browser.ts";
import { generateBatch } from "../support/generate.ts";
import { Siem } from "../support/siem.ts";
import { eventually, freshScope, SECRETS, TestWorker } from "../support/worker.ts";

const ERRORS = { where: { key: "EdgeResponseStatus", operator: "geq", value: "400" } };
const ACCOUNT = "accounts/f037e56e89293a057740de681ac9abbe";

/** The text of one column in the row of that name; where it is a rounded figure, all its digits. */
async function cell(page: Page, table: string, row: string, column: string, { isExact = true } = {}): Promise<string> {
  const region = page.getByRole("region", { name: table, exact: true });
  const columns = await region.getByRole("columnheader").allTextContents();
  const at = columns.indexOf(column);
  assert.ok(at >= 0, `${table} has no column ${column}: ${columns.join(", ")}`);
  const found = region.getByRole("row").filter({ has: page.getByRole("rowheader", { name: row, exact: true }) }).locator("td, th").nth(at);
  if (!isExact) return await found.innerText();
  const title = await found.locator("[title]").first().getAttribute("title", { timeout: 500 }).catch(() => null);
  return title ?? (await found.innerText());
}

const digits = (value: number) => value.toLocaleString("en");

const isThere = async (page: Page) => await page.getByRole("heading", { name: "What goes out" }).waitFor();

describe("the overview", { skip: noBrowser, concurrency: 3 }, () => {
  let [worker, empty, browser, siem, lake]: [TestWorker, TestWorker, TestBrowser, Siem, Siem] = [] as never;
  const zone = freshScope();
  let jobs: { well: any; refused: any };
  before(async () => {
    [worker, empty, browser, siem, lake] = await Promise.all([
      TestWorker.start({ ALLOW_PRIVATE_DESTINATIONS: "true", PROBE_MAX_SECONDS: "300" }), TestWorker.start(), TestBrowser.launch(),
      Siem.start({ intakeKeys: ["key"] }), Siem.start({ intakeKeys: ["withdrawn"] }),
    ]);
    jobs = {
      well: await worker.createJob(zone, { name: "errors to the SIEM", dataset: "http_requests", filter: ERRORS, destination_conf: siem.plain("key") }),
      refused: await worker.createJob(zone, { name: "everything to the lake", dataset: "http_requests", destination_conf: lake.plain("withdrawn") }),
    };
    lake.fail({ status: 403, times: Infinity });
    for (const [scope, dataset, records] of [[zone, "http_requests", 900], [zone, "http_requests", 12_345], [ACCOUNT, "dns_logs", 2_000]] as const) {
      const batch = generateBatch({ dataset, records, seed: records });
      assert.equal((await worker.push(`${scope}/${dataset}`, batch.gzip)).status, 200);
    }
    await eventually("one job to have delivered and the other to be parked", async () => {
      const [well, refused] = [await worker.jobStats(zone, jobs.well.id), await worker.jobStats(zone, jobs.refused.id)];
      return well.waiting.records === 0 && well.delivered.records > 0 && refused.state === "parked";
    });
  });
  after(async () => void (await Promise.all([worker?.close(), empty?.close(), browser?.close(), siem?.close(), lake?.close()])));

  test("it shows the figures of /stats", async () => {
    await browser.visit(worker.url, {}, async ({ page }) => {
      await isThere(page);
      const stats = await worker.stats();
      assert.equal(stats.datasets.length, 2);
      for (const one of stats.datasets) {
        const of = async (column: string) => await cell(page, "What came in, by dataset", one.dataset, column);
        assert.equal(await of("Batches"), digits(one.batches));
        assert.equal(await of("Records"), digits(one.records));
        assert.equal(await of("Uncompressed"), `${digits(one.bytes_raw)} bytes`);
        assert.equal(await of("As received"), `${digits(one.bytes_compressed)} bytes`);
      }
      for (const one of stats.jobs) {
        const of = async (column: string) => await cell(page, "What goes out, by job", one.name, column);
        assert.equal(await of("Selected"), digits(one.selected.records));
        assert.equal(await of("Delivered"), digits(one.delivered.records));
        assert.equal(await of("Waiting"), digits(one.waiting.records + one.parked.records));
      }
      const { received_equals_archived: archive, selected_equals_accounted: account } = stats.reconciliation;
      const sums = page.getByRole("region", { name: "Is everything accounted for?" });
      assert.equal(await sums.getByText("holds", { exact: true }).count(), 2);
      await sums.getByText(`received ${digits(archive.received_batches)} batches, ${digits(archive.received_bytes)} bytes`).waitFor();
      await sums.getByText(`selected ${digits(account.selected_records)} records = ${digits(account.delivered_records)} delivered + 0 waiting + ${digits(account.parked_records)} parked`).waitFor();
    });
  });

  test("a job that is refused is named first, with what to do, and its last error in plain words", async () => {
    await browser.visit(worker.url, {}, async ({ page }) => {
      await isThere(page);
      const attention = page.getByRole("region", { name: "What needs attention" });
      await attention.getByText("mend the destination").or(attention.getByText("is parked")).first().waitFor();
      await page.getByText("The destination refuses the credentials").waitFor();
      assert.match(await cell(page, "What goes out, by job", "everything to the lake", "Pushes", { isExact: false }), /refused \(40[13]\)/);
      assert.match(await cell(page, "What goes out, by job", "errors to the SIEM", "Pushes", { isExact: false }), /accepted/);
      assert.equal(await page.getByRole("link", { name: "everything to the lake" }).getAttribute("href"), `#/jobs/${zone}/${jobs.refused.id}`);
    });
  });

  test("charts have a table with the same sums, whatever the range", async () => {
    const received = (await worker.stats()).datasets.find((one: any) => one.dataset === "http_requests").records;
    await browser.visit(worker.url, {}, async ({ page }) => {
      for (const range of ["1 h", "24 h", "7 d", "31 d"]) {
        await page.getByRole("radio", { name: range, exact: true }).check();
        await isThere(page);
        await page.getByText("Records received as a table").click();
        const table = page.getByRole("region", { name: "Records received", exact: true });
        const columns = await table.getByRole("columnheader").allTextContents();
        const at = columns.indexOf(`http_requests, ${zone}`);
        assert.ok(at > 0, columns.join());
        const shown = await table.getByRole("row").locator(`td:nth-child(${at + 1})`).allTextContents();
        const total = shown.reduce((sum, text) => sum + unrounded(text), 0);
        // Figures above 10,000 are shown with three digits.
        assert.ok(Math.abs(total - received) <= 100, `${range}: ${shown.join(" + ")} is not ${received}`);
        assert.equal(await page.locator(".plot canvas").count(), 3);
      }
      assert.match(page.url(), /range=31d/);
    });
  });

  test("while it is read it shows how far that is", async () => {
    await browser.visit(worker.url, {}, async ({ page }) => {
      await isThere(page);
      let letGo = () => {};
      const held = new Promise<void>((resolve) => void (letGo = resolve));
      let asked = 0;
      await page.route("**/graphql", async (route) => {
        if ((asked += 1) > 1) await held;
        await route.continue();
      });
      await page.getByRole("radio", { name: "7 d", exact: true }).check();
      await page.getByText("Reading what came and what went: 67 %").waitFor(); // of /stats and two scopes, one is held up
      letGo();
      await isThere(page);
    });
  });

  test("one zone or account can be looked at alone", async () => {
    await browser.visit(worker.url, {}, async ({ page }) => {
      await page.getByLabel("Zone or account").selectOption(ACCOUNT);
      await page.getByText("There is no job, so nothing is sent anywhere").waitFor();
      assert.equal(await page.getByRole("region", { name: "What came in, by dataset" }).getByRole("rowheader").count(), 1);
      await page.getByLabel("Zone or account").selectOption("");
      await page.getByRole("link", { name: "errors to the SIEM" }).waitFor();
    });
  });

  test("it estimates what a month costs, and says of what", async () => {
    await browser.visit(worker.url, {}, async ({ page }) => {
      const cost = page.getByRole("region", { name: "What it costs" });
      await cost.getByText("$5.00 for the Worker and what it uses").waitFor(); // so little that the plan covers it
      await cost.getByText("What that is made of").click();
      assert.match(await cell(page, "Cost of a month", "Worker: batches", "Used"), /^90 requests$/); // three a day
      await cost.getByText("What is assumed").click();
      await cost.getByText("List prices, read on").waitFor();
    });
  });

  test("it is read again by itself, but not while nobody looks", async () => {
    await browser.visit(worker.url, {}, async ({ page }) => {
      await isThere(page);
      await page.clock.install();
      await page.getByRole("button", { name: "Refresh" }).click();
      let read = 0;
      await page.route("**/stats?*", async (route) => {
        read += 1;
        await route.continue();
      });
      const pass = async (seconds: number) => await page.clock.runFor(seconds * 1_000);
      await eventually("another reading", async () => (await pass(16), read > 0));
      await page.evaluate("Object.defineProperty(document, 'hidden', { value: true, configurable: true }); document.dispatchEvent(new Event('visibilitychange'))");
      const before = read;
      await pass(120);
      assert.equal(read, before);
      await page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))");
      await eventually("a reading when it is looked at again", async () => (await pass(1), read > before));
    });
  });

  test("a Worker that can not read its counters is told so; what was read before stays; and it can be tried again", async () => {
    await browser.visit(worker.url, { token: null }, async (visit) => {
      const { page } = visit;
      visit.expectFailure(/^\/stats$/, 503);
      const error = { ok: false, error: { code: "storage_unavailable", message: "a ledger or an outbox did not answer; try again" } };
      await page.route("**/stats?*", async (route) => await route.fulfill({ status: 503, json: error }));
      await visit.signIn(SECRETS.READ_TOKEN);
      await page.getByRole("alert").getByText("a ledger or an outbox did not answer; try again").first().waitFor();
      await visit.expectNoSeriousFaults();
      await page.unroute("**/stats?*");
      await page.getByRole("button", { name: "Try again" }).first().click();
      await isThere(page);
      await page.route("**/stats?*", async (route) => await route.fulfill({ status: 503, json: error }));
      await page.getByRole("button", { name: "Refresh" }).click();
      await page.getByText("What is shown below is older").waitFor();
      await isThere(page);
    });
  });

  test("where nothing has arrived yet it shows the command that begins it, with this Worker's own address", async () => {
    await browser.visit(empty.url, { token: SECRETS.READ_TOKEN }, async (visit) => {
      const { page } = visit;
      await page.getByRole("heading", { name: "Nothing has arrived yet" }).waitFor();
      await page.getByLabel("Its id").fill("023e105f4ecef8ad9ca31a8372d0c353");
      const copied = async () => {
        await page.getByRole("button", { name: /^Copy/ }).click();
        await page.getByText("Copied.").waitFor();
        return (await page.evaluate("navigator.clipboard.readText()")) as string;
      };
      const command = await copied();
      assert.match(command, /^curl "https:\/\/api\.cloudflare\.com\/client\/v4\/zones\/023e105f4ecef8ad9ca31a8372d0c353\/logpush\/jobs"/);
      const body = JSON.parse(command.slice(command.indexOf("\n{"), command.lastIndexOf("}") + 1));
      assert.equal(body.destination_conf, `${empty.url}/ingest/zones/023e105f4ecef8ad9ca31a8372d0c353/http_requests?header_Authorization=Bearer%20$INGEST_SECRET`);
      assert.ok(body.output_options.field_names.includes("RayID"));
      await visit.expectNoSeriousFaults();
      await visit.expectNoSidewaysScroll();
      await visit.picture("first-steps-light");
      // What is typed gets into a shell.
      await page.getByLabel("Dataset", { exact: true }).fill('dns_logs"; $(rm)');
      const other = await copied();
      assert.match(other, /"dataset": "dns_logsrm"/);
      assert.doesNotMatch(other, /\$\(/);
    });
  });

  test("everything on it can be reached with the keyboard", async () => {
    await browser.visit(worker.url, {}, async ({ page }) => {
      await page.reload();
      await isThere(page);
      await page.getByText("What is assumed").waitFor();
      const reached = new Set<string>();
      for (let presses = 0; presses < 60; presses += 1) {
        await page.keyboard.press("Tab");
        const [name, isVisible] = (await page.evaluate(
          "[document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent, document.activeElement.matches(':focus-visible')]",
        )) as [string, boolean];
        if (await page.evaluate("document.activeElement === document.body")) break; // behind the last one
        assert.ok(isVisible, name);
        reached.add(name);
      }
      for (const name of ["Refresh", "What came in, by dataset", "errors to the SIEM", "What is assumed", "Records received as a table"]) {
        assert.ok(reached.has(name), `${name} is not among ${[...reached].join(", ")}`);
      }
      await page.getByRole("radio", { name: "1 h", exact: true }).focus();
      await page.keyboard.press("ArrowRight");
      await page.waitForURL(/range=24h/);
    });
  });

  const looks: [string, Parameters<TestBrowser["visit"]>[1]][] = [
    ["overview-light", { colours: "light" }], ["overview-dark", { colours: "dark" }], ["overview-phone", { window: "phone" }],
    ["overview-zoomed", { window: "zoomed", token: SECRETS.READ_TOKEN }],
  ];
  for (const [name, options] of looks) {
    test(`it has no serious fault and does not scroll sideways: ${name}`, async () => {
      await browser.visit(worker.url, options, async (visit: Visit) => {
        await isThere(visit.page);
        await visit.page.getByText("for the Worker and what it uses").waitFor();
        await visit.expectNoSeriousFaults();
        await visit.expectNoSidewaysScroll();
        if (name !== "overview-zoomed") await visit.picture(name, { isWhole: name !== "overview-phone" });
      });
    });
  }
});

/** "12.3 k" → 12300. */
function unrounded(text: string): number {
  const [, figure = "0", unit = ""] = /^([\d.,]+)(?: ([kMG]))?$/.exec(text) ?? [];
  return Number(figure.replaceAll(",", "")) * ({ k: 1e3, M: 1e6, G: 1e9 }[unit] ?? 1);
}
