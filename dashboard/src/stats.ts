// What `/stats` answers, as far as the page reads it. See docs/operations.md.

import { plain } from "./api.ts";

export interface DatasetStats {
  /** `zones/{id}` or `accounts/{id}`. */
  scope: string;
  dataset: string;
  batches: number;
  records: number;
  bytes_raw: number;
  bytes_compressed: number;
  invalid_lines: number;
  tests: number;
  duplicates: number;
  last_batch: string | null;
}

export type JobState = "deleted" | "disabled_by_failing" | "disabled" | "parked" | "failing" | "backlog" | "idle" | "healthy";

export interface JobStats {
  id: number;
  name: string | null;
  scope: string;
  dataset: string;
  enabled: boolean;
  deleted: boolean;
  state: JobState;
  lag_seconds: number | null;
  rates: Record<"5m" | "1h" | "24h", { seconds: number; pushes: number; records: number; bytes: number; failures: number }>;
  selected: { batches: number; records: number; bytes: number };
  owed: { batches: number };
  delivered: { records: number; bytes: number; pushes: number };
  waiting: { records: number; bytes: number; oldest_received_at: string | null };
  parked: { records: number; bytes: number; since: string | null };
  dead: { records: number; bytes: number; letters: number };
  discarded: { records: number; bytes: number };
  failing_since: string | null;
  last_success: string | null;
  last_error: string | null;
  error_message: string | null;
  last_failure: { at: string | null; status: number | null };
}

export interface Alert {
  alert_type: string;
  alert_correlation_id: string;
  severity: string;
  scope: string | null;
  dataset: string | null;
  job_id: number | null;
  since: string;
  text: string;
}

export interface Stats {
  at: string;
  since: string;
  until: string;
  datasets: DatasetStats[];
  jobs: JobStats[];
  reconciliation: {
    received_equals_archived: { received_batches: number; archived_batches: number; received_bytes: number; archived_bytes: number; holds: boolean };
    selected_equals_accounted: {
      selected_records: number; delivered_records: number; waiting_records: number; discarded_records: number; parked_records: number;
      dead_records: number; owed_batches: number; holds: boolean;
    };
    holds: boolean;
  };
  /** Null when they could not be asked. */
  alerts: { open: Alert[]; open_count: number; deliveries: { last_error?: string; last_error_at?: string }; misconfigured: string[] } | null;
}

export interface StatsQuery {
  scope?: string | undefined;
  since?: Date;
}

export async function readStats({ scope, since }: StatsQuery, signal?: AbortSignal): Promise<Stats> {
  const query = new URLSearchParams();
  if (scope !== undefined && scope !== "") query.set("scope", scope);
  if (since !== undefined) query.set("since", since.toISOString());
  return await plain<Stats>(`/stats?${query}`, { signal });
}
