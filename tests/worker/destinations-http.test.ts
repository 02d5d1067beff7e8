// From a pushed batch to the log of each destination that is spoken to by a POST, whose stand-in is as strict as the real one.

import assert from "node:assert/strict";
import { after, before, describe, test, type TestContext } from "node:test";
import { COPIED, DATASET, Delivery, placesOf, recordLines } from "../support/delivery.ts";
import { Siem } from "../support/siem.ts";
import { Bulk, Datadog, Endpoint, SentinelOne, Sumo, type StandIn } from "../support/standin.ts";
import { freshScope, SECRETS, TestWorker } from "../support/worker.ts";

let worker: TestWorker;
let siem: Siem;
before(async () => {
  worker = await TestWorker.start({ ALLOW_PRIVATE_DESTINATIONS: "true", RETRY_MAX_SECONDS: "1" });
  siem = await Siem.start();
});
after(async () => {
  await worker?.close();
  await siem?.close();
});

async function start<S extends StandIn>(context: TestContext, standIn: S): Promise<S> {
  await standIn.listen();
  context.after(async () => await standIn.close());
  return standIn;
}

/** A job that pushes to `destination_conf`. */
async function job(destination_conf: string, more: Record<string, unknown> = {}): Promise<Delivery> {
  const scope = freshScope();
  const { id } = await worker.createJob(scope, { name: "job", dataset: DATASET, destination_conf, ...more });
  return new Delivery(worker, siem, scope, id);
}

const all = (records: number) => ({ waiting: 0, parked: 0, dead: 0, delivered: records });

describe("datadog", { concurrency: 4 }, () => {
  for (const [path, status] of [["api/v2/logs", 202], ["v1/input", 200]] as const) {
    test(`/${path} gets arrays of at most 1,000 logs, compressed, with the tags of the string`, async (context) => {
      const datadog = await start(context, new Datadog("k3y-of-datadog"));
      const delivery = await job(`datadog://${datadog.host}/${path}?header_DD-API-KEY=k3y-of-datadog&ddsource=cloudflare&service=edge&host=h&ddtags=env:prod,team:a`);
      assert.equal(datadog.tests, 1, "the destination was tested when the job was made");
      const lines = recordLines(0, 2_500);
      await delivery.push(lines);
      assert.deepEqual(placesOf(await delivery.untilDone()), all(2_500));
      assert.deepEqual(datadog.logs, lines.map((line) => JSON.parse(line)));
      assert.deepEqual(datadog.seen.map((seen) => seen.status), [status, status, status], "three pushes, none of them refused");
      const [{ query, headers }] = datadog.seen as [any];
      assert.deepEqual([...query], [["ddsource", "cloudflare"], ["service", "edge"], ["host", "h"], ["ddtags", "env:prod,team:a"]]);
      assert.equal(headers["content-encoding"], "gzip");
    });
  }

  test("a log that it would cut is a dead letter, and all others arrive", async (context) => {
    const datadog = await start(context, new Datadog("k3y-of-datadog"));
    const delivery = await job(`datadog://${datadog.host}/api/v2/logs?header_DD-API-KEY=k3y-of-datadog`, { filter: COPIED });
    const lines = recordLines(0, 20, (number) => (number === 7 ? 1_000_000 : 100));
    await delivery.push(lines);
    const done = await delivery.untilDone();
    assert.deepEqual(placesOf(done), { waiting: 0, parked: 0, dead: 1, delivered: 19 });
    assert.equal(datadog.cut, 0);
    assert.deepEqual(datadog.logs.map(({ RayID }) => RayID), lines.map((_, at) => `r${at}`).filter((id) => id !== "r7"));
    const { json } = await worker.api("GET", `${delivery.scope}/logpush/jobs/${delivery.id}/dead-letters`);
    assert.match(json.result[0].reason, /^error 1108: error pushing: a record of 10000\d\d bytes is larger than the 1000000 bytes/);
    assert.equal(json.result[0].records, 1);
  });

  test("a job that was of another destination is cut to its limits, archived batches included", async (context) => {
    const [endpoint, datadog] = [await start(context, new Endpoint()), await start(context, new Datadog("k3y"))];
    endpoint.fault = { status: 503 };
    const delivery = await job(`http://${endpoint.host}/in`);
    const lines = recordLines(0, 2_100);
    await delivery.push(lines);
    await delivery.untilJob("the failure", ({ consecutive_failures }) => consecutive_failures > 0);
    await worker.changeJob(delivery.scope, delivery.id, { destination_conf: `datadog://${datadog.host}/api/v2/logs?header_DD-API-KEY=k3y` });
    await delivery.untilDone();
    assert.deepEqual(datadog.logs, lines.map((line) => JSON.parse(line)));
    // The push that was written down before goes as it was, until it is refused.
    assert.ok(datadog.taken.every(({ body }) => JSON.parse(String(body)).length <= 1_000));
  });

  test("CSV goes as text", async (context) => {
    const datadog = await start(context, new Datadog("k3y"));
    const output_options = { output_type: "csv", field_names: ["RayID", "EdgeResponseStatus"] };
    const delivery = await job(`datadog://${datadog.host}/v1/input?header_DD-API-KEY=k3y`, { output_options });
    await delivery.push(recordLines(0, 3));
    await delivery.untilDone();
    assert.deepEqual(datadog.logs, ['"r0",500', '"r1",500', '"r2",500']);
  });

  test("a wrong key is refused when the job is made, and shown nowhere", async (context) => {
    const datadog = await start(context, new Datadog("right"));
    const destination_conf = `datadog://${datadog.host}/api/v2/logs?header_DD-API-KEY=wr0ng-key`;
    const { status, json } = await worker.api("POST", `${freshScope()}/logpush/jobs`, { dataset: DATASET, destination_conf });
    assert.equal(status, 400);
    assert.match(JSON.stringify(json), /error 403: error pushing: error uploading to datadog: /);
    assert.ok(!JSON.stringify(json).includes("wr0ng-key"));
  });
});

describe("sumo", { concurrency: 2 }, () => {
  test("gets lines of at most 1 MiB a request, and a new code after the old one was refused", async (context) => {
    const code = "ZaVnC4dhaV2_secret==";
    const sumo = await start(context, new Sumo(code));
    const conf = (text: string) => `sumo://${sumo.host}/receiver/v1/http/${text}?header_X-Sumo-Category=edge`;
    const delivery = await job(conf(code));
    const lines = recordLines(0, 3_000, () => 900);
    await delivery.push(lines);
    assert.deepEqual(placesOf(await delivery.untilDone()), all(3_000));
    assert.deepEqual(sumo.lines, lines);
    assert.ok(sumo.seen.every(({ status, headers }) => status === 200 && headers["x-sumo-category"] === "edge"));
    assert.ok(sumo.seen.length >= 3);
    sumo.code = "another";
    const more = recordLines(3_000, 3);
    await delivery.push(more);
    const parked = await delivery.untilJob("the queue to park", (one) => one.parked.records === 3);
    assert.match(parked.error_message, /^error 401: error pushing: error uploading to sumo: 401 no source /);
    const read = await worker.api("GET", `${delivery.scope}/logpush/jobs/${delivery.id}`, undefined, SECRETS.READ_TOKEN);
    for (const shown of [parked, read.json]) {
      assert.ok(!JSON.stringify(shown).includes("ZaVnC4dhaV2"), JSON.stringify(shown));
    }
    await worker.changeJob(delivery.scope, delivery.id, { destination_conf: conf("another") });
    await delivery.untilDone();
    assert.deepEqual(sumo.lines, [...lines, ...more]);
  });
});

test("sentinelone gets lines with a bearer token, and a busy collector gets them later", async (context) => {
  const collector = await start(context, new SentinelOne("t0ken"));
  const delivery = await job(`sentinelone://${collector.host}/services/collector/raw?sourcetype=marketplace-cloudflare-latest&header_Authorization=Bearer%20t0ken`);
  collector.fault = { status: 200, body: { text: "Server is busy", code: 9 } };
  const lines = recordLines(0, 5);
  await delivery.push(lines);
  await delivery.untilJob("the failure", ({ consecutive_failures }) => consecutive_failures > 0);
  collector.fault = undefined;
  assert.deepEqual(placesOf(await delivery.untilDone()), all(5));
  assert.deepEqual(collector.lines, lines);
  assert.equal(collector.seen[0]?.query.get("sourcetype"), "marketplace-cloudflare-latest");
});

describe("a body without gzip", { concurrency: 3 }, () => {
  for (const [what, more] of [["copied", { filter: COPIED }], ["of a job that takes everything", {}]] as const) {
    test(`${what}, has its length and no encoding`, async (context) => {
      const endpoint = await start(context, new Endpoint());
      const delivery = await job(`http://${endpoint.host}/in?a=b&header_Content-Encoding=identity`, more);
      const lines = recordLines(0, 3_000, () => 600);
      await delivery.push(lines);
      assert.deepEqual(placesOf(await delivery.untilDone()), all(3_000));
      const whole = `${lines.join("\n")}\n`;
      assert.equal(endpoint.bodies.join(""), whole);
      const [{ headers, query }] = endpoint.seen as [any];
      assert.equal(headers["content-encoding"], undefined);
      assert.equal(headers["content-length"], String(Buffer.byteLength(whole)));
      assert.deepEqual([...query], [["a", "b"]]);
    });
  }

  test("of a batch that was kept as its archived gzip is inflated on its way", async (context) => {
    const endpoint = await start(context, new Endpoint());
    endpoint.fault = { status: 503 };
    const delivery = await job(`http://${endpoint.host}/in`);
    const lines = recordLines(0, 4_000);
    await delivery.push(lines);
    await delivery.untilJob("the failure", ({ consecutive_failures }) => consecutive_failures > 0);
    assert.equal(endpoint.seen[0]?.headers["content-encoding"], "gzip");
    endpoint.fault = undefined;
    await worker.changeJob(delivery.scope, delivery.id, { destination_conf: `http://${endpoint.host}/in?header_Content-Encoding=identity` });
    assert.deepEqual(placesOf(await delivery.untilDone()), all(4_000));
    const { body, headers } = endpoint.taken.at(-1) as any;
    assert.equal(body.toString(), `${lines.join("\n")}\n`);
    assert.equal(headers["content-encoding"], undefined);
  });
});

test("Elasticsearch's bulk API gets action lines, and what it refuses with a 200 is a dead letter", async (context) => {
  const bulk = await start(context, new Bulk());
  const output_options = { record_prefix: '{"create":{}}\n{' };
  const delivery = await job(`http://${bulk.host}/logs-cloudflare/_bulk?header_Authorization=ApiKey%20k3y`, { output_options });
  const [first, second] = [recordLines(0, 5), recordLines(5, 4)];
  await delivery.push(first);
  await delivery.untilDone();
  assert.deepEqual(bulk.documents, first.map((line) => JSON.parse(line)));
  bulk.refuses = ({ RayID }) => RayID === "r6";
  await delivery.push(second);
  const done = await delivery.untilDone();
  assert.deepEqual(placesOf(done), { waiting: 0, parked: 0, dead: 1, delivered: 8 });
  const arrived = new Set(bulk.documents.map(({ RayID }) => RayID));
  assert.deepEqual([...arrived].sort(), ["r0", "r1", "r2", "r3", "r4", "r5", "r7", "r8"]);
});
