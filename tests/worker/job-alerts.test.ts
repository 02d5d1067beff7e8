// What somebody is told of a job: parked at once, failing after a while, behind, disabled after a day, and when it is over.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { Hook } from "../support/hook.ts";
import { Siem } from "../support/siem.ts";
import { eventually, freshScope, TestWorker } from "../support/worker.ts";

const START = "ALERT_STATE_EVENT_START";
const END = "ALERT_STATE_EVENT_END";
const DATASET = "numbered_events";
const TYPES = [
  "failing_logpush_job_disabled_alert",
  "logpush_job_failing_alert",
  "logpush_job_parked_alert",
  "logpush_job_backlog_alert",
];

describe("alerts about a job", () => {
  let worker: TestWorker;
  let siem: Siem;
  let hook: Hook;

  before(async () => {
    siem = await Siem.start({ intakeKeys: ["key"] });
    hook = await Hook.start("hook-secret");
    worker = await TestWorker.start({
      ALLOW_PRIVATE_DESTINATIONS: "true",
      // A day in seconds.
      RETRY_MAX_SECONDS: "1", PROBE_MAX_SECONDS: "1", DISABLE_AFTER_SECONDS: "6",
      ALERT_FAILING_WARNING_AFTER: "1s", ALERT_FAILING_CRITICAL_AFTER: "3s", ALERT_BACKLOG_OLDER_THAN: "4s",
    });
    const account = "accounts/a/alerting/v3";
    const created = await worker.api("POST", `${account}/destinations/webhooks`, { name: "hook", url: hook.url, secret: "hook-secret" });
    assert.equal(created.status, 200, JSON.stringify(created.json));
    for (const alert_type of TYPES) {
      const policy = { name: alert_type, alert_type, enabled: true, mechanisms: { webhooks: [{ id: created.json.result.id }] } };
      const { status, json } = await worker.api("POST", `${account}/policies`, policy);
      assert.equal(status, 200, JSON.stringify(json));
    }
  });
  after(async () => {
    await worker.close();
    await siem.close();
    await hook.close();
  });

  /** What was told of a job, in order. */
  const toldOf = (id: number) => hook.alerts.map(({ json }) => json).filter((alert) => alert.data.job_id === id);
  const told = async (id: number, type: string, event: string, severity?: string) =>
    await eventually(`${type} ${event}`, () =>
      toldOf(id).find((alert) => alert.alert_type === type && alert.alert_event === event && (severity === undefined || alert.data.severity === severity)));

  async function setUp() {
    const scope = freshScope();
    const { id } = await worker.createJob(scope, { name: "siem", dataset: DATASET, destination_conf: siem.plain("key") });
    const push = async (n: number) =>
      assert.equal((await worker.push(`${scope}/${DATASET}`, gzipSync(`{"Timestamp":"2026-01-01T00:00:00Z","n":${n}}\n`))).status, 200);
    return { scope, id: id as number, push };
  }

  test("a refused configuration is told at once, with what to do and without credentials, and ends with the first accepted push", async () => {
    const { scope, id, push } = await setUp();
    siem.fail({ times: Infinity, status: 403, body: '{"message":"The intake key is not known"}' });
    await push(1);
    const alert = await told(id, "logpush_job_parked_alert", START);
    assert.match(alert.text, /is parked since .*: the destination refuses its records/);
    assert.match(alert.text, /Last error: error 403: .*The intake key is not known/);
    assert.match(alert.text, /Waiting: 1 records/);
    assert.equal(alert.data.dataset, DATASET);
    assert.doesNotMatch(JSON.stringify(alert), /INTAKE-KEY=key/i);
    // The parked job is probed; only an accepted push is the end of it.
    await worker.changeJob(scope, id, { name: "renamed" });
    siem.mend();
    const end = await told(id, "logpush_job_parked_alert", END);
    assert.equal(end.alert_correlation_id, alert.alert_correlation_id);
    await worker.settled(scope, id);
    await eventually("no alert about the job to be open", async () => {
      const { open } = (await worker.stats(`scope=${scope}`)).alerts;
      return open.length === 0;
    });
    assert.equal(toldOf(id).filter((one) => one.alert_type === "logpush_job_parked_alert").length, 2);
  });

  test("failing is a warning, then critical, then a disabled job that goes on selecting, and all of it ends when the destination is back", async () => {
    const { scope, id, push } = await setUp();
    siem.fail({ times: Infinity, status: 503 });
    await push(1);
    const warning = await told(id, "logpush_job_failing_alert", START, "warning");
    const critical = await told(id, "logpush_job_failing_alert", START, "critical");
    assert.equal(critical.alert_correlation_id, warning.alert_correlation_id);
    await told(id, "logpush_job_backlog_alert", START);
    const disabled = await told(id, "failing_logpush_job_disabled_alert", START);
    assert.match(disabled.text, /was disabled: no push succeeded since/);
    assert.equal((await worker.api("GET", `${scope}/logpush/jobs/${id}`)).json.result.enabled, false);
    await push(2);
    assert.equal((await worker.jobStats(scope, id)).waiting.records, 2);
    // A restart forgets none of it, and tells nothing twice.
    await worker.evict("OUTBOX", "ALERTS");
    siem.mend();
    await worker.changeJob(scope, id, { enabled: true });
    for (const type of ["failing_logpush_job_disabled_alert", "logpush_job_failing_alert", "logpush_job_backlog_alert"]) await told(id, type, END);
    const stats = await worker.settled(scope, id);
    assert.deepEqual([stats.delivered.records, stats.failing_since, stats.consecutive_failures], [2, null, 0]);
    const counts = Map.groupBy(toldOf(id), (alert) => `${alert.alert_type} ${alert.alert_event} ${alert.data.severity}`);
    for (const [what, alerts] of counts) assert.equal(alerts.length, 1, what);
  });

  test("what was told of a job that somebody deletes is over, and says why", async () => {
    const { scope, id, push } = await setUp();
    siem.fail({ times: Infinity, status: 401 });
    await push(1);
    await told(id, "logpush_job_parked_alert", START);
    await worker.deleteJob(scope, id);
    const end = await told(id, "logpush_job_parked_alert", END);
    assert.match(end.text, /was deleted and is no longer looked at/);
    siem.mend();
  });
});
