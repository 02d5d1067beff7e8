// The page of the live tail: several datasets and several viewers at once, records that are paused, found, opened and
// copied, and what it says when records are lost, a connection breaks or a session ends.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import type { WebSocketRoute } from "playwright-core";
import { members, shown } from "../../dashboard/src/json.ts";
import { columnsOf, Feed } from "../../dashboard/src/pages/tail/feed.ts";
import { noBrowser, TestBrowser, type Visit } from "../support/browser.ts";
import { eventually, freshScope, SECRETS, TestWorker } from "../support/worker.ts";

/** No JavaScript number can hold it. */
const NANOS = "1767225600123456789";

const lines = (...records: object[]) => gzipSync(records.map((record) => `${JSON.stringify(record)}\n`).join(""));

describe("what a tail keeps", () => {
  test("members are shown with all their digits, strings as they read, and the rest as JSON", () => {
    const record = members(`{"At":${NANOS},"Path":"/a\\"b\\\\","List":[1,{"a":":"}],"Empty":{},"No":null,"{":"}, \\": "}`);
    assert.deepEqual([...(record ?? [])].map(([name, value]) => [name, shown(value)]), [
      ["At", NANOS], ["Path", '/a"b\\'], ["List", '[1,{"a":":"}]'], ["Empty", "{}"], ["No", "null"], ["{", '}, ": '],
    ]);
    assert.deepEqual([members("[1]"), members("{"), members("")], [undefined, undefined, undefined]);
    assert.deepEqual(columnsOf(members(`{"A":1,"B":2,"sampleInterval":1,"C":3,"D":4,"E":5,"F":6,"G":7,"Datetime":8}`)), ["Datetime", "A", "B", "C", "D", "E"]);
  });

  test("records are kept up to a number and a size, notices are heard, and everything is counted", () => {
    const feed = new Feed();
    const batch = (from: number, count: number) => Array.from({ length: count }, (_, n) => `{"n":${from + n}}\n`).join("");
    assert.equal(feed.take(`["lost",{"records":7,"slow_viewer":5,"hand_over":2}]\n${batch(0, 1_500)}["mark",{"bytes":42}]\n`, 0), 42);
    assert.equal(feed.take(`${batch(1_500, 1_000)}["news",{}]\n["lost",{"records":1,"slow_viewer":1}]\n[`, 1_000), undefined);
    assert.deepEqual([feed.received, feed.lost, Object.fromEntries(feed.losses)], [2_500, 8, { slow_viewer: 6, hand_over: 2 }]);
    assert.equal(feed.kept, 1_500);
    assert.deepEqual(feed.newest(2, "").map(({ number, text }) => [number, text]), [[2_500, '{"n":2499}'], [2_499, '{"n":2498}']]);
    assert.deepEqual(feed.newest(9, '"N":24', 2_411).map(({ text }) => text), ['{"n":2410}', ...Array.from({ length: 8 }, (_, n) => `{"n":${2409 - n}}`)]);
    assert.deepEqual([feed.rate(1_000), feed.rate(5_500), feed.rate(9_000)], [500, 200, 0]);
    feed.take(`{"big":"${"x".repeat(9_000_000)}"}\n{"big":"${"x".repeat(9_000_000)}"}\n`, 9_000);
    assert.equal(feed.kept, 1);
    feed.clear();
    assert.deepEqual([feed.kept, feed.received], [0, 2_502]);
  });
});

describe("the page of the live tail", { skip: noBrowser, concurrency: 3 }, () => {
  let worker: TestWorker;
  let browser: TestBrowser;
  before(async () => {
    worker = await TestWorker.start();
    browser = await TestBrowser.launch();
  });
  after(async () => {
    await browser.close();
    await worker.close();
  });

  const paneOf = ({ page }: Visit, dataset: string) => page.getByRole("region", { name: new RegExp(`^${dataset} `) });
  const rowsOf = (visit: Visit, dataset: string) => paneOf(visit, dataset).locator("tbody tr:has(button)");
  const count = async (visit: Visit, dataset: string, rows: number) =>
    await eventually(`${rows} records of ${dataset}`, async () => (await rowsOf(visit, dataset).count()) === rows);

  async function watch(visit: Visit, scope: string, dataset: string, filter?: string): Promise<void> {
    const { page } = visit;
    const form = page.getByRole("form", { name: "What to watch" });
    await form.getByLabel("Zone or account").fill(scope);
    await form.getByLabel("Dataset", { exact: true }).fill(dataset);
    await form.getByText(/^Filter: /).click();
    await form.getByLabel("The same as JSON").fill(filter ?? "");
    await form.getByText(/^Filter: /).click();
    await form.getByRole("button", { name: "Watch", exact: true }).click();
    await paneOf(visit, dataset).getByText("live", { exact: true }).waitFor();
  }

  test("two viewers watch three datasets, and each gets every record that its session selects", async () => {
    const scope = freshScope();
    await browser.visit(worker.url, {}, async (first) => {
      await browser.visit(worker.url, { token: SECRETS.READ_TOKEN, window: "phone", colours: "dark" }, async (second) => {
        await first.open("#/tail");
        await watch(first, scope, "http_requests", '{"where":{"key":"EdgeResponseStatus","operator":"geq","value":500}}');
        await watch(first, scope, "dns_logs");
        await watch(first, scope, "events_of_tomorrow");
        await second.open(`#/tail?scope=${scope}`);
        const others = second.page.getByRole("button", { name: /^Watch session \d+ too$/ });
        for (const left of [3, 2, 1]) {
          await eventually(`${left} sessions of another viewer`, async () => (await others.count()) === left);
          await others.first().click();
        }
        await eventually("three panes to be live", async () => (await second.page.getByText("live", { exact: true }).count()) === 3);

        await worker.push(`${scope}/http_requests`, lines(
          { EdgeStartTimestamp: 1, RayID: "aa01", EdgeResponseStatus: 200 },
          { EdgeStartTimestamp: 2, RayID: "aa02", EdgeResponseStatus: 503, ClientRequestPath: "<b>/checkout</b>" },
        ));
        await worker.push(`${scope}/dns_logs`, lines({ Timestamp: 3, QueryName: "example.com" }, { Timestamp: 4, QueryName: "example.org" }));
        await worker.push(`${scope}/events_of_tomorrow`, lines({ Timestamp: "2026-01-01T00:00:00Z", Kind: "new" }));
        for (const visit of [first, second]) {
          await count(visit, "http_requests", 1);
          await count(visit, "dns_logs", 2);
          await count(visit, "events_of_tomorrow", 1);
          assert.match(await rowsOf(visit, "http_requests").innerText(), /2\s+aa02\s+503\s+<b>\/checkout<\/b>/);
          assert.match(await rowsOf(visit, "dns_logs").first().innerText(), /example\.org/);
          assert.equal(await visit.page.locator("td b").count(), 0);
          await visit.expectNoSeriousFaults();
          await visit.expectNoSidewaysScroll();
        }
        await first.picture("tail-light", { isWhole: true });
        await second.page.evaluate("[...document.querySelectorAll('.tail-pane')].at(-1).scrollIntoView()");
        await second.picture("tail-phone-dark");

        // One who leaves does not end it for the other.
        await paneOf(first, "dns_logs").getByRole("button", { name: "Close dns_logs" }).click();
        await worker.push(`${scope}/dns_logs`, lines({ Timestamp: 5, QueryName: "example.net" }));
        await count(second, "dns_logs", 3);
        // And who goes to another page finds the rest again.
        await first.open("#/jobs");
        await first.page.getByRole("heading", { name: "Jobs", level: 1 }).waitFor();
        await first.open("#/tail");
        await paneOf(first, "http_requests").getByText("live", { exact: true }).waitFor();
        assert.equal(await paneOf(first, "dns_logs").count(), 0);
      });
    });
  });

  test("what comes is paused, found, opened and copied", async () => {
    const scope = freshScope("accounts");
    await browser.visit(worker.url, {}, async (visit) => {
      const { page } = visit;
      await visit.open("#/tail");
      await watch(visit, scope, "numbered");
      const pane = paneOf(visit, "numbered");
      const text = `{"Timestamp":${NANOS},"n":1,"who":"Anna","of":{"a":1}}\n{"Timestamp":${NANOS},"n":2,"who":"Bert"}\n`;
      await worker.push(`${scope}/numbered`, gzipSync(text));
      await count(visit, "numbered", 2);
      await pane.getByRole("button", { name: "Pause" }).click();
      await pane.getByText("paused", { exact: true }).waitFor();
      await worker.push(`${scope}/numbered`, lines({ n: 3, who: "Cleo" }));
      await pane.getByRole("button", { name: "Go on (1 new)" }).waitFor();
      assert.equal(await rowsOf(visit, "numbered").count(), 2);
      await pane.getByLabel("Find in what is kept").fill("ANNA");
      await count(visit, "numbered", 1);

      await pane.getByRole("button", { name: "Open record 1" }).click();
      const dialog = page.getByRole("dialog", { name: "Record 1 of numbered" });
      await dialog.getByText(NANOS).waitFor();
      assert.match(await dialog.getByLabel("Fields of the record").innerText(), /who\s+Anna\s+of\s+\{"a":1\}/);
      await visit.expectNoSeriousFaults();
      await dialog.getByRole("button", { name: "Copy as JSON" }).click();
      await dialog.getByText("Copied.").waitFor();
      const copied = async () => (await page.evaluate("navigator.clipboard.readText()")) as string;
      assert.equal(await copied(), `{"Timestamp":${NANOS},"n":1,"who":"Anna","of":{"a":1},"sampleInterval":1}`);
      await dialog.getByText("JSON", { exact: true }).click();
      await dialog.getByRole("button", { name: "Copy the record as JSON" }).click();
      await eventually("the tidy form to be copied", async () => (await copied()).startsWith(`{\n  "Timestamp": ${NANOS},\n`));
      await page.keyboard.press("Escape");

      await pane.getByLabel("Find in what is kept").fill("");
      await pane.getByRole("button", { name: "Go on" }).click();
      await count(visit, "numbered", 3);
      await pane.getByRole("button", { name: "Copy what is shown" }).click();
      await pane.getByText("3 records copied.").waitFor();
      assert.deepEqual((await copied()).trim().split("\n").map((line) => (JSON.parse(line) as { n: number }).n), [3, 2, 1]);
      await pane.getByText("Columns", { exact: true }).click();
      await pane.getByLabel("who").uncheck();
      assert.doesNotMatch(await rowsOf(visit, "numbered").first().innerText(), /Cleo/);
      await pane.getByRole("button", { name: "Clear" }).click();
      await count(visit, "numbered", 0);

      // Ended elsewhere: it is told, and can be begun again.
      const { json } = await worker.api("GET", `${scope}/logpush/edge/jobs`);
      await worker.api("DELETE", `${scope}/logpush/edge/jobs/${json.result[0].id}`);
      await pane.getByText("Somebody ended the session.").waitFor();
      await pane.getByRole("button", { name: "Watch again" }).click();
      await pane.getByText("live", { exact: true }).waitFor();
      await worker.push(`${scope}/numbered`, lines({ n: 4 }));
      await count(visit, "numbered", 1);
    });
  });

  test("what can not be watched is said, by the form or by the Worker", async () => {
    await browser.visit(worker.url, {}, async (visit) => {
      const { page } = visit;
      visit.expectFailure(/\/edge\/jobs$/, 400);
      await visit.open("#/tail");
      const form = page.getByRole("form", { name: "What to watch" });
      await form.getByLabel("Zone or account").fill("somewhere");
      await form.getByLabel("One record of").fill("0");
      await form.getByRole("button", { name: "Watch", exact: true }).click();
      await form.getByText("Enter zones/ or accounts/ and an id.").waitFor();
      await form.getByText("Enter a whole number from 1 on.").waitFor();
      await form.getByLabel("Zone or account").fill(freshScope());
      await form.getByLabel("One record of").fill("9999999");
      await form.getByRole("button", { name: "Watch", exact: true }).click();
      await form.getByRole("alert").getByText(/^sample: /).waitFor();
      await visit.expectNoSeriousFaults();
    });
  });

  test("a thousand records a second are drawn without holding up the page, losses are told, and a lost connection comes back", async (context) => {
    await browser.visit(worker.url, {}, async (visit) => {
      const { page } = visit;
      const sockets: WebSocketRoute[] = [];
      const acknowledged: number[] = [];
      await page.routeWebSocket(/\/instant-logs\//, (socket) => {
        assert.match(socket.url(), /\?ack=true$/);
        sockets.push(socket);
        socket.onMessage((message) => void acknowledged.push((JSON.parse(String(message)) as { ack: number }).ack));
      });
      await page.reload();
      await visit.open("#/tail");
      const scope = freshScope();
      await watch(visit, scope, "http_requests");
      const pane = paneOf(visit, "http_requests");
      const [socket] = sockets;
      assert.ok(socket);

      await page.evaluate(`
        window.gaps = [];
        let last = performance.now();
        const look = (now) => { window.gaps.push(now - last); last = now; window.looking = requestAnimationFrame(look); };
        window.looking = requestAnimationFrame(look);
      `);
      const record = (n: number) => `{"EdgeStartTimestamp":"2026-01-01T00:00:00Z","RayID":"${n}","ClientRequestPath":"/${"p".repeat(60)}","EdgeResponseStatus":200,"Rest":"${"x".repeat(1_000)}"}\n`;
      const begun = performance.now();
      let sent = 0;
      // 100 records every tenth of a second, by the clock and not by how long sending takes.
      await eventually("3,000 records to be sent", () => {
        while (sent < Math.min(3_000, performance.now() - begun)) {
          const piece = Array.from({ length: 100 }, (_, n) => record(sent + n)).join("");
          sent += 100;
          socket.send(`${piece}["mark",{"bytes":${sent}}]\n`);
        }
        return sent >= 3_000 && acknowledged.at(-1) === sent;
      });
      const millis = performance.now() - begun;
      const gaps = ((await page.evaluate("cancelAnimationFrame(window.looking), window.gaps")) as number[]).toSorted((a, b) => a - b);
      const median = gaps[Math.floor(gaps.length / 2)] ?? Number.NaN;
      context.diagnostic(`3,000 records in ${Math.round(millis)} ms: frames ${median.toFixed(0)} ms apart in the middle, ${gaps.at(-1)?.toFixed(0)} ms at most`);
      assert.ok(median < 50, `frames ${median} ms apart`);
      await pane.getByText("3,000 records").waitFor();
      assert.equal(await rowsOf(visit, "http_requests").count(), 100);
      await pane.getByRole("button", { name: "Show 100 more" }).click();
      await count(visit, "http_requests", 200);

      socket.send('["lost",{"records":1234,"rate_limit":1000,"slow_viewer":234}]\n');
      await pane.getByText("1,234 records are not shown: 1,000 because there were more in a second than a tail shows, 234 because this browser did not keep up").waitFor();

      await socket.close({ code: 1011 });
      await pane.getByText("not connected", { exact: true }).waitFor();
      await pane.getByRole("button", { name: "Try now" }).click();
      await pane.getByText("live", { exact: true }).waitFor();
      await pane.getByText(/interrupted once/).waitFor();
      sockets.at(-1)?.send(record(9));
      await pane.getByText("3,001 records").waitFor();
      await sockets.at(-1)?.close({ code: 4001 });
      await pane.getByText("The session's time is over").waitFor();
      assert.equal(sockets.length, 2);
    });
  });
});
