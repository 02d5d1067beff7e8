// What a destination refuses for good: found among thousands, kept with the reason, looked into, sent again, deleted.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, test, type TestContext } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";
import { eventually, freshScope, TestWorker } from "../support/worker.ts";

/** The catalogue lacks it, so its records may have any field. */
const DATASET = "numbered_events";
/** Records whose `n` is in here are refused. */
const bad = new Set<number>();
/** Push ids that came with other records than before. */
const reused: string[] = [];

/** An intake that takes pushes in which it likes every record, and remembers them in order. */
async function intake(context: TestContext) {
  const taken: number[] = [];
  const seen = new Map<unknown, string>();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => void chunks.push(chunk));
    request.on("end", () => {
      const text = gunzipSync(Buffer.concat(chunks)).toString();
      const lines = text.trimEnd().split("\n");
      // A receiver may drop what has an id that it knows, so the same id must mean the same records.
      const id = request.headers["x-logpush-push-id"];
      if (seen.has(id) && seen.get(id) !== text) reused.push(String(id));
      seen.set(id, text);
      const records = lines.map((line) => JSON.parse(line) as { n?: number; content?: string });
      const culprit = records.find((record) => record.n !== undefined && bad.has(record.n));
      if (culprit !== undefined) {
        response.writeHead(422).end(JSON.stringify({ error: `n ${culprit.n} is not wanted` }));
        return;
      }
      for (const { n } of records) if (n !== undefined) taken.push(n);
      response.writeHead(200).end("{}");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  context.after(() => void (server.closeAllConnections(), server.close()));
  return { taken, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/in` };
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);
const batch = (numbers: number[]) => gzipSync(numbers.map((n) => `{"Timestamp":"2026-01-01T00:00:00Z","n":${n}}\n`).join(""));

describe("dead letters", () => {
  let worker: TestWorker;
  before(async () => void (worker = await TestWorker.start({ ALLOW_PRIVATE_DESTINATIONS: "true", RETRY_MAX_SECONDS: "1" })));
  after(async () => {
    await worker.close();
    assert.deepEqual(reused, [], "push ids that came with other records than before");
  });

  async function setUp(context: TestContext, job: Record<string, unknown> = {}) {
    bad.clear();
    const { taken, url } = await intake(context);
    const scope = freshScope();
    const { id } = await worker.createJob(scope, { dataset: DATASET, destination_conf: url, ...job });
    const letters = `${scope}/logpush/jobs/${id}/dead-letters`;
    const settled = async () => {
      const stats = await worker.settled(scope, id);
      assert.equal((await worker.stats(`scope=${scope}`)).reconciliation.holds, true);
      return stats;
    };
    return { taken, scope, id, letters, settled, path: `${scope}/${DATASET}` };
  }

  /** A filter that takes all, so that records are copied; without it a batch is passed on as it came. */
  const COPIED = { filter: { where: { key: "n", operator: "geq", value: 0 } } };

  for (const [how, job] of [["copied", COPIED], ["passed on as it came", {}]] as const) {
    test(`the culprits among thousands of records are buried and all others delivered in order, when the batch is ${how}`, async (context) => {
      const { taken, path, letters, settled } = await setUp(context, job);
      for (const n of [0, 777, 778, 3_999]) bad.add(n);
      assert.equal((await worker.push(path, batch(range(0, 4_000)))).status, 200);
      const stats = await settled();
      assert.deepEqual(taken, range(0, 4_000).filter((n) => !bad.has(n)));
      assert.deepEqual([stats.delivered.records, stats.dead.records], [3_996, 4]);
      const { json } = await worker.api("GET", letters, undefined, "read-token");
      assert.deepEqual(json.result.map((letter: any) => [letter.status, letter.records]), Array(4).fill([422, 1]));
      assert.match(json.result[1].reason, /^error 422: error pushing: error uploading to https: 422 \{"error":"n 777 is not wanted"\}$/);
      const one = await worker.api("GET", `${letters}/${json.result[1].id}`);
      assert.equal(JSON.parse(one.json.result.content).n, 777);
      const object = await worker.object(json.result[1].object);
      assert.equal(JSON.parse(object.bytes.toString()).n, 777);
      assert.equal(object.metadata.status, "422");
    });
  }

  test("a batch of a single record that is passed on as it came is buried with its record", async (context) => {
    const { letters, path, settled } = await setUp(context);
    bad.add(7);
    await worker.push(path, batch([7]));
    assert.equal((await settled()).dead.records, 1);
    const { json } = await worker.api("GET", letters);
    const one = await worker.api("GET", `${letters}/${json.result[0].id}`);
    assert.equal(JSON.parse(one.json.result.content).n, 7);
  });

  test("dead letters are sent again as one, some or all, and only counted in a dry run", async (context) => {
    const { taken, letters, path, scope, id, settled } = await setUp(context, COPIED);
    for (const n of [1, 3, 5, 7]) bad.add(n);
    await worker.push(path, batch(range(0, 9)));
    assert.equal((await settled()).dead.records, 4);
    const ids = ((await worker.api("GET", letters)).json.result as { id: number }[]).map((letter) => letter.id);
    const page = await worker.api("GET", `${letters}?limit=1&after=${ids[0]}`);
    assert.deepEqual(page.json.result.map((letter: any) => letter.id), [ids[1]]);

    const dry = await worker.api("POST", `${letters}/redrive`, { all: true, dry_run: true });
    assert.deepEqual(dry.json.result, { dead_letters: 4, records: 4, unavailable: 0, left: 0, dry_run: true });
    assert.equal((await worker.jobStats(scope, id)).dead.records, 4);

    // Still refused: it dies again, under another number, and what lay in R2 is not left behind.
    await worker.api("POST", `${letters}/${ids[0]}/redrive`);
    await eventually("the letter to die again", async () => {
      const now = (await worker.api("GET", letters)).json.result as { id: number }[];
      return now.length === 4 && now.every((letter) => letter.id !== ids[0]);
    });
    await eventually("its first object to go", async () => (await worker.keys(`dead-letters/${scope}/`)).length === 4);

    bad.clear();
    const some = await worker.api("POST", `${letters}/redrive`, { ids: [ids[1], ids[2]] });
    assert.equal(some.json.result.dead_letters, 2);
    await settled();
    assert.deepEqual(taken, [0, 2, 4, 6, 8, 3, 5]);
    const rest = await worker.api("POST", `${letters}/redrive`, { since: "2020-01-01T00:00:00Z" });
    assert.equal(rest.json.result.dead_letters, 2);
    const stats = await settled();
    assert.deepEqual(taken.toSorted((a, b) => a - b), range(0, 9));
    assert.deepEqual([stats.delivered.records, stats.dead.records], [9, 0]);
    await eventually("all objects to go", async () => (await worker.keys(`dead-letters/${scope}/`)).length === 0);
  });

  test("deleted dead letters are counted as discarded, and a deleted job takes its own with it", async (context) => {
    const { letters, path, scope, id, settled } = await setUp(context, COPIED);
    for (const n of [1, 2, 3]) bad.add(n);
    await worker.push(path, batch(range(0, 5)));
    await settled();
    const [first] = (await worker.api("GET", letters)).json.result as { id: number }[];
    const answer = await worker.api("DELETE", `${letters}/${first?.id}`);
    assert.equal(answer.json.result.dead_letters, 1);
    let stats = await settled();
    assert.deepEqual([stats.dead.records, stats.discarded.records], [2, 1]);
    assert.equal((await worker.api("DELETE", `${letters}/${first?.id}`)).status, 404);
    await worker.deleteJob(scope, id);
    stats = await eventually("the rest to go", async () => {
      const job = await worker.jobStats(scope, id);
      return job.discarded.records === 3 ? job : undefined;
    });
    assert.equal(stats.dead.records, 0);
    assert.equal((await worker.stats(`scope=${scope}`)).reconciliation.holds, true);
    await eventually("the objects to go", async () => (await worker.keys(`dead-letters/${scope}/`)).length === 0);
  });

  test("a dead letter whose object somebody deleted can not be sent again, and says so", async (context) => {
    const { letters, path, scope, settled } = await setUp(context, COPIED);
    bad.add(1);
    await worker.push(path, batch([0, 1]));
    await settled();
    const [letter] = (await worker.api("GET", letters)).json.result as { id: number; object: string }[];
    await worker.remove(letter?.object as string);
    assert.equal((await worker.api("GET", `${letters}/${letter?.id}`)).json.result.content, null);
    bad.clear();
    await worker.api("POST", `${letters}/redrive`, { all: true });
    const dead = await eventually("it to be dead without an object", async () => {
      const [now] = (await worker.api("GET", letters)).json.result as { object: string | null; reason: string }[];
      return now?.object === null ? now : undefined;
    });
    assert.match(dead.reason, /is not in the bucket any more/);
    const again = await worker.api("POST", `${letters}/redrive`, { all: true });
    assert.deepEqual([again.json.result.dead_letters, again.json.result.unavailable], [1, 1]);
    assert.equal((await worker.stats(`scope=${scope}`)).reconciliation.holds, true);
  });

  test("a destination that refuses every record parks the queue before it is all dead letters, and goes on when the job is changed", async (context) => {
    const { taken, path, scope, id, settled } = await setUp(context, COPIED);
    for (const n of range(0, 60)) bad.add(n);
    await worker.push(path, batch(range(0, 60)));
    const parked = await eventually("the queue to park", async () => {
      const job = await worker.jobStats(scope, id);
      return job.parked.records > 0 ? job : undefined;
    });
    assert.deepEqual([parked.parked.records, parked.dead.records, parked.waiting.records], [40, 20, 0]);
    assert.equal((await worker.stats(`scope=${scope}`)).reconciliation.holds, true);
    bad.clear();
    await worker.changeJob(scope, id, { name: "mended" });
    assert.equal((await settled()).delivered.records, 40);
    assert.deepEqual(taken, range(20, 60));
  });
});
