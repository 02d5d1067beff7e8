// Alerts: the Notifications API with Cloudflare's own SDK, and what arrives at a webhook.

import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import Cloudflare, { APIError, AuthenticationError, BadRequestError, NotFoundError, PermissionDeniedError } from "cloudflare";
import { Hook } from "../support/hook.ts";
import { ndjson } from "../support/lines.ts";
import { WorkerProcess } from "../support/process.ts";
import { Client, configWith, eventually, freshScope, SECRETS, TestWorker } from "../support/worker.ts";

const SECRET = "hook-secret-1";
const START = "ALERT_STATE_EVENT_START";
const END = "ALERT_STATE_EVENT_END";
const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;
const TEST_TEXT =
  "Hello World! This is a test message sent from https://cloudflare.com. If you can see this, your webhook is configured properly.";

let worker: TestWorker;
let hook: Hook;
before(async () => {
  hook = await Hook.start(SECRET);
  worker = await TestWorker.start({ ALLOW_PRIVATE_DESTINATIONS: "true", HOOK_SECRET: SECRET });
});
after(async () => {
  await worker?.close();
  await hook?.close();
});

function sdk(apiToken: string = SECRETS.API_TOKEN): Cloudflare["alerting"] {
  const client = new Cloudflare({ baseURL: `${worker.url}/client/v4`, userServiceKey: null, maxRetries: 0, apiToken, apiEmail: null, apiKey: null });
  return client.alerting;
}

const fresh = () => ({ account_id: freshScope("accounts").slice("accounts/".length) });
const api = async (account: { account_id: string }, method: string, path: string, body?: unknown, token?: string) =>
  await worker.api(method, `accounts/${account.account_id}/alerting/v3/${path}`, body, token);

async function all<T>(page: AsyncIterable<T>): Promise<T[]> {
  const found = [];
  for await (const one of page) found.push(one);
  return found;
}

async function fails(call: Promise<unknown>, type: new (...args: never[]) => APIError, status: number, text: RegExp): Promise<void> {
  await assert.rejects(call, (error: unknown) => {
    assert.ok(error instanceof type, String(error));
    assert.equal(error.status, status);
    assert.match(String(error.errors[0]?.message), text);
    return true;
  });
}

/** A webhook and a policy for it in an account of its own. */
async function listener(alert_type: string, at: Hook = hook, policy: object = {}) {
  const account = fresh();
  const webhook = await sdk().destinations.webhooks.create({ ...account, name: "hook", url: at.url, ...(at.secret ? { secret: at.secret } : {}) });
  const made = await sdk().policies.create({
    ...account, name: "on call", alert_type: alert_type as "failing_logpush_job_disabled_alert", enabled: true,
    mechanisms: { webhooks: [{ id: String(webhook.id) }] }, ...policy,
  });
  listeners.push({ account, policy: String(made.id) });
  return { account, webhook: String(webhook.id), policy: String(made.id) };
}

/** A policy sees the whole deployment, so it must not outlive its test. */
const listeners: { account: { account_id: string }; policy: string }[] = [];
afterEach(async () => {
  for (const { account, policy } of listeners.splice(0)) await api(account, "DELETE", `policies/${policy}`);
});

let jobs = 900_000;
/** Something to raise, as an outbox does: `raise(START)`, `raise(END)`, all about one job that nothing else is about. */
function trouble(alert_type: string, job: object = {}) {
  const correlation = `c${(jobs += 1)}`;
  const since_millis = Date.now() - 330_000;
  const facts = {
    id: jobs, name: "siem", scope: "zones/z1", dataset: "http_requests",
    destination_conf: "https://siem.example.com/in?header_Authorization=REDACTED", error_message: "error 503: error pushing", ...job,
  };
  const subject = { job: facts };
  const raise = async (event: string, severity = "warning") =>
    await worker.callObject("ALERTS", "alerts", "raise", {
      id: `${correlation}-${event === END ? "end" : severity}`, correlation_id: correlation, alert_type, event, severity, since_millis,
      at_millis: Date.now(), subject,
    });
  return { correlation, raise };
}

const alertStats = async () => (await worker.stats()).alerts;

describe("a webhook", () => {
  test("gets the test message with its secret when it is made, and is kept, changed and deleted through Cloudflare's SDK", async () => {
    const account = fresh();
    const { webhooks } = sdk().destinations;
    const tests = hook.tests.length;
    const { id = "" } = await webhooks.create({ ...account, name: "on call", url: hook.url, secret: "${secret:HOOK_SECRET}" });
    assert.match(id, /^[0-9a-f]{32}$/);
    const message = hook.tests[tests];
    assert.deepEqual(message?.json, { text: TEST_TEXT });
    assert.equal(message?.headers["cf-webhook-auth"], SECRET);
    const shown = await webhooks.get(id, account);
    assert.deepEqual({ ...shown, created_at: "", last_success: "" }, { id, name: "on call", type: "generic", url: hook.url, created_at: "", last_success: "" });
    assert.match(String(shown.created_at), RFC3339);
    assert.deepEqual(await all(webhooks.list(account)), [shown]);
    assert.deepEqual(await all(webhooks.list(fresh())), []);
    assert.deepEqual(await webhooks.update(id, { ...account, name: "renamed", url: hook.url }), { id });
    assert.equal((await webhooks.get(id, account)).name, "renamed");
    assert.equal(hook.tests.length, tests + 2);
    await webhooks.delete(id, account);
    await fails(webhooks.get(id, account), NotFoundError, 404, /webhook not found/);
  });

  test("that does not take the test message is not kept, and the error repeats no secret", async () => {
    const account = fresh();
    const { webhooks } = sdk().destinations;
    const wrong = webhooks.create({ ...account, name: "n", url: hook.url, secret: "wrong-hunter2" });
    await fails(wrong, BadRequestError, 400, /^url: the webhook did not take the test message: error 401: not REDACTED$/);
    const unset = webhooks.create({ ...account, name: "n", url: hook.url, secret: "${secret:NOT_SET}" });
    await fails(unset, BadRequestError, 400, /NOT_SET/);
    const ours = webhooks.create({ ...account, name: "n", url: hook.url, secret: "${secret:API_TOKEN}" });
    await fails(ours, BadRequestError, 400, /^secret: .*API_TOKEN is a secret of this service/);
    assert.deepEqual(await all(webhooks.list(account)), []);
    const { id = "" } = await webhooks.create({ ...account, name: "n", url: hook.url, secret: SECRET });
    await fails(webhooks.update(id, { ...account, name: "n", url: hook.url, secret: "wrong" }), BadRequestError, 400, /401/);
    const moved = webhooks.update(id, { ...account, name: "n", url: hook.url.replace("127.0.0.1", "localhost") });
    await fails(moved, BadRequestError, 400, /^secret: send it again/);
  });

  test("must be public, unless private destinations are allowed", async () => {
    const strict = await TestWorker.start();
    try {
      for (const [url, text] of [[hook.url, /^url: the port must be/], ["http://127.0.0.1/", /^url: the host is private/], ["https://hooks.internal/", /^url: the host is private/]] as const) {
        const { status, json } = await strict.api("POST", "accounts/a/alerting/v3/destinations/webhooks", { name: "n", url });
        assert.deepEqual([status, json.errors[0].code], [400, 1002]);
        assert.match(json.errors[0].message, text);
      }
    } finally {
      await strict.close();
    }
  });

  test("that a policy names can not be deleted, and a policy can not name one that is not there", async () => {
    const { account, webhook, policy } = await listener("logpush_job_failing_alert");
    await fails(sdk().destinations.webhooks.delete(webhook, account), BadRequestError, 400, /is used by the policies on call/);
    const elsewhere = sdk().policies.update(policy, { ...account, mechanisms: { webhooks: [{ id: "abc" }] } });
    await fails(elsewhere, BadRequestError, 400, /^mechanisms.webhooks: this account has no webhook abc/);
    await sdk().policies.delete(policy, account);
    await sdk().destinations.webhooks.delete(webhook, account);
  });
});

describe("a policy", () => {
  test("is made, read, listed, changed member by member and deleted through Cloudflare's SDK", async () => {
    const { account, webhook, policy } = await listener("failing_logpush_job_disabled_alert", hook, { description: "d", filters: { zones: ["z1"] }, alert_interval: "30m" });
    const { policies } = sdk();
    const made = await policies.get(policy, account);
    const { created, modified, ...rest } = made;
    assert.deepEqual(rest, {
      id: policy, name: "on call", description: "d", enabled: true, alert_type: "failing_logpush_job_disabled_alert", alert_interval: "30m",
      filters: { zones: ["z1"] }, mechanisms: { email: [], pagerduty: [], webhooks: [{ id: webhook }] },
    });
    assert.match(`${created}`, RFC3339);
    assert.equal(created, modified);
    assert.deepEqual(await all(policies.list(account)), [made]);
    assert.deepEqual(await policies.update(policy, { ...account, enabled: false }), { id: policy });
    assert.deepEqual({ ...(await policies.get(policy, account)), modified }, { ...made, enabled: false });
    await policies.delete(policy, account);
    await fails(policies.get(policy, account), NotFoundError, 404, /policy not found/);
    assert.deepEqual(await all(policies.list(account)), []);
  });

  test("that nothing could carry is refused with what to do", async () => {
    const account = fresh();
    const base = { name: "n", alert_type: "logpush_job_failing_alert" };
    for (const [mechanisms, text] of [
      [{}, /^mechanisms: name a webhook or an e-mail address/],
      [{ email: [{ id: "ops@example.com" }] }, /^mechanisms.email: .*send_email binding named EMAIL .*ALERT_EMAIL_FROM/],
      [{ pagerduty: [{ id: "x" }] }, /^mechanisms.pagerduty: PagerDuty is not offered/],
    ] as const) {
      const { status, json } = await api(account, "POST", "policies", { ...base, mechanisms });
      assert.deepEqual([status, json.errors[0].code], [400, 1002]);
      assert.match(json.errors[0].message, text);
    }
  });

  test("and all the rest wants a token, and a change one that may write", async () => {
    const { account, webhook, policy } = await listener("logpush_job_failing_alert");
    for (const path of ["policies", "destinations/webhooks", "available_alerts", "history"]) {
      assert.equal((await api(account, "GET", path, undefined, "wrong")).status, 401, path);
      assert.equal((await api(account, "GET", path, undefined, SECRETS.READ_TOKEN)).status, 200, path);
    }
    await fails(sdk("wrong").policies.get(policy, account), AuthenticationError, 401, /Authentication/);
    const reader = sdk(SECRETS.READ_TOKEN);
    await fails(reader.policies.delete(policy, account), PermissionDeniedError, 403, /read token/);
    await fails(reader.destinations.webhooks.update(webhook, { ...account, name: "n", url: hook.url }), PermissionDeniedError, 403, /read token/);
    const patch = await api(account, "PATCH", "policies");
    assert.deepEqual([patch.status, patch.headers.get("Allow")], [405, "GET, POST"]);
    assert.equal((await api(account, "GET", "nothing")).status, 404);
  });

  test("finds every kind of alert in the list of available ones", async () => {
    const available = await sdk().availableAlerts.list(fresh());
    const types = Object.values(available).flat().map((one) => one.type);
    assert.deepEqual(types, [
      "failing_logpush_job_disabled_alert", "logpush_job_failing_alert", "logpush_job_parked_alert", "logpush_job_backlog_alert",
      "logpush_dataset_silent_alert", "logpush_invalid_lines_alert",
    ]);
  });
});

describe("an alert", () => {
  test("arrives in Cloudflare's form, once however often it is raised, and is in the history", async () => {
    const { account, policy, webhook } = await listener("failing_logpush_job_disabled_alert");
    const { correlation, raise } = trouble("failing_logpush_job_disabled_alert");
    await Promise.all([raise(START, "critical"), raise(START, "critical"), raise(START, "critical")]);
    const records = await eventually("the history", async () => {
      const found = await all(sdk().history.list(account));
      return found.length > 0 ? found : undefined;
    });
    const { headers, json } = hook.alerts.find(({ json }) => json.alert_correlation_id === correlation && json.policy_id === policy)!;
    const { text, ts, data, ...rest } = json;
    assert.deepEqual(rest, {
      name: "on call", account_id: account.account_id, policy_id: policy, policy_name: "on call",
      alert_type: "failing_logpush_job_disabled_alert", alert_correlation_id: correlation, alert_event: START,
    });
    assert.ok(Math.abs(ts - Date.now() / 1000) < 60);
    assert.match(text, /^Logpush job \d+ "siem" \(http_requests, zones\/z1\) was disabled: no push succeeded since .*\n[^]*Next: Mend the destination/);
    assert.deepEqual([data.account_tag, data.zone_tag, data.job_id, data.destination_conf], [account.account_id, "z1", jobs, "https://siem.example.com/in?header_Authorization=REDACTED"]);
    assert.equal(headers["cf-webhook-auth"], SECRET);
    assert.match(String(headers["user-agent"]), /^logpush-edge\//);
    const { id, sent, ...record } = records[0] as any;
    assert.deepEqual(record, {
      name: "on call", description: "", alert_type: "failing_logpush_job_disabled_alert", alert_body: text, alert_correlation_id: correlation,
      alert_event: START, mechanism: webhook, mechanism_type: "webhook", policy_id: policy,
    });
    assert.match(sent, RFC3339);
    assert.match(id, /^[0-9a-f]{32}$/);
    await raise(START, "critical");
    await worker.scheduled();
    assert.equal(hook.alerts.filter(({ json }) => json.policy_id === policy).length, 1);
  });

  test("that could not be delivered is shown, survives an eviction, and arrives once when the webhook is back, before its end", async () => {
    const { account, policy, webhook } = await listener("logpush_job_failing_alert");
    const { correlation, raise } = trouble("logpush_job_failing_alert");
    hook.failWith = { status: 500, body: `out of order ${SECRET}` };
    try {
      await raise(START);
      await eventually("the failure to be shown", async () => /out of order/.test((await alertStats()).deliveries.last_error ?? ""));
      const { open, deliveries } = await alertStats();
      assert.equal(deliveries.last_error, `webhook ${webhook}: error 500: out of order REDACTED`);
      assert.ok(deliveries.pending >= 1 && deliveries.failed_attempts >= 1);
      assert.ok(Math.abs(Date.parse(deliveries.oldest_pending_at) - Date.now()) < 60_000);
      const shown = open.find((one: any) => one.alert_correlation_id === correlation);
      assert.deepEqual([shown.alert_type, shown.severity, shown.job_id], ["logpush_job_failing_alert", "warning", jobs]);
      assert.match(shown.text, /is failing since/);
      assert.match(String((await sdk().destinations.webhooks.get(webhook, account)).last_failure), RFC3339);
      await raise(END);
      assert.ok((await worker.evict("Alerts")) > 0);
    } finally {
      hook.failWith = undefined;
    }
    await eventually("both to arrive", () => hook.events(correlation).length === 2);
    assert.deepEqual(hook.events(correlation), [START, END]);
    await eventually("nothing to be open", async () => !(await alertStats()).open.some((one: any) => one.alert_correlation_id === correlation));
    assert.equal((await all(sdk().history.list({ ...account, per_page: 1 }))).length, 2);
    assert.equal(hook.alerts.filter(({ json }) => json.policy_id === policy).length, 2);
  });

  test("of a webhook that is mended through the API goes out at once", async () => {
    const own = await Hook.start("first");
    try {
      const { account, webhook } = await listener("logpush_job_parked_alert", own);
      const { correlation, raise } = trouble("logpush_job_parked_alert");
      own.secret = "second";
      await raise(START, "critical");
      // After two refusals the next attempt would come in five seconds or more.
      await eventually("refusals", () => own.refusals.length >= 2);
      const since = performance.now();
      await sdk().destinations.webhooks.update(webhook, { ...account, name: "hook", url: own.url, secret: "second" });
      await eventually("the alert", () => own.events(correlation).length === 1);
      assert.ok(performance.now() - since < 4_000);
    } finally {
      await own.close();
    }
  });

  test("that gets worse comes again under the same correlation, its end goes where its beginning went, and an end without a beginning nowhere", async () => {
    const everything = await listener("logpush_job_failing_alert");
    const critical = await listener("logpush_job_failing_alert", hook, { filters: { severity: ["critical"] } });
    const other = await listener("logpush_job_failing_alert", hook, { filters: { zones: ["z2"] } });
    const unknown = trouble("logpush_job_failing_alert");
    await unknown.raise(END);
    const again = trouble("logpush_job_failing_alert");
    await again.raise(START, "warning");
    await again.raise(START, "critical");
    await again.raise(END);
    const got = ({ policy }: { policy: string }) =>
      hook.alerts.filter(({ json }) => json.policy_id === policy && json.alert_correlation_id === again.correlation).map(({ json }) => [json.data.severity, json.alert_event]);
    await eventually("all of it", () => got(everything).length === 3 && got(critical).length === 2);
    assert.deepEqual(got(everything).map(([, event]) => event), [START, START, END]);
    assert.deepEqual(got(critical), [["critical", START], ["warning", END]]);
    assert.deepEqual(got(other), []);
    assert.deepEqual(hook.events(unknown.correlation), []);
  });

  test("of a disabled job is told once in 24 hours, and with alert_interval others keep their distance too", async () => {
    const job = { id: (jobs += 1) };
    const disabled = await listener("failing_logpush_job_disabled_alert");
    const failing = await listener("logpush_job_failing_alert", hook, { alert_interval: "1h" });
    for (const kind of ["failing_logpush_job_disabled_alert", "logpush_job_failing_alert"]) {
      for (let round = 0; round < 3; round += 1) {
        const { raise } = trouble(kind, job);
        await raise(START, "critical");
        await raise(END);
      }
    }
    const got = ({ policy }: { policy: string }) => hook.alerts.filter(({ json }) => json.policy_id === policy).map(({ json }) => json.alert_event);
    await eventually("both", () => got(disabled).length >= 2 && got(failing).length >= 2);
    await eventually("nothing to be pending", async () => (await alertStats()).deliveries.pending === 0);
    assert.deepEqual([got(disabled), got(failing)], [[START, END], [START, END]]);
  });

  test("goes to Slack as text", async () => {
    const slack = await Hook.start();
    try {
      const account = fresh();
      const { json } = await api(account, "POST", "destinations/webhooks", { name: "chat", url: slack.url, type: "slack", secret: "unused" });
      const { id } = json.result;
      assert.equal((await sdk().destinations.webhooks.get(id, account)).type, "slack");
      const masked = await sdk(SECRETS.READ_TOKEN).destinations.webhooks.get(id, account);
      assert.equal(masked.url, slack.url.replace("/hook", "/REDACTED"));
      const policy = { name: "a <b>", alert_type: "logpush_job_backlog_alert", mechanisms: { webhooks: [{ id }] } };
      assert.equal((await api(account, "POST", "policies", policy)).status, 200);
      const { raise } = trouble("logpush_job_backlog_alert");
      await raise(START);
      await eventually("the message", () => slack.alerts.length === 1);
      assert.deepEqual(Object.keys(slack.alerts[0]?.json), ["text"]);
      assert.match(slack.alerts[0]?.json.text, /^\*a &lt;b&gt;\* \(Logpush Job Backlog, warning\)\nLogpush job \d+ "siem" /);
    } finally {
      await slack.close();
    }
  });

  test("about a job that was deleted is no longer open after the next look", async () => {
    const { correlation, raise } = trouble("logpush_job_failing_alert");
    await raise(START);
    assert.ok((await alertStats()).open.some((one: any) => one.alert_correlation_id === correlation));
    await worker.scheduled();
    assert.ok(!(await alertStats()).open.some((one: any) => one.alert_correlation_id === correlation));
  });
});

describe("a dataset", () => {
  /** Commits batches as ingest does, at times that have passed. */
  async function history(scope: string, dataset: string, minutesAgo: readonly number[], bad = 0): Promise<void> {
    for (const minutes of minutesAgo) {
      const received_at_millis = Date.now() - minutes * 60_000;
      const day = new Date(received_at_millis).toISOString().slice(0, 10).replaceAll("-", "");
      await worker.callObject("LEDGER", `${scope}/${dataset}/${day}`, "commit", {
        batch_id: `${scope}-${minutes}-${bad}`, scope, dataset, day, object: "o", object_bytes: 1, received_at_millis, event_millis: null,
        records: 100, bytes_raw: 1, bytes_compressed: 1, invalid_lines: bad, invalid: {}, quarantine: null, selections: [],
      });
    }
  }
  const about = (policy: string) => hook.alerts.filter(({ json }) => json.policy_id === policy).map(({ json }) => json);

  test("that fell silent is told once with the default thresholds, after an eviction too, and its end when a batch comes", async () => {
    const { account, policy } = await listener("logpush_dataset_silent_alert");
    const scope = freshScope();
    // Not watched for a day yet; and one that was quiet for longer before.
    await history(scope, "dns_logs", Array.from({ length: 40 }, (_, n) => 600 - n));
    await history(scope, "firewall_events", [1_530, 1_529, 1_528, 1_527, 300, 299, 298, 297]);
    await worker.scheduled();
    const steady = freshScope();
    await history(steady, "dns_logs", Array.from({ length: 40 }, (_, n) => 1_530 - n * 30));
    await worker.scheduled();
    const silent = await eventually("the alert", () => about(policy).find((json) => json.data.zone_tag === steady.slice("zones/".length)));
    assert.deepEqual([silent.alert_event, silent.alert_type, silent.data.dataset, silent.data.usual_interval_seconds], [START, "logpush_dataset_silent_alert", "dns_logs", 1_800]);
    assert.match(silent.text, /^Dataset dns_logs of zones\/t\d+ is silent since .*usually one comes every 30 min\.\nNext: look at the Logpush job at Cloudflare/);
    await worker.evict("Alerts", "Ledger");
    await worker.scheduled();
    const batch = gzipSync(ndjson([{ QueryName: "a.example.", Timestamp: new Date().toISOString() }]));
    assert.equal((await worker.push(`${steady}/dns_logs`, batch)).status, 200);
    await worker.scheduled();
    await eventually("the end", () => hook.events(silent.alert_correlation_id).length === 2);
    assert.deepEqual(hook.events(silent.alert_correlation_id), [START, END]);
    assert.match(about(policy).at(-1).text, /brings batches again, after/);
    await worker.scheduled();
    assert.equal(hook.events(silent.alert_correlation_id).length, 2);
    assert.equal((await all(sdk().history.list(account))).length, 2);
  });

  test("with bad lines is told, and its end when they are good again", async () => {
    const { policy } = await listener("logpush_invalid_lines_alert");
    const scope = freshScope("accounts");
    const lines = Array.from({ length: 30 }, (_, n) => (n % 2 ? "not json" : `{"n":${n}}`)).join("\n");
    assert.equal((await worker.push(`${scope}/gateway_dns`, gzipSync(`${lines}\n`))).status, 200);
    await worker.scheduled();
    const bad = await eventually("the alert", () => about(policy)[0]);
    assert.deepEqual([bad.alert_event, bad.data.invalid_lines, bad.data.records, bad.data.dataset], [START, 15, 15, "gateway_dns"]);
    assert.match(bad.text, /brings bad lines: 15 of 30 lines \(50\.0 %\) in the last 15 min were no records\.\nNext: see which reason/);
    await worker.scheduled();
    const good = Array.from({ length: 5_000 }, (_, n) => ({ n }));
    assert.equal((await worker.push(`${scope}/gateway_dns`, gzipSync(ndjson(good)))).status, 200);
    await worker.scheduled();
    await eventually("the end", () => hook.events(bad.alert_correlation_id).length === 2);
    assert.deepEqual(hook.events(bad.alert_correlation_id), [START, END]);
  });
});

/** Over the network, as it is: the harness would answer for a webhook that does not. */
describe("in a process of its own", () => {
  const dir = mkdtempSync(join(tmpdir(), "logpush-edge-alerts-"));
  const vars = { ...SECRETS, ALLOW_PRIVATE_DESTINATIONS: "true" };
  let running: WorkerProcess;
  before(async () => {
    running = await WorkerProcess.start({ persistDir: dir, vars });
  });
  after(async () => {
    await running.stop();
    rmSync(dir, { recursive: true, force: true });
  });
  const webhooks = "accounts/a/alerting/v3/destinations/webhooks";

  test("a webhook that redirects is not followed", async () => {
    const [first, other] = await Promise.all([Hook.start(), Hook.start()]);
    first.failWith = { status: 307, headers: { Location: other.url } };
    try {
      const { status, json } = await new Client(running.url).api("POST", webhooks, { name: "n", url: first.url });
      assert.equal(status, 400);
      assert.match(json.errors[0].message, /error 307/);
      assert.deepEqual([first.refusals, other.tests.length], [[307], 0]);
    } finally {
      await Promise.all([first.close(), other.close()]);
    }
  });

  test("an alert that waits for a webhook outlives a crash of the machine, and arrives once", async () => {
    const own = await Hook.start("s");
    try {
      let client = new Client(running.url);
      const { json } = await client.api("POST", webhooks, { name: "n", url: own.url, secret: "s" });
      const policy = { name: "p", alert_type: "logpush_invalid_lines_alert", mechanisms: { webhooks: [{ id: json.result.id }] } };
      assert.equal((await client.api("POST", "accounts/a/alerting/v3/policies", policy)).status, 200);
      own.failWith = { status: 0 };
      const lines = Array.from({ length: 20 }, () => "not json\n").join("");
      assert.equal((await client.push("zones/z/dns_logs", gzipSync(lines))).status, 200);
      assert.equal((await fetch(`${running.url}/cdn-cgi/handler/scheduled`)).status, 200);
      await eventually("an attempt", () => own.refusals.length > 0);
      await running.kill9();
      own.failWith = undefined;
      running = await WorkerProcess.start({ persistDir: dir, vars });
      client = new Client(running.url);
      await eventually("the alert", () => own.alerts.length > 0, 60_000);
      await eventually("nothing to be pending", async () => (await client.stats()).alerts.deliveries.pending === 0);
      const { alerts } = await client.stats();
      assert.deepEqual([alerts.open.length, alerts.deliveries.delivered, own.alerts.length], [1, 1, 1]);
    } finally {
      await own.close();
    }
  });
});

describe("a threshold", () => {
  test("that can not be read is told in /stats, and its default counts", async () => {
    const odd = await TestWorker.start({ ALERT_SILENCE_TIMES: "often" });
    try {
      const { alerts } = await odd.stats();
      assert.deepEqual(alerts, {
        open: [], open_count: 0, misconfigured: ["ALERT_SILENCE_TIMES: must be a number from 1 to 10000, or off; 10 is used"],
        deliveries: { pending: 0, oldest_pending_at: null, delivered: 0, failed_attempts: 0, undelivered: 0, last_error: null, last_error_at: null },
      });
      await odd.scheduled();
    } finally {
      await odd.close();
    }
  });
});

describe("e-mail", () => {
  const dir = mkdtempSync(join(tmpdir(), "logpush-edge-mail-"));
  after(() => rmSync(dir, { recursive: true, force: true }));

  test("goes out by the send_email binding, from ALERT_EMAIL_FROM", async () => {
    const configPath = configWith(dir, '[[send_email]]\nname = "EMAIL"\n');
    const mailer = await TestWorker.start({ ALERT_EMAIL_FROM: "logpush@alerts.example.com" }, configPath);
    try {
      const path = "accounts/a/alerting/v3";
      const policy = { name: "by mail", alert_type: "logpush_job_failing_alert", mechanisms: { email: [{ id: "ops@example.com" }] } };
      assert.equal((await mailer.api("POST", `${path}/policies`, policy)).status, 200);
      const since_millis = Date.now() - 600_000;
      const subject = { job: { id: 7, name: "siem", scope: "zones/z", dataset: "dns_logs", destination_conf: "https://siem.example.com/" } };
      await mailer.callObject("ALERTS", "alerts", "raise", {
        id: "m-1", correlation_id: "m", alert_type: "logpush_job_failing_alert", event: START, severity: "warning", since_millis, at_millis: Date.now(), subject,
      });
      const sent = await eventually("the history", async () => (await mailer.api("GET", `${path}/history`)).json.result[0]);
      assert.deepEqual([sent.mechanism_type, sent.mechanism, sent.alert_type], ["email", "ops@example.com", "logpush_job_failing_alert"]);
      // The local runtime keeps the text in a file that is named after the sender's domain.
      const text = await eventually("the local runtime to write the mail down", () => {
        const files = readdirSync(dir, { recursive: true, encoding: "utf8" });
        const file = files.find((name) => /email-text\/.*@alerts\.example\.com\.txt$/.test(name));
        return file === undefined ? undefined : readFileSync(join(dir, file), "utf8");
      });
      assert.equal(text, `${sent.alert_body}\n\nPolicy: by mail (${sent.policy_id})\nAlert: logpush_job_failing_alert, m\n`);
    } finally {
      await mailer.close();
    }
  });
});
