// The jobs API against the Worker: who may do what, what is refused and why, and that a change counts from the next batch.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { ndjson, tallyOf } from "../support/lines.ts";
import { Siem } from "../support/siem.ts";
import { eventually, freshScope, SECRETS, TestWorker } from "../support/worker.ts";

const SIEM_TOKEN = "siem-token-4711";
const PUBLIC = "https://logs.example.com/in?tags=a&header_Authorization=Bearer%20s3cret";
const ODD = { where: { key: "QueryType", operator: "eq", value: 1 } };
const EVEN = { where: { key: "QueryType", operator: "eq", value: 0 } };

/** A destination that takes test messages; its key is a secret. */
let siem: Siem;
let OPEN: string;
let worker: TestWorker;
/** Without ALLOW_PRIVATE_DESTINATIONS, as it is deployed. */
let strict: TestWorker;
before(async () => {
  siem = await Siem.start({ intakeKeys: ["s3cret"] });
  OPEN = siem.plain("s3cret");
  [worker, strict] = await Promise.all([
    TestWorker.start({ ALLOW_PRIVATE_DESTINATIONS: "true", SIEM_TOKEN }),
    TestWorker.start({ UNKNOWN_DATASETS: "refuse" }),
  ]);
});
after(async () => {
  await Promise.all([worker.close(), strict.close(), siem.close()]);
});

let sequence = 0;
/** Lines that no other test has; every second one is odd. */
function dnsLines(count = 10): { all: string[]; odd: string[]; even: string[]; gzip: Buffer } {
  const all = Array.from({ length: count }, (_, n) => {
    return JSON.stringify({ QueryName: `q${(sequence += 1)}.example.`, QueryType: n % 2, Timestamp: 1_782_900_000 + n });
  });
  const [even, odd] = [0, 1].map((rest) => all.filter((_, n) => n % 2 === rest)) as [string[], string[]];
  return { all, odd, even, gzip: gzipSync(ndjson(all)) };
}

async function push(scope: string, lines: { gzip: Buffer }): Promise<void> {
  const answer = await worker.push(`${scope}/dns_logs`, lines.gzip);
  assert.equal(answer.status, 200, answer.text);
}

function refused(answer: { status: number; json: any }, status: number, code: number, text: RegExp | string): void {
  const { success, errors, messages, result } = answer.json;
  assert.deepEqual([answer.status, success, messages, result, errors.length], [status, false, [], null, 1], JSON.stringify(answer.json));
  assert.equal(errors[0].code, code, errors[0].message);
  if (typeof text === "string") assert.equal(errors[0].message, text);
  else assert.match(errors[0].message, text);
}

describe("a job", { concurrency: true }, () => {
  for (const kind of ["zones", "accounts"] as const) {
    test(`of ${kind} is created, listed, read, changed and deleted in Cloudflare's envelope`, async () => {
      const [scope, other] = [freshScope(kind), freshScope(kind)];
      const path = `${scope}/logpush/jobs`;
      const filter = JSON.stringify(ODD);
      const created = await worker.api("POST", path, { name: "one", destination_conf: OPEN, dataset: "dns_logs", enabled: "true", filter });
      assert.deepEqual([created.status, created.json.success, created.json.errors, created.json.messages], [200, true, [], []]);
      const job = created.json.result;
      assert.ok(Number.isInteger(job.id) && job.id > 0);
      assert.deepEqual(job, {
        id: job.id, dataset: "dns_logs", name: "one", enabled: true, kind: "", frequency: "high", filter, destination_conf: OPEN,
        logpull_options: null, output_options: null, max_upload_bytes: null, max_upload_records: null,
        max_upload_interval_seconds: null, last_complete: null, last_error: null, error_message: null,
      });
      assert.deepEqual((await worker.api("GET", path)).json.result, [job]);
      assert.deepEqual((await worker.api("GET", `${path}/${job.id}`)).json.result, job);

      const changed = await worker.changeJob(scope, job.id, { enabled: false, filter: "", max_upload_records: 1_000 });
      assert.deepEqual(changed, { ...job, enabled: false, filter: "", max_upload_records: 1_000 });
      const second = await worker.createJob(scope, { destination_conf: OPEN });
      assert.deepEqual([second.id > job.id, second.dataset], [true, "http_requests"]);
      assert.deepEqual((await worker.api("GET", path)).json.result, [changed, second]);

      // Nothing of it is seen from another zone or account.
      assert.deepEqual((await worker.api("GET", `${other}/logpush/jobs`)).json.result, []);
      for (const method of ["GET", "PUT", "DELETE"]) {
        const answer = await worker.api(method, `${other}/logpush/jobs/${job.id}`, method === "PUT" ? { enabled: true } : undefined);
        refused(answer, 404, 1006, "job not found");
      }

      const deleted = await worker.api("DELETE", `${path}/${job.id}`);
      assert.deepEqual([deleted.status, deleted.json.result], [200, { id: job.id }]);
      for (const method of ["GET", "PUT", "DELETE"]) {
        refused(await worker.api(method, `${path}/${job.id}`, method === "PUT" ? {} : undefined), 404, 1006, "job not found");
      }
      assert.deepEqual((await worker.api("GET", path)).json.result, [second]);
    });
  }

  test("that is not right is refused with what to do, without a word of its credentials", async () => {
    const scope = freshScope();
    const path = `${scope}/logpush/jobs`;
    const table: [object | string, RegExp][] = [
      ["", /^body: is no JSON/],
      ["{", /^body: is no JSON/],
      ["[]", /^body: must be a JSON object/],
      [{}, /^destination_conf: is required/],
      [{ destination_conf: 5 }, /^destination_conf: must be a string/],
      [{ destination_conf: "logs.example.com" }, /^destination_conf: must begin with a scheme/],
      [{ destination_conf: "ftp://s3cret.example.com/" }, /^destination_conf: the scheme is not known; the schemes offered are https, splunk/],
      [{ destination_conf: "s3://bucket/path?region=eu-west-1" }, /^destination_conf: access-key-id: is missing/],
      [{ destination_conf: "s3://bucket/path?region=eu-west-1&access-key-id=s3cret" }, /^destination_conf: secret-access-key: is missing/],
      [{ destination_conf: "ibmcl://a.ingress.eu-de.logs.cloud.ibm.com/logs/v1/singles?ibm_api_key=s3cret" }, /^destination_conf: ibmcl:\/\/ is not offered in this version/],
      [{ destination_conf: "http://logs.example.com/?token=s3cret" }, /^destination_conf: http:\/\/ sends records and credentials unencrypted/],
      [{ destination_conf: "https://u:s3cret@logs.example.com/" }, /^destination_conf: must not hold a user name/],
      [{ destination_conf: "https://logs.example.com/?header_Host=s3cret" }, /^destination_conf: header_Host/],
      [{ destination_conf: "https://logs.example.com/?header_X=${secret:API_TOKEN}" }, /^destination_conf: header_X: API_TOKEN is a secret of this service/],
      [{ destination_conf: "https://logs.example.com/?header_X=${env:s3cret}" }, /^destination_conf: header_X: \$\{ must begin/],
      [{ destination_conf: "splunk://h.example.com:99/services/collector/raw" }, /^destination_conf: a splunk:\/\/ destination has port/],
      [{ destination_conf: "splunk://h.example.com/?header_Authorization=Splunk%20s3cret" }, /^destination_conf: .*path/],
      [{ destination_conf: PUBLIC, dataset: "brand_new" }, /^dataset: brand_new is not in the catalogue/],
      [{ destination_conf: PUBLIC, dataset: "../x" }, /^dataset: must be/],
      [{ destination_conf: PUBLIC, enabled: "perhaps" }, /^enabled: must be true or false/],
      [{ destination_conf: PUBLIC, name: "x".repeat(513) }, /^name: must have at most 512/],
      [{ destination_conf: PUBLIC, max_upload_records: 999 }, /^max_upload_records: must be a whole number from 1000 to 1000000/],
      [{ destination_conf: PUBLIC, max_upload_interval_seconds: 1.5 }, /^max_upload_interval_seconds: must be a whole number/],
      [{ destination_conf: PUBLIC, max_upload_bytes: 10 }, /^max_upload_bytes: must be a whole number/],
      [{ destination_conf: PUBLIC, kind: "edge" }, /^kind: is not offered/],
      [{ destination_conf: PUBLIC, sample: 0.5 }, /^sample: is not offered/],
      [{ destination_conf: PUBLIC, logpull_options: "fields=rayid" }, /^logpull_options: fields: .* did you mean `RayID`/],
      [{ destination_conf: PUBLIC, output_options: { field_names: ["rayid"] } }, /^output_options: field_names: .* did you mean `RayID`/],
    ];
    for (const [body, text] of table) {
      const answer = await strict.api("POST", path, body);
      refused(answer, 400, 1002, text);
      assert.doesNotMatch(JSON.stringify(answer.json), /s3cret/);
    }
    assert.deepEqual((await strict.api("GET", path)).json.result, []);
  });

  test("with a filter that is none is refused with the place and what is wrong", async () => {
    const path = `${freshScope()}/logpush/jobs`;
    const where = (key: string, operator: string, value?: unknown) => ({ where: { key, operator, value } });
    const table: [unknown, RegExp][] = [
      [ODD, /^filter: must be a string that holds JSON, not an object/],
      ["where", /^filter: /],
      ["{}", /^filter: .*where/],
      [JSON.stringify({ where: {} }), /^filter: where/],
      [JSON.stringify({ where: { and: [] } }), /^filter: where/],
      [JSON.stringify({ where: { and: [ODD.where, { key: "Nope", operator: "eq", value: 1 }] } }), /^filter: where\.and\[1\].*Nope/],
      [JSON.stringify(where("QueryTyp", "eq", 1)), /^filter: where.*QueryType/],
      [JSON.stringify(where("QueryType", "like", 1)), /^filter: where.*operator/],
      [JSON.stringify(where("QueryType", "eq", "text")), /^filter: where/],
      [JSON.stringify(where("QueryType", "contains", "1")), /^filter: where/],
      [JSON.stringify(where("QueryType", "in", 1)), /^filter: where/],
      [JSON.stringify(where("QueryType", "eq")), /^filter: where.*value/],
      [JSON.stringify(where("QueryName", "eq", "x".repeat(40_000))), /^filter: /],
    ];
    for (const [filter, text] of table) {
      refused(await strict.api("POST", path, { destination_conf: PUBLIC, dataset: "dns_logs", filter }), 400, 1002, text);
    }
    assert.deepEqual((await strict.api("GET", path)).json.result, []);
  });

  test("is left as it was by a change that is refused", async () => {
    const scope = freshScope();
    const job = await worker.createJob(scope, { destination_conf: OPEN, dataset: "dns_logs", filter: ODD });
    for (const [change, text] of [
      [{ filter: "x" }, /^filter: /],
      [{ destination_conf: "ftp://127.0.0.1/" }, /^destination_conf: the scheme is not known/],
      [{ destination_conf: siem.plain("no-such-key") }, /^destination_conf: error validating destination: error 403: .*The intake key is not known/],
      [{ destination_conf: "" }, /^destination_conf: is required/],
      [{ dataset: "http_requests" }, /^dataset: can not be changed/],
      [{ enabled: false, max_upload_records: 1 }, /^max_upload_records/],
    ] as const) {
      refused(await worker.api("PUT", `${scope}/logpush/jobs/${job.id}`, change), 400, 1002, text);
    }
    assert.deepEqual((await worker.api("GET", `${scope}/logpush/jobs`)).json.result, [job]);
  });

  test("does not lead to a private host, however it is written, unless the operator allows it", async () => {
    const scope = freshScope();
    const hosts = [
      "127.0.0.1", "localhost", "10.0.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "2130706433", "0x7f.1", "127.1", "0.0.0.0",
      "[::1]", "[::ffff:10.0.0.1]", "[fd00::1]", "siem", "siem.internal", "printer.local", "metadata.google.internal.",
    ];
    for (const host of hosts) {
      for (const destination_conf of [`https://${host}/in`, `splunk://${host}/services/collector/raw`]) {
        const answer = await strict.api("POST", `${scope}/logpush/jobs`, { destination_conf });
        refused(answer, 400, 1002, /^destination_conf: the host is private, local or reserved/);
      }
    }
    assert.deepEqual((await strict.api("GET", `${scope}/logpush/jobs`)).json.result, []);
    const { id } = await worker.createJob(scope, { destination_conf: OPEN, enabled: false });
    assert.ok(id > 0);
  });

  test("that is too long is not read to its end", async () => {
    const body = JSON.stringify({ destination_conf: PUBLIC, name: "x".repeat(100_000) });
    const answer = await strict.api("POST", `${freshScope()}/logpush/jobs`, body);
    refused(answer, 413, 10413, /at most 65536 bytes/);
  });

  test("keeps every one of many changes that are made at once", async () => {
    const scope = freshScope();
    const { id } = await worker.createJob(scope, { destination_conf: OPEN, dataset: "dns_logs" });
    const changes = [{ name: "n" }, { filter: JSON.stringify(ODD) }, { enabled: false }];
    const answers = await Promise.all(changes.map((change) => worker.api("PUT", `${scope}/logpush/jobs/${id}`, change)));
    assert.deepEqual(answers.map(({ status }) => status), [200, 200, 200]);
    const { result } = (await worker.api("GET", `${scope}/logpush/jobs/${id}`)).json;
    assert.deepEqual([result.name, result.filter, result.enabled], ["n", JSON.stringify(ODD), false]);
  });

  test("is not found where there is no path, and a known path says what it takes", async () => {
    const scope = freshScope();
    for (const path of [
      `${scope}/logpush`, `${scope}/logpush/job`, `${scope}/logpush/jobs/`, `${scope}/logpush/jobs/x`, `${scope}/logpush/jobs/+1`,
      `${scope}/logpush/jobs/1/x`, "zone/z/logpush/jobs", "zones//logpush/jobs", "zones/a%2Fb/logpush/jobs", "zones/a.b/logpush/jobs",
    ]) {
      refused(await strict.api("GET", path), 404, 7003, "No route for the URI");
    }
    const patch = await strict.api("PATCH", `${scope}/logpush/jobs/1`);
    refused(patch, 405, 10405, /this path takes GET, PUT, DELETE/);
    assert.equal(patch.headers.get("Allow"), "GET, PUT, DELETE");
  });
});

describe("a token", { concurrency: true }, () => {
  const calls = (scope: string, id: number): [string, string][] => [
    ["GET", `${scope}/logpush/jobs`], ["GET", `${scope}/logpush/jobs/${id}`], ["POST", `${scope}/logpush/jobs`],
    ["PUT", `${scope}/logpush/jobs/${id}`], ["DELETE", `${scope}/logpush/jobs/${id}`],
  ];

  test("that is wrong or missing opens nothing, and neither does the one for batches", async () => {
    const scope = freshScope();
    const job = await worker.createJob(scope, { destination_conf: OPEN });
    for (const token of ["", "wrong", SECRETS.INGEST_SECRET, `${SECRETS.API_TOKEN}x`, SECRETS.API_TOKEN.toUpperCase()]) {
      for (const [method, path] of calls(scope, job.id)) {
        refused(await worker.api(method, path, method === "POST" ? { destination_conf: OPEN } : undefined, token), 401, 10000, /Authorization: Bearer/);
      }
    }
    assert.deepEqual((await worker.api("GET", `${scope}/logpush/jobs`)).json.result, [job]);
  });

  test("that may read sees jobs without their credentials, and changes nothing", async () => {
    const scope = freshScope();
    const job = await worker.createJob(scope, { destination_conf: OPEN });
    const masked = { ...job, destination_conf: OPEN.replace("s3cret", "REDACTED") };
    assert.deepEqual((await worker.api("GET", `${scope}/logpush/jobs`, undefined, SECRETS.READ_TOKEN)).json.result, [masked]);
    assert.deepEqual((await worker.api("GET", `${scope}/logpush/jobs/${job.id}`, undefined, SECRETS.READ_TOKEN)).json.result, masked);
    for (const [method, path] of calls(scope, job.id).slice(2)) {
      const body = method === "DELETE" ? undefined : { destination_conf: "https://other.example.com/" };
      refused(await worker.api(method, path, body, SECRETS.READ_TOKEN), 403, 1004, /not allowed with a read token/);
    }
    assert.deepEqual((await worker.api("GET", `${scope}/logpush/jobs`)).json.result, [job]);
    // What was shown does not come back as a credential.
    const back = await worker.api("PUT", `${scope}/logpush/jobs/${job.id}`, { destination_conf: masked.destination_conf });
    refused(back, 400, 1002, /REDACTED is what a read shows/);
  });

  test("that is not configured opens nothing", async () => {
    const closed = await TestWorker.start({ API_TOKEN: "", READ_TOKEN: "" });
    try {
      for (const token of ["", "undefined", SECRETS.API_TOKEN]) {
        for (const [method, path] of calls("zones/z", 1)) refused(await closed.api(method, path, undefined, token), 401, 10000, /./);
        assert.equal((await closed.get("/stats", token)).status, 401);
      }
    } finally {
      await closed.close();
    }
  });
});

/** Runs with a SIEM of its own. */
async function withSiem(work: (siem: Siem) => Promise<void>): Promise<void> {
  const siem = await Siem.start({ intakeKeys: ["a", "b", SIEM_TOKEN], splunkTokens: [SIEM_TOKEN] });
  try {
    await work(siem);
  } finally {
    await siem.close();
  }
}

describe("a secret in a destination", { concurrency: true }, () => {
  test("is put in when pushing, and is shown nowhere", async () => {
    await withSiem(async (siem) => {
      const scope = freshScope();
      const plain = siem.plain("${secret:SIEM_TOKEN}");
      const splunk = siem.splunk("${secret:SIEM_TOKEN}");
      const jobs = [];
      for (const destination_conf of [plain, splunk]) jobs.push(await worker.createJob(scope, { dataset: "dns_logs", destination_conf }));
      assert.deepEqual(jobs.map((job) => job.destination_conf), [plain, splunk]);
      // The SIEM repeats the secret in its answer.
      siem.fail({ status: 500, body: `no such token: ${SIEM_TOKEN}`, times: 2 });
      const lines = dnsLines();
      await push(scope, lines);
      const shown = await eventually("the failures to be told", async () => {
        const { jobs } = await worker.stats(`scope=${scope}`);
        return jobs.some((job: any) => job.error_message) ? JSON.stringify(jobs) : undefined;
      });
      assert.match(shown, /error 500: error pushing: .*no such token: REDACTED/);
      assert.doesNotMatch(shown, /siem-token/);
      for (const job of jobs) assert.equal((await worker.settled(scope, job.id)).delivered.records, 10);
      assert.deepEqual(siem.intake(SIEM_TOKEN).tally, tallyOf([...lines.all, ...lines.all]));
      for (const token of [SECRETS.API_TOKEN, SECRETS.READ_TOKEN]) {
        const { json } = await worker.api("GET", `${scope}/logpush/jobs`, undefined, token);
        assert.doesNotMatch(JSON.stringify(json), /siem-token/);
      }
    });
  });

  test("that does not exist parks the records and says which one is missing, until the job is mended", async () => {
    await withSiem(async (siem) => {
      const scope = freshScope();
      // Past the API, which would have refused it: the secret was there when the job was made.
      const [, zone] = scope.split("/");
      const job = { id: 0, scope: { kind: "zone", id: zone }, dataset: "dns_logs", enabled: true, destination_conf: siem.plain("${secret:MISSING_ONE}") };
      const { id } = await worker.callObject("REGISTRY", "registry", "create", job);
      const lines = dnsLines();
      await push(scope, lines);
      const waiting = await eventually("the failure to be told", async () => {
        const job = await worker.jobStats(scope, id);
        return job.error_message ? job : undefined;
      });
      assert.match(waiting.error_message, /MISSING_ONE/);
      assert.deepEqual([waiting.waiting.records, waiting.parked.records], [0, 10]);
      assert.equal(siem.refusals.length, 0, "nothing was sent");
      const { destination_conf } = job;
      const again = await worker.api("POST", `${scope}/logpush/jobs`, { destination_conf });
      refused(again, 400, 1002, /the secret MISSING_ONE is not set; set it with: wrangler secret put MISSING_ONE/);
      await worker.changeJob(scope, id, { destination_conf: siem.plain("a") });
      assert.equal((await worker.settled(scope, id)).delivered.records, 10);
      assert.deepEqual(siem.intake("a").tally, tallyOf(lines.all));
    });
  });
});

describe("from the next batch on", { concurrency: true }, () => {
  test("a job has its new filter and its new destination", async () => {
    await withSiem(async (siem) => {
      const scope = freshScope();
      const batches = [dnsLines(), dnsLines(), dnsLines()] as const;
      const { id } = await worker.createJob(scope, { dataset: "dns_logs", destination_conf: siem.plain("a"), filter: ODD });
      await push(scope, batches[0]);
      assert.equal((await worker.settled(scope, id)).delivered.records, 5);
      await worker.changeJob(scope, id, { filter: JSON.stringify(EVEN), destination_conf: siem.plain("b") });
      await push(scope, batches[1]);
      assert.equal((await worker.settled(scope, id)).delivered.records, 10);
      await worker.changeJob(scope, id, { filter: "" });
      await push(scope, batches[2]);
      assert.equal((await worker.settled(scope, id)).delivered.records, 20);
      assert.deepEqual(siem.intake("a").tally, tallyOf(batches[0].odd));
      assert.deepEqual(siem.intake("b").tally, tallyOf([...batches[1].even, ...batches[2].all]));
    });
  });

  test("a disabled job selects nothing, and an enabled one goes on from there", async () => {
    await withSiem(async (siem) => {
      const scope = freshScope();
      const [first, second, third] = [dnsLines(), dnsLines(), dnsLines()];
      const { id } = await worker.createJob(scope, { dataset: "dns_logs", destination_conf: siem.plain("a") });
      await push(scope, first);
      await worker.changeJob(scope, id, { enabled: false });
      await push(scope, second);
      await worker.changeJob(scope, id, { enabled: true });
      await push(scope, third);
      const { selected, delivered } = await worker.settled(scope, id);
      assert.deepEqual([selected.batches, selected.records, delivered.records], [2, 20, 20]);
      assert.deepEqual(siem.intake("a").tally, tallyOf([...first.all, ...third.all]));
    });
  });

  test("a job is one more, and a deleted one is gone", async () => {
    await withSiem(async (siem) => {
      const scope = freshScope();
      const [first, second, third] = [dnsLines(), dnsLines(), dnsLines()];
      const a = await worker.createJob(scope, { dataset: "dns_logs", destination_conf: siem.plain("a"), filter: ODD });
      await push(scope, first);
      const b = await worker.createJob(scope, { dataset: "dns_logs", destination_conf: siem.plain("b") });
      await push(scope, second);
      assert.equal((await worker.settled(scope, a.id)).delivered.records, 10);
      await worker.deleteJob(scope, a.id);
      await push(scope, third);
      assert.equal((await worker.settled(scope, b.id)).delivered.records, 20);
      assert.deepEqual(siem.intake("a").tally, tallyOf([...first.odd, ...second.odd]));
      assert.deepEqual(siem.intake("b").tally, tallyOf([...second.all, ...third.all]));
      const { jobs, reconciliation } = await worker.stats(`scope=${scope}`);
      assert.deepEqual(jobs.map((job: any) => [job.id, job.deleted, job.selected.records]), [[a.id, true, 10], [b.id, false, 20]]);
      assert.equal(reconciliation.holds, true);
    });
  });
});

describe("what waits for a destination", { concurrency: true }, () => {
  /** A job whose destination is down, with ten records that wait for it. */
  async function waitingJob(siem: Siem, scope: string) {
    siem.fail({ status: 503, times: Infinity });
    const { id } = await worker.createJob(scope, { dataset: "dns_logs", destination_conf: siem.plain("a") });
    const lines = dnsLines();
    await push(scope, lines);
    await eventually("a failed push", async () => (await worker.jobStats(scope, id)).waiting.attempts > 0);
    return { id, lines };
  }

  test("is held while its job is disabled, and delivered when it is enabled", async () => {
    await withSiem(async (siem) => {
      const scope = freshScope();
      const { id, lines } = await waitingJob(siem, scope);
      await worker.changeJob(scope, id, { enabled: false });
      siem.mend();
      // What comes later for another job is through, and this one still waits.
      const other = await worker.createJob(freshScope(), { dataset: "dns_logs", destination_conf: siem.plain("b") });
      const otherScope = (await worker.stats()).jobs.find((job: any) => job.id === other.id).scope;
      await push(otherScope, dnsLines());
      await worker.settled(otherScope, other.id);
      const { enabled, waiting, delivered } = await worker.jobStats(scope, id);
      assert.deepEqual([enabled, waiting.records, delivered.records], [false, 10, 0]);
      assert.equal(siem.intake("a").pushes, 0);

      await worker.changeJob(scope, id, { enabled: true });
      assert.equal((await worker.settled(scope, id)).delivered.records, 10);
      assert.deepEqual(siem.intake("a").tally, tallyOf(lines.all));
    });
  });

  test("is delivered soon after its job was disabled and enabled again at once, however often", async () => {
    await withSiem(async (siem) => {
      const scope = freshScope();
      const { id, lines } = await waitingJob(siem, scope);
      const everything = [...lines.all];
      for (let round = 0; round < 12; round += 1) {
        await worker.changeJob(scope, id, { enabled: false });
        siem.mend();
        await worker.changeJob(scope, id, { enabled: true });
        await eventually(`round ${round} to be delivered`, async () => (await worker.jobStats(scope, id)).waiting.records === 0, 5_000);
        const more = dnsLines();
        everything.push(...more.all);
        siem.fail({ status: 503, times: Infinity });
        await push(scope, more);
      }
      siem.mend();
      assert.equal((await worker.settled(scope, id)).delivered.records, everything.length);
      assert.deepEqual(siem.intake("a").tally, tallyOf(everything));
    });
  });

  test("stops going out when its job is disabled in the middle of many pushes", async () => {
    await withSiem(async (siem) => {
      const scope = freshScope();
      siem.fail({ delayMillis: 200, times: Infinity });
      const { id } = await worker.createJob(scope, { dataset: "dns_logs", destination_conf: siem.plain("a"), max_upload_records: 1_000 });
      const lines = dnsLines(9_500);
      await push(scope, lines);
      await siem.waitFor(() => siem.intake("a").pushes > 0, 5_000, "the first push");
      await worker.changeJob(scope, id, { enabled: false });
      const pushes = siem.intake("a").pushes;
      // Long enough for several pushes more, if there were any.
      const otherScope = freshScope();
      const other = await worker.createJob(otherScope, { dataset: "dns_logs", destination_conf: siem.plain("b"), max_upload_records: 1_000 });
      await push(otherScope, dnsLines(3_500));
      await worker.settled(otherScope, other.id);
      assert.ok(siem.intake("a").pushes <= pushes + 1, `${siem.intake("a").pushes} pushes, ${pushes} when it was disabled`);
      siem.mend();
      await worker.changeJob(scope, id, { enabled: true });
      assert.equal((await worker.settled(scope, id)).delivered.records, 9_500);
      assert.deepEqual(siem.intake("a").tally, tallyOf(lines.all));
      assert.ok(siem.intake("a").pushRecords.every((records) => records <= 1_000));
    });
  });

  test("goes to the new destination as soon as the job has one", async () => {
    await withSiem(async (siem) => {
      const scope = freshScope();
      const { id, lines } = await waitingJob(siem, scope);
      siem.mend();
      await worker.changeJob(scope, id, { destination_conf: siem.plain("b") });
      assert.equal((await worker.settled(scope, id)).delivered.records, 10);
      assert.deepEqual([siem.intake("a").records, siem.intake("b").tally], [0, tallyOf(lines.all)]);
    });
  });

  test("is counted as discarded when its job is deleted, and the sum still holds", async () => {
    await withSiem(async (siem) => {
      const scope = freshScope();
      const { id, lines } = await waitingJob(siem, scope);
      await worker.deleteJob(scope, id);
      const job = await worker.settled(scope, id);
      assert.deepEqual([job.deleted, job.selected.records, job.delivered.records], [true, 10, 0]);
      assert.deepEqual(job.discarded, { records: 10, bytes: tallyOf(lines.all).bytes });
      siem.mend();
      await push(scope, dnsLines());
      const { jobs, reconciliation } = await worker.stats(`scope=${scope}`);
      assert.deepEqual([jobs.length, jobs[0].selected.records], [1, 10]);
      assert.equal(reconciliation.selected_equals_accounted.discarded_records, 10);
      assert.equal(reconciliation.holds, true);
      assert.equal(siem.intake("a").pushes, 0);
    });
  });
});
