// `npm run cost`: its sums against sums made by hand, its page against what it prints, its limits against the Worker's own.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { CostError, measured, prices, read, withFigures } from "../../scripts/cost.ts";
import { benchCases, cpuPerGb, DEFAULTS, estimate, estimateAll, limit, pushes, store, type Estimate, type Input, type Measured } from "../../scripts/cost/model.ts";
import { KINDS, PARTS, type Part, type Pieces } from "../../scripts/cost/parts.ts";
import { dollars, short } from "../../scripts/cost/report.ts";

const script = fileURLToPath(new URL("../../scripts/cost.ts", import.meta.url));
const page = readFileSync(new URL("../../docs/cost.md", import.meta.url), "utf8");

const input = (change: Partial<Input> = {}): Input => ({ ...DEFAULTS, recordsPerDay: 21e9, bytesPerRecord: 1186, ...change });

/** Figures that are easy to reckon with: each part is told by the digit that it moves. */
const NONE: Pieces = { requests: 0, alarms: 0, rows_read: 0, rows_written: 0, class_a: 0, class_b: 0 };
const FIGURES: Measured = {
  cpu: { command: "", date: "", note: "", cases: [{ jobs: 1, ms_per_gb_raw: 2_000 }] },
  pieces: {
    batch: { ...NONE, requests: 1, rows_written: 2, class_a: 1 },
    large_batch: { ...NONE, requests: 1, class_b: 1 },
    chunked_batch: { ...NONE, class_a: 1 },
    event_batch: { ...NONE, requests: 3, rows_written: 3, class_a: 1, class_b: 1 },
    selection: { ...NONE, requests: 1, alarms: 1, rows_written: 10 },
    inline_entry: { ...NONE, rows_written: 100 },
    spooled_entry: { ...NONE, rows_written: 1_000, class_b: 1 },
    archived_entry: { ...NONE, rows_written: 10_000 },
    spooled_object: { ...NONE, class_a: 1 },
    push: { ...NONE, rows_written: 100_000 },
  },
  latency: { commit_ms: 0, append_ms: 0, push_ms: 0, push_ms_per_mb: 0 },
};

function used(found: Estimate, item: string): number {
  const line = found.lines.find((one) => one.item === item);
  assert.ok(line, item);
  return line.units;
}

function charged(found: Estimate, item: string): number {
  const line = found.lines.find((one) => one.item === item);
  assert.ok(line, item);
  return line.usd;
}

const near = (found: number, wanted: number, message?: string) => assert.ok(Math.abs(found - wanted) <= 1e-9 * Math.abs(wanted), `${message ?? ""} ${found} is not ${wanted}`);

test("jobs that select different shares cost what each of them costs, and one that selects nothing costs nothing", () => {
  // Small enough that no selection is spooled because of another one.
  const small = { ...DEFAULTS, recordsPerDay: 86.4e6, bytesPerRecord: 100, recordsPerBatch: 1_000 };
  const of = (shares: number[]) => estimate({ ...small, jobs: shares.length, selected: 0.5, shares }, measured(), prices());
  for (const item of ["rows_written", "r2_class_a", "r2_class_b"]) {
    const [none, some, whole, both] = [[], [0.1], [1], [0.1, 1, 0]].map((shares) => used(of(shares), item));
    near((both ?? 0) - (none ?? 0), (some ?? 0) + (whole ?? 0) - 2 * (none ?? 0), item);
  }
  assert.equal(of([0.1, 1]).volume.selected_gb_per_job, of([0.55]).volume.selected_gb_per_job);
});

test("datasets together cost what their units cost, with the plan and what it includes once", () => {
  const input = { ...DEFAULTS, recordsPerDay: 1e9, bytesPerRecord: 1_000 };
  const [alone, together] = [estimate(input, measured(), prices()), estimateAll([input, input], measured(), prices())];
  assert.deepEqual(estimateAll([input], measured(), prices()).lines, alone.lines);
  assert.equal(together.lines.filter(({ item }) => item === "plan").length, 1);
  for (const line of together.lines) if (line.item !== "plan") near(line.units, 2 * used(alone, line.item), line.item);
  near(together.export_usd, 0.1 * (2 * alone.volume.raw_gb - 25));
  near(together.total_usd, together.worker_usd + together.export_usd);
  assert.equal(estimateAll([], measured(), prices()).total_usd, 5);
});

test("the figures in docs/cost.md are those that the script prints", () => {
  assert.equal(page.match(/<!-- npm run cost -- /g)?.length, 4);
  assert.equal(withFigures(page, measured()), page, "renew them with `npm run cost -- --save`");
  const other = { ...measured(), cpu: FIGURES.cpu };
  assert.notEqual(withFigures(page, other), page, "the examples are not made anew at all");
});

test("the figures in docs/scaling.md are those that the script prints", () => {
  const scaling = readFileSync(new URL("../../docs/scaling.md", import.meta.url), "utf8");
  assert.ok((scaling.match(/<!-- npm run cost -- /g)?.length ?? 0) >= 2);
  assert.equal(withFigures(scaling, measured()), scaling, "renew them with `npm run cost -- --save`");
  assert.notEqual(withFigures(scaling, { ...measured(), pieces: FIGURES.pieces }), scaling, "the examples are not made anew at all");
});

test("the README's sums for the two ways in are those that the script makes", () => {
  const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
  const sum = (change: Partial<Input>) => dollars(Math.round(estimate(input(change), measured(), prices()).total_usd)).replace(/\.00$/, "");
  for (const [title, change] of [
    ["50 million", { recordsPerDay: 50e6, recordsPerBatch: 20_000 }],
    ["1 billion", { recordsPerDay: 1e9 }],
    ["21 billion", {}],
  ] as const) {
    const row = `| ${title} records a day | ${sum(change)} | ${sum({ ...change, isByEvents: true })} |`;
    assert.ok(readme.includes(row), `README.md lacks ${row}`);
  }
});

test("--scale shows what each volume needs a day, as the estimate of that volume says", () => {
  const output = spawnSync(process.execPath, [script, "--scale", "--jobs", "3"], { encoding: "utf8" });
  assert.equal(output.status, 0, output.stderr);
  const lines = output.stdout.trimEnd().split("\n");
  assert.match(lines[0] ?? "", /1 M records +1 G records +21 G records$/);
  const written = lines.find((line) => line.startsWith("rows written"));
  const month = [1e6, 1e9, 21e9].map((recordsPerDay) => used(estimate(input({ recordsPerDay, jobs: 3 }), measured(), prices()), "rows_written"));
  assert.equal(written?.replace(/^rows written +/, "").split(/ {2,}/).join("|"), month.map((rows) => short(rows / 30)).join("|"));
  const mixed = spawnSync(process.execPath, [script, "--scale", "--records-per-day", "5"], { encoding: "utf8" });
  assert.deepEqual([mixed.status, mixed.stderr.includes("leave --records-per-day out")], [1, true]);
});

test("docs/cost.md names every flag", () => {
  const output = spawnSync(process.execPath, [script, "--help"], { encoding: "utf8" });
  assert.equal(output.status, 0, output.stderr);
  const flags = [...output.stdout.matchAll(/^ +(--[a-z0-9-]+)/gm)].map(([, flag]) => flag as string);
  assert.ok(flags.length > 15);
  for (const flag of flags) assert.ok(page.includes(flag), `docs/cost.md lacks ${flag}`);
});

test("the example of 21 billion records a day is what one reckons by hand", () => {
  const found = estimate(input({ jobs: 0 }), FIGURES, prices());
  // 21e9 × 1186 × 30 / 1e9 and 21e9 × 30 / 100,000
  near(found.volume.raw_gb, 747_180);
  near(used(found, "worker_requests"), 6_300_000);
  assert.equal(charged(found, "worker_requests"), 0, "6.3 of the 10 million that are included");
  near(used(found, "worker_cpu"), 1_494_360_000);
  near(charged(found, "worker_cpu"), (1_494_360_000 - 30e6) * 0.02e-6);
  // Each batch is larger than the first block: a lookup before the commit, and a look at its key.
  near(used(found, "r2_class_a"), 6_300_000);
  assert.equal(charged(found, "r2_class_a"), 27, "5.3 million are billed as 6");
  near(used(found, "r2_class_b"), 6_300_000);
  assert.equal(charged(found, "r2_class_b"), 0);
  near(used(found, "rows_written"), 12_600_000);
  near(used(found, "object_requests"), 6_300_000 * 3, "lookup, commit, and the registry at most once");
  assert.equal(charged(found, "r2_storage"), Math.ceil(747_180 / 11.9 - 10) * 0.015);
  near(found.export_usd, (747_180 - 25) * 0.1);
});

test("what a job selects costs its selection, its entries, its objects and its pushes", () => {
  const base = estimate(input({ jobs: 0 }), FIGURES, prices());
  const rows = (change: Partial<Input>) => {
    const found = estimate(input(change), FIGURES, prices());
    return Math.round((used(found, "rows_written") - used(base, "rows_written")) / 6_300_000);
  };
  assert.equal(rows({ jobs: 1, selected: 0.005 }), 100_110, "0.6 MB go inline");
  assert.equal(rows({ jobs: 1, selected: 0.01 }), 102_010, "1.2 MB are one spooled object of two entries");
  assert.equal(rows({ jobs: 3, selected: 0.005 }), 300_330);
  assert.equal(rows({ jobs: 1, selected: 1 }), 110_010, "without a filter the archived object is the push");
  assert.equal(rows({ jobs: 1, selected: 0 }), 0, "nothing selected, nothing appended");
  assert.equal(rows({ jobs: 1, selected: 0.005, batchesPerPush: 4 }), 25_110, "four batches share a push");
});

test("a selection is cut, spooled and left inline as the pipeline does it", () => {
  const mib = 1024 * 1024;
  const one = (selected: number, change: Partial<Input> = {}) => store(input({ jobs: 1, selected, ...change }))[0];
  assert.deepEqual(one(0.005), { entries: [593_000], spooledEntries: 0, inlineEntries: 1, archivedEntries: 0, objects: 0 });
  for (const [selected, objects] of [[0.01, 1], [0.02, 1], [0.05, 2], [0.2, 8]] as const) {
    const stored = one(selected);
    assert.ok(stored);
    const missing = stored.entries.reduce((a, b) => a + b, 0) - selected * 118_600_000;
    assert.ok(Math.abs(missing) <= objects + 1, `${missing} bytes more than the selection at ${selected}`);
    assert.ok(stored.entries.every((bytes) => bytes <= mib));
    assert.equal(stored.objects, objects, `objects at ${selected}`);
    assert.equal(stored.spooledEntries + stored.inlineEntries, stored.entries.length);
  }
  // Two jobs fill the 3 MiB together, so each spools more often than it would alone.
  const both = store(input({ jobs: 2, selected: 0.05 }));
  assert.ok(both.reduce((sum, stored) => sum + stored.objects, 0) >= 4);
  const crowded = one(0.05, { batchesInFlight: 40 });
  assert.ok((crowded?.objects ?? 0) > 15, "in a full isolate a batch spills in pieces of 300 KB");
});

test("pushes hold as many entries as fit, and one at least", () => {
  const at = (maxUploadBytes: number) => input({ maxUploadBytes });
  assert.equal(pushes([1e6, 1e6, 1e6, 1e6, 1e6], at(5e6)), 1);
  assert.equal(pushes([1e6, 1e6, 1e6, 1e6, 1e6, 1], at(5e6)), 2);
  assert.equal(pushes([9e6, 9e6], at(5e6)), 2);
  assert.equal(pushes([], at(5e6)), 0);
  assert.equal(pushes(Array<number>(50).fill(1e6), at(1e9)), 2, "25 MB is the most, whatever the job says");
});

test("a body without Content-Length costs a write for each part", () => {
  const writes = (change: Partial<Input>) => used(estimate(input({ jobs: 0, ...change }), FIGURES, prices()), "r2_class_a") / 6_300_000;
  near(writes({}), 1);
  near(writes({ isChunked: true }), 1 + 1 + 2, "9.97 MB are two parts");
});

test("batches that Logpush writes to R2 cost its internal price, a message each, and no look for their key", () => {
  const found = estimate(input({ jobs: 0, isByEvents: true }), FIGURES, prices());
  near(found.export_usd, (747_180 - 25) * 0.03);
  near(used(found, "queue_operations"), 18_900_000, "written, read and deleted");
  near(charged(found, "queue_operations"), 17.9 * 0.4);
  near(used(found, "r2_class_a"), 6_300_000, "Logpush's own write");
  near(used(found, "r2_class_b"), 6_300_000);
  near(used(found, "rows_written"), 18_900_000);
  near(used(found, "object_requests"), 6_300_000 * 4);
  assert.deepEqual(found.alternatives, estimate(input({ jobs: 0 }), FIGURES, prices()).alternatives);
  const checked = found.checks.map(({ title }) => title);
  assert.deepEqual([checked.includes("messages of the queue"), checked.includes("a batch as it comes")], [true, false]);
  assert.ok(!estimate(input(), FIGURES, prices()).lines.some(({ item }) => item === "queue_operations"));
});

test("what the plan includes is not billed", () => {
  const found = estimate(input({ recordsPerDay: 1e6 }), measured(), prices());
  for (const { item, usd } of found.lines) {
    if (item !== "plan") assert.equal(usd, 0, item);
  }
  assert.equal(found.worker_usd, 5);
});

test("duration is never more than the objects' whole month", () => {
  const found = estimate(input({ jobs: 3, selected: 0.3, answerMillis: 30_000 }), measured(), prices());
  assert.ok(used(found, "object_duration") <= 5 * 30 * 86_400 * 0.128);
  const slow = used(estimate(input({ answerMillis: 400 }), measured(), prices()), "object_duration");
  const quick = used(estimate(input({ answerMillis: 100 }), measured(), prices()), "object_duration");
  // 2 jobs, a push a batch, 300 ms more; the slow ones reach the month's end.
  assert.ok(slow > quick && slow <= quick + 2 * 6_300_000 * 0.3 * 0.128);
});

test("an outbox that could not keep up is told, and a contract's price and the SIEM's are used", () => {
  const busy = (change: Partial<Input>) => estimate(input(change), measured(), prices()).checks.find((one) => one.title === "time an outbox pushes");
  assert.equal(busy({ selected: 0.005 })?.holds, true);
  const behind = busy({ selected: 0.3 });
  assert.equal(behind?.holds, false);
  assert.match(behind?.advice ?? "", /max_upload_bytes/);
  const found = estimate(input({ exportPricePerGb: 0, siemPricePerGb: 0.5 }), measured(), prices());
  assert.equal(found.export_usd, 0);
  near(found.siem_usd ?? 0, 2 * 747_180 * 0.98 * 0.5);
});

test("the ways without the Worker cost what Logpush's price page says", () => {
  // The page's own example: 60 GB external are $3.50, 40 GB internal $0.45, 5 GB transformed $0.16.
  const at = (gigabytes: number, change: Partial<Input>) =>
    estimate(input({ recordsPerDay: (gigabytes * 1e9) / 30 / 1_000, bytesPerRecord: 1_000, retentionDays: 0, jobs: 1, ...change }), FIGURES, prices()).alternatives;
  const [everything] = at(60, {});
  near(everything?.usd ?? 0, 3.5);
  near(at(40, {})[2]?.usd ?? 0, 0.45);
  near(at(5, { selected: 0 })[4]?.usd ?? 0, 0.16);
});

test("limits come from the Worker's source", () => {
  assert.equal(limit("SEGMENT_MAX_BYTES"), 1_048_576);
  assert.equal(limit("PUSH_DEFAULT_BYTES"), 5_000_000);
  assert.throws(() => limit("NO_SUCH_LIMIT"), /NO_SUCH_LIMIT/);
});

test("CPU is taken from a bench's JSON line, between the numbers of jobs that it measured", () => {
  const bench = [
    "  table  of  things",
    JSON.stringify({
      ratios: {},
      cases: [
        { name: "ours, 1 job", raw_bytes: 50e6, cpu_ms_median: 100 },
        { name: "ours, 5 jobs", raw_bytes: 50e6, cpu_ms_median: 180 },
        { name: "ours, 1 job, dns_logs", raw_bytes: 50e6, cpu_ms_median: 900 },
        { name: "ours, without R2, 1 job", raw_bytes: 50e6, cpu_ms_median: 1 },
        { name: "JavaScript, best", raw_bytes: 50e6, cpu_ms_median: 5 },
      ],
    }),
    "",
  ].join("\n");
  const cases = benchCases(bench);
  assert.deepEqual(cases, [{ jobs: 1, ms_per_gb_raw: 2_000 }, { jobs: 5, ms_per_gb_raw: 3_600 }]);
  for (const [jobs, wanted] of [[0, 2_000], [1, 2_000], [2, 2_400], [5, 3_600], [50, 3_600]] as const) assert.equal(cpuPerGb(cases, jobs), wanted);
  assert.deepEqual(benchCases("nothing of the kind\n"), []);

  const folder = mkdtempSync(join(tmpdir(), "logpush-edge-cost-"));
  try {
    writeFileSync(join(folder, "bench.json"), bench);
    const run = (file: string) => spawnSync(
      process.execPath,
      [script, "--records-per-day", "21e9", "--bytes-per-record", "1186", "--jobs", "2", "--json", "--measured", file],
      { encoding: "utf8", env: { ...process.env, INIT_CWD: folder } },
    );
    const good = run("bench.json");
    assert.equal(good.status, 0, good.stderr);
    assert.equal(JSON.parse(good.stdout).volume.cpu_ms_per_gb_raw, 2_400);
    writeFileSync(join(folder, "other.json"), "{}\n");
    const bad = run("other.json");
    assert.equal(bad.status, 1);
    assert.match(bad.stderr, /other\.json has no JSON line/);
    assert.equal(run("missing.json").status, 1);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

describe("a wrong flag is answered with what it should be", () => {
  for (const [args, wanted] of [
    [[], /--records-per-day and --bytes-per-record/],
    [["--records-per-day", "1e9"], /--bytes-per-record/],
    [["--records-per-day", "many", "--bytes-per-record", "1"], /--records-per-day is a number of at least 1, not many/],
    [["--records-per-day", "1", "--bytes-per-record", "2", "--selected", "5"], /--selected is a number from 0 to 1, not 5/],
    [["--records-per-day", "1", "--bytes-per-record", "2", "--jobs", "1.5"], /--jobs is a whole number/],
    [["--records-per-day", "1", "--bytes-per-record", "2", "--gzip-ratio", ""], /--gzip-ratio/],
    [["--wrong"], /--wrong/],
    [["--save", "--jobs", "3"], /--records-per-day/],
  ] as const) {
    test(args.join(" ") || "none at all", () => {
      assert.throws(() => read([...args]), (error) => error instanceof CostError && wanted.test(error.message));
    });
  }
});

test("every price has its page, and every measured figure its command", () => {
  const { items, pages, read: day } = prices();
  assert.match(day, /^\d{4}-\d\d-\d\d$/);
  for (const [name, item] of Object.entries(items)) {
    assert.match(pages[item.page]?.url ?? "", /^https:\/\/developers\.cloudflare\.com\//, name);
    assert.ok(item.usd > 0 && item.per >= 1 && item.included >= 0, name);
  }
  const { cpu, pieces, latency } = measured() as any;
  for (const figure of [cpu, pieces, latency]) {
    assert.match(figure.command, /^npm run /);
    assert.match(figure.date, /^\d{4}-\d\d-\d\d$/);
  }
  for (const part of PARTS) for (const kind of KINDS) assert.equal(typeof pieces[part as Part][kind], "number", `${part}.${kind}`);
});

test("numbers are written with three digits", () => {
  const cases: [number, string][] = [[0, "0"], [0.654, "0.65"], [7, "7"], [12.34, "12.3"], [1_000, "1000"], [62_789, "62.8 k"], [21e9, "21 G"], [6.3e6, "6.3 M"]];
  for (const [value, wanted] of cases) assert.equal(short(value), wanted);
});
