// Normalised events, from Logpush's bytes to the intake of a SIEM, and the preview that shows them before.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { ndjson } from "../support/lines.ts";
import { Siem } from "../support/siem.ts";
import { freshScope, SECRETS, TestWorker } from "../support/worker.ts";

const DELIVERY_DEADLINE_MILLIS = 20_000;

const fixture = (name: string): string[] => readFileSync(new URL(`../fixtures/${name}`, import.meta.url), "utf8").trim().split("\n");
const raw = fixture("dns_logs.ndjson");
const events = fixture("dns_logs.ecs.ndjson");

/** The samples' time in each of Logpush's formats, as number and as text; two of them hold whole seconds. */
const TIMES = [
  ["unixnano", "1657233726004000000"], ["unixnano", '"1657233726004000000"'], ["unix", "1657233726"], ["unix", '"1657233726"'],
  ["rfc3339", '"2022-07-07T22:42:06Z"'], ["rfc3339ms", '"2022-07-07T22:42:06.004Z"'], ["rfc3339ns", '"2022-07-07T22:42:06.004000000Z"'],
] as const;
const withTime = (time: string) => raw.map((line) => line.replace("1657233726004000000", time));
const wanted = (format: string) => (["unix", "rfc3339"].includes(format) ? events.map((event) => event.replace("06.004000Z", "06Z")) : events);

describe("a job whose schema is ecs", () => {
  let worker: TestWorker;
  let siem: Siem;
  before(async () => {
    siem = await Siem.start({ intakeKeys: TIMES.map((_, index) => `dns-${index}`).concat("odd") });
    worker = await TestWorker.start({ ALLOW_PRIVATE_DESTINATIONS: "true" });
  });
  after(async () => {
    await worker?.close();
    await siem?.close();
  });

  test("delivers SEKOIA.IO's published events to its intake, to the letter, whatever form the times came in", async () => {
    const deliveries = TIMES.map(async ([format, time], index) => {
      const [scope, key] = [freshScope("zones"), `dns-${index}`];
      await worker.createJob(scope, { dataset: "dns_logs", destination_conf: siem.plain(key), output_options: { schema: "ecs" } });
      const answer = await worker.push(`${scope}/dns_logs`, gzipSync(ndjson(withTime(time))));
      assert.equal(answer.status, 200, answer.text);
      await siem.waitFor(() => siem.intake(key).records >= raw.length, DELIVERY_DEADLINE_MILLIS, `the events of ${time}`);
      assert.deepEqual(siem.intake(key).lines, wanted(format), time);
    });
    await Promise.all(deliveries);
  });

  test("counts what is odd in /stats, once for a batch that comes twice, and loses nothing of it", async () => {
    const scope = freshScope("zones");
    const { id } = await worker.createJob(scope, {
      dataset: "dns_logs", destination_conf: siem.plain("odd"), output_options: { schema: "ecs", field_names: ["QueryName", "SourceIP", "Timestamp"] },
    });
    const batch = gzipSync(ndjson(['{"Timestamp":"soon","SourceIP":7,"QueryName":"a."}', '{"Timestamp":1657233726,"SourceIP":"::1","ColoCode":"SJC"}']));
    for (const result of ["accepted", "duplicate"]) assert.equal((await worker.push(`${scope}/dns_logs`, batch)).json.result, result);
    const job = await worker.settled(scope, id);
    assert.deepEqual(job.surprises, { unreadable_time: 1, unexpected_value: 1, unknown_dataset: 0 });
    assert.deepEqual([job.selected.records, job.delivered.records], [2, 2]);
    const event = '"event":{"kind":"event","category":["network"],"type":["info"],"dataset":"dns_logs"}';
    assert.deepEqual(siem.intake("odd").lines, [
      `{"dns":{"question":{"name":"a"}},${event},"cloudflare":{"SourceIP":7,"Timestamp":"soon"}}`,
      `{"@timestamp":"2022-07-07T22:42:06Z",${event},"source":{"ip":"::1"}}`,
    ]);
  });

  test("is shown by a preview, which needs no more than the read token", async () => {
    const preview = async (token: string, body: unknown) => {
      const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
      const response = await fetch(`${worker.url}/client/v4/${freshScope("zones")}/logpush/preview`, { method: "POST", headers, body: JSON.stringify(body) });
      return { status: response.status, body: (await response.json()) as any };
    };
    const where = { key: "QueryType", operator: "in", value: [1, 28] };
    const records = raw.map((line) => JSON.parse(line.replace("1657233726004000000", '"1657233726004000000"')));
    const asked = { dataset: "dns_logs", filter: JSON.stringify({ where }), output_options: { schema: "ecs" }, records };
    const { status, body } = await preview(SECRETS.READ_TOKEN, asked);
    assert.equal(status, 200);
    assert.deepEqual(body.result, {
      records: [`${events[0]}\n`, null, `${events[2]}\n`, null],
      reasons: [null, "the filter wants QueryType in [1,28], and it is 2", null, "the filter wants QueryType in [1,28], and it is 64000"],
    });
    const tooLarge = await preview(SECRETS.API_TOKEN, { dataset: "dns_logs", records: [{ QueryName: "x".repeat(1024 * 1024) }] });
    assert.deepEqual([tooLarge.status, tooLarge.body.errors[0].code], [413, 10413]);
    assert.equal((await preview("wrong", asked)).status, 401);
  });
});
