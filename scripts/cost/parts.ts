// The parts that a batch's cost is made of, and the pieces that Cloudflare bills for each.

/** Pieces of each kind. Of the Registry nothing: its calls depend on caches, and the model counts them by rule. */
export interface Pieces {
  /** Calls of a Ledger or an Outbox. */
  requests: number;
  /** Alarms that fired; each is billed as a request. */
  alarms: number;
  rows_read: number;
  /** Alarms that were set are rows written, too. */
  rows_written: number;
  class_a: number;
  class_b: number;
}

/** What each adds. */
export const PARTS = [
  "batch", "large_batch", "chunked_batch", "event_batch", "selection", "inline_entry", "spooled_entry", "archived_entry", "spooled_object", "push",
] as const;
export type Part = (typeof PARTS)[number];

/** Wall-clock time of the local runtime, whose disk confirms at once. */
export interface Latency {
  commit_ms: number;
  append_ms: number;
  /** An alarm with one small push to a destination that answers at once. */
  push_ms: number;
  /** What a push takes longer for each MB: mostly gzip. */
  push_ms_per_mb: number;
}

export const KINDS = ["requests", "alarms", "rows_read", "rows_written", "class_a", "class_b"] as const;

function each(work: (kind: (typeof KINDS)[number]) => number): Pieces {
  return Object.fromEntries(KINDS.map((kind) => [kind, work(kind)])) as unknown as Pieces;
}
export const minus = (a: Pieces, b: Pieces): Pieces => each((kind) => a[kind] - b[kind]);
export const plus = (a: Pieces, b: Pieces): Pieces => each((kind) => a[kind] + b[kind]);
export const times = (a: Pieces, factor: number): Pieces => each((kind) => a[kind] * factor);
export const isSame = (a: Pieces, b: Pieces): boolean => KINDS.every((kind) => a[kind] === b[kind]);
