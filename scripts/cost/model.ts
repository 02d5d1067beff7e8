// What a month costs: unit counts from the input, the measured figures and the code's own limits, times list prices.
// Every formula stands in docs/cost.md. The page shows the same of what is running, so nothing here needs Node.

import { LIMITS } from "#limits";
import { times, plus, type Latency, type Part, type Pieces } from "./parts.ts";

export interface Input {
  recordsPerDay: number;
  bytesPerRecord: number;
  gzipRatio: number;
  recordsPerBatch: number;
  /** Jobs behind the Worker on this dataset. */
  jobs: number;
  /** Share of the records that each of them selects; 1 is a job without filter, which gets whole batches by reference. */
  selected: number;
  /** The share of each, where they differ: as many as there are jobs. */
  shares?: readonly number[];
  /** `max_upload_bytes` of each job. */
  maxUploadBytes: number;
  /** Batches whose selections an outbox gathers before it pushes; 1 without `max_upload_interval_seconds`. */
  batchesPerPush: number;
  /** Batches that an isolate works on at once: they share the budget for selections. */
  batchesInFlight: number;
  /** How long the archive keeps a batch (a lifecycle rule of the bucket). */
  retentionDays: number;
  /** How many months of ledgers are kept; the Worker deletes none. */
  ledgerMonths: number;
  /** Batches come without Content-Length. */
  isChunked: boolean;
  /** Logpush writes batches into the bucket, and R2's events bring them. */
  isByEvents: boolean;
  /** What the destination takes to answer. */
  answerMillis: number;
  /** What the platform takes to make a write of an object durable; nothing in the local runtime. */
  storageMillis: number;
  /** What R2 takes until the first byte of a get; nothing in the local runtime. */
  r2Millis: number;
  /** Size of an event in Workers Logs: one for each request and alarm, with what the platform adds. */
  logEventBytes: number;
  /** Share of the invocations that are logged (`head_sampling_rate`). */
  logSampling: number;
  /** A contract's price for the export to the Worker, USD per GB raw; else the list price. */
  exportPricePerGb?: number;
  /** What the SIEM charges for a GB of raw records. */
  siemPricePerGb?: number;
}

export const DEFAULTS: Omit<Input, "recordsPerDay" | "bytesPerRecord"> = {
  gzipRatio: 11.9,
  recordsPerBatch: 100_000,
  jobs: 2,
  selected: 0.02,
  maxUploadBytes: limit("PUSH_DEFAULT_BYTES"),
  batchesPerPush: 1,
  batchesInFlight: 4,
  retentionDays: 30,
  ledgerMonths: 12,
  isChunked: false,
  isByEvents: false,
  answerMillis: 200,
  storageMillis: 10,
  r2Millis: 30,
  logEventBytes: 1_500,
  logSampling: 1,
};

/** CPU of the Worker's full path with so many jobs. */
export interface CpuCase {
  jobs: number;
  ms_per_gb_raw: number;
}

export interface Measured {
  cpu: { command: string; date: string; note: string; cases: CpuCase[] };
  pieces: Record<Part, Pieces>;
  latency: Latency;
}

export interface Price {
  page: string;
  usd: number;
  per: number;
  unit: string;
  included: number;
  /** Billed by whole units: usage is rounded up to the next one. */
  whole?: boolean;
}

export interface Prices {
  read: string;
  plan: string;
  pages: Record<string, { url: string; copy: string; since?: string }>;
  items: Record<string, Price>;
}

export interface Line {
  item: string;
  title: string;
  units: number;
  unit: string;
  included: number;
  billed: number;
  price: number;
  per: number;
  usd: number;
}

export interface Alternative {
  title: string;
  usd: number;
}

export interface Check {
  title: string;
  value: number;
  limit: number;
  unit: string;
  holds: boolean;
  advice?: string;
}

export interface Estimate {
  input: Input;
  volume: {
    raw_gb: number;
    gzip_gb: number;
    batches: number;
    batches_per_second: number;
    batch_raw_mb: number;
    batch_gzip_mb: number;
    cpu_ms_per_gb_raw: number;
    selected_gb_per_job: number;
    spooled_objects_per_batch: number;
    entries_per_selection: number;
    pushes_per_job: number;
    /** Objects of each class that are at work on a day; the registry and the alerts are one each for the deployment. */
    objects: { ledgers: number; outboxes: number };
    /** Requests to each of them a second. */
    per_second: { ledger: number; outbox: number; registry: number };
    push_mb: number;
    push_millis: number;
  };
  lines: Line[];
  worker_usd: number;
  export_usd: number;
  total_usd: number;
  siem_usd?: number;
  alternatives: Alternative[];
  checks: Check[];
}

/** Cloudflare's month for GB-months, and near enough for all else. */
const DAYS = 30;
const MONTH_SECONDS = DAYS * 86_400;
const GB = 1e9;
/** An object is billed for 128 MB while it is active, whatever it uses. */
const OBJECT_GB = 0.128;

// Bytes of a row with its share of half-empty pages (half as much again), from the columns' lengths: a batch has an id of
// 64 characters, an object name of about 95 and ten numbers; a selection the same id and seven numbers.
const BATCH_ROW_BYTES = 330;
const SELECTION_ROW_BYTES = 150;
/** Of an object that Logpush wrote: its name of about 100 characters, 32 and 64 of its entity tag and its batch. */
const OBJECT_ROW_BYTES = 300;

/** Platform limits (Durable Objects, limits page). */
const OBJECT_REQUESTS_PER_SECOND = 1_000;
const OBJECT_BYTES = 10e9;
const ROW_BYTES = 2e6;
/** Batch bodies that Cloudflare takes on its smallest plan (Workers, limits page). */
const BODY_BYTES = 100e6;
/** Operations for a message of up to 64 KB: written, read, deleted (Queues, pricing page). */
const OPERATIONS_OF_MESSAGE = 3;
/** Messages of one queue (Queues, limits page). */
const QUEUE_MESSAGES_PER_SECOND = 5_000;
/** CPU time of a request unless wrangler.toml says otherwise (Workers, limits page). */
const REQUEST_CPU_MILLIS = 30_000;

/** A constant of the Worker's own, by its name in src/limits.rs. */
export function limit(name: string): number {
  const found = LIMITS[name];
  if (found === undefined) throw new Error(`src/limits.rs has no number ${name}`);
  return found;
}

/** The mean of what the jobs select. */
const shareOf = ({ selected, shares }: Input): number =>
  shares === undefined || shares.length === 0 ? selected : shares.reduce((sum, share) => sum + share, 0) / shares.length;

const sharesOf = ({ jobs, selected, shares }: Input): readonly number[] => shares ?? Array<number>(jobs).fill(selected);

/** How one job's selection of one batch is stored. */
interface Stored {
  /** Bytes of each entry, in order. */
  entries: number[];
  spooledEntries: number;
  inlineEntries: number;
  archivedEntries: number;
  objects: number;
}

/**
 * What the pipeline does with the selections of one batch: they grow evenly, the largest is spooled when all together
 * pass the budget, and of what is left at the end more than `INLINE_MAX_BYTES` is spooled, too.
 */
export function store(input: Input): Stored[] {
  const batchBytes = input.recordsPerBatch * input.bytesPerRecord;
  const shares = sharesOf(input);
  const budget = Math.min(limit("PAYLOAD_MAX_BYTES"), Math.max(limit("WINDOW_BYTES"), limit("PAYLOAD_BUDGET_BYTES") / input.batchesInFlight));
  const segment = Math.max(1, Math.floor(limit("SEGMENT_MAX_BYTES") / input.bytesPerRecord)) * input.bytesPerRecord;
  const segmentsOf = (bytes: number) => {
    const full = Math.floor(bytes / segment);
    const rest = bytes - full * segment;
    return [...Array<number>(full).fill(segment), ...(rest > 0 ? [rest] : [])];
  };
  const held = shares.map(() => 0);
  const stored: Stored[] = shares.map((share) => share === 1
    ? { entries: [batchBytes], spooledEntries: 0, inlineEntries: 0, archivedEntries: 1, objects: 0 }
    : { entries: [], spooledEntries: 0, inlineEntries: 0, archivedEntries: 0, objects: 0 });
  const growing = shares.map((share) => (share === 1 ? 0 : share));
  const put = (job: number, isInline: boolean) => {
    const [one, bytes] = [stored[job], held[job]];
    if (one === undefined || bytes === undefined || bytes === 0) return;
    const segments = segmentsOf(Math.round(bytes));
    one.entries.push(...segments);
    if (isInline) one.inlineEntries += segments.length;
    else {
      one.spooledEntries += segments.length;
      one.objects += 1;
    }
    held[job] = 0;
  };
  const window = limit("WINDOW_BYTES");
  for (let read = 0; read < batchBytes; read += window) {
    const grown = Math.min(window, batchBytes - read);
    for (let job = 0; job < held.length; job += 1) held[job] = (held[job] ?? 0) + grown * (growing[job] ?? 0);
    while (held.reduce((sum, bytes) => sum + bytes, 0) >= budget) put(held.indexOf(Math.max(...held)), false);
  }
  for (let job = 0; job < held.length; job += 1) put(job, (held[job] ?? 0) <= limit("INLINE_MAX_BYTES"));
  return stored;
}

/** Pushes that take these entries: as many as fit, one at least, an archived batch alone. */
export function pushes(entries: readonly number[], input: Input, share = input.selected): number {
  if (share === 1) return entries.length;
  const most = Math.min(input.maxUploadBytes, limit("PUSH_MAX_BYTES"));
  let [count, bytes] = [0, Infinity];
  for (const entry of entries) {
    bytes += entry;
    if (bytes <= most) continue;
    count += 1;
    bytes = entry;
  }
  return count;
}

/** Between the measured numbers of jobs in a straight line; outside of them the nearest one. */
export function cpuPerGb(cases: readonly CpuCase[], jobs: number): number {
  const sorted = cases.toSorted((a, b) => a.jobs - b.jobs);
  const below = sorted.findLast((one) => one.jobs <= jobs);
  const above = sorted.find((one) => one.jobs >= jobs);
  if (below === undefined || above === undefined) {
    const nearest = below ?? above;
    if (nearest === undefined) throw new Error("no CPU was measured");
    return nearest.ms_per_gb_raw;
  }
  if (above.jobs === below.jobs) return below.ms_per_gb_raw;
  const way = (jobs - below.jobs) / (above.jobs - below.jobs);
  return below.ms_per_gb_raw + way * (above.ms_per_gb_raw - below.ms_per_gb_raw);
}

/** The cases of the JSON line that `npm run bench -- --json` ends with, whatever else was printed before it. */
export function benchCases(output: string): CpuCase[] {
  const line = output.split("\n").findLast((one) => one.startsWith("{") && one.includes('"cases"'));
  const cases: { name?: unknown; cpu_ms_median?: unknown; raw_bytes?: unknown }[] = line === undefined ? [] : JSON.parse(line).cases;
  return cases.flatMap(({ name, cpu_ms_median: millis, raw_bytes: bytes }) => {
    const jobs = /^ours, (\d+) jobs?$/.exec(String(name))?.[1];
    if (jobs === undefined || typeof millis !== "number" || typeof bytes !== "number" || !(bytes > 0)) return [];
    return [{ jobs: Number(jobs), ms_per_gb_raw: Math.round((millis / bytes) * GB) }];
  });
}

/** What one dataset uses in a month, before any price. */
interface Usage {
  volume: Estimate["volume"];
  /** Item, title and units; what is paid once for all datasets is not among them. */
  used: [item: string, title: string, units: number][];
  facts: Facts;
}

function usage(input: Input, measured: Measured): Usage {
  const { jobs, batchesPerPush } = input;
  const part = measured.pieces;
  const rawGb = (input.recordsPerDay * input.bytesPerRecord * DAYS) / GB;
  const gzipGb = rawGb / input.gzipRatio;
  const batches = (input.recordsPerDay * DAYS) / input.recordsPerBatch;
  const batchRaw = input.recordsPerBatch * input.bytesPerRecord;
  const batchGzip = batchRaw / input.gzipRatio;
  const perSecond = batches / MONTH_SECONDS;
  const selecting = sharesOf(input).filter((share) => share > 0);
  const cpuMillisPerGb = cpuPerGb(measured.cpu.cases, jobs);

  // Of one batch: the archive and the ledger, then each job's selection.
  const isLarge = batchGzip > limit("FIRST_BLOCK_BYTES");
  const partsOfBody = Math.ceil(batchGzip / limit("MULTIPART_PART_BYTES"));
  let pieces = input.isByEvents ? part.event_batch : part.batch;
  if (input.isByEvents) {
    // The same for every size: the object is there, and nothing has to be looked for under its key.
  } else if (isLarge && input.isChunked) pieces = plus(pieces, plus(part.chunked_batch, { ...times(part.batch, 0), class_a: partsOfBody }));
  else if (isLarge) pieces = plus(pieces, part.large_batch);
  const callsOfLedger = pieces.requests;
  const stored = store({ ...input, shares: selecting });
  const sum = (of: (one: Stored) => number) => stored.reduce((total, one) => total + of(one), 0);
  const gathered = (one: Stored) => Array.from({ length: batchesPerPush }, () => one.entries).flat();
  const pushesOf = (one: Stored) => pushes(gathered(one), input, one.archivedEntries > 0 ? 1 : 0) / batchesPerPush;
  const pushesOfBatch = sum(pushesOf);
  pieces = plus(pieces, times(part.selection, stored.length));
  pieces = plus(pieces, times(part.inline_entry, sum((one) => one.inlineEntries)));
  pieces = plus(pieces, times(part.spooled_entry, sum((one) => one.spooledEntries)));
  pieces = plus(pieces, times(part.archived_entry, sum((one) => one.archivedEntries)));
  pieces = plus(pieces, times(part.spooled_object, sum((one) => one.objects)));
  pieces = plus(pieces, times(part.push, pushesOfBatch));
  // An object is read by each push that has a part of it, neighbouring parts at once: once by most, and more often when
  // it is larger than a push.
  const readAgain = sum((one) => (one.objects === 0 ? 0 : Math.max(0, pushesOf(one) - one.objects)));
  pieces = plus(pieces, { ...times(part.batch, 0), class_b: readAgain });
  const month = times(pieces, batches);
  // The registry is asked for the jobs at most once for each batch, and once by each alarm; it reads every job's row.
  const registry = batches + month.alarms;
  const objectRequests = month.requests + month.alarms + registry;
  const rowsRead = month.rows_read + registry * jobs;

  // A push: the entries' objects one after the other, gzip, the answer, and two writes.
  const { latency } = measured;
  const bytesOf = (one: Stored) => one.entries.reduce((a, b) => a + b, 0);
  const pushBytes = pushesOfBatch === 0 ? 0 : sum(bytesOf) / pushesOfBatch;
  const getsOfPush = pushesOfBatch === 0 ? 0 : (sum((one) => one.objects + one.archivedEntries) + readAgain) / pushesOfBatch;
  // What is archived is gzip already.
  const gzipBytes = pushesOfBatch === 0 ? 0 : sum((one) => (one.archivedEntries > 0 ? 0 : bytesOf(one))) / pushesOfBatch;
  const gzipMillis = latency.push_ms_per_mb * (gzipBytes / 1e6);
  const pushMillis = latency.push_ms + getsOfPush * input.r2Millis + gzipMillis + input.answerMillis + 2 * input.storageMillis;
  const commitSeconds = (batches * (latency.commit_ms + input.storageMillis)) / 1_000;
  const outboxSeconds = stored.length === 0 ? 0 : (batches * (stored.length * (latency.append_ms + input.storageMillis) + pushesOfBatch * pushMillis)) / 1_000 / stored.length;
  const registrySeconds = (registry * latency.commit_ms) / 1_000;
  // Calls that overlap are billed once, so no object costs more than the whole month.
  const active = [commitSeconds, registrySeconds, ...stored.map(() => outboxSeconds)].map((seconds) => Math.min(seconds, MONTH_SECONDS));
  const duration = active.reduce((total, seconds) => total + seconds, 0) * OBJECT_GB;

  const ledgerBytes = batches * (BATCH_ROW_BYTES + (input.isByEvents ? OBJECT_ROW_BYTES : 0) + stored.length * SELECTION_ROW_BYTES);
  const events = (batches + objectRequests) * input.logSampling;
  const logGb = (events * input.logEventBytes) / GB;
  const used: Usage["used"] = [
    ["worker_requests", "Worker: batches", batches],
    ["worker_cpu", "Worker: CPU", rawGb * cpuMillisPerGb],
    ...(input.isByEvents ? [["queue_operations", "Queue: one message a batch", batches * OPERATIONS_OF_MESSAGE] as [string, string, number]] : []),
    ["r2_class_a", "R2: writes", month.class_a],
    ["r2_class_b", "R2: reads", month.class_b],
    ["r2_storage", `R2: ${input.retentionDays} days of archive`, gzipGb * (input.retentionDays / DAYS)],
    ["object_requests", "Objects: requests and alarms", objectRequests],
    ["object_duration", "Objects: duration", duration],
    ["rows_written", "Objects: rows written", month.rows_written],
    ["rows_read", "Objects: rows read", Math.max(0, rowsRead)],
    ["object_storage", `Objects: ${input.ledgerMonths} months of ledger`, (ledgerBytes * input.ledgerMonths) / GB],
    ["logs_ingested", "Workers Logs: ingested", logGb],
    ["logs_stored", "Workers Logs: 7 days kept", (logGb * 7) / DAYS],
  ];
  const selectedGb = rawGb * shareOf(input);
  return {
    volume: {
      raw_gb: rawGb,
      gzip_gb: gzipGb,
      batches,
      batches_per_second: perSecond,
      batch_raw_mb: batchRaw / 1e6,
      batch_gzip_mb: batchGzip / 1e6,
      cpu_ms_per_gb_raw: cpuMillisPerGb,
      selected_gb_per_job: selectedGb,
      spooled_objects_per_batch: sum((one) => one.objects),
      entries_per_selection: stored.length === 0 ? 0 : sum((one) => one.entries.length) / stored.length,
      pushes_per_job: stored.length === 0 ? 0 : (pushesOfBatch / stored.length) * batches,
      objects: { ledgers: 1, outboxes: jobs },
      per_second: {
        ledger: perSecond * callsOfLedger,
        outbox: perSecond,
        registry: registry / MONTH_SECONDS,
      },
      push_mb: pushBytes / 1e6,
      push_millis: pushMillis,
    },
    used,
    facts: {
      perSecond, stored, batchRaw, batchGzip, pushMillis, ledgerBytes, callsOfLedger, isByEvents: input.isByEvents,
      pushesPerJob: stored.length === 0 ? 0 : pushesOfBatch / stored.length,
      cpuMillis: (batchRaw / GB) * cpuMillisPerGb,
      registryPerSecond: registry / MONTH_SECONDS,
    },
  };
}

/** What units cost; those of the plan come first. */
function bill(used: Usage["used"], prices: Prices): { lines: Line[]; worker_usd: number } {
  const lines = ([["plan", "Workers Paid", 1], ...used] as const).map(([item, title, units]) => line(prices, item, title, units));
  return { lines, worker_usd: lines.reduce((total, one) => total + one.usd, 0) };
}

export function estimate(input: Input, measured: Measured, prices: Prices): Estimate {
  const { jobs } = input;
  const { volume, used, facts } = usage(input, measured);
  const { raw_gb: rawGb, gzip_gb: gzipGb, selected_gb_per_job: selectedGb } = volume;
  const { lines, worker_usd: workerUsd } = bill(used, prices);
  const externalItem = price(prices, "export_external");
  const exportItem = input.isByEvents ? price(prices, "export_internal") : externalItem;
  const exportUsd = input.exportPricePerGb === undefined ? charge(exportItem, rawGb) : rawGb * input.exportPricePerGb;
  const archiveUsd = charge(price(prices, "r2_storage"), gzipGb * (input.retentionDays / DAYS)) + charge(price(prices, "r2_class_a"), volume.batches);
  const external = (gb: number) => charge(externalItem, gb);
  const toR2 = charge(price(prices, "export_internal"), rawGb) + archiveUsd;
  const sentAway = jobs * selectedGb;
  return {
    input,
    volume,
    lines,
    worker_usd: workerUsd,
    export_usd: exportUsd,
    total_usd: workerUsd + exportUsd,
    ...(input.siemPricePerGb === undefined ? {} : { siem_usd: jobs * (rawGb - selectedGb) * input.siemPricePerGb }),
    alternatives: [
      { title: `Logpush to ${jobs} destinations, everything to each`, usd: external(jobs * rawGb) },
      { title: `Logpush to ${jobs} destinations, the same share by its own filters`, usd: external(sentAway) },
      { title: "Logpush to R2 only, kept as long", usd: toR2 },
      { title: "Logpush to R2, and the same share by its own filters", usd: toR2 + external(sentAway) },
      { title: `Transformers on everything for ${jobs} jobs, and what they select exported`, usd: charge(price(prices, "transformed"), jobs * rawGb) + external(sentAway) },
    ],
    checks: checks(facts),
  };
}

/** What several datasets cost together: units are added up before what is included is taken off. */
export interface Bill {
  raw_gb: number;
  batches: number;
  lines: Line[];
  worker_usd: number;
  export_usd: number;
  total_usd: number;
}

export function estimateAll(inputs: readonly Input[], measured: Measured, prices: Prices): Bill {
  const all = inputs.map((input) => usage(input, measured));
  const summed = new Map<string, [string, string, number]>();
  for (const [item, title, units] of all.flatMap(({ used }) => used)) summed.set(item, [item, title, (summed.get(item)?.[2] ?? 0) + units]);
  const sum = (of: (volume: Estimate["volume"]) => number) => all.reduce((total, { volume }) => total + of(volume), 0);
  const rawGb = sum((volume) => volume.raw_gb);
  const rawByEvents = all.reduce((total, { volume, facts }) => total + (facts.isByEvents ? volume.raw_gb : 0), 0);
  const exportUsd = charge(price(prices, "export_external"), rawGb - rawByEvents) + charge(price(prices, "export_internal"), rawByEvents);
  const billed = bill([...summed.values()], prices);
  return { raw_gb: rawGb, batches: sum((volume) => volume.batches), ...billed, export_usd: exportUsd, total_usd: billed.worker_usd + exportUsd };
}

interface Facts {
  perSecond: number;
  stored: Stored[];
  batchRaw: number;
  batchGzip: number;
  pushMillis: number;
  ledgerBytes: number;
  pushesPerJob: number;
  cpuMillis: number;
  registryPerSecond: number;
  /** For each batch. */
  callsOfLedger: number;
  isByEvents: boolean;
}

function checks(facts: Facts): Check[] {
  const { perSecond, pushesPerJob } = facts;
  const check = (title: string, value: number, most: number, unit: string, advice: string): Check =>
    ({ title, value, limit: most, unit, holds: value <= most, ...(value <= most ? {} : { advice }) });
  return [
    check("requests to a ledger", perSecond * facts.callsOfLedger, OBJECT_REQUESTS_PER_SECOND, "per second", "larger batches"),
    check("requests to an outbox", perSecond, OBJECT_REQUESTS_PER_SECOND, "per second", "larger batches"),
    check("requests to the registry, at most", facts.registryPerSecond, OBJECT_REQUESTS_PER_SECOND, "per second", "larger batches"),
    check("a ledger's table after its day", facts.ledgerBytes / DAYS / 1e6, OBJECT_BYTES / 1e6, "MB", "larger batches"),
    check("a row of an outbox", limit("SEGMENT_MAX_BYTES") / 1e6, ROW_BYTES / 1e6, "MB", "none needed: the Worker cuts them"),
    facts.isByEvents
      ? check("messages of the queue", perSecond, QUEUE_MESSAGES_PER_SECOND, "per second", "larger batches, or a queue for each prefix")
      : check("a batch as it comes", facts.batchGzip / 1e6, BODY_BYTES / 1e6, "MB gzip", "smaller batches, or a plan that takes larger bodies"),
    check("CPU of one batch", facts.cpuMillis, REQUEST_CPU_MILLIS, "ms", "smaller batches, or limits.cpu_ms in wrangler.toml"),
    // One push at a time: what a job's destination has to take in must not last longer than it takes to come.
    check("time an outbox pushes", perSecond * pushesPerJob * (facts.pushMillis / 1_000), 1, "of each second",
      "the job falls behind: raise its max_upload_bytes, gather batches with max_upload_interval_seconds, or share its records between jobs"),
    check("a push, at a destination that answers as assumed", facts.pushMillis, limit("PUSH_DEADLINE_MILLIS"), "ms", "a smaller max_upload_bytes"),
  ];
}

function price(prices: Prices, item: string): Price {
  const found = prices.items[item];
  if (found === undefined) throw new Error(`there is no price of ${item}`);
  return found;
}

function billed({ included, per, whole }: Price, units: number): number {
  const over = Math.max(0, units - included);
  return whole === true ? Math.ceil(over / per) * per : over;
}

function charge(price: Price, units: number): number {
  return (billed(price, units) / price.per) * price.usd;
}

function line(prices: Prices, item: string, title: string, units: number): Line {
  const of = price(prices, item);
  return { item, title, units, unit: of.unit, included: of.included, billed: billed(of, units), price: of.usd, per: of.per, usd: charge(of, units) };
}
