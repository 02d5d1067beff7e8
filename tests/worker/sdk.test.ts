// Cloudflare's official TypeScript SDK, unmodified, speaks to the Worker as to Cloudflare: only its base URL differs.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import Cloudflare, {
  APIError,
  AuthenticationError,
  BadRequestError,
  NotFoundError,
  PermissionDeniedError,
  type ClientOptions,
} from "cloudflare";
import type { LogpushJob } from "cloudflare/resources/logpush/jobs";
import { ndjson } from "../support/lines.ts";
import { Siem } from "../support/siem.ts";
import { eventually, freshScope, SECRETS, TestWorker } from "../support/worker.ts";

const INTAKE_KEY = "sdk-intake-key";
const HEC_TOKEN = "sdk-hec-token";
const FILTER = JSON.stringify({ where: { key: "QueryType", operator: "eq", value: 1 } });
/** A number that no job has. */
const NOBODY = 999_999_999;
const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;
/** What Logpush writes before a field's description. */
const FIELD = /^(string|int|float|bool|object|int or string|array\[(string|int|object)\]); \S/;

let worker: TestWorker;
let siem: Siem;
before(async () => {
  siem = await Siem.start({ intakeKeys: [INTAKE_KEY], splunkTokens: [HEC_TOKEN] });
  worker = await TestWorker.start({ ALLOW_PRIVATE_DESTINATIONS: "true" });
});
after(async () => {
  await worker?.close();
  await siem?.close();
});

/** The two ways to identify oneself to Cloudflare's API. A variable of the developer's environment counts for neither. */
const AUTH: Record<"a token" | "e-mail address and key", (secret: string) => ClientOptions> = {
  "a token": (apiToken) => ({ apiToken, apiEmail: null, apiKey: null }),
  "e-mail address and key": (apiKey) => ({ apiToken: null, apiEmail: "operator@example.com", apiKey }),
};

function sdk(secret: string = SECRETS.API_TOKEN, auth: keyof typeof AUTH = "a token"): Cloudflare {
  return new Cloudflare({ baseURL: `${worker.url}/client/v4`, userServiceKey: null, maxRetries: 0, ...AUTH[auth](secret) });
}

type Scope = { zone_id: string } | { account_id: string };

/** A zone or account of its own, as the SDK names it, and its path. */
function fresh(kind: "zones" | "accounts" = "zones"): { scope: Scope; path: string } {
  const path = freshScope(kind);
  const id = path.slice(kind.length + 1);
  return { scope: kind === "zones" ? { zone_id: id } : { account_id: id }, path };
}

async function all(page: AsyncIterable<LogpushJob | null>): Promise<(LogpushJob | null)[]> {
  const jobs = [];
  for await (const job of page) jobs.push(job);
  return jobs;
}

/** The job, which the SDK's types allow to be missing; with the filter, which its types of answers do not know. */
function there(job: LogpushJob | null): LogpushJob & { id: number; filter?: string | null } {
  assert.ok(job && typeof job.id === "number", "there is a job");
  return { ...job, id: job.id };
}

/** Runs a call that must fail, and looks at the error as the SDK gives it. */
async function fails<T extends APIError>(
  call: Promise<unknown>,
  type: new (...args: never[]) => T,
  status: number,
  code: number,
  text: RegExp = /./,
): Promise<void> {
  await assert.rejects(call, (error: unknown) => {
    assert.ok(error instanceof type, `${type.name} was expected, not ${String(error)}`);
    assert.equal(error.status, status);
    assert.deepEqual(error.errors.map((one) => one.code), [code], JSON.stringify(error.errors));
    assert.match(String(error.errors[0]?.message), text);
    const { success, messages, result } = error.error as Record<string, unknown>;
    assert.deepEqual({ success, messages, result }, { success: false, messages: [], result: null });
    return true;
  });
}

test("a token is verified", async () => {
  assert.deepEqual(await sdk(SECRETS.READ_TOKEN).user.tokens.verify(), { id: "READ_TOKEN", status: "active", access: "read" });
  await assert.rejects(async () => await sdk("wrong").user.tokens.verify(), AuthenticationError);
});

describe("a job", { concurrency: true }, () => {
  for (const kind of ["zones", "accounts"] as const) {
    for (const auth of Object.keys(AUTH) as (keyof typeof AUTH)[]) {
      test(`of ${kind} is created, read, listed, changed and deleted with ${auth}`, async () => {
        const client = sdk(SECRETS.API_TOKEN, auth);
        const { scope } = fresh(kind);
        const elsewhere = fresh(kind).scope;
        const destination_conf = siem.plain(INTAKE_KEY);
        const created = there(await client.logpush.jobs.create({ ...scope, dataset: "dns_logs", destination_conf, name: "one", enabled: true, filter: FILTER }));
        assert.ok(created.id > 0);
        assert.deepEqual(
          { ...created, id: 0 },
          {
            ...created, id: 0, dataset: "dns_logs", destination_conf, name: "one", enabled: true, filter: FILTER, kind: "", frequency: "high",
            last_complete: null, last_error: null, error_message: null,
          },
        );
        assert.deepEqual(await client.logpush.jobs.get(created.id, scope), created);
        assert.deepEqual(await all(client.logpush.jobs.list(scope)), [created]);

        const changed = there(await client.logpush.jobs.update(created.id, { ...scope, enabled: false }));
        assert.deepEqual(changed, { ...created, enabled: false });
        const second = there(await client.logpush.jobs.create({ ...scope, destination_conf: siem.splunk(HEC_TOKEN) }));
        assert.deepEqual([second.dataset, second.enabled, second.name ?? ""], ["http_requests", false, ""]);
        assert.deepEqual(await all(client.logpush.jobs.list(scope)), [changed, second]);
        assert.deepEqual(await all(client.logpush.jobs.list(elsewhere)), []);
        await fails(client.logpush.jobs.get(created.id, elsewhere), NotFoundError, 404, 1006);

        assert.deepEqual(await client.logpush.jobs.delete(created.id, scope), { id: created.id });
        await fails(client.logpush.jobs.get(created.id, scope), NotFoundError, 404, 1006);
        await fails(client.logpush.jobs.update(created.id, { ...scope, enabled: true }), NotFoundError, 404, 1006);
        await fails(client.logpush.jobs.delete(created.id, scope), NotFoundError, 404, 1006);
        assert.deepEqual(await all(client.logpush.jobs.list(scope)), [second]);
      });
    }

    test(`of ${kind} is listed with its dataset and not with another one`, async () => {
      const client = sdk();
      const { scope } = fresh(kind);
      const datasets = ["dns_logs", "http_requests", "dns_logs"] as const;
      const jobs = [];
      for (const dataset of datasets) jobs.push(there(await client.logpush.jobs.create({ ...scope, dataset, destination_conf: siem.plain(INTAKE_KEY) })));
      assert.deepEqual(await all(client.logpush.datasets.jobs.get("dns_logs", scope)), [jobs[0], jobs[2]]);
      assert.deepEqual(await all(client.logpush.datasets.jobs.get("http_requests", scope)), [jobs[1]]);
      assert.deepEqual(await all(client.logpush.datasets.jobs.get("firewall_events", scope)), []);
      assert.deepEqual(await all(client.logpush.datasets.jobs.get("dns_logs", fresh(kind).scope)), []);
    });
  }

  test("keeps what an update does not mention, and loses a limit or a text that is sent as null, 0 or an empty string", async () => {
    const client = sdk();
    const { scope } = fresh();
    const full = {
      name: "limits", filter: FILTER, logpull_options: "fields=QueryName,QueryType&timestamps=rfc3339",
      max_upload_bytes: 5_000_000, max_upload_records: 1_000, max_upload_interval_seconds: 30,
    };
    const job = there(await client.logpush.jobs.create({ ...scope, dataset: "dns_logs", destination_conf: siem.plain(INTAKE_KEY), ...full }));
    assert.deepEqual({ ...job, ...full }, job);
    for (const change of [
      { max_upload_bytes: 0 as const, name: "" },
      { max_upload_records: null, filter: null },
      { max_upload_interval_seconds: 0 as const, filter: "", logpull_options: null },
      { max_upload_bytes: null, name: null, logpull_options: "" },
    ]) {
      const changed = there(await client.logpush.jobs.update(job.id, { ...scope, ...change }));
      for (const name of Object.keys(full) as (keyof typeof full)[]) {
        if (name in change) assert.ok(!changed[name], `${name} is unset, not ${changed[name]}`);
        else assert.equal(changed[name], full[name], name);
      }
      assert.deepEqual(there(await client.logpush.jobs.update(job.id, { ...scope, ...full })), job);
    }
  });

  test("has the output options that it was given, and loses them when they are null", async () => {
    const client = sdk();
    const { scope } = fresh();
    const output_options: Cloudflare.Logpush.OutputOptions = {
      field_names: ["QueryName", "QueryType", "Timestamp"], output_type: "csv", batch_prefix: "QueryName,QueryType,Timestamp\n",
      batch_suffix: "", record_prefix: "", record_suffix: "\n", record_delimiter: "", field_delimiter: ";",
      timestamp_format: "rfc3339ms", sample_rate: 0.5, "CVE-2021-44228": true,
    };
    const job = there(await client.logpush.jobs.create({ ...scope, dataset: "dns_logs", destination_conf: siem.plain(INTAKE_KEY), output_options }));
    assert.deepEqual({ ...job.output_options, ...output_options }, job.output_options);
    const renamed = there(await client.logpush.jobs.update(job.id, { ...scope, name: "csv" }));
    assert.deepEqual(renamed, { ...job, name: "csv" });
    const changed = there(await client.logpush.jobs.update(job.id, { ...scope, output_options: { field_names: ["QueryName"], timestamp_format: "unix" } }));
    assert.deepEqual([changed.output_options?.field_names, changed.output_options?.timestamp_format], [["QueryName"], "unix"]);
    assert.equal(there(await client.logpush.jobs.update(job.id, { ...scope, output_options: null })).output_options ?? null, null);
  });

  test("tells when a push last failed and why, and after a success when the last one was complete", async () => {
    const client = sdk();
    const { scope, path } = fresh();
    const key = "sdk-health";
    const stand = await Siem.start({ intakeKeys: [key] });
    try {
      const { id } = there(await client.logpush.jobs.create({ ...scope, dataset: "dns_logs", destination_conf: stand.plain(key), enabled: true }));
      stand.fail({ status: 415, body: '{"message":"no such type"}', times: Infinity });
      const batch = gzipSync(ndjson([{ QueryName: "sdk.example.", QueryType: 1, Timestamp: "2026-07-01T10:00:00Z" }]));
      assert.equal((await worker.push(`${path}/dns_logs`, batch)).status, 200);
      const failing = await eventually("the failure to be told", async () => {
        const job = there(await client.logpush.jobs.get(id, scope));
        return job.error_message ? job : undefined;
      });
      assert.equal(failing.error_message, 'error 415: error pushing: error uploading to https: 415 {"message":"no such type"}');
      assert.match(String(failing.last_error), RFC3339);
      // A destination that refuses the type has parked the queue, and a change of the job ends that.
      stand.mend();
      await client.logpush.jobs.update(id, { ...scope, name: "mended" });
      const mended = await eventually("the success to be told", async () => {
        const job = there(await client.logpush.jobs.get(id, scope));
        return job.last_complete ? job : undefined;
      });
      assert.match(String(mended.last_complete), RFC3339);
      assert.deepEqual([mended.last_error, mended.error_message], [null, null]);
    } finally {
      await stand.close();
    }
  });
});

describe("the fields of a dataset", { concurrency: true }, () => {
  test("are names with their type and what they mean, in the form of Logpush", async () => {
    const client = sdk();
    const dns = await client.logpush.datasets.fields.get("dns_logs", fresh().scope);
    // The list that the walk-through of SEKOIA.IO shows.
    assert.deepEqual(Object.keys(dns).sort(), [
      "ColoCode", "EDNSSubnet", "EDNSSubnetLength", "QueryName", "QueryType", "ResponseCached", "ResponseCode", "SourceIP", "Timestamp",
    ]);
    assert.match(String(dns["Timestamp"]), /^int or string; /);
    assert.match(String(dns["ResponseCached"]), /^bool; /);
    const packets = await client.logpush.datasets.fields.get("network_analytics_logs", fresh("accounts").scope);
    assert.ok("MitigationSystem" in packets);
    for (const [name, text] of [...Object.entries(dns), ...Object.entries(packets)]) assert.match(text, FIELD, name);
  });

  test("that are sent by default are some of them, with the same text", async () => {
    const client = sdk();
    const { scope, path } = fresh();
    const all = await client.logpush.datasets.fields.get("http_requests", scope);
    // The SDK has no method for this call of the documentation.
    const answer = (await client.get(`/${path}/logpush/datasets/http_requests/fields/default`)) as { result: Record<string, string> };
    const some = Object.entries(answer.result);
    assert.ok(some.length > 0 && some.length < Object.keys(all).length, `${some.length} default fields`);
    for (const [name, text] of some) assert.equal(text, all[name], name);
  });

  test("belong to the scope that has the dataset", async () => {
    const client = sdk();
    const [zone, account] = await Promise.all(
      [fresh("zones"), fresh("accounts")].map(({ scope }) => client.logpush.datasets.fields.get("websocket_analytics", scope)),
    );
    assert.notDeepEqual(Object.keys(zone ?? {}), Object.keys(account ?? {}));
  });

  test("of a dataset that nobody knows are not found", async () => {
    const unknown = "brand_new" as "dns_logs";
    await assert.rejects(sdk().logpush.datasets.fields.get(unknown, fresh().scope), (error: unknown) => {
      assert.ok(error instanceof BadRequestError || error instanceof NotFoundError, String(error));
      return true;
    });
  });
});

describe("a destination", { concurrency: true }, () => {
  for (const kind of ["zones", "accounts"] as const) {
    test(`is tried out with a test message, in ${kind}`, async () => {
      const stand = await Siem.start({ intakeKeys: [INTAKE_KEY] });
      try {
        const { scope } = fresh(kind);
        const good = await sdk().logpush.validate.destination({ ...scope, destination_conf: stand.plain(INTAKE_KEY) });
        assert.deepEqual(good, { message: "", valid: true });
        assert.deepEqual([stand.intake(INTAKE_KEY).tests, stand.intake(INTAKE_KEY).pushes], [1, 0]);
        const bad = await sdk().logpush.validate.destination({ ...scope, destination_conf: stand.plain("unknown-key") });
        assert.equal(bad?.valid, false);
        assert.match(String(bad?.message), /403/);
        assert.doesNotMatch(String(bad?.message), /unknown-key/);
      } finally {
        await stand.close();
      }
    });

    test(`exists once a job has it, in ${kind}`, async () => {
      const client = sdk();
      const { scope } = fresh(kind);
      const destination_conf = siem.plain(INTAKE_KEY);
      const exists = async (where: Scope) => await client.logpush.validate.destinationExists({ ...where, destination_conf });
      assert.deepEqual(await exists(scope), { exists: false });
      const { id } = there(await client.logpush.jobs.create({ ...scope, destination_conf }));
      assert.deepEqual(await exists(scope), { exists: true });
      await client.logpush.jobs.delete(id, scope);
      assert.deepEqual(await exists(scope), { exists: false });
    });
  }

  test("that refuses the test message is refused for a job, and the job stays as it was", async () => {
    const client = sdk();
    const { scope } = fresh();
    const [good, bad] = [siem.plain(INTAKE_KEY), siem.plain("no-such-key")];
    await fails(client.logpush.jobs.create({ ...scope, destination_conf: bad }), BadRequestError, 400, 1002, /error validating destination/);
    assert.deepEqual(await all(client.logpush.jobs.list(scope)), []);
    const job = there(await client.logpush.jobs.create({ ...scope, destination_conf: good }));
    await fails(client.logpush.jobs.update(job.id, { ...scope, destination_conf: bad }), BadRequestError, 400, 1002, /error validating destination/);
    assert.deepEqual(await client.logpush.jobs.get(job.id, scope), job);
  });

  for (const kind of ["zones", "accounts"] as const) {
    test(`is asked for its owner in the form of the SDK, and a challenge that nobody wrote is not valid, in ${kind}`, async () => {
      const client = sdk();
      const { scope } = fresh(kind);
      const destination_conf = siem.plain(INTAKE_KEY);
      const challenge = await client.logpush.ownership.create({ ...scope, destination_conf });
      assert.deepEqual(
        [typeof challenge?.filename, typeof challenge?.message, typeof challenge?.valid],
        ["string", "string", "boolean"],
        JSON.stringify(challenge),
      );
      const answer = await client.logpush.ownership.validate({ ...scope, destination_conf, ownership_challenge: "00000000000000000000" });
      assert.deepEqual(answer, { valid: false });
    });
  }
});

describe("an origin", { concurrency: true }, () => {
  for (const kind of ["zones", "accounts"] as const) {
    test(`is valid when its logpull_options can be read, in ${kind}`, async () => {
      const client = sdk();
      const { scope } = fresh(kind);
      for (const logpull_options of ["fields=RayID,ClientIP,EdgeStartTimestamp&timestamps=rfc3339", "timestamps=unix&sample=0.1&CVE-2021-44228=true"]) {
        assert.deepEqual(await client.logpush.validate.origin({ ...scope, logpull_options }), { message: "", valid: true }, logpull_options);
      }
      for (const logpull_options of ["timestamps=yesterday", "sample=2"]) {
        const answer = await client.logpush.validate.origin({ ...scope, logpull_options });
        assert.equal(answer?.valid, false, logpull_options);
        assert.notEqual(answer?.message ?? "", "", logpull_options);
      }
    });
  }
});

describe("an error", { concurrency: true }, () => {
  test("is the SDK's NotFoundError for a job that is not there and for a path that nobody serves", async () => {
    const client = sdk();
    const { scope, path } = fresh();
    await fails(client.logpush.jobs.get(NOBODY, scope), NotFoundError, 404, 1006, /job not found/);
    await fails(client.logpush.jobs.update(NOBODY, { ...scope, enabled: true }), NotFoundError, 404, 1006);
    await fails(client.logpush.jobs.delete(NOBODY, scope), NotFoundError, 404, 1006);
    await fails(client.get(`/${path}/logpush/nothing`), NotFoundError, 404, 7003, /No route for the URI/);
  });

  test("is the SDK's BadRequestError for a job that is wrong, and its text names the member", async () => {
    const client = sdk();
    const { scope } = fresh();
    const destination_conf = siem.plain(INTAKE_KEY);
    const table: [Partial<Cloudflare.Logpush.JobCreateParams> & { destination_conf?: string }, RegExp][] = [
      [{ destination_conf: "logs.example.com" }, /^destination_conf: /],
      [{ max_upload_records: 7 }, /^max_upload_records: /],
      [{ filter: "{" }, /^filter: /],
      [{ dataset: "dns_logs", filter: JSON.stringify({ where: { key: "QueryTyp", operator: "eq", value: 1 } }) }, /^filter: .*QueryType/],
      [{ dataset: "dns_logs", output_options: { field_names: ["QueryNam"] } }, /^output_options.*QueryName/],
      [{ logpull_options: "timestamps=yesterday" }, /^logpull_options/],
      [{ frequency: "often" as "high" }, /^frequency: /],
    ];
    for (const [wrong, text] of table) {
      await fails(client.logpush.jobs.create({ ...scope, destination_conf, ...wrong }), BadRequestError, 400, 1002, text);
    }
    const job = there(await client.logpush.jobs.create({ ...scope, destination_conf }));
    await fails(client.put(`/zones/${(scope as { zone_id: string }).zone_id}/logpush/jobs/${job.id}`, { body: { kind: "edge" } }), BadRequestError, 400, 1002, /^kind: /);
    assert.deepEqual(await all(client.logpush.jobs.list(scope)), [job]);
  });

  for (const auth of Object.keys(AUTH) as (keyof typeof AUTH)[]) {
    test(`is the SDK's AuthenticationError for a secret that is wrong, sent as ${auth}`, async () => {
      const { scope } = fresh();
      const destination_conf = siem.plain(INTAKE_KEY);
      for (const secret of ["wrong", `${SECRETS.API_TOKEN}x`, SECRETS.INGEST_SECRET]) {
        const client = sdk(secret, auth);
        await fails(client.logpush.jobs.create({ ...scope, destination_conf }), AuthenticationError, 401, 10000);
        await fails(all(client.logpush.jobs.list(scope)), AuthenticationError, 401, 10000);
        await fails(client.logpush.datasets.fields.get("dns_logs", scope), AuthenticationError, 401, 10000);
        await fails(client.logpush.validate.destination({ ...scope, destination_conf }), AuthenticationError, 401, 10000);
      }
    });

    test(`is the SDK's PermissionDeniedError for a change with a secret that may only read, sent as ${auth}`, async () => {
      const { scope } = fresh();
      const destination_conf = siem.plain(INTAKE_KEY);
      const job = there(await sdk().logpush.jobs.create({ ...scope, dataset: "dns_logs", destination_conf }));
      const reader = sdk(SECRETS.READ_TOKEN, auth);
      await fails(reader.logpush.jobs.create({ ...scope, destination_conf }), PermissionDeniedError, 403, 1004);
      await fails(reader.logpush.jobs.update(job.id, { ...scope, enabled: true }), PermissionDeniedError, 403, 1004);
      await fails(reader.logpush.jobs.delete(job.id, scope), PermissionDeniedError, 403, 1004);
      await fails(reader.logpush.ownership.create({ ...scope, destination_conf }), PermissionDeniedError, 403, 1004);
      const masked = { ...job, destination_conf: destination_conf.replace(INTAKE_KEY, "REDACTED") };
      assert.deepEqual(await reader.logpush.jobs.get(job.id, scope), masked);
      assert.deepEqual(await all(reader.logpush.datasets.jobs.get("dns_logs", scope)), [masked]);
    });
  }

  test("opens a session of Instant Logs and lists it", async () => {
    const { scope } = fresh();
    const edge = sdk(SECRETS.READ_TOKEN).logpush.edge;
    const zone = scope as { zone_id: string };
    const session = await edge.create({ ...zone, fields: "ClientIP,RayID", filter: "", sample: 10 });
    assert.ok(session);
    assert.deepEqual([session.fields, session.filter, session.sample], ["ClientIP,RayID", "", 10]);
    assert.equal(session.destination_conf, `${worker.url.replace("http", "ws")}/instant-logs/ws/sessions/${session.session_id}`);
    const listed = [];
    for await (const one of edge.get(zone)) listed.push(one);
    assert.deepEqual(listed, [session]);
    const everything = await edge.create(zone);
    assert.deepEqual([everything?.fields, everything?.sample], ["", 1]);
    await fails(edge.create({ ...zone, fields: "RayId" }), BadRequestError, 400, 1002, /^fields: .*RayID/);
    await fails(sdk("wrong").logpush.edge.create(zone), AuthenticationError, 401, 10000);
  });

  test("says of transformers that they are not offered", async () => {
    const account_id = freshScope("accounts").slice("accounts/".length);
    const call = sdk().post(`/accounts/${account_id}/logpush/transformers`, { body: { name: "t", code: "SELECT 1" } });
    await assert.rejects(call, (error: unknown) => {
      assert.ok(error instanceof APIError && Number(error.status) >= 400 && Number(error.status) < 500, String(error));
      assert.match(String(error.errors[0]?.message), /not offered/);
      return true;
    });
  });
});
