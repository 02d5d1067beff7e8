// What goes out, and that /stats accounts for every record of it: destinations that are well, and destinations that are not.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { generateBatch, type Batch } from "../support/generate.ts";
import { ndjson, sumTallies, tallyOf } from "../support/lines.ts";
import { WorkerProcess } from "../support/process.ts";
import { PLAIN_PATH, Siem, SPLUNK_PATH, type Failure } from "../support/siem.ts";
import { Client, eventually, freshScope, SECRETS, TestWorker } from "../support/worker.ts";

const ERRORS = { where: { key: "EdgeResponseStatus", operator: "geq", value: "400" } };

let seed = 0;
/** A batch that no other test has. */
function httpBatch(records: number, fields?: readonly string[]): Batch {
  return generateBatch({ dataset: "http_requests", records, seed: (seed += 1), ...(fields ? { fields } : {}) });
}

function linesOf(batches: readonly Batch[], isWanted: (record: any) => boolean = () => true): string[] {
  const lines = batches.flatMap((batch) => batch.ndjson.toString().trimEnd().split("\n"));
  return lines.filter((line) => isWanted(JSON.parse(line)));
}

async function push(worker: Client, scope: string, batch: Batch): Promise<void> {
  const answer = await worker.push(`${scope}/http_requests`, batch.gzip);
  assert.deepEqual([answer.status, answer.json?.result], [200, "accepted"], answer.text);
}

describe("/stats", () => {
  let worker: TestWorker;
  before(async () => {
    worker = await TestWorker.start({ ALLOW_PRIVATE_DESTINATIONS: "true" });
  });
  after(() => worker.close());

  test("wants a token that may read, and /healthz wants none", async () => {
    for (const token of [undefined, "", "wrong", SECRETS.INGEST_SECRET]) {
      const { status, json } = await worker.get("/stats", token);
      assert.deepEqual([status, json.error.code, json.datasets], [401, "unauthorized", undefined]);
    }
    for (const token of [SECRETS.READ_TOKEN, SECRETS.API_TOKEN]) assert.equal((await worker.get("/stats", token)).status, 200);
    const health = await worker.get("/healthz");
    assert.deepEqual([health.status, health.json.ok, health.json.batches_in_flight], [200, true, 0]);
    assert.deepEqual((await worker.get("/nothing")).status, 404);
  });

  test("refuses what it does not understand, with what to do", async () => {
    for (const [query, text] of [
      ["zone=x", /unknown parameter `zone`: use `scope`, `dataset`, `since`, `until`, `format`/],
      ["since=yesterday", /`since` must be a time: RFC 3339 or unix seconds/],
      ["until=2026-07-01", /`until` must be a time/],
      ["format=xml", /`format` must be `json` or `text`/],
    ] as const) {
      const { status, json } = await worker.get(`/stats?${query}`, SECRETS.READ_TOKEN);
      assert.deepEqual([status, json.error.code], [400, "bad_request"]);
      assert.match(json.error.message, text);
    }
    const post = await worker.call("POST", "/stats", "", SECRETS.READ_TOKEN);
    assert.deepEqual([post.status, post.headers.get("Allow")], [405, "GET"]);
  });

  test("tells scopes, datasets and days apart, adds their sums up, and shows what was asked for", async () => {
    const [zone, account] = [freshScope("zones"), freshScope("accounts")];
    const sent: [string, string, string][] = [
      [zone, "dns_logs", "2026-07-01"], [zone, "dns_logs", "2026-07-02"], [zone, "http_requests", "2026-07-01"], [account, "dns_logs", "2026-07-01"],
    ];
    const siem = await Siem.start({ intakeKeys: ["key"] });
    const job = await worker.createJob(zone, { dataset: "dns_logs", destination_conf: siem.plain("key"), filter: { where: { key: "QueryName", operator: "eq", value: "none" } } });
    await siem.close();
    for (const [n, [scope, dataset, day]] of sent.entries()) {
      const records = Array.from({ length: n + 1 }, (_, at) => ({ Timestamp: `${day}T00:00:0${at}Z`, EdgeStartTimestamp: `${day}T00:00:0${at}Z` }));
      assert.equal((await worker.push(`${scope}/${dataset}`, gzipSync(ndjson(records)))).status, 200);
    }
    const figures = async (query: string) =>
      (await worker.stats(query)).datasets.map((one: any) => [one.scope, one.dataset, one.batches, one.records]);
    assert.deepEqual(await figures(`scope=${zone}`), [[zone, "dns_logs", 2, 3], [zone, "http_requests", 1, 3]]);
    assert.deepEqual(await figures(`scope=${zone}&dataset=dns_logs`), [[zone, "dns_logs", 2, 3]]);
    assert.deepEqual(await figures(`scope=${encodeURIComponent(account)}`), [[account, "dns_logs", 1, 4]]);
    assert.deepEqual(await figures("dataset=dns_logs"), [[account, "dns_logs", 1, 4], [zone, "dns_logs", 2, 3]]);
    assert.deepEqual(await figures("scope=zones/other"), []);
    const jobs = async (query: string) => (await worker.stats(query)).jobs.map((one: any) => one.id);
    assert.deepEqual(await jobs(`scope=${zone}&dataset=dns_logs`), [job.id]);
    assert.deepEqual(await jobs("dataset=http_requests"), []);
    assert.deepEqual(await jobs(`scope=${account}`), []);

    // Counted by the minute of receipt, which is now, and not by the day of the records.
    const minutesFromNow = (minutes: number) => new Date(Date.now() + minutes * 60_000);
    const batches = async (query: string) => (await figures(`scope=${zone}&${query}`)).reduce((sum: number, one: any) => sum + one[2], 0);
    assert.equal(await batches(`since=${minutesFromNow(-2).toISOString()}`), 3);
    assert.equal(await batches(`since=${Math.floor(minutesFromNow(-2).getTime() / 1000)}&until=${minutesFromNow(1).toISOString()}`), 3);
    assert.equal(await batches(`until=${minutesFromNow(-2).toISOString()}`), 0);
    assert.equal(await batches(`since=${minutesFromNow(2).toISOString()}`), 0);
    assert.equal(await batches("since=2026-07-01T00:00:00Z&until=2026-07-03T00:00:00Z"), 0);
  });

  test("says what spilled to R2 as what is waiting, and what was delivered leaves nothing behind there", async () => {
    const siem = await Siem.start({ intakeKeys: ["a", "b"], keepLines: false });
    try {
      const scope = freshScope();
      siem.fail({ status: 503, times: 2 });
      const filter = { where: { key: "EdgeResponseStatus", operator: "geq", value: "100" } };
      const a = await worker.createJob(scope, { destination_conf: siem.plain("a"), filter });
      const b = await worker.createJob(scope, { destination_conf: siem.plain("b") });
      const batch = httpBatch(6_000); // 7 MB
      await push(worker, scope, batch);
      const { waiting } = await worker.jobStats(scope, a.id);
      assert.deepEqual([waiting.records, waiting.bytes], [6_000, batch.rawBytes]);
      assert.ok((await worker.keys("spool/")).length > 0);
      for (const job of [a, b]) assert.equal((await worker.settled(scope, job.id)).delivered.bytes, batch.rawBytes);
      for (const key of ["a", "b"]) assert.deepEqual(siem.intake(key).tally, batch.facts.all);
      // A job that takes everything gets the archived object; other pushes hold five megabytes at most.
      assert.ok(siem.intake("a").pushes >= 2);
      assert.equal(siem.intake("b").pushes, 1);
      assert.equal(siem.intake("b").wireBytes, batch.gzip.length);
      await eventually("the spool to be empty", async () => (await worker.keys("spool/")).length === 0);
      assert.equal((await worker.keys(scope)).length, 1);
    } finally {
      await siem.close();
    }
  });

  test("has a form for a terminal, with the same figures in a hundred columns", async () => {
    const siem = await Siem.start({ intakeKeys: ["key"] });
    try {
      const scope = freshScope();
      siem.fail({ status: 403, times: Infinity, body: `no such ${"key ".repeat(100)}` });
      const parked = await worker.createJob(scope, { name: "parked", destination_conf: siem.plain("key") });
      const idle = await worker.createJob(scope, { destination_conf: siem.plain("key"), dataset: "dns_logs" });
      await push(worker, scope, httpBatch(7));
      await eventually("the queue to be parked", async () => (await worker.jobStats(scope, parked.id)).state === "parked");
      assert.equal((await worker.jobStats(scope, idle.id)).state, "idle");
      const answer = await fetch(`${worker.url}/stats?scope=${scope}&format=text`, { headers: { Authorization: `Bearer ${SECRETS.READ_TOKEN}` } });
      assert.deepEqual([answer.status, answer.headers.get("content-type")?.split(";")[0]], [200, "text/plain"]);
      const text = await answer.text();
      for (const line of text.split("\n")) assert.ok(line.length <= 100, line);
      assert.match(text, /^received 1 batches, \d+ bytes = archived 1, \d+$/m);
      assert.match(text, /^selected 7 records = delivered 0 \+ waiting 0 \+ parked 7 \+ dead 0 \+ discarded 0$/m);
      assert.match(text, new RegExp(`^${scope} +http_requests .* 7 +0 +\\d+s ago$`, "m"));
      const lines = text.split("\n");
      const at = (id: number, state: string) => lines.findIndex((line) => new RegExp(`^ +${id} ${state} `).test(line));
      assert.ok(at(parked.id, "parked") > 0 && at(parked.id, "parked") < at(idle.id, "idle"), text);
      assert.match(lines[at(parked.id, "parked") + 1] ?? "", /^ +\d+s ago: error 403: error pushing: .*~$/);
    } finally {
      await siem.close();
    }
  });
});

/** Over the network, as it is: the harness would answer for a destination that does not. */
describe("a delivery", { concurrency: true }, () => {
  const dir = mkdtempSync(join(tmpdir(), "logpush-edge-stats-"));
  let running: WorkerProcess;
  let worker: Client;
  before(async () => {
    // A parked queue is probed soon, and nobody has to mend the job.
    const vars = { ...SECRETS, ALLOW_PRIVATE_DESTINATIONS: "true", PROBE_MAX_SECONDS: "1" };
    running = await WorkerProcess.start({ persistDir: dir, vars });
    worker = new Client(running.url);
  });
  after(async () => {
    await running.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  async function withSiem(work: (siem: Siem, scope: string) => Promise<void>): Promise<void> {
    const siem = await Siem.start({ intakeKeys: ["key"], splunkTokens: ["token"] });
    try {
      await work(siem, freshScope());
    } finally {
      await siem.close();
    }
  }

  async function reconciled(scope: string): Promise<any> {
    const { datasets, jobs, reconciliation } = await worker.stats(`scope=${scope}`);
    const { received_equals_archived: archive, selected_equals_accounted: records, holds } = reconciliation;
    assert.deepEqual([archive.holds, records.holds, holds], [true, true, true], JSON.stringify(reconciliation));
    const sum = (of: (one: any) => number, all: any[]) => all.reduce((total, one) => total + of(one), 0);
    assert.deepEqual([archive.received_batches, archive.archived_batches], [sum((one) => one.batches, datasets), sum((one) => one.archived.batches, datasets)]);
    assert.deepEqual([archive.received_bytes, archive.archived_bytes], [sum((one) => one.bytes_compressed, datasets), sum((one) => one.archived.bytes, datasets)]);
    assert.equal(records.selected_records, sum((one) => one.selected.records, jobs));
    assert.equal(records.delivered_records, sum((one) => one.delivered.records, jobs));
    return reconciliation;
  }

  test("to Splunk and to an HTTPS intake brings exactly what each job selected, in order, as gzip, each push with its id", async () => {
    await withSiem(async (siem, scope) => {
      const splunk = await worker.createJob(scope, { destination_conf: siem.splunk("token"), filter: ERRORS });
      const plain = await worker.createJob(scope, { destination_conf: siem.plain("key") });
      const none = await worker.createJob(scope, { destination_conf: siem.plain("key"), filter: { where: { key: "EdgeResponseStatus", operator: "eq", value: 999 } } });
      const batches = [httpBatch(800), httpBatch(1), httpBatch(800)];
      for (const batch of batches) await push(worker, scope, batch);
      const expected = { token: linesOf(batches, (record) => record.EdgeResponseStatus >= 400), key: linesOf(batches) };
      assert.deepEqual(tallyOf(expected.token), sumTallies(batches.map((batch) => batch.facts.errors)));
      for (const [credential, job] of [["token", splunk], ["key", plain]] as const) {
        const counted = await worker.settled(scope, job.id);
        const { records, bytes } = tallyOf(expected[credential]);
        assert.deepEqual([counted.selected.records, counted.selected.bytes], [records, bytes]);
        const intake = siem.intake(credential);
        assert.deepEqual(counted.delivered, { records, bytes, pushes: intake.pushes });
        assert.deepEqual([counted.error_message, counted.last_error, counted.waiting.attempts], [null, null, 0]);
        assert.ok(Math.abs(Date.parse(counted.last_success) - Date.now()) < 60_000);
        assert.deepEqual(intake.lines, expected[credential]);
        assert.ok(intake.wireBytes < intake.bytes / 2, "compressed");
        assert.equal(intake.pushIds.size, intake.pushes);
        assert.ok([...intake.pushIds.keys()].every((id) => /^[0-9a-f]{32}$/.test(id)));
      }
      const nothing = await worker.jobStats(scope, none.id);
      assert.deepEqual([nothing.selected, nothing.delivered.pushes], [{ batches: 0, records: 0, bytes: 0 }, 0]);
      assert.equal(siem.refusals.length, 0);
      await reconciled(scope);
    });
  });

  test("of a batch larger than max_upload_records is cut into pushes no larger than that", async () => {
    await withSiem(async (siem, scope) => {
      const { id } = await worker.createJob(scope, { destination_conf: siem.splunk("token"), max_upload_records: 1_000 });
      const batch = httpBatch(2_500);
      await push(worker, scope, batch);
      const { delivered } = await worker.settled(scope, id);
      const { pushes, pushRecords, lines } = siem.intake("token");
      assert.deepEqual([delivered.records, delivered.pushes], [2_500, pushes]);
      // How many it are depends on how much memory there was for each.
      assert.ok(pushes >= 3 && pushRecords.every((records) => records <= 1_000), String(pushRecords));
      assert.deepEqual(lines, linesOf([batch]));
      await reconciled(scope);
    });
  });

  test("waits for max_upload_interval_seconds, or until max_upload_records are there, and carries no more than those", async () => {
    await withSiem(async (siem, scope) => {
      const limits = { max_upload_records: 1_000, max_upload_interval_seconds: 300 };
      const { id } = await worker.createJob(scope, { destination_conf: siem.plain("key"), ...limits });
      // Small enough to stay in one piece, however many batches share the memory.
      const fields = ["EdgeStartTimestamp", "RayID", "EdgeResponseStatus"];
      const batches = [400, 400, 400, 600].map((records) => httpBatch(records, fields));
      for (const batch of batches.slice(0, 2)) await push(worker, scope, batch);
      const { waiting } = await worker.jobStats(scope, id);
      assert.equal(waiting.records, 800);
      assert.ok(Math.abs(Date.parse(waiting.oldest_received_at) - Date.now()) < 60_000);
      await push(worker, scope, batches[2] as Batch);
      await siem.waitFor(() => siem.intake("key").pushes > 0, 10_000, "the first push");
      // The third batch did not fit; it waits on its own now.
      assert.equal(siem.intake("key").records, 800);
      await eventually("the push to be counted", async () => (await worker.jobStats(scope, id)).waiting.records === 400);
      await reconciled(scope);
      await push(worker, scope, batches[3] as Batch);
      const { delivered } = await worker.settled(scope, id);
      assert.deepEqual([delivered.records, siem.intake("key").pushRecords], [1_800, [800, 1_000]]);
      assert.deepEqual(siem.intake("key").lines, linesOf(batches));
      await reconciled(scope);
    });
  });

  const faults: [string, Failure[], { repeats?: number; error: RegExp }][] = [
    ["answers 503", [{ status: 503 }], { error: /^error 503: error pushing: error uploading to (https|splunk): status:503$/ }],
    ["answers 429 with Retry-After", [{ status: 429, headers: { "Retry-After": "1" } }], { error: /status:429$/ }],
    ["answers 500 twice", [{ status: 500, times: 2, body: "out of disk" }], { error: /500 out of disk$/ }],
    ["answers 403", [{ status: 403 }], { error: /status:403$/ }],
    ["answers with a redirect", [{ status: 307, headers: { Location: "http://127.0.0.1:9/elsewhere" } }], { error: /307 a redirect, which is not followed: / }],
    ["resets the connection before it reads", [{ reset: "before" }], { error: /^error 1104: error pushing: error uploading to (https|splunk): Network connection lost\.$/ }],
    ["takes the push and loses the answer", [{ reset: "after" }], { repeats: 1, error: /^error 1104: error pushing: error uploading to (https|splunk): Network connection lost\.$/ }],
    ["answers late", [{ delayMillis: 1_500 }], { error: /^$/ }],
    ["fails in a different way each time", [{ reset: "before" }, { status: 502 }, { reset: "after" }], { repeats: 1, error: /./ }],
  ];
  for (const [what, failures, { repeats = 0, error }] of faults) {
    test(`to a destination that ${what} is made again until it is taken, and counts once`, async () => {
      await withSiem(async (siem, scope) => {
        for (const path of [PLAIN_PATH, SPLUNK_PATH]) for (const failure of failures) siem.fail({ ...failure, path });
        const splunk = await worker.createJob(scope, { destination_conf: siem.splunk("token"), filter: ERRORS });
        const plain = await worker.createJob(scope, { destination_conf: siem.plain("key") });
        const batches = [httpBatch(300), httpBatch(300), httpBatch(300)];
        for (const batch of batches) await push(worker, scope, batch);
        if (error.source !== "^$") {
          for (const { id } of [splunk, plain]) {
            const failing = await eventually("the failure to be told", async () => {
              const job = await worker.jobStats(scope, id);
              return job.error_message || job.waiting.records + job.parked.records === 0 ? job : undefined;
            });
            if (failing.error_message === null) continue; // delivered before it was seen, on a busy machine
            assert.match(failing.error_message, error);
            assert.ok(Math.abs(Date.parse(failing.last_error) - Date.now()) < 60_000);
            assert.deepEqual([failing.last_failure.at, failing.last_failure.status], [failing.last_error, Number(/^error (\d+)/.exec(failing.error_message)?.[1])]);
          }
        }
        for (const [job, credential, expected] of [
          [splunk, "token", linesOf(batches, (record) => record.EdgeResponseStatus >= 400)],
          [plain, "key", linesOf(batches)],
        ] as const) {
          const counted = await worker.settled(scope, job.id);
          const intake = siem.intake(credential);
          assert.deepEqual(intake.tallyOnce, tallyOf(expected));
          assert.deepEqual([intake.repeats, intake.pushes], [repeats, intake.pushIds.size + repeats]);
          assert.deepEqual([counted.selected.records, counted.delivered.records], [expected.length, expected.length]);
          assert.equal(counted.delivered.pushes, intake.pushIds.size);
          assert.deepEqual([counted.error_message, counted.last_error], [null, null]);
          if (repeats === 0) assert.deepEqual(intake.lines, expected, "in order");
        }
        await reconciled(scope);
      });
    });
  }

  test("to Splunk is made again when the collector says busy with status 200", async () => {
    await withSiem(async (siem, scope) => {
      siem.fail({ status: 200, body: '{"text":"Server is busy","code":9}' });
      const { id } = await worker.createJob(scope, { destination_conf: siem.splunk("token") });
      const batch = httpBatch(50);
      await push(worker, scope, batch);
      assert.equal((await worker.settled(scope, id)).delivered.records, 50);
      assert.deepEqual(siem.intake("token").tally, batch.facts.all);
    });
  });

  for (const [form, retryAfter] of [["in seconds", () => "3"], ["as a date", () => new Date(Date.now() + 4_000).toUTCString()]] as const) {
    test(`is not tried again before Retry-After has passed, given ${form}`, async () => {
      await withSiem(async (siem, scope) => {
        siem.fail({ status: 503, headers: { "Retry-After": retryAfter() } });
        const { id } = await worker.createJob(scope, { destination_conf: siem.plain("key") });
        await push(worker, scope, httpBatch(20));
        await siem.waitFor(() => siem.refusals.length === 1, 10_000, "the refusal");
        const refusedAt = performance.now();
        await siem.waitFor(() => siem.intake("key").pushes === 1, 10_000, "the second attempt");
        // Without it the second attempt comes within a second.
        assert.ok(performance.now() - refusedAt > 1_900, `${performance.now() - refusedAt} ms`);
        assert.equal((await worker.settled(scope, id)).delivered.records, 20);
      });
    });
  }

  test("that failed for a while brings everything that came meanwhile, in order, and lets other jobs pass", async () => {
    await withSiem(async (siem, scope) => {
      siem.fail({ status: 503, path: PLAIN_PATH, times: Infinity });
      const down = await worker.createJob(scope, { destination_conf: siem.plain("key"), filter: ERRORS });
      const up = await worker.createJob(scope, { destination_conf: siem.splunk("token"), filter: ERRORS });
      const batches = Array.from({ length: 6 }, () => httpBatch(200));
      for (const batch of batches) await push(worker, scope, batch);
      const expected = linesOf(batches, (record) => record.EdgeResponseStatus >= 400);
      assert.equal((await worker.settled(scope, up.id)).delivered.records, expected.length);
      const { waiting, delivered } = await worker.jobStats(scope, down.id);
      assert.deepEqual([waiting.records, delivered.records], [expected.length, 0]);
      assert.equal((await reconciled(scope)).selected_equals_accounted.waiting_records, expected.length);
      siem.mend();
      assert.equal((await worker.settled(scope, down.id)).delivered.records, expected.length);
      for (const credential of ["key", "token"]) assert.deepEqual(siem.intake(credential).lines, expected);
      await reconciled(scope);
    });
  });
});
