// /metrics, read by Prometheus itself and by its linter, with the rules and the dashboard of docs/; and all figures of
// health held against each other and against what the SIEM saw.

import assert from "node:assert/strict";
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { ndjson } from "../support/lines.ts";
import { seriesOf, sumOf } from "../support/metrics.ts";
import { Siem } from "../support/siem.ts";
import { eventually, freshScope, SECRETS, TestWorker } from "../support/worker.ts";

const docs = fileURLToPath(new URL("../../docs", import.meta.url));
const RULES = join(docs, "prometheus-rules.yml");
const dashboard = JSON.parse(readFileSync(join(docs, "grafana-dashboard.json"), "utf8"));
const missing = process.env["LOGPUSH_EDGE_PROMETHEUS_MISSING"];
const skip = missing === undefined ? false : `no Prometheus: ${missing}`;

const scope = freshScope();
const account = freshScope("accounts");
let worker: TestWorker;
let siem: Siem;
let jobs: { id: number; scope: string; dataset: string; key: string }[];

before(async () => {
  siem = await Siem.start({ intakeKeys: ["plain", "dead"], splunkTokens: ["hec"], keepLines: false });
  worker = await TestWorker.start({ ALLOW_PRIVATE_DESTINATIONS: "true", RETRY_MAX_SECONDS: "1" });
  jobs = [];
  for (const [where, dataset, key] of [[scope, "dns_logs", "plain"], [scope, "http_requests", "hec"], [account, "audit_logs", "dead"]] as const) {
    const destination_conf = key === "hec" ? siem.splunk(key) : siem.plain(key);
    const { id } = await worker.createJob(where, { name: `to "${key}"`, dataset, destination_conf });
    jobs.push({ id, scope: where, dataset, key });
  }
  // One is pushed at once, one after two failures, and one dies of its content.
  siem.limits = { refuses: (line) => line.includes('"poison"') };
  for (const [at, { id, scope, dataset }] of jobs.entries()) {
    if (at === 1) for (const status of [503, 429]) siem.fail({ status });
    const records: object[] = Array.from({ length: 300 * (at + 1) }, (_, n) => ({ Timestamp: "2026-07-01T00:00:00Z", n }));
    if (at === 2) records.splice(17, 1, { n: "poison" });
    const body = gzipSync(ndjson(records));
    for (const result of at === 0 ? ["accepted", "duplicate"] : ["accepted"]) {
      const answer = await worker.push(`${scope}/${dataset}`, body);
      assert.deepEqual([answer.status, answer.json?.result], [200, result], answer.text);
    }
    await eventually(`job ${id} to settle`, async () => {
      const job = await worker.jobStats(scope, id);
      return job.selected.records > 0 && job.waiting.records === 0;
    });
  }
  await worker.push(`${scope}/dns_logs`, gzipSync("nothing\n"));
});
after(async () => {
  await worker?.close();
  await siem?.close();
});

test("GraphQL, /stats and /metrics agree with each other and with what the SIEM saw, number for number", async () => {
  const series = seriesOf(await worker.metrics());
  const stats = await worker.stats();
  assert.equal(stats.reconciliation.holds, true, JSON.stringify(stats.reconciliation));
  for (const kind of ["zones", "accounts"] as const) {
    const [where] = kind === "zones" ? [scope] : [account];
    const tag = kind === "zones" ? "zoneTag" : "accountTag";
    const { viewer } = await worker.graphql(
      `{ viewer { ${kind}(filter: {${tag}: $tag}) {
        pushes: logpushHealthAdaptiveGroups(limit: 100) {
          count sum { bytes bytesCompressed records uploads } dimensions { jobId status final destinationType }
        }
        usage: logpushUsageAdaptiveGroups(limit: 100) { sum { billableBytes } dimensions { jobId } }
        ingest: logpushIngestAdaptiveGroups(limit: 100) {
          count sum { batches records bytes bytesCompressed invalid tests duplicates } dimensions { dataset }
        }
      } } }`,
      { tag: where.slice(kind.length + 1) },
    );
    const [{ pushes, usage, ingest }] = viewer[kind];

    for (const { dimensions, count, sum } of pushes) {
      const labels = { scope: where, job_id: dimensions.jobId, status: dimensions.status, final: dimensions.final, destination: dimensions.destinationType };
      const found = ["pushes_total", "pushed_records_total", "pushed_bytes_total", "pushed_compressed_bytes_total"].map((name) => sumOf(series, `logpush_edge_${name}`, labels));
      assert.deepEqual(found, [count, sum.records, sum.bytes, sum.bytesCompressed], JSON.stringify(labels));
      assert.equal(sum.uploads, count);
    }
    assert.equal(series.filter(({ name, labels }) => name === "logpush_edge_pushes_total" && labels["scope"] === where).length, pushes.length);

    for (const job of jobs.filter(({ scope }) => scope === where)) {
      const mine = pushes.filter(({ dimensions }: any) => dimensions.jobId === job.id);
      const total = (rows: any[], name: string) => rows.reduce((all, row) => all + row.sum[name], 0);
      const accepted = mine.filter(({ dimensions }: any) => dimensions.status === 200);
      const died = mine.filter(({ dimensions }: any) => dimensions.status !== 200 && dimensions.final === 1);
      const intake = siem.intake(job.key);
      const { delivered, dead } = stats.jobs.find(({ id }: any) => id === job.id);
      assert.deepEqual(
        [total(accepted, "uploads"), total(accepted, "records"), total(accepted, "bytes"), total(accepted, "bytesCompressed")],
        [intake.pushes, intake.records, intake.bytes, intake.wireBytes],
        job.key,
      );
      assert.deepEqual([delivered.pushes, delivered.records, delivered.bytes], [intake.pushes, intake.records, intake.bytes]);
      assert.equal(dead.records, job.key === "dead" ? 1 : 0);
      assert.equal(total(died, "records"), dead.records);
      const labels = { job_id: job.id };
      assert.equal(sumOf(series, "logpush_edge_dead_letters", labels), dead.records);
      assert.equal(sumOf(series, "logpush_edge_waiting_records", labels), 0);
      assert.equal(sumOf(series, "logpush_edge_push_duration_seconds_count", labels), total(mine, "uploads"));
      const billable = usage.find(({ dimensions }: any) => dimensions.jobId === job.id);
      assert.equal(billable.sum.billableBytes, intake.bytes);
    }

    const datasets = stats.datasets.filter((one: any) => one.scope === where);
    assert.equal(ingest.length, datasets.length);
    for (const { dimensions, count, sum } of ingest) {
      const one = datasets.find(({ dataset }: any) => dataset === dimensions.dataset);
      const figures = [count, sum.records, sum.bytes, sum.bytesCompressed, sum.duplicates, sum.tests];
      assert.deepEqual(figures, [one.batches, one.records, one.bytes_raw, one.bytes_compressed, one.duplicates, one.tests]);
      const labels = { scope: where, dataset: dimensions.dataset };
      const names = ["batches", "records", "inflated_bytes", "received_bytes", "duplicate_batches", "test_messages"];
      assert.deepEqual(names.map((name) => sumOf(series, `logpush_edge_${name}_total`, labels)), figures);
      assert.equal(sumOf(series, "logpush_edge_invalid_total", labels) ?? 0, sum.invalid);
      assert.equal(sumOf(series, "logpush_edge_batch_size_bytes_count", labels), count);
      assert.equal(sumOf(series, "logpush_edge_batch_size_bytes_sum", labels), sum.bytes);
    }
  }
  // Every attempt that the SIEM saw, also of those that it refused.
  assert.equal(sumOf(series, "logpush_edge_pushes_total"), siem.attempts.length);
  for (const status of [503, 429]) {
    const seen = siem.attempts.filter((attempt) => attempt.status === status).length;
    assert.equal(sumOf(series, "logpush_edge_pushes_total", { status, final: 0 }), seen);
  }
});

test("counters never go down, and a renamed job keeps its own", async () => {
  const before = seriesOf(await worker.metrics());
  const { id } = jobs[0]!;
  await worker.changeJob(scope, id, { name: "renamed" });
  await worker.evict("Registry", "Ledger", "Outbox");
  const after = seriesOf(await worker.metrics());
  for (const { name, labels, value } of before.filter(({ name }) => /_(total|count|sum|bucket)$/.test(name))) {
    const same = after.find((one) => one.name === name && JSON.stringify(one.labels) === JSON.stringify(labels));
    assert.ok(same !== undefined && same.value >= value, `${name} ${JSON.stringify(labels)}: ${value} → ${same?.value}`);
  }
  assert.equal(sumOf(after, "logpush_edge_job_info", { job_id: id, name: "renamed" }), 1);
});

test("wants a token, and tells no part of a destination", async () => {
  for (const [method, token, status] of [["GET", undefined, 401], ["GET", SECRETS.INGEST_SECRET, 401], ["POST", SECRETS.READ_TOKEN, 405]] as const) {
    assert.equal((await worker.call(method, "/metrics", undefined, token)).status, status);
  }
  const text = await worker.metrics();
  for (const secret of [siem.host, "plain/batch", "INTAKE-KEY", "Splunk", "header_"]) assert.ok(!text.includes(secret), secret);
});

/** Names of our metrics in a text. */
const named = (text: string) => new Set(text.match(/\blogpush_edge_[a-z0-9_]+/g) ?? []);

/** Names of series; a metric without any now has at least its type. */
async function names(): Promise<Set<string>> {
  const text = await worker.metrics();
  const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)];
  return new Set(types.flatMap(([, name, kind]) => (kind === "histogram" ? ["_bucket", "_sum", "_count"].map((end) => `${name}${end}`) : [name as string])));
}

/** Every expression of the dashboard, with its variables as they are when everything is chosen. */
function expressions(): string[] {
  const panels = (dashboard.panels as any[]).flatMap((panel) => [panel, ...(panel.panels ?? [])]);
  const targets = panels.flatMap((panel) => panel.targets ?? []).map((target) => target.expr as string);
  return targets.map((expr) => expr.replaceAll("$__rate_interval", "5m").replaceAll("$__range", "1h").replaceAll("$scope", ".*").replaceAll("$dataset", ".*"));
}

describe("docs/", () => {
  test("the dashboard and the rules name metrics that /metrics has, and the table names all of them", async () => {
    const known = await names();
    assert.ok(expressions().length >= 10);
    for (const text of [...expressions(), readFileSync(RULES, "utf8")]) {
      for (const name of named(text)) assert.ok(known.has(name), `${name} in ${text}`);
    }
    const table = readFileSync(join(docs, "health.md"), "utf8");
    const bare = new Set([...known].map((name) => name.replace(/_(bucket|sum|count)$/, "")));
    for (const name of bare) assert.ok(table.includes(`\`${name}\``), `docs/health.md lacks ${name}`);
    for (const name of named(table)) assert.ok(bare.has(name) || known.has(name), `docs/health.md has ${name}`);
  });
});

describe("Prometheus", { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), "logpush-edge-prometheus-"));
  let prometheus: ChildProcess | undefined;
  after(async () => {
    if (prometheus !== undefined && prometheus.exitCode === null) {
      const ended = new Promise((done) => prometheus?.once("exit", done));
      prometheus.kill("SIGTERM");
      await ended;
    }
    rmSync(folder, { recursive: true, force: true });
  });

  const promtool = (args: string[], input = "") => {
    const { status, stdout, stderr } = spawnSync("promtool", args, { input, encoding: "utf8", timeout: 30_000 });
    return { status, text: stdout + stderr };
  };

  test("its linter has nothing to say against the metrics, and takes the rules", async () => {
    assert.deepEqual(promtool(["check", "metrics"], await worker.metrics()), { status: 0, text: "" });
    const rules = promtool(["check", "rules", RULES]);
    assert.equal(rules.status, 0, rules.text);
    assert.match(rules.text, /SUCCESS: \d+ rules found/);
    assert.notEqual(promtool(["check", "metrics"], "bad_total_metric 1\n").text, "");
  });

  test("scrapes the Worker, evaluates the rules, and reads every expression of the dashboard", async () => {
    const port = await freePort();
    writeFileSync(join(folder, "token"), SECRETS.READ_TOKEN, { mode: 0o600 });
    const config = join(folder, "prometheus.yml");
    writeFileSync(
      config,
      `global: { scrape_interval: 1s, evaluation_interval: 1s }
rule_files: [${JSON.stringify(RULES)}]
scrape_configs:
  - job_name: logpush-edge
    authorization: { credentials_file: token }
    static_configs: [{ targets: [${JSON.stringify(new URL(worker.url).host)}] }]
`,
    );
    let output = "";
    prometheus = spawn(
      "prometheus",
      [`--config.file=${config}`, `--storage.tsdb.path=${join(folder, "data")}`, `--web.listen-address=127.0.0.1:${port}`, "--log.level=warn"],
      { stdio: ["ignore", "pipe", "pipe"] },
    );
    for (const stream of [prometheus.stdout, prometheus.stderr]) stream?.setEncoding("utf8").on("data", (text: string) => void (output += text));
    const ask = async (path: string): Promise<any> => {
      const answer = await fetch(`http://127.0.0.1:${port}/api/v1/${path}`);
      return await answer.json();
    };
    const query = async (expr: string) => await ask(`query?query=${encodeURIComponent(expr)}`);
    const up = await eventually(
      `Prometheus to scrape the Worker; it said ${output}`,
      async () => {
        const answer = await query("up == 1").catch(() => undefined);
        return answer?.data?.result?.length === 1 ? answer : undefined;
      },
      30_000,
    );
    assert.equal(up.data.result[0].metric.job, "logpush-edge");

    const { data } = await ask("targets");
    assert.equal(data.activeTargets[0].lastError, "");
    const series = seriesOf(await worker.metrics());
    const pushes = await query("sum by (job_id) (logpush_edge_pushes_total)");
    for (const { metric, value } of pushes.data.result) {
      assert.equal(Number(value[1]), sumOf(series, "logpush_edge_pushes_total", { job_id: metric.job_id }));
    }
    assert.equal(pushes.data.result.length, jobs.length);

    for (const expr of expressions()) {
      const answer = await query(expr);
      assert.equal(answer.status, "success", `${expr}: ${JSON.stringify(answer)}`);
    }
    const rules = await eventually("the rules to be evaluated", async () => {
      const all = (await ask("rules")).data.groups.flatMap(({ rules }: any) => rules);
      return all.length > 0 && all.every(({ health }: any) => health !== "unknown") ? all : undefined;
    });
    for (const { name, health, lastError } of rules) assert.deepEqual([health, lastError ?? ""], ["ok", ""], name);
    assert.ok(!output.includes("level=error"), output);
  });
});

test("where Prometheus is missing, the scripts say why, and it is a failure only where it is required", async () => {
  const { withPrometheus } = await import(new URL("../../scripts/prometheus.mjs", import.meta.url).href);
  const folder = mkdtempSync(join(tmpdir(), "logpush-edge-no-prometheus-"));
  try {
    const reason = /^there is no prometheus and no promtool on PATH \(.*apt-get install prometheus\)$/;
    assert.match(withPrometheus({ PATH: folder }).LOGPUSH_EDGE_PROMETHEUS_MISSING, reason);
    assert.throws(() => withPrometheus({ PATH: folder, LOGPUSH_EDGE_REQUIRE_PROMETHEUS: "1" }), { message: reason });
    for (const name of ["prometheus", "promtool"]) writeFileSync(join(folder, name), "#!/bin/sh\n", { mode: 0o755 });
    assert.equal(withPrometheus({ PATH: folder }).LOGPUSH_EDGE_PROMETHEUS_MISSING, undefined);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}
