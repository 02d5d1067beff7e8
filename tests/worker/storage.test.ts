// Objects in storage: a real S3 server that checks signatures, R2 by a binding, and stand-ins for Azure and Google.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { batchOf, changeStoredJob, COPIED, DATASET, recordLines } from "../support/delivery.ts";
import { WorkerProcess } from "../support/process.ts";
import { S3Server } from "../support/s3.ts";
import { Azure, Google, linesOf, S3Way } from "../support/storage.ts";
import { Client, configWith, eventually, freshScope, SECRETS, TestWorker } from "../support/worker.ts";

const binary = process.env.S3_SERVER;
const skip = binary === undefined && "no S3 server: the npm scripts install it: npm run test:worker";

/** Of the records below: 1782900000 is 2026-07-01T10:00:00Z. */
const DAY = "20260701";
const NAME = /^20260701T100000Z_20260701T100002Z_[0-9a-f]{16}\.log\.gz$/;
const lines = recordLines(0, 3);
/** Some 18 MB of gzip, which no request carries whole: nothing in it can be compressed. */
const large = recordLines(0, 2).concat(Array.from({ length: 240 }, (_, n) =>
  `{"RayID":"l${n}","EdgeStartTimestamp":1782900001,"EdgeResponseStatus":500,"UserAgent":"${randomBytes(72_000).toString("base64")}"}`));

/** Each batch is compressed once. */
const gzips = new Map<readonly string[], Buffer>();
function gzipOf(batch: readonly string[]): Buffer {
  const gzip = gzips.get(batch) ?? batchOf(batch);
  gzips.set(batch, gzip);
  return gzip;
}

describe("storage", { skip }, () => {
  let s3: S3Server;
  let way: S3Way;
  let azure: Azure;
  let google: Google;
  let worker: TestWorker;
  const folder = mkdtempSync(join(tmpdir(), "logpush-edge-storage-"));

  before(async () => {
    s3 = await S3Server.start(binary as string, ["logs", "parts", "gone"]);
    way = await new S3Way(s3.host).listen();
    azure = await new Azure().listen();
    google = await new Google().listen();
    // The shipped configuration, and a second bucket.
    const configPath = configWith(folder, '[[r2_buckets]]\nbinding = "LOGS"\nbucket_name = "somebodys-logs"\n');
    worker = await TestWorker.start({
      ALLOW_PRIVATE_DESTINATIONS: "true", PROBE_MAX_SECONDS: "1", RETRY_MAX_SECONDS: "1", PUSH_DEADLINE_SECONDS: "5",
      S3_SECRET: s3.secretAccessKey, GCS_KEY: google.keyFile(), GCS_STRANGER: google.keyFile(false),
    }, configPath);
  });
  after(async () => {
    await worker.close();
    await Promise.all([s3, way, azure, google].map(async (server) => await server.close()));
    rmSync(folder, { recursive: true, force: true });
  });
  beforeEach(() => {
    for (const server of [way, azure, google]) {
      server.mend();
      server.steps = [];
    }
  });

  const keys = (secret = "${secret:S3_SECRET}") => `endpoint=${way.host}&access-key-id=${s3.accessKeyId}&secret-access-key=${secret}`;
  const s3Conf = (path: string, secret?: string) => `s3://${path}?region=us-east-1&${keys(secret)}`;

  /** A job of its own zone, and a batch for it. */
  async function deliver(destination_conf: string, batch: readonly string[] = lines, job: Record<string, unknown> = { filter: COPIED }) {
    const scope = freshScope();
    const { id } = await worker.createJob(scope, { name: "objects", dataset: DATASET, destination_conf, ...job });
    for (const server of [way, azure, google]) server.steps = [];
    const push = async () => {
      const answer = await worker.push(`${scope}/${DATASET}`, gzipOf(batch));
      assert.equal(answer.json.result, "accepted", answer.text);
    };
    const stats = async () => await worker.jobStats(scope, id);
    const until = async (what: string, holds: (job: any) => boolean) =>
      await eventually(what, async () => {
        const job = await stats();
        return holds(job) ? job : undefined;
      });
    const delivered = async () => await until("the records to be delivered", (job) => job.delivered.records === batch.length);
    return { scope, id, push, stats, until, delivered };
  }

  /** What lies under a prefix but for the test message. */
  const objects = (bucket: string, prefix: string) =>
    s3.keys(bucket).filter((key) => key.startsWith(`${prefix}/`) && !key.endsWith("/test.txt.gz"));

  test("gets a push as one object, called by its times and its push, after a test message", async () => {
    const job = await deliver(s3Conf("logs/put/{DATE}"));
    const today = new Date().toISOString().slice(0, 10).replaceAll("-", "");
    assert.deepEqual(linesOf(s3.object("logs", `put/${today}/test.txt.gz`)), ['{"content":"tests"}']);
    await job.push();
    await job.delivered();
    const [key, ...others] = objects("logs", "put");
    assert.deepEqual(others, []);
    assert.equal(key?.slice(0, -key.split("/").at(-1)!.length), `put/${DAY}/`);
    assert.match(key!.split("/").at(-1)!, NAME);
    assert.deepEqual(linesOf(s3.object("logs", key!)), lines);
    assert.equal(way.described["content-encoding"], "gzip");
    assert.equal(way.described["content-type"], "application/x-ndjson");
    assert.equal(way.withoutLength, 0);
  });

  test("takes every character in a path", async () => {
    const path = "s/a b+c=ä'(1)&~@,;:$!*";
    const job = await deliver(s3Conf(`logs/${encodeURIComponent(path).replaceAll("%2F", "/")}/{DATE}`));
    await job.push();
    await job.delivered();
    assert.equal(objects("logs", path).length, 1, s3.keys("logs").join(" "));
  });

  test("gets a large object in parts, whether it is in memory or streams through", async () => {
    const archived = await deliver(s3Conf("parts/archived"), large, {});
    await archived.push();
    await archived.delivered();
    assert.deepEqual(way.steps, ["begin", "part", "part", "part", "complete"]);
    const [key] = objects("parts", "archived");
    const [batch] = await worker.keys(`${archived.scope}/${DATASET}/`);
    assert.ok((await worker.object(batch!)).bytes.equals(s3.object("parts", key!)));
    const copied = await deliver(s3Conf("parts/copied"), large, { filter: COPIED, max_upload_bytes: 25_000_000 });
    await copied.push();
    await copied.delivered();
    assert.deepEqual(way.steps, ["begin", "part", "part", "part", "complete"]);
    const copies = objects("parts", "copied");
    assert.equal(copies.length, 1);
    assert.deepEqual(linesOf(s3.object("parts", copies[0]!)), large);
    assert.equal(way.withoutLength, 0);
    assert.deepEqual(s3.parts(), []);
  });

  test("that fails in the middle of the parts is rid of them, and gets one object all the same", async () => {
    const job = await deliver(s3Conf("parts/failed"), large, {});
    way.fail({ step: "part", times: 1, status: 500, code: "InternalError" });
    way.fail({ step: "complete", times: 1, status: 200, code: "InternalError" });
    way.fail({ step: "complete", times: 1, lose: true });
    await job.push();
    await job.delivered();
    const parts = ["part", "part", "part"];
    assert.deepEqual(way.steps, [
      "begin", "part", "abort",
      "begin", ...parts, "complete", "abort",
      // The object is there, but nobody knows.
      "begin", ...parts, "complete", "abort",
      "begin", ...parts, "complete",
    ]);
    assert.equal(objects("parts", "failed").length, 1);
    assert.deepEqual(s3.parts(), []);
  });

  test("that does not answer within the deadline is told to give the upload up", async () => {
    const job = await deliver(s3Conf("parts/hanging"), large, {});
    way.fail({ step: "part", times: 1, hang: true });
    await job.push();
    const { error_message } = await job.until("the deadline to pass", (job) => job.error_message !== null);
    assert.match(error_message, /^error 1106: error pushing: no answer within 5 s$/);
    await job.delivered();
    assert.deepEqual(way.steps.slice(0, 4), ["begin", "part", "abort", "begin"]);
    assert.equal(objects("parts", "hanging").length, 1);
  });

  test("whose answer is lost gets the same object again and no second one", async () => {
    const job = await deliver(s3Conf("logs/lost"));
    way.fail({ step: "put", times: 2, lose: true });
    await job.push();
    await job.delivered();
    assert.deepEqual(way.steps, ["put", "put", "put"]);
    assert.equal(objects("logs", "lost").length, 1);
    assert.equal((await job.stats()).dead.records, 0);
  });

  test("is asked to mend what it refuses: nothing is dropped, and no key is shown", async () => {
    await assert.rejects(deliver(s3Conf("logs/x", "wrong-secret")), (error: Error) => {
      assert.match(error.message, /error validating destination: error 403: error pushing: error uploading to s3: 403 SignatureDoesNotMatch: look at/);
      assert.doesNotMatch(error.message, /wrong-secret|AKIDEXAMPLE|X-Amz/);
      return true;
    });
    // The server of these tests makes a bucket that it lacks.
    way.fail({ step: "put", times: 1, status: 404, code: "NoSuchBucket" });
    await assert.rejects(deliver(s3Conf("nowhere/x")), /404 NoSuchBucket: there is no such bucket/);
    const job = await deliver(s3Conf("logs/mended"));
    await changeStoredJob(worker, job.id, { destination_conf: s3Conf("logs/mended", "wrong-secret") });
    await job.push();
    const parked = await job.until("the queue to be parked", (job) => job.parked.records === 3);
    assert.match(parked.error_message, /SignatureDoesNotMatch/);
    assert.doesNotMatch(parked.error_message, /wrong-secret|AKIDEXAMPLE|X-Amz/);
    await worker.changeJob(job.scope, job.id, { destination_conf: s3Conf("logs/mended") });
    await job.delivered();
    assert.equal(objects("logs", "mended").length, 1);
  });

  test("that is busy is asked later, and one whose clock is wrong is parked", async () => {
    const job = await deliver(s3Conf("logs/busy"));
    way.fail({ step: "put", times: 1, status: 503, code: "SlowDown" });
    // The server looks at the clock before it looks at the signature.
    way.fail({ step: "put", aheadMillis: 16 * 60_000 });
    await job.push();
    const parked = await job.until("the queue to be parked", (job) => job.parked.records === 3);
    assert.equal(
      parked.error_message,
      "error 403: error pushing: error uploading to s3: 403 RequestTimeTooSkewed: the storage's clock and ours are more than " +
        "15 minutes apart; correct that of the storage",
    );
    way.mend();
    await job.delivered();
  });

  test("of R2 is reached by its S3 API", async () => {
    const job = await deliver(`r2://logs/r2/{DATE}?${keys()}`);
    await job.push();
    await job.delivered();
    assert.deepEqual(objects("logs", "r2").map((key) => linesOf(s3.object("logs", key))), [lines]);
  });

  test("of R2 is reached by a binding, without a key", async () => {
    const job = await deliver("r2://somebodys-logs/bound/{DATE}?binding=LOGS");
    await job.push();
    await job.delivered();
    const [key, test] = await worker.keys("bound/", "LOGS");
    assert.match(test!, /\/test\.txt\.gz$/);
    assert.match(key!, new RegExp(`^bound/${DAY}/${NAME.source.slice(1)}`));
    const stored = await worker.object(key!, "LOGS");
    assert.deepEqual(linesOf(stored.bytes), lines);
    assert.deepEqual([stored.contentType, stored.contentEncoding], ["application/x-ndjson", "gzip"]);
    const whole = await deliver("r2://somebodys-logs/whole?binding=LOGS", large, {});
    await whole.push();
    await whole.delivered();
    const [batch] = await worker.keys(`${whole.scope}/${DATASET}/`);
    const [copy] = await worker.keys("whole/2", "LOGS");
    assert.ok((await worker.object(batch!)).bytes.equals((await worker.object(copy!, "LOGS")).bytes));
    await assert.rejects(deliver("r2://logs/x?binding=NOT_BOUND"), /binding: this Worker has no R2 bucket that is bound as NOT_BOUND/);
    const { json } = await worker.api("POST", `${freshScope()}/logpush/ownership`, { destination_conf: "r2://somebodys-logs/own?binding=LOGS" });
    assert.deepEqual(json.result, { filename: "own/ownership-challenge.txt", message: "", valid: true });
    assert.equal((await worker.object("own/ownership-challenge.txt", "LOGS")).contentEncoding, undefined);
  });

  test("of Google is reached by an HMAC key", async () => {
    const job = await deliver(`gs://logs/hmac?${keys()}`);
    await job.push();
    await job.delivered();
    assert.equal(objects("logs", "hmac").length, 1);
  });

  test("of Google is reached by a service account, whose token is kept", async () => {
    const conf = (secret: string) => `gs://my_logs/sa/{DATE}?endpoint=${google.host}&credentials=\${secret:${secret}}`;
    const job = await deliver(conf("GCS_KEY"), large, {});
    await job.push();
    await job.delivered();
    assert.deepEqual(google.steps, ["begin", "part", "part", "part", "complete"]);
    const [key] = [...google.objects.keys()].filter((key) => !key.endsWith("test.txt.gz"));
    const stored = google.objects.get(key!)!;
    assert.deepEqual([stored.contentType, stored.contentEncoding], ["application/x-ndjson", "gzip"]);
    assert.deepEqual(linesOf(stored.bytes), large);
    // Two objects, and at most two isolates: the Worker's and the outbox's.
    const tokens = google.tokens;
    assert.ok(tokens <= 2, `${tokens}`);
    const second = await deliver(conf("GCS_KEY"));
    await second.push();
    await second.delivered();
    assert.equal(google.tokens, tokens);
    // One that is revoked is replaced at once.
    const third = await deliver(conf("GCS_KEY"));
    google.revoke();
    await third.push();
    await third.delivered();
    assert.deepEqual([google.tokens, (await third.stats()).error_message], [tokens + 1, null]);
    await assert.rejects(deliver(conf("GCS_STRANGER")), (error: Error) => {
      assert.match(error.message, /error uploading to gs: no token: 400 invalid_grant: look at the service account's key/);
      assert.doesNotMatch(error.message, /iam\.gserviceaccount/);
      return true;
    });
    await assert.rejects(deliver(`gs://my_logs/x?endpoint=${google.host}&credentials=\${secret:S3_SECRET}`), /credentials: must be the JSON key file/);
  });

  test("of Azure is reached by a SAS", async () => {
    const job = await deliver(azure.conf("logs/a%20b/{DATE}"));
    await job.push();
    await job.delivered();
    assert.deepEqual(azure.steps, ["put"]);
    const [name] = [...azure.blobs.keys()].filter((name) => !name.endsWith("test.txt.gz"));
    assert.match(name!, new RegExp(`^a b/${DAY}/${NAME.source.slice(1)}`));
    const blob = azure.blobs.get(name!)!;
    assert.deepEqual(linesOf(blob.bytes), lines);
    assert.deepEqual([blob.contentType, blob.contentEncoding], ["application/x-ndjson", "gzip"]);
    azure.blobs.clear();
    const big = await deliver(azure.conf("logs/big"), large, {});
    azure.fail({ step: "complete", times: 1, lose: true });
    await big.push();
    await big.delivered();
    assert.deepEqual(azure.steps, ["part", "part", "part", "complete", "part", "part", "part", "complete"]);
    const blobs = [...azure.blobs].filter(([name]) => !name.endsWith("test.txt.gz"));
    assert.deepEqual(blobs.map(([, { bytes }]) => linesOf(bytes)), [large]);
  });

  test("of Azure that refuses a SAS is parked until there is a good one, and shows none", async () => {
    for (const [conf, code] of [
      [azure.conf("logs/x", { sig: "d3Jvbmc=" }), /403 AuthenticationFailed: the SAS is wrong, expired/],
      [azure.conf("logs/x", { se: "2020-01-01T00:00:00Z" }), /403 AuthenticationFailed: the SAS is wrong, expired/],
      [azure.conf("nowhere/x"), /404 ContainerNotFound: there is no such container/],
    ] as const) {
      await assert.rejects(deliver(conf), (error: Error) => {
        assert.match(error.message, code);
        assert.doesNotMatch(error.message, /d3Jvbmc|c2lnbmF0/);
        return true;
      });
    }
    const job = await deliver(azure.conf("logs/parked"));
    azure.fail({ step: "put", times: 1, status: 503, code: "ServerBusy" });
    azure.fail({ step: "put", status: 403, code: "AuthenticationFailed" });
    await job.push();
    await job.until("the queue to be parked", (job) => job.parked.records === 3);
    azure.mend();
    await job.delivered();
  });

  test("gets one object when the Worker dies in the middle of its parts", async () => {
    const persistDir = join(folder, "state");
    const start = async () =>
      await WorkerProcess.start({ persistDir, vars: { ...SECRETS, ALLOW_PRIVATE_DESTINATIONS: "true", RETRY_MAX_SECONDS: "1", PUSH_DEADLINE_SECONDS: "5" } });
    let process = await start();
    try {
      let client = new Client(process.url);
      const { id } = await client.createJob("zones/dies", { name: "objects", dataset: DATASET, destination_conf: s3Conf("parts/died", s3.secretAccessKey.replace("+", "%2B")) });
      way.steps = [];
      way.fail({ step: "part", times: 1 });
      way.fail({ step: "part", hang: true });
      const answer = await client.push(`zones/dies/${DATASET}`, gzipOf(large));
      assert.equal(answer.json.result, "accepted", answer.text);
      await eventually("the second part", () => way.steps.filter((step) => step === "part").length === 2);
      await process.kill9();
      way.mend();
      process = await start();
      client = new Client(process.url);
      // It would look by itself once the deadline of the attempt that died is well past.
      await client.changeJob("zones/dies", id, { name: "touched" });
      await eventually("the delivery", async () => (await client.jobStats("zones/dies", id)).delivered.records === large.length, 60_000);
      const [key, ...others] = objects("parts", "died");
      assert.deepEqual(others, []);
      assert.deepEqual(linesOf(s3.object("parts", key!)), large);
    } finally {
      await process.kill9();
    }
  });
});
