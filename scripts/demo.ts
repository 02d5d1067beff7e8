// `npm run demo [-- --keep] [-- --records N]`: the whole way of a log on this machine, with real processes and no account.
// Logpush's batches go into the real Worker in the real local runtime; two stand-in SIEM intakes take what the jobs send.
// Every figure is then held against what the generator knows, and the exit code says whether all of them agree.

import { randomBytes, randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { generateBatch, type Batch, type Dataset } from "../tests/support/generate.ts";
import { sumTallies, type Tally } from "../tests/support/lines.ts";
import { pushBatch, pushTest, pushUntilAccepted } from "../tests/support/logpush.ts";
import { WorkerProcess } from "../tests/support/process.ts";
import { PLAIN_PATH, Siem, SPLUNK_PATH } from "../tests/support/siem.ts";
import { archivedObjects } from "../tests/support/archive.ts";
import { seriesOf } from "../tests/support/metrics.ts";
import { Report, type DatasetRun, type Health, type Stats } from "./demo-report.ts";

const ZONE = "023e105f4ecef8ad9ca31a8372d0c353";
const DELIVERY_DEADLINE_MILLIS = 120_000;

// Without the `--` in between, npm keeps a flag to itself and passes it on in the environment.
const { npm_config_keep, npm_config_records } = process.env;
const { values: flags } = parseArgs({
  options: {
    keep: { type: "boolean", default: npm_config_keep === "true" },
    records: { type: "string", default: npm_config_records ?? "20000" },
    /** Another Worker that keeps the same contract. */
    config: { type: "string" },
  },
});
const records = Number(flags.records);
if (!Number.isInteger(records) || records < 4) throw new Error("--records wants a whole number of at least 4");

const secrets = { INGEST_SECRET: secret(), API_TOKEN: secret(), READ_TOKEN: secret() };
const splunkToken = randomUUID();
const [firewallKey, dnsKey] = [secret(), secret()];

/** The three jobs of the demo: whose records, which of them, where to, and what the generator says must come. */
interface Plan {
  dataset: Dataset;
  name: string;
  filter?: object;
  destination(host: string): string;
  credential: string;
  batches: number;
  records: number;
  expected(batch: Batch): Tally;
}

const plans: Plan[] = [
  {
    dataset: "http_requests",
    name: "errors to Splunk",
    filter: { where: { key: "EdgeResponseStatus", operator: "geq", value: "400" } },
    destination: (host) =>
      `splunk://${host}${SPLUNK_PATH}?channel=${randomUUID()}&sourcetype=cloudflare:json` +
      `&header_Authorization=Splunk%20${splunkToken}&insecure-skip-verify=false`,
    credential: splunkToken,
    batches: 3,
    records,
    expected: (batch) => batch.facts.errors,
  },
  {
    dataset: "firewall_events",
    name: "blocks to the SIEM",
    filter: { where: { key: "Action", operator: "eq", value: "block" } },
    destination: (host) => `http://${host}${PLAIN_PATH}?header_X-SEKOIAIO-INTAKE-KEY=${firewallKey}`,
    credential: firewallKey,
    batches: 2,
    records: Math.floor(records / 4),
    expected: (batch) => batch.facts.blocked,
  },
  {
    dataset: "dns_logs",
    name: "all DNS to the SIEM",
    destination: (host) => `http://${host}${PLAIN_PATH}?header_X-SEKOIAIO-INTAKE-KEY=${dnsKey}`,
    credential: dnsKey,
    batches: 2,
    records: Math.floor(records / 2),
    expected: (batch) => batch.facts.all,
  },
];

const report = new Report();
const persistDir = mkdtempSync(join(tmpdir(), "logpush-edge-demo-"));
let siem: Siem | undefined;
let worker: WorkerProcess | undefined;
let starting: Promise<WorkerProcess> | undefined;
const interrupted = new AbortController();

/** Ends what this run started and leaves nothing behind, however it ends. */
async function cleanUp(): Promise<void> {
  interrupted.abort();
  await starting?.catch(() => {}); // one that was about to come up ends by itself
  await worker?.stop();
  await siem?.close();
  rmSync(persistDir, { recursive: true, force: true });
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  // Not `once`: wrangler's library has handlers too, which end the process unless somebody else is listening still.
  process.on(signal, () => {
    if (interrupted.signal.aborted) return;
    void cleanUp().finally(() => process.exit(flags.keep ? 0 : 130));
  });
}

try {
  const started = performance.now();
  siem = await Siem.start({ splunkTokens: [splunkToken], intakeKeys: [firewallKey, dnsKey] });
  worker = await startWorker();
  report.step(`SIEM stand-in on ${siem.host}, Worker on ${worker.url}`, started);
  const runs = await pushEverything(siem, worker);
  const stats = await deliveredStats(siem, worker, runs);
  const health = await askHealth(worker);
  const { wasm_memory_bytes } = await getJson(`${worker.url}/healthz`, undefined);
  const total = worker.cpuMillis();
  report.runtime({ cpuMillis: total, peakRssBytes: worker.peakRssBytes(), wasmBytes: wasm_memory_bytes });
  // The archive is read from what the runtime left on disk, so not by the Worker that is to be checked.
  await worker.stop();
  const objects = await archivedObjects(persistDir);
  const ok = report.print({ runs, stats, health, objects, siem });
  if (flags.keep) await stayUp(runs);
  process.exitCode = ok ? 0 : 1;
} catch (error) {
  if (!interrupted.signal.aborted) console.error(`\n✗ ${(error as Error).message}`);
  if (worker && !interrupted.signal.aborted) console.error(`\nThe Worker's last words:\n${worker.logs.slice(-4_000)}`);
  process.exitCode = 1;
} finally {
  if (interrupted.signal.aborted) await new Promise(() => {}); // the signal's handler ends the process
  await cleanUp();
}
// A kept-alive connection must not keep the demo.
process.exit();

async function startWorker(): Promise<WorkerProcess> {
  starting = WorkerProcess.start({
    persistDir,
    vars: { ...secrets, ALLOW_PRIVATE_DESTINATIONS: "true" },
    configPath: flags.config,
    signal: interrupted.signal,
  });
  return await starting;
}

/** Creates the jobs and sends, per dataset, a test message and the batches; at the end one batch a second time. */
async function pushEverything(siem: Siem, worker: WorkerProcess): Promise<DatasetRun[]> {
  const runs: DatasetRun[] = [];
  for (const plan of plans) {
    const job = await createJob(worker, plan, siem.host);
    runs.push({
      dataset: plan.dataset,
      jobName: plan.name,
      jobId: job.id,
      destination: job.destination_conf,
      credential: plan.credential,
      batches: [],
      answers: [],
      expected: sumTallies([]),
      testAnswer: undefined,
      duplicateAnswer: undefined,
    });
  }
  report.note("three jobs created through the Logpush API");
  // Made before the clock runs: generating costs CPU of its own on a small machine.
  const started = performance.now();
  plans.forEach((plan, position) => {
    const run = runs[position] as DatasetRun;
    run.batches = Array.from({ length: plan.batches }, (_, index) =>
      generateBatch({
        dataset: plan.dataset,
        records: plan.records,
        seed: 1_000 * (position + 1) + index,
        startTime: new Date(Date.UTC(2026, 6, 1, 10, index)),
      }),
    );
    run.expected = sumTallies(run.batches.map(plan.expected));
  });
  report.step("batches made", started);
  const headers = { Authorization: `Bearer ${secrets.INGEST_SECRET}` };
  for (const run of runs) {
    run.testAnswer = await pushTest(ingestUrl(worker, run.dataset), "tests", headers);
  }
  const pushing = performance.now();
  for (const run of runs) {
    const before = worker.cpuMillis();
    for (const batch of run.batches) {
      // One in the middle comes without a length, as HTTP/2 clients may send it.
      const chunked = run.answers.length === 1;
      run.answers.push(await pushUntilAccepted(ingestUrl(worker, run.dataset), batch.gzip, { headers, chunked }));
    }
    const after = worker.cpuMillis();
    if (before !== undefined && after !== undefined) run.pushCpuMillis = after - before;
  }
  const first = runs[0] as DatasetRun;
  first.duplicateAnswer = await pushBatch(ingestUrl(worker, first.dataset), (first.batches[0] as Batch).gzip, { headers });
  report.step("all batches accepted, one of them sent twice", pushing);
  return runs;
}

function ingestUrl(worker: WorkerProcess, dataset: string): string {
  return `${worker.url}/ingest/zones/${ZONE}/${dataset}`;
}

async function createJob(worker: WorkerProcess, plan: Plan, host: string): Promise<{ id: number; destination_conf: string }> {
  const answer = await fetch(`${worker.url}/client/v4/zones/${ZONE}/logpush/jobs`, {
    method: "POST",
    headers: { Authorization: `Bearer ${secrets.API_TOKEN}`, "Content-Type": "application/json" },
    body: JSON.stringify({
      name: plan.name,
      dataset: plan.dataset,
      enabled: true,
      destination_conf: plan.destination(host),
      ...(plan.filter ? { filter: JSON.stringify(plan.filter) } : {}),
    }),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`creating the job "${plan.name}": ${answer.status} ${text}`);
  return JSON.parse(text).result;
}

/** Waits until the SIEM has what it must get, and then until the Worker knows that it has. */
async function deliveredStats(siem: Siem, worker: WorkerProcess, runs: DatasetRun[]): Promise<Stats> {
  const started = performance.now();
  const arrived = () => runs.every((run) => siem.intake(run.credential).tallyOnce.records >= run.expected.records);
  try {
    await siem.waitFor(arrived, DELIVERY_DEADLINE_MILLIS, "the deliveries");
  } catch (error) {
    report.note(`✗ ${(error as Error).message}`); // the checklist shows what is missing
  }
  const deadline = performance.now() + 15_000;
  for (;;) {
    const stats: Stats = await getJson(`${worker.url}/stats`, secrets.READ_TOKEN);
    const settled = stats.jobs.every((job) => job.waiting.records === 0 && job.owed.batches === 0);
    if (settled || performance.now() > deadline) {
      report.step("deliveries finished", started);
      return stats;
    }
    await delay(100);
  }
}

/** What Cloudflare's health query and Prometheus are told of the same run. */
async function askHealth(worker: WorkerProcess): Promise<Health> {
  const query = `query {
    viewer {
      zones(filter: { zoneTag: $zoneTag }) {
        pushes: logpushHealthAdaptiveGroups(filter: { datetime_gt: "2022-08-15T00:00:00Z" }, limit: 100) {
          count, dimensions { jobId, status, final, destinationType }, sum { bytes, bytesCompressed, records }
        }
        ingest: logpushIngestAdaptiveGroups(filter: { datetime_gt: "2022-08-15T00:00:00Z" }, limit: 100) {
          count, dimensions { dataset }, sum { records, bytes, bytesCompressed, invalid, tests, duplicates }
        }
      }
    }
  }`;
  const headers = { Authorization: `Bearer ${secrets.READ_TOKEN}` };
  const body = JSON.stringify({ query, variables: { zoneTag: ZONE } });
  const answer = await fetch(`${worker.url}/client/v4/graphql`, { method: "POST", headers, body });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`GraphQL: ${answer.status} ${text.slice(0, 500)}`);
  const metrics = await fetch(`${worker.url}/metrics`, { headers });
  if (!metrics.ok) throw new Error(`/metrics: ${metrics.status} ${(await metrics.text()).slice(0, 500)}`);
  const [zone] = JSON.parse(text).data.viewer.zones;
  return { query, ...zone, metrics: seriesOf(await metrics.text()) };
}

async function getJson(url: string, token: string | undefined): Promise<any> {
  const answer = await fetch(url, { headers: token === undefined ? {} : { Authorization: `Bearer ${token}` } });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${text.slice(0, 500)}`);
  return JSON.parse(text);
}

async function stayUp(runs: DatasetRun[]): Promise<void> {
  worker = await startWorker(); // on the same state: what was archived, delivered and counted is still there
  console.log(`
The Worker is up again at ${worker.url} on the state of this run (Ctrl-C ends it and removes the state).
  INGEST_SECRET  ${secrets.INGEST_SECRET}
  API_TOKEN      ${secrets.API_TOKEN}
  READ_TOKEN     ${secrets.READ_TOKEN}

  curl -s -H "Authorization: Bearer ${secrets.READ_TOKEN}" ${worker.url}/stats
  curl -s -H "Authorization: Bearer ${secrets.READ_TOKEN}" ${worker.url}/metrics
  curl -s -H "Authorization: Bearer ${secrets.API_TOKEN}" ${worker.url}/client/v4/zones/${ZONE}/logpush/jobs
  printf '{"EdgeResponseStatus":503,"RayID":"00"}\\n' | gzip | curl -s --data-binary @- -H "Content-Encoding: gzip" \\
    -H "Authorization: Bearer ${secrets.INGEST_SECRET}" ${ingestUrl(worker, (runs[0] as DatasetRun).dataset)}
`);
  await new Promise(() => setInterval(() => {}, 60_000));
}

function secret(): string {
  return randomBytes(32).toString("hex");
}
