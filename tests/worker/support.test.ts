// The tests' own tools, tested: a generator that lies or a SIEM that is lenient would make every other test worthless.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";
import { untrusted } from "../support/delivery.ts";
import { BatchStream, generateBatch, type Dataset } from "../support/generate.ts";
import { LineCounter, sumTallies } from "../support/lines.ts";
import { pushBatch, pushTest, pushUntilAccepted, TEST_FORMS, type TestForm } from "../support/logpush.ts";
import { timestamp } from "../support/records/text.ts";
import { PLAIN_PATH, Siem, SPLUNK_PATH } from "../support/siem.ts";

const DATASETS: Dataset[] = ["http_requests", "firewall_events", "dns_logs", "network_analytics_logs"];
const GUID = "fe0ecfad-13d5-401b-847d-77833bd77131";

describe("the generator", () => {
  for (const dataset of DATASETS) {
    test(`${dataset}: the same seed gives the same bytes, another seed others`, () => {
      const one = generateBatch({ dataset, records: 500, seed: 7 });
      const same = generateBatch({ dataset, records: 500, seed: 7 });
      const other = generateBatch({ dataset, records: 500, seed: 8 });
      assert.ok(one.ndjson.equals(same.ndjson));
      assert.ok(!one.ndjson.equals(other.ndjson));
    });

    test(`${dataset}: every line is a record with the same fields, and the facts are what a parser finds`, () => {
      const { ndjson, gzip, records, rawBytes, facts } = generateBatch({ dataset, records: 2_000, seed: 3 });
      assert.ok(gunzipSync(gzip).equals(ndjson));
      const lines = ndjson.toString().trimEnd().split("\n");
      const errors = new LineCounter();
      const blocked = new LineCounter();
      const names = new Set<string>();
      for (const line of lines) {
        const record = JSON.parse(line);
        names.add(Object.keys(record).join());
        if (record.EdgeResponseStatus >= 400) errors.add(line);
        if (record.Action === "block") blocked.add(line);
        assert.doesNotMatch(line, /[&<>]/, "escaped as Go escapes them");
      }
      assert.equal(names.size, 1);
      assert.equal(lines.length, records);
      assert.equal(ndjson.length, rawBytes);
      assert.equal(facts.all.bytes, rawBytes);
      assert.deepEqual(facts.errors, errors.tally());
      assert.deepEqual(facts.blocked, blocked.tally());
    });

    test(`${dataset}: all fields of the catalogue can be had`, () => {
      const { ndjson } = generateBatch({ dataset, records: 20, fields: "all" });
      assert.equal(new Set(ndjson.toString().trimEnd().split("\n").map((line) => Object.keys(JSON.parse(line)).length)).size, 1);
    });
  }

  test("http_requests has the size and the ratio of real logs", () => {
    const { gzip, records, rawBytes } = generateBatch({ dataset: "http_requests", records: 20_000, seed: 5 });
    assert.ok(rawBytes / records > 1_100 && rawBytes / records < 1_300, `${rawBytes / records} bytes a record`);
    assert.ok(rawBytes / gzip.length > 10 && rawBytes / gzip.length < 14, `ratio ${rawBytes / gzip.length}`);
  });

  test("times in nanoseconds are written exactly", () => {
    const { ndjson } = generateBatch({ dataset: "http_requests", records: 2_000 });
    const times = [...ndjson.toString().matchAll(/"EdgeStartTimestamp":(\d+)/g)].map((match) => match[1] as string);
    assert.equal(times.length, 2_000);
    assert.ok(times.every((time) => time.length === 19));
    assert.ok(times.some((time) => String(Number(time)) !== time), "some do not survive a JavaScript number");
  });

  test("the timestamp formats of output_options", () => {
    const millis = Date.parse("2023-02-24T14:52:47.120Z");
    assert.equal(timestamp(millis, 456_700, "unixnano"), "1677250367120456700");
    assert.equal(timestamp(millis, 456_700, "unix"), "1677250367");
    assert.equal(timestamp(millis, 456_700, "rfc3339"), '"2023-02-24T14:52:47Z"');
    assert.equal(timestamp(millis, 456_700, "rfc3339ms"), '"2023-02-24T14:52:47.120Z"');
    assert.equal(timestamp(millis, 456_700, "rfc3339ns"), '"2023-02-24T14:52:47.1204567Z"');
    assert.equal(timestamp(Date.parse("2023-02-24T14:50:00Z"), 0, "rfc3339ns"), '"2023-02-24T14:50:00Z"');
  });

  test("a stream gives the same bytes and facts as a whole batch", async () => {
    const options = { dataset: "firewall_events", records: 3_000, seed: 11 } as const;
    const stream = new BatchStream(options);
    const chunks: Buffer[] = [];
    for await (const chunk of stream.gzip()) chunks.push(chunk as Buffer);
    const whole = generateBatch(options);
    assert.ok(gunzipSync(Buffer.concat(chunks)).equals(whole.ndjson));
    assert.deepEqual(stream.facts(), whole.facts);
  });
});

test("a tally does not depend on the order, but on every line", () => {
  const tally = (lines: string[]) => {
    const counter = new LineCounter();
    for (const line of lines) counter.add(line);
    return counter.tally();
  };
  assert.deepEqual(tally(["a", "b", "ü"]), tally(["ü", "a", "b"]));
  assert.notEqual(tally(["a", "b"]).digest, tally(["a", "c"]).digest);
  assert.notEqual(tally(["a", "a"]).digest, tally([]).digest);
  assert.deepEqual(sumTallies([tally(["a"]), tally(["b", "c"])]), tally(["a", "b", "c"]));
  assert.equal(tally(["ü"]).bytes, 3);
});

describe("the stand-in SIEM", () => {
  let siem: Siem;
  const line = Buffer.from('{"a":1}\n');
  const auth = { Authorization: "Splunk good" };
  const raw = (query = "") => `http://${siem.host}${SPLUNK_PATH}${query}`;
  const plain = () => `http://${siem.host}${PLAIN_PATH}`;

  before(async () => {
    siem = await Siem.start({ splunkTokens: ["good"], intakeKeys: ["key"] });
  });
  after(() => siem.close());

  const cases: [string, number, number, Record<string, string>, Buffer, string?][] = [
    ["no token", 401, 2, {}, gzipSync(line)],
    ["a scheme that is not Splunk", 401, 3, { Authorization: "Bearer good" }, gzipSync(line)],
    ["an unknown token", 403, 4, { Authorization: "Splunk bad" }, gzipSync(line)],
    ["nothing in it", 400, 5, auth, gzipSync("")],
    ["a truncated gzip", 400, 6, auth, gzipSync(line).subarray(0, -4)],
    ["bytes behind the gzip", 400, 6, auth, Buffer.concat([gzipSync(line), Buffer.alloc(3)])],
    ["gzip in name only", 400, 6, auth, line],
    ["a line that is no JSON", 400, 6, auth, gzipSync('{"a":1}\n{"a":')],
    ["a channel that is no GUID", 400, 11, auth, gzipSync(line), "?channel=1"],
    ["everything right", 200, 0, auth, gzipSync(line), `?channel=${GUID}`],
    ["two gzip members", 200, 0, auth, Buffer.concat([gzipSync(line), gzipSync(line)])],
  ];
  for (const [what, status, code, headers, body, query] of cases) {
    test(`Splunk: ${what} → ${status}, code ${code}`, async () => {
      const answer = await pushBatch(raw(query), body, { headers });
      assert.equal(answer.status, status);
      assert.equal(answer.json.code, code);
    });
  }

  test("Splunk: success says so in Splunk's words; another encoding is refused; the header decides about gzip", async () => {
    assert.equal((await pushBatch(raw(), gzipSync(line), { headers: auth })).text, '{"text":"Success","code":0}');
    assert.equal((await pushBatch(raw(), line, { headers: { ...auth, "Content-Encoding": "br" } })).status, 415);
    const bare = await pushBatch(raw(), gzipSync(line), { headers: { ...auth, "Content-Encoding": "identity" } });
    assert.equal(bare.json.code, 6);
  });

  test("plain intake: key wanted, lines counted, repeats told apart", async () => {
    assert.equal((await pushBatch(plain(), gzipSync(line))).status, 401);
    assert.equal((await pushBatch(plain(), gzipSync(line), { headers: { "X-SEKOIAIO-INTAKE-KEY": "other" } })).status, 403);
    const headers = { "X-SEKOIAIO-INTAKE-KEY": "key", "X-Logpush-Push-Id": "p1" };
    for (const chunked of [false, true]) {
      assert.equal((await pushBatch(plain(), gzipSync('{"a":1}\n{"b":"ü"}\n'), { headers, chunked })).status, 200);
    }
    const intake = siem.intake("key");
    assert.deepEqual([intake.pushes, intake.records, intake.bytes, intake.repeats], [2, 4, 38, 1]);
    assert.equal(intake.tallyOnce.records, 2);
    assert.equal(intake.pushIds.get("p1"), 2);
    assert.deepEqual(intake.lines.slice(0, 2), ['{"a":1}', '{"b":"ü"}']);
  });

  test("a test message is counted as one and as nothing else", async () => {
    const before = siem.intake("good");
    await pushTest(raw(), "tests", auth);
    const now = siem.intake("good");
    assert.deepEqual([now.tests - before.tests, now.records - before.records], [1, 0]);
  });

  test("every form of the test message goes out as it should", async () => {
    for (const form of Object.keys(TEST_FORMS) as TestForm[]) {
      const answer = await pushTest(raw(), form, auth);
      assert.ok([200, 400].includes(answer.status), form);
    }
  });

  test("fails as told, then takes the push; a lost answer is a push that was taken", async () => {
    const headers = auth;
    siem.fail({ status: 503, headers: { "Retry-After": "0" }, body: '{"text":"Server is busy","code":9}', times: 2 });
    siem.fail({ reset: "after" });
    const pushes = siem.intake("good").pushes;
    const answer = await pushUntilAccepted(raw(), gzipSync(line), { headers, deadlineMillis: 5_000 });
    assert.equal(answer.attempts, 4);
    assert.equal(siem.intake("good").pushes - pushes, 2);
  });

  test("says 413 above its limits, refuses a push with a record that it does not like, and is told which", async () => {
    const push = async (url: string, lines: string[], headers: Record<string, string>) =>
      await pushBatch(url, gzipSync(`${lines.join("\n")}\n`), { headers });
    siem.limits = { rawBytes: 40, records: 3, refuses: (line) => line.includes("bad") };
    const key = { "X-SEKOIAIO-INTAKE-KEY": "key" };
    const [before, splunkBefore] = [siem.intake("key").records, siem.intake("good").records];
    assert.equal((await push(plain(), ['{"a":1}', `{"a":"${"x".repeat(40)}"}`], key)).status, 413);
    assert.equal((await push(raw(), Array(4).fill("{}"), auth)).status, 413);
    assert.match((await push(plain(), ['{"a":1}', '{"a":"bad"}'], key)).text, /Event 1/);
    const refused = await push(raw(), ['{"a":1}', '{"a":"bad"}'], auth);
    assert.deepEqual([refused.status, refused.json.code, refused.json["invalid-event-number"]], [400, 6, 1]);
    assert.deepEqual([siem.intake("key").records, siem.intake("good").records], [before, splunkBefore]);
    assert.equal((await push(plain(), ['{"a":1}', '{"a":2}', '{"a":3}'], key)).status, 200);
    siem.limits = {};
    const last = siem.attempts.at(-1);
    assert.deepEqual([last?.records, last?.rawBytes, last?.taken, last?.status], [3, 24, true, 200]);
  });

  test("what is not announced as JSON is not looked into", async () => {
    const headers = { ...auth, "Content-Type": "text/csv" };
    assert.equal((await pushBatch(raw(), gzipSync("1,2\n3,4\n"), { headers })).status, 200);
  });

  test("any code of the collector, an answer that breaks off, one without end, and one that never comes", async () => {
    const send = async () => await fetch(raw(), { method: "POST", body: line, headers: auth, signal: AbortSignal.timeout(600) });
    siem.fail({ hec: 18 });
    const unhealthy = await send();
    assert.deepEqual([unhealthy.status, ((await unhealthy.json()) as any).code], [503, 18]);
    for (const failure of [{ cut: true }, { endless: true }]) {
      const pushes = siem.intake("good").pushes;
      siem.fail(failure);
      const answer = await send();
      assert.equal(answer.status, 200);
      await assert.rejects(answer.text());
      assert.equal(siem.intake("good").pushes, pushes + 1);
    }
    for (const [hang, taken] of [[true, 0], ["after", 1]] as const) {
      const pushes = siem.intake("good").pushes;
      siem.fail({ hang });
      await assert.rejects(send(), { name: "TimeoutError" });
      assert.equal(siem.intake("good").pushes, pushes + taken);
    }
  });

  test("fails by chance as the seed says, and no more once it is mended", async () => {
    const outcomes = async (seed: number) => {
      siem.failAtRandom({ seed, share: 0.5, kinds: ["500", "503", "429"] });
      const statuses: number[] = [];
      for (let i = 0; i < 40; i += 1) statuses.push((await pushBatch(raw(), gzipSync(line), { headers: auth })).status);
      siem.mend();
      return statuses;
    };
    const one = await outcomes(5);
    assert.deepEqual(one, await outcomes(5));
    assert.notDeepEqual(one, await outcomes(6));
    assert.deepEqual([...new Set(one)].sort(), [200, 429, 500, 503]);
    assert.equal((await pushBatch(raw(), gzipSync(line), { headers: auth })).status, 200);
  });

  test("speaks TLS with a certificate that nobody trusts", async () => {
    const secure = await Siem.start({ intakeKeys: ["key"], tls: untrusted() });
    const refused = await fetch(`https://${secure.host}${PLAIN_PATH}`, { method: "POST" }).catch((error) => error.cause.code);
    assert.equal(refused, "DEPTH_ZERO_SELF_SIGNED_CERT");
    await secure.close();
  });

  test("waits for what comes, and not longer than it was told to", async () => {
    const seen = siem.intake("good").records;
    const waiting = siem.waitFor((one) => one.intake("good").records > seen, 5_000);
    await pushBatch(raw(), gzipSync(line), { headers: auth });
    await waiting;
    await assert.rejects(siem.waitFor(() => false, 20, "nothing"), /waited 20 ms for nothing/);
  });
});
