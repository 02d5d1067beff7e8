// A job as it is edited: what the API answered, the draft that the form has, and what of it is to be sent.

import type { OutputOptions } from "./output.ts";

/** A job as the API answers it. */
export interface Job {
  id: number;
  dataset: string;
  name: string | null;
  enabled: boolean;
  destination_conf: string;
  filter: string;
  output_options: OutputOptions | null;
  logpull_options: string | null;
  max_upload_bytes: number | null;
  max_upload_records: number | null;
  max_upload_interval_seconds: number | null;
  last_complete: string | null;
  last_error: string | null;
  error_message: string | null;
}

export interface Draft {
  /** `zones/{id}` or `accounts/{id}`. */
  scope: string;
  dataset: string;
  name: string;
  enabled: boolean;
  destination_conf: string;
  filter: string;
  output_options: OutputOptions | null;
  logpull_options: string;
  /** As typed; "" is unset. */
  max_upload_bytes: string;
  max_upload_records: string;
  max_upload_interval_seconds: string;
}

export const LIMITS = [
  { name: "max_upload_bytes", label: "Bytes of a push, uncompressed", min: 5_000_000, max: 1_000_000_000 },
  { name: "max_upload_records", label: "Records of a push", min: 1_000, max: 1_000_000 },
  { name: "max_upload_interval_seconds", label: "Seconds that records are gathered", min: 30, max: 300 },
] as const;

export const newDraft = (scope: string, dataset: string): Draft => ({
  scope, dataset, name: "", enabled: true, destination_conf: "https://", filter: "", output_options: null, logpull_options: "",
  max_upload_bytes: "", max_upload_records: "", max_upload_interval_seconds: "",
});

export const draftOf = (scope: string, job: Job): Draft => ({
  scope,
  dataset: job.dataset,
  name: job.name ?? "",
  enabled: job.enabled,
  destination_conf: job.destination_conf,
  filter: job.filter,
  output_options: job.output_options,
  logpull_options: job.logpull_options ?? "",
  max_upload_bytes: String(job.max_upload_bytes ?? ""),
  max_upload_records: String(job.max_upload_records ?? ""),
  max_upload_interval_seconds: String(job.max_upload_interval_seconds ?? ""),
});

/** A second job like it: its name says so, and it is off until somebody has looked at it. */
export const copyOf = (draft: Draft): Draft => ({ ...draft, name: draft.name === "" ? "" : `Copy of ${draft.name}`, enabled: false });

const isSame = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

const number = (text: string): number | null => (text.trim() === "" ? null : Number(text));

/** The body that changes `before` into `after`: only what differs, so that what was not touched stays as it is. */
export function changes(before: Draft, after: Draft): Record<string, unknown> {
  const body: Record<string, unknown> = {};
  for (const name of ["name", "enabled", "destination_conf", "filter", "output_options", "logpull_options"] as const) {
    if (!isSame(before[name], after[name])) body[name] = after[name];
  }
  for (const { name } of LIMITS) if (before[name].trim() !== after[name].trim()) body[name] = number(after[name]);
  return body;
}

/** The body that makes the job. */
export function creation(draft: Draft): Record<string, unknown> {
  const empty = { ...newDraft(draft.scope, draft.dataset), destination_conf: "", enabled: false };
  return { dataset: draft.dataset, ...changes(empty, draft) };
}

export const isChanged = (before: Draft, after: Draft): boolean => !isSame(before, after);

/** Limits that are none, by member. */
export function limitFaults(draft: Draft): Map<string, string> {
  const found = new Map<string, string>();
  for (const { name, min, max } of LIMITS) {
    const text = draft[name].trim();
    const value = Number(text);
    if (text !== "" && text !== "0" && !(Number.isInteger(value) && value >= min && value <= max)) {
      found.set(name, `Enter a whole number from ${min.toLocaleString("en")} to ${max.toLocaleString("en")}, or nothing.`);
    }
  }
  return found;
}

/** Members that the form has a place for. */
const MEMBERS = ["dataset", "name", "destination_conf", "filter", "output_options", "logpull_options", ...LIMITS.map(({ name }) => name)];

/** The member that an error of the API names, and what it says of it: `filter: where.and[1]: …`. */
export function placeOf(message: string): { member: string | undefined; text: string } {
  const found = /^([a-z_]+): (.*)$/s.exec(message);
  if (found === null || !MEMBERS.includes(found[1] ?? "")) return { member: undefined, text: message };
  return { member: found[1], text: found[2] ?? "" };
}
