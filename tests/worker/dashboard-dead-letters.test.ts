// The page of dead letters: what a SIEM refused is seen there with its reason, looked into, sent again and deleted.

import assert from "node:assert/strict";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";
import { pretty, prettyLines } from "../../dashboard/src/json.ts";
import { grouped, kindOf, type Letter, type Listed } from "../../dashboard/src/pages/dead-letters/letters.ts";
import { noBrowser, TestBrowser, type Visit } from "../support/browser.ts";
import { eventually, freshScope, SECRETS, TestWorker } from "../support/worker.ts";

/** The catalogue lacks it, so its records may have any field. */
const DATASET = "numbered_events";

/** A record that a page must show as text, and whose figures no JavaScript number can hold. */
const record = (n: number) => `{"Timestamp":"2026-01-01T00:00:00Z","n":${n},"html":"<img src=x onerror=alert(1)>","big":12345678901234567890,"list":[],"of":{"a":[1.50,{}]}}`;

/** A SIEM that refuses pushes with a record that it does not want, and remembers all others. */
class Picky {
  readonly unwanted = new Set<number>();
  readonly taken: number[] = [];
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    server.on("request", (request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => void chunks.push(chunk));
      request.on("end", () => {
        const records = gunzipSync(Buffer.concat(chunks)).toString().trimEnd().split("\n").map((line) => JSON.parse(line) as { n?: number });
        const culprit = records.find(({ n }) => n !== undefined && this.unwanted.has(n));
        if (culprit !== undefined) {
          const why = (culprit.n ?? 0) % 2 === 0 ? "is even" : "is not wanted";
          return void response.writeHead(422).end(JSON.stringify({ error: `n ${culprit.n} ${why}` }));
        }
        for (const { n } of records) if (n !== undefined) this.taken.push(n);
        response.writeHead(200).end("{}");
      });
    });
  }

  static async start(): Promise<Picky> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new Picky(server);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/in`;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

describe("what is shown of a dead letter", () => {
  test("JSON over several lines keeps every figure and the order of members, and other text is left alone", () => {
    assert.equal(pretty('{"b":1.50,"a":[],"big":12345678901234567890,"s":"x, \\"{y}\\"","o":{"k":[1,{}]}}'), [
      "{", '  "b": 1.50,', '  "a": [],', '  "big": 12345678901234567890,', '  "s": "x, \\"{y}\\"",', '  "o": {', '    "k": [', "      1,", "      {}", "    ]", "  }", "}",
    ].join("\n"));
    for (const text of ["", "a: b", '{"cut":', "12", '"{}"', "null"]) assert.equal(pretty(text), text);
    assert.deepEqual(JSON.parse(pretty(record(7))), JSON.parse(record(7)));
    assert.equal(prettyLines('{"a":1}\nCEF:0|x\n'), '{\n  "a": 1\n}\nCEF:0|x');
  });

  test("letters belong together when only figures and ids tell their reasons apart", () => {
    const job = { id: 1, name: "a", scope: "zones/a", dataset: "d", letters: 3 };
    const letter = (id: number, status: number, reason: string): Listed => ({
      id, status, reason, records: 2, bytes: 9, received_at: "", refused_at: `2026-01-0${id}T00:00:00Z`, batch_id: "", push_id: "", job,
    });
    const letters = [letter(1, 422, "422 n 7 is odd"), letter(2, 422, "422 n 778 is odd"), letter(3, 400, "400 n 7 is odd"), letter(4, 422, "422 id 0af7651916cd43dd8448eb211c80319c")];
    const groups = grouped(letters);
    assert.deepEqual(groups.map((group) => [group.reason, group.letters.length, group.records]), [["422 n 778 is odd", 2, 4], ["400 n 7 is odd", 1, 2], ["422 id 0af7651916cd43dd8448eb211c80319c", 1, 2]]);
    assert.notEqual(kindOf(letters[0] as Letter), kindOf(letters[2] as Letter));
  });
});

describe("the page of dead letters", { skip: noBrowser }, () => {
  let worker: TestWorker;
  let browser: TestBrowser;
  let siem: Picky;
  before(async () => {
    worker = await TestWorker.start({ ALLOW_PRIVATE_DESTINATIONS: "true", RETRY_MAX_SECONDS: "1" });
    browser = await TestBrowser.launch();
    siem = await Picky.start();
  });
  after(async () => {
    siem.close();
    await browser.close();
    await worker.close();
  });

  const heading = async ({ page }: Visit) => await page.getByRole("heading", { name: "Dead letters", level: 1 }).waitFor();

  /** A job whose SIEM has refused these, and its scope. */
  async function refused(name: string, kind: "zones" | "accounts", numbers: number[]) {
    const scope = freshScope(kind);
    const { id } = await worker.createJob(scope, { name, dataset: DATASET, destination_conf: siem.url });
    for (const n of numbers) siem.unwanted.add(n);
    const lines = Array.from({ length: 10 }, (_, n) => record(n + Math.floor((numbers[0] ?? 0) / 10) * 10));
    assert.equal((await worker.push(`${scope}/${DATASET}`, gzipSync(`${lines.join("\n")}\n`))).status, 200);
    const stats = await worker.settled(scope, id);
    assert.equal(stats.dead.letters, numbers.length);
    return { scope, id: id as number };
  }

  test("when nothing was refused, it says so", async () => {
    await browser.visit(worker.url, {}, async (visit) => {
      await visit.open("#/dead-letters");
      await heading(visit);
      await visit.page.getByRole("heading", { name: "There are no dead letters" }).waitFor();
      await visit.expectNoSeriousFaults();
    });
  });

  test("a refused record is found by its reason, looked into, sent again and delivered; another is deleted", async () => {
    const first = await refused("errors to SIEM", "zones", [3, 5, 8]);
    const second = await refused("gateway", "accounts", [21]);
    await browser.visit(worker.url, {}, async (visit) => {
      const { page } = visit;
      await visit.open("#/dead-letters");
      const reasons = page.getByRole("table", { name: "Dead letters by reason" });
      const letters = page.getByRole("table", { name: "Dead letters, newest first" });
      const rows = async (count: number) => await eventually(`${count} rows`, async () => (await letters.locator("tbody th").count()) === count);
      await page.getByRole("heading", { name: "4 dead letters" }).waitFor();
      await rows(4);
      // n 3, n 5 and n 21 were refused alike, by both jobs.
      assert.equal(await reasons.locator("tbody tr").count(), 2);
      assert.match((await reasons.locator("tbody tr").first().innerText()).replace(/\s+/g, " "), /422 .*is not wanted.* (errors to SIEM, gateway|gateway, errors to SIEM) 3 3 /);
      await visit.expectNoSeriousFaults();
      await visit.expectNoSidewaysScroll();
      await visit.picture("dead-letters-light");

      // Looked into: as it would be pushed, never as HTML.
      await page.getByLabel("Find").fill("is even");
      await rows(1);
      await letters.getByRole("link").click();
      const dialog = page.getByRole("dialog", { name: /Dead letter \d+ of job/ });
      const content = dialog.getByLabel("what would be pushed", { exact: true });
      await content.waitFor();
      assert.equal(await content.innerText(), prettyLines(record(8)));
      assert.equal(await page.locator("img").count(), 0);
      await dialog.getByText("As it would be pushed").click();
      assert.equal((await content.innerText()).trim(), record(8));
      await visit.expectNoSeriousFaults();

      // Sent again while it is still unwanted: it comes back. Then it is wanted.
      siem.unwanted.delete(8);
      await dialog.getByRole("button", { name: "Send again …" }).click();
      await page.getByRole("dialog", { name: "Send this dead letter again?" }).getByRole("button", { name: "Send again" }).click();
      await page.getByText("1 dead letter with 1 record went to the end").waitFor();
      assert.equal(await page.getByRole("dialog").count(), 0);
      await eventually("record 8 to be delivered", () => siem.taken.includes(8));
      await page.getByLabel("Find").fill("");
      await rows(3);

      // Deleting asks first, and only what was chosen goes.
      await page.getByLabel("Job").selectOption(`${second.scope}/${second.id}`);
      await rows(1);
      await page.getByRole("button", { name: "Delete all …" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
      await rows(1);
      await page.getByRole("button", { name: "Delete all …" }).click();
      await page.getByRole("dialog", { name: "Delete all 1 dead letter?" }).or(page.getByRole("dialog", { name: "Delete this dead letter?" })).getByRole("button", { name: "Delete for good" }).click();
      await page.getByText("1 dead letter with 1 record deleted").waitFor();
      const stats = await worker.jobStats(second.scope, second.id);
      assert.deepEqual([stats.dead.letters, stats.discarded.records], [0, 1]);
      await rows(2);

      // All of a reason: one is refused once more and is here again, under another number.
      siem.unwanted.delete(3);
      await reasons.getByRole("button", { name: /^Only these: / }).click();
      await page.getByRole("button", { name: "Send these 2 again" }).click();
      await page.getByRole("dialog", { name: "Send 2 dead letters again?" }).getByRole("button", { name: "Send again" }).click();
      await page.getByText("2 dead letters with 2 records went to the end").waitFor();
      await worker.settled(first.scope, first.id);
      assert.ok(siem.taken.includes(3) && !siem.taken.includes(5));
      await page.reload();
      await rows(1);
    });
  });

  test("a read token sees dead letters and their text, and nothing to press", async () => {
    await refused("read", "zones", [31]);
    await browser.visit(worker.url, { token: SECRETS.READ_TOKEN, window: "phone", colours: "dark" }, async (visit) => {
      const { page } = visit;
      await visit.open("#/dead-letters");
      await page.getByRole("link", { name: /Look into dead letter \d+ of read/ }).waitFor();
      await visit.expectNoSidewaysScroll();
      await visit.expectNoSeriousFaults();
      await visit.picture("dead-letters-phone-dark");
      await page.getByRole("link", { name: /Look into dead letter \d+ of read/ }).click();
      await page.getByLabel("what would be pushed", { exact: true }).waitFor();
      assert.equal(await page.getByRole("button", { name: /again|Delete/ }).count(), 0);
      await visit.expectNoSidewaysScroll();
      await page.keyboard.press("Escape");
      await eventually("the dialog to close", async () => (await page.getByRole("dialog").count()) === 0);
    });
  });

  test("thousands are done in calls of a thousand, with their progress, and what fails is said", async () => {
    const letters: Letter[] = Array.from({ length: 2_500 }, (_, n) => ({
      id: n + 1, status: 400, reason: n % 2 === 0 ? "error 400: no" : "error 400: never", records: 1, bytes: 10,
      received_at: "2026-01-01T00:00:00Z", refused_at: "2026-01-01T00:00:00Z", batch_id: "b", push_id: "p",
    }));
    const answer = (result: unknown) => ({ json: { success: true, errors: [], messages: [], result } });
    await browser.visit(worker.url, {}, async (visit) => {
      const { page } = visit;
      const asked: number[] = [];
      await page.route("**/stats?*", async (route) => {
        const job = { id: 7, name: "many", scope: "zones/z", dataset: DATASET, deleted: false, dead: { letters: 2_500, records: 2_500, bytes: 25_000 }, last_error: null };
        await route.fulfill({ json: { at: "2026-01-02T00:00:00Z", jobs: [job] } });
      });
      await page.route("**/zones/z/logpush/jobs/7/dead-letters?*", async (route) => {
        const after = Number(new URL(route.request().url()).searchParams.get("after"));
        await route.fulfill(answer(letters.slice(after, after + 1_000)));
      });
      let fails = true;
      await page.route("**/zones/z/logpush/jobs/7/dead-letters", async (route) => {
        const { ids, until } = route.request().postDataJSON() as { ids?: number[]; until?: string };
        if (until !== undefined) return await route.fulfill(answer({ dead_letters: 0, records: 0, unavailable: 0, left: 0 }));
        if (asked.length === 1 && fails) {
          fails = false;
          return await route.fulfill({ status: 503, json: { success: false, errors: [{ code: 1100, message: "storage is unavailable; try again" }], messages: [], result: null } });
        }
        asked.push(ids?.length ?? 0);
        await route.fulfill(answer({ dead_letters: ids?.length, records: ids?.length, unavailable: 0, left: 0 }));
      });
      visit.expectFailure(/dead-letters$/, 503);
      await visit.open("#/dead-letters");
      await page.getByRole("heading", { name: "2,500 dead letters" }).waitFor();
      await page.getByRole("button", { name: "Show 100 more of 2,500" }).click();
      await page.getByLabel("Find").fill("error");
      await page.getByRole("button", { name: "Delete these 2,500 …" }).click();
      const dialog = page.getByRole("dialog", { name: "Delete 2,500 dead letters?" });
      await dialog.getByRole("button", { name: "Delete for good" }).click();
      await dialog.getByText("storage is unavailable; try again").waitFor();
      await dialog.getByText("1,000 of 2,500").waitFor();
      await dialog.getByRole("button", { name: "Delete for good" }).click();
      await page.getByText("2,500 dead letters with 2,500 records deleted").waitFor();
      assert.deepEqual(asked, [1_000, 1_000, 1_000, 500]);
    });
  });
});
