// An estimate as text.

import type { Estimate, Measured, Prices } from "./model.ts";
import { PARTS, type Part } from "./parts.ts";

const TITLES: Record<Part, string> = {
  batch: "batch",
  large_batch: "batch of more than 512 KiB gzip: also",
  chunked_batch: "the same without `Content-Length`: also, and an R2 write for each part of 5 MiB",
  event_batch: "instead of these: batch that Logpush wrote itself, its own write and our read of it",
  selection: "selection of a job",
  inline_entry: "entry, inline",
  spooled_entry: "entry, spooled",
  archived_entry: "entry, an archived object",
  spooled_object: "spooled object",
  push: "push",
};

/** Three digits that count, in thousands, millions and billions. */
export function short(value: number): string {
  const [scaled, suffix] =
    value >= 1e9 ? [value / 1e9, " G"] : value >= 1e6 ? [value / 1e6, " M"] : value >= 1e4 ? [value / 1e3, " k"] : [value, ""];
  const digits = scaled >= 100 || scaled === 0 ? 0 : scaled >= 10 ? 1 : 2;
  const text = scaled.toFixed(digits);
  return `${text.includes(".") ? text.replace(/\.?0+$/, "") : text}${suffix}`;
}

export function dollars(value: number): string {
  const digits = value < 100 ? 2 : 0;
  return `$${value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits })}`;
}

export function text(estimate: Estimate, measured: Measured, prices: Prices): string {
  const { input, volume, lines } = estimate;
  const share = (value: number) => `${+(value * 100).toFixed(2)} %`;
  const out = [
    `${short(input.recordsPerDay)} records a day of ${input.bytesPerRecord} bytes, ${short(input.recordsPerBatch)} a batch; ${input.jobs} jobs that select ${share(input.selected)} each${input.isByEvents ? "; Logpush writes to R2" : ""}.`,
    `A month of 30 days: ${short(volume.raw_gb)} GB raw, ${short(volume.gzip_gb)} GB gzip, ${short(volume.batches)} batches (${short(volume.batches_per_second)} a second, ${short(volume.batch_raw_mb)} MB raw, ${short(volume.batch_gzip_mb)} MB gzip each).`,
    `Each job: ${short(volume.selected_gb_per_job)} GB, ${short(volume.pushes_per_job)} pushes of ${short(volume.push_mb)} MB that take ${short(volume.push_millis)} ms.`,
    `CPU: ${short(volume.cpu_ms_per_gb_raw)} ms per GB raw (${measured.cpu.command}, ${measured.cpu.date}). Prices: list, read ${prices.read}.`,
    "",
    table(
      ["The Worker, per month", "used", "included", "billed", "unit", "price", "USD"],
      lines.map((one) => [
        one.title, short(one.units), short(one.included), short(one.billed), one.unit,
        `$${one.price}${one.per === 1 ? "" : ` / ${short(one.per)}`}`, dollars(one.usd),
      ]),
      [4],
    ),
    "",
    table(["Sum", "USD"], [
      ["the Worker and what it uses", dollars(estimate.worker_usd)],
      [`one export by Logpush, to ${input.isByEvents ? "R2" : "the Worker"}${input.exportPricePerGb === undefined ? ", at list price" : ""}`, dollars(estimate.export_usd)],
      ["together", dollars(estimate.total_usd)],
      ["the Worker, per TB raw", dollars((estimate.worker_usd / volume.raw_gb) * 1_000)],
      ...(estimate.siem_usd === undefined ? [] : [[`not taken in by the SIEM, at ${dollars(input.siemPricePerGb ?? 0)} per GB`, dollars(estimate.siem_usd)]]),
    ]),
    "",
    table(["Without the Worker, at list price", "USD"], estimate.alternatives.map((one) => [one.title, dollars(one.usd)])),
    "",
    table(
      ["Limits", "here", "limit", "unit", ""],
      estimate.checks.map((one) => [one.title, short(one.value), short(one.limit), one.unit, one.holds ? "✓" : `✗ ${one.advice ?? ""}`]),
      [3, 4],
    ),
  ];
  return out.join("\n");
}

/** Several volumes side by side, what each needs a day. */
export function scale(estimates: readonly Estimate[]): string {
  const days = 30;
  const used = (estimate: Estimate, item: string) => (estimate.lines.find((one) => one.item === item)?.units ?? 0) / days;
  const rows: [string, (one: Estimate) => string][] = [
    ["batches", ({ volume }) => short(volume.batches / days)],
    ["GB raw", ({ volume }) => short(volume.raw_gb / days)],
    ["ledgers", ({ volume }) => short(volume.objects.ledgers)],
    ["outboxes", ({ volume }) => short(volume.objects.outboxes)],
    ["calls of objects, and alarms", (one) => short(used(one, "object_requests"))],
    ["  a second, of one ledger", ({ volume }) => short(volume.per_second.ledger)],
    ["  a second, of one outbox", ({ volume }) => short(volume.per_second.outbox)],
    ["  a second, of the registry", ({ volume }) => short(volume.per_second.registry)],
    ["rows written", (one) => short(used(one, "rows_written"))],
    ["rows read", (one) => short(used(one, "rows_read"))],
    ["R2 writes", (one) => short(used(one, "r2_class_a"))],
    ["R2 reads", (one) => short(used(one, "r2_class_b"))],
    ["pushes", ({ volume, input }) => short((volume.pushes_per_job * input.jobs) / days)],
    ["an outbox pushes, of each second", ({ checks }) => short(checks.find((one) => one.title === "time an outbox pushes")?.value ?? 0)],
    ["USD, the Worker", (one) => dollars(one.worker_usd / days)],
    ["USD, the Worker without the archive", (one) => dollars((one.worker_usd - (one.lines.find(({ item }) => item === "r2_storage")?.usd ?? 0)) / days)],
    ["USD, the export to it", (one) => dollars(one.export_usd / days)],
    ["limits that are passed", ({ checks }) => String(checks.filter((one) => !one.holds).length)],
  ];
  return table(["a day", ...estimates.map(({ input }) => `${short(input.recordsPerDay)} records`)], rows.map(([title, of]) => [title, ...estimates.map(of)]));
}

/** The pieces as a table of Markdown. */
export function piecesTable(pieces: Measured["pieces"]): string {
  const rows = PARTS.map((part) => {
    const { requests, alarms, rows_read, rows_written, class_a, class_b } = pieces[part];
    return [TITLES[part], requests, alarms, rows_written, rows_read, class_a, class_b].join(" | ");
  });
  const head = ["each", "calls", "alarms", "rows written", "rows read", "R2 writes", "R2 reads"].join(" | ");
  return [head, "---|---|---|---|---|---|---", ...rows].map((row) => `| ${row} |`).join("\n").replace("| ---|", "|---|").replace("--- |", "---|");
}

/** `left` are columns beside the first that are text. */
function table(head: string[], rows: string[][], left: number[] = []): string {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => (row[column] ?? "").length)));
  const line = (cells: string[]) =>
    cells.map((cell, column) => (column === 0 || left.includes(column) ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))).join("  ").trimEnd();
  return [line(head), line(widths.map((width) => "─".repeat(width))), ...rows.map(line)].join("\n");
}
