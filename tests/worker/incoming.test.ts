// The forms that a batch may have besides NDJSON: each is received, archived as it came, filtered, delivered as NDJSON
// and counted; and what is no record in it is in quarantine.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { Siem } from "../support/siem.ts";
import { freshScope, TestWorker } from "../support/worker.ts";

const ODD = { where: { key: "QueryType", operator: "eq", value: 1 } };

const intakeKeys = Array.from({ length: 100 }, (_, n) => `key-${n}`);
let nextKey = 0;
let siem: Siem;
let worker: TestWorker;
before(async () => {
  siem = await Siem.start({ intakeKeys });
  worker = await TestWorker.start({ ALLOW_PRIVATE_DESTINATIONS: "true" });
});
after(async () => {
  await worker.close();
  await siem.close();
});

/** A job to an intake of its own. */
async function createJob(scope: string, filter?: object): Promise<{ id: number; key: string }> {
  const key = intakeKeys[(nextKey += 1)] as string;
  const { id } = await worker.createJob(scope, { dataset: "dns_logs", destination_conf: siem.plain(key), filter });
  return { id, key };
}

interface DnsRecord {
  QueryName: string;
  QueryType: number;
  Timestamp: number;
}

const records: DnsRecord[] = Array.from({ length: 40 }, (_, n) => ({
  QueryName: `q${n} "x", [{\\}].example.`,
  QueryType: n % 2,
  Timestamp: 1_782_900_000 + n,
}));
const lines = records.map((record) => JSON.stringify(record));
const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`;
const rows = (delimiter: string): string[] =>
  records.map(({ QueryName, QueryType, Timestamp }) => [quoted(QueryName), QueryType, Timestamp].join(delimiter));

/** What is in the batch, what its address says, and what is no record in it, as quarantine lists it. */
type Case = [what: string, body: string, query?: string, bad?: { line: number; reason: string; text: string }[]];

const cases: Case[] = [
  ["an array", `[${lines.join(",")}]`],
  ["an array over many lines", `${JSON.stringify(records, null, 2)}\n`],
  ["an array as Logpush assembles it", `[${lines.join("\n,")}\n]`],
  ["an object around an array, as Logpush assembles it", `{"events":[${lines.join("\n,")}\n]}\n`],
  ["an object around an array, on one line", JSON.stringify({ events: records })],
  ["an object around an array, with other members", JSON.stringify({ count: 40, from: { events: [] }, events: records, next: null }, null, 1)],
  ["objects with a comma between", lines.join(",\n")],
  ["objects with nothing between", lines.join("")],
  ["CSV of known fields", rows(",").join("\n"), "output_type=csv&fields=QueryName,QueryType,Timestamp"],
  ["CSV with a header", ["QueryName,QueryType,Timestamp", ...rows(","), ""].join("\r\n"), "output_type=csv"],
  ["CSV with tabs", rows("\t").join("\n"), "fields=QueryName,QueryType,Timestamp&field_delimiter=%09"],
  [
    "an array with bad elements that breaks off",
    `[${lines.join(",")},null oops [{"QueryType":1}],{"QueryType":01},{"QueryType":1`,
    "",
    [
      { line: 41, reason: "not_json", text: "null oops" },
      { line: 42, reason: "not_an_object", text: '[{"QueryType":1}]' },
      { line: 43, reason: "not_json", text: '{"QueryType":01}' },
      { line: 44, reason: "not_json", text: '{"QueryType":1' },
    ],
  ],
  ["an array that is not closed", `[${lines.join(",")}`, "", [{ line: 41, reason: "cut_off", text: "" }]],
  [
    "CSV with bad rows",
    [...rows(","), "1,2", '"open,1,2'].join("\n"),
    "output_type=csv&fields=QueryName,QueryType,Timestamp",
    [
      { line: 41, reason: "csv_row", text: "1,2" },
      { line: 42, reason: "csv_row", text: '"open,1,2' },
    ],
  ],
];

describe("records are found in every form that Logpush can write", { concurrency: true }, () => {
  for (const [what, text, query = "", bad = []] of cases) {
    test(what, async () => {
      const scope = freshScope();
      const [all, odd] = [await createJob(scope), await createJob(scope, ODD)];
      const body = gzipSync(text);
      const answer = await worker.push(`${scope}/dns_logs?${query}`, body);
      assert.equal(answer.status, 200, answer.text);
      const { result, records: found, invalid_lines } = answer.json;
      assert.deepEqual([result, found, invalid_lines], ["accepted", records.length, bad.length]);
      assert.ok((await worker.object(answer.json.object)).bytes.equals(body));

      // The job that takes everything is served from the archived object, read again.
      for (const [job, wanted] of [[all, records], [odd, records.filter((record) => record.QueryType === 1)]] as const) {
        const counted = await worker.settled(scope, job.id);
        assert.deepEqual([counted.selected.records, counted.delivered.records], [wanted.length, wanted.length]);
        assert.deepEqual(siem.intake(job.key).lines.map((line) => JSON.parse(line)), wanted);
      }
      const { datasets, reconciliation } = await worker.stats(`scope=${scope}`);
      const [{ records: counted, invalid, bytes_raw }] = datasets;
      const reasons: Record<string, number> = {};
      for (const { reason } of bad) reasons[reason] = (reasons[reason] ?? 0) + 1;
      assert.deepEqual([counted, invalid, bytes_raw], [records.length, reasons, Buffer.byteLength(text)]);
      assert.equal(reconciliation.holds, true);

      const [key, ...others] = await worker.keys(`quarantine/${scope}/`);
      assert.deepEqual(others, []);
      const kept = key === undefined ? "" : (await worker.object(key)).bytes.toString();
      assert.deepEqual(kept.split("\n").filter(Boolean).map((line) => JSON.parse(line)), bad);
    });
  }
});

test("a parameter that can not be followed is refused before anything is stored", async () => {
  const scope = freshScope();
  for (const query of ["output_type=xml", "fields=A,,B", "output_type=csv&field_delimiter="]) {
    const answer = await worker.push(`${scope}/dns_logs?${query}`, gzipSync("{}\n"));
    assert.deepEqual([answer.status, answer.json.error.code], [400, "bad_parameter"], query);
  }
  assert.deepEqual(await worker.keys(scope), []);
});
