// The calls of the API beside those on jobs: datasets, checks, ownership; and the test message by which a destination is
// checked before a job is stored.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { PLAIN_PATH, Siem } from "../support/siem.ts";
import { freshScope, SECRETS, TestWorker } from "../support/worker.ts";

const SIEM_TOKEN = "siem-token-4711";
const S3 = "s3://logs/dir?region=eu-west-1";
const NO_KEY = "access-key-id: is missing; send access-key-id=, with the id of an access key; without one only Cloudflare itself may write there";

let worker: TestWorker;
before(async () => void (worker = await TestWorker.start({ ALLOW_PRIVATE_DESTINATIONS: "true", SIEM_TOKEN })));
after(async () => await worker.close());

async function withSiem(work: (siem: Siem, scope: string) => Promise<void>): Promise<void> {
  const siem = await Siem.start({ intakeKeys: ["key", SIEM_TOKEN], splunkTokens: [SIEM_TOKEN] });
  try {
    await work(siem, freshScope());
  } finally {
    await siem.close();
  }
}

/** The result of a call that succeeded. */
async function call(method: string, path: string, body?: unknown): Promise<any> {
  const { status, json } = await worker.api(method, path, body);
  assert.deepEqual([status, json.success, json.errors, json.messages], [200, true, [], []], JSON.stringify(json));
  return json.result;
}

/** What a call failed with. */
async function failure(method: string, path: string, body?: unknown, token?: string): Promise<[number, number, string]> {
  const { status, json } = await worker.api(method, path, body, token);
  assert.deepEqual([json.success, json.messages, json.result, json.errors.length], [false, [], null, 1], JSON.stringify(json));
  return [status, json.errors[0].code, json.errors[0].message];
}

describe("a test message", { concurrency: true }, () => {
  test("is sent when a job is created and when its destination changes, and at no other time", async () => {
    await withSiem(async (siem, scope) => {
      const tests = () => [siem.intake("key").tests, siem.intake(SIEM_TOKEN).tests];
      const { id } = await worker.createJob(scope, { destination_conf: siem.plain("key"), enabled: false });
      assert.deepEqual(tests(), [1, 0]);
      await worker.changeJob(scope, id, { name: "x", enabled: true, destination_conf: siem.plain("key") });
      await worker.changeJob(scope, id, { enabled: false });
      assert.deepEqual(tests(), [1, 0]);
      await worker.changeJob(scope, id, { destination_conf: siem.splunk("${secret:SIEM_TOKEN}") });
      assert.deepEqual(tests(), [1, 1]);
      assert.deepEqual([siem.intake("key").pushes, siem.intake(SIEM_TOKEN).pushes], [0, 0]);
    });
  });

  test("that is refused leaves nothing behind, and the answer shows no secret", async () => {
    await withSiem(async (siem, scope) => {
      const path = `${scope}/logpush/jobs`;
      const job = await worker.createJob(scope, { destination_conf: siem.plain("key") });
      const conf = siem.plain("${secret:SIEM_TOKEN}");
      for (const [method, to] of [["POST", path], ["PUT", `${path}/${job.id}`]] as const) {
        siem.fail({ tests: true, status: 403, body: `who is ${SIEM_TOKEN}?` });
        const text = "destination_conf: error validating destination: error 403: error pushing: error uploading to https: 403 who is REDACTED?";
        assert.deepEqual(await failure(method, to, { destination_conf: conf }), [400, 1002, text]);
        siem.fail({ tests: true, reset: "before" });
        const [status, code, message] = await failure(method, to, { destination_conf: conf });
        assert.deepEqual([status, code], [400, 1002]);
        // The test's own network answers for the host that did not.
        assert.match(message, /^destination_conf: error validating destination: (error 500: )?error pushing: error uploading to https: ./);
        assert.doesNotMatch(message, /siem-token/);
      }
      assert.deepEqual(await call("GET", path), [job]);
    });
  });

  test("that is not answered within ten seconds is given up", async () => {
    await withSiem(async (siem, scope) => {
      siem.fail({ tests: true, hang: true });
      const begun = performance.now();
      const text = "destination_conf: error validating destination: no answer within 10 s";
      assert.deepEqual(await failure("POST", `${scope}/logpush/jobs`, { destination_conf: siem.plain("key") }), [400, 1002, text]);
      const seconds = (performance.now() - begun) / 1000;
      assert.ok(seconds > 9 && seconds < 20, `${seconds} s`);
      assert.deepEqual(await call("GET", `${scope}/logpush/jobs`), []);
    });
  });
});

describe("a check", { concurrency: true }, () => {
  test("of a destination sends a test message and tells what came of it", async () => {
    await withSiem(async (siem, scope) => {
      const validate = async (destination_conf: string) => await call("POST", `${scope}/logpush/validate/destination`, { destination_conf });
      assert.deepEqual(await validate(siem.plain("key")), { message: "", valid: true });
      assert.deepEqual(await validate(siem.splunk("${secret:SIEM_TOKEN}")), { message: "", valid: true });
      assert.deepEqual([siem.intake("key").tests, siem.intake(SIEM_TOKEN).tests], [1, 1]);
      for (const [conf, text] of [
        [siem.plain("wrong"), /^error validating destination: error 403: error pushing: error uploading to https: 403 .*not known/],
        [siem.splunk("wrong"), /^error validating destination: error 403: error pushing: error uploading to splunk: 403 .*Invalid token/],
        [`http://${siem.host}${PLAIN_PATH}x`, /^error validating destination: error 404/],
        [siem.plain("${secret:NONE_SUCH}"), /^error validating destination: the secret NONE_SUCH is not set/],
        [siem.plain("${secret:API_TOKEN}"), /^header_X-SEKOIAIO-INTAKE-KEY: API_TOKEN is a secret of this service/],
        ["nowhere", /^must begin with a scheme/],
        [S3, /^access-key-id: is missing/],
        ["s3://logs", /^region: is missing/],
      ] as const) {
        const { valid, message } = await validate(conf);
        assert.equal(valid, false, conf);
        assert.match(message, text);
      }
      assert.deepEqual(await call("GET", `${scope}/logpush/jobs`), []);
    });
  });

  test("tells whether a job of the zone or account has a destination already", async () => {
    await withSiem(async (siem, scope) => {
      const destination_conf = siem.plain("key");
      const exists = async (scope: string, conf: string) =>
        await call("POST", `${scope}/logpush/validate/destination/exists`, { destination_conf: conf });
      assert.deepEqual(await exists(scope, destination_conf), { exists: false });
      await worker.createJob(scope, { destination_conf, enabled: false });
      assert.deepEqual(await exists(scope, destination_conf), { exists: true });
      assert.deepEqual(await exists(scope, siem.plain("other")), { exists: false });
      assert.deepEqual(await exists(freshScope(), destination_conf), { exists: false });
    });
  });

  test("of the origin reads logpull_options", async () => {
    for (const [body, message] of [
      [{ logpull_options: "fields=RayID,ClientIP&timestamps=rfc3339&sample=0.5" }, ""],
      [{ logpull_options: "fields=QueryName", dataset: "dns_logs" }, ""],
      [{}, ""],
      [{ logpull_options: "fields=RayId" }, "fields: http_requests has no field `RayId`; did you mean `RayID`?"],
      [{ logpull_options: "timestamps=never" }, "timestamps must be unixnano, unix, rfc3339, rfc3339ms or rfc3339ns"],
      [{ logpull_options: "sample=2" }, "sample must be a number above 0 and at most 1; 0.1 sends one record of ten"],
    ] as const) {
      const verdict = await call("POST", `${freshScope()}/logpush/validate/origin`, body);
      assert.deepEqual(verdict, { message, valid: message === "" }, JSON.stringify(body));
    }
  });

  test("of ownership is not needed where records are pushed, and says why where none can be written", async () => {
    const path = `${freshScope("accounts")}/logpush/ownership`;
    const message = "no ownership challenge is needed for this destination";
    assert.deepEqual(await call("POST", path, { destination_conf: "https://logs.example.com/in" }), { filename: "", message, valid: true });
    const none = { filename: "", message: `no ownership challenge was written: ${NO_KEY}`, valid: false };
    assert.deepEqual(await call("POST", path, { destination_conf: S3 }), none);
    for (const ownership_challenge of ["v1.9999999999.00", "eyJhbGciOiJub25lIn0.e30.", "x"]) {
      assert.deepEqual(await call("POST", `${path}/validate`, { destination_conf: S3, ownership_challenge }), { valid: false });
    }
    assert.deepEqual(await failure("POST", `${path}/validate`, { destination_conf: S3 }), [400, 1002, "ownership_challenge: is required"]);
    assert.deepEqual(await failure("POST", path, {}), [400, 1002, "destination_conf: is required"]);
  });
});

describe("a dataset", { concurrency: true }, () => {
  test("has its fields, its default fields and its jobs", async () => {
    await withSiem(async (siem, scope) => {
      const path = `${scope}/logpush/datasets`;
      const fields = await call("GET", `${path}/dns_logs/fields`);
      assert.equal(fields.Timestamp, "int or string; When the query happened");
      assert.ok(Object.values(fields).every((field) => /^[a-z[\] ]+; ./.test(String(field))));
      const [all, defaults] = [await call("GET", `${path}/http_requests/fields`), await call("GET", `${path}/http_requests/fields/default`)];
      for (const name of ["RequestHeaders", "WAFFlags", "Subrequests"]) {
        assert.deepEqual([name in all, name in defaults], [true, false], name);
      }
      const dns = await worker.createJob(scope, { dataset: "dns_logs", destination_conf: siem.plain("key") });
      const fresh = await worker.createJob(scope, { dataset: "next_weeks_dataset", destination_conf: siem.plain("key") });
      assert.deepEqual(await call("GET", `${path}/dns_logs/jobs`), [dns]);
      assert.deepEqual(await call("GET", `${path}/next_weeks_dataset/jobs`), [fresh]);
      assert.deepEqual(await call("GET", `${path}/http_requests/jobs`), []);
      for (const what of ["fields", "fields/default", "jobs"]) {
        const text = "dataset: http_request is not in the catalogue; did you mean http_requests?";
        assert.deepEqual(await failure("GET", `${path}/http_request/${what}`), [404, 1008, text]);
      }
    });
  });
});

describe("a call", { concurrency: true }, () => {
  test("may be made with X-Auth-Email and X-Auth-Key instead of a bearer token", async () => {
    const ask = async (path: string, headers: Record<string, string>) => (await fetch(worker.url + path, { headers })).status;
    const email = { "X-Auth-Email": "somebody@example.com" };
    for (const path of [`/client/v4/${freshScope()}/logpush/jobs`, "/stats"]) {
      for (const token of [SECRETS.API_TOKEN, SECRETS.READ_TOKEN]) {
        assert.equal(await ask(path, { ...email, "X-Auth-Key": token }), 200);
        assert.equal(await ask(path, { "X-Auth-Key": token }), 401);
      }
      assert.equal(await ask(path, { ...email, "X-Auth-Key": "wrong" }), 401);
      assert.equal(await ask(path, email), 401);
    }
  });

  test("with a read token reads, and neither sends nor asks about whole destination strings", async () => {
    const scope = freshScope();
    const read = async (path: string) => (await worker.api("GET", `${scope}/logpush/${path}`, undefined, SECRETS.READ_TOKEN)).status;
    for (const path of ["jobs", "datasets/dns_logs/jobs", "datasets/dns_logs/fields", "datasets/dns_logs/fields/default"]) {
      assert.equal(await read(path), 200, path);
    }
    for (const path of ["ownership", "ownership/validate", "validate/destination", "validate/destination/exists", "validate/origin"]) {
      const body = { destination_conf: "https://127.0.0.1:9/", ownership_challenge: "x" };
      const text = "this call is not allowed with a read token; use the API token";
      assert.deepEqual(await failure("POST", `${scope}/logpush/${path}`, body, SECRETS.READ_TOKEN), [403, 1004, text]);
      assert.deepEqual((await failure("POST", `${scope}/logpush/${path}`, body, "wrong")).slice(0, 2), [401, 10000]);
      const get = await worker.api("GET", `${scope}/logpush/${path}`);
      assert.deepEqual([get.status, get.json.errors[0].code, get.headers.get("Allow")], [405, 10405, "POST"]);
    }
  });

  test("of something that Logpush has and this Worker has not says so, and no page of another origin may make any", async () => {
    const [zone, account] = [freshScope(), freshScope("accounts")];
    for (const path of ["transformers", "transformers/preview", "transformers/1/content"]) {
      const text = "transformers (logpush/transformers): not offered in this version";
      assert.deepEqual(await failure("GET", `${account}/logpush/${path}`), [404, 10404, text]);
    }
    assert.deepEqual(await failure("GET", `${zone}/logpush/validate/everything`), [404, 7003, "No route for the URI"]);
    const preflight = await fetch(`${worker.url}/client/v4/${zone}/logpush/jobs`, {
      method: "OPTIONS",
      headers: { Origin: "https://example.com", "Access-Control-Request-Method": "POST" },
    });
    await preflight.body?.cancel();
    assert.equal(preflight.status, 405);
    assert.deepEqual([...preflight.headers.keys()].filter((name) => name.startsWith("access-control-")), []);
  });
});
