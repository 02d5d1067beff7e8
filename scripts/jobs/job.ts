// A job in the one form in which jobs are compared: every member is there, and what is unset is null.

import { isDeepStrictEqual } from "node:util";
import { masked, sameDestination } from "./destination.ts";
import type { Json } from "./json.ts";

/** In the order in which a file and a difference show them. */
export interface Job {
  name: string;
  dataset: string;
  enabled: boolean;
  /** The text that holds the JSON. */
  filter: string | null;
  destination_conf: string;
  kind: string;
  frequency: string;
  logpull_options: string | null;
  output_options: Record<string, Json> | null;
  max_upload_bytes: number | null;
  max_upload_records: number | null;
  max_upload_interval_seconds: number | null;
}

export interface StoredJob extends Job {
  id: number;
}

export interface Difference {
  member: keyof Job;
  before: Json;
  after: Json;
}

type Members = Record<string, Json>;

const DEFAULTS = { dataset: "http_requests", enabled: false, kind: "", frequency: "high" };

/** A job as a file or the API has it; both leave out or set to null, "" or 0 what is unset. */
export function normalJob(job: Members): Job {
  const set = (member: string) => job[member] || null;
  return {
    name: String(job["name"] ?? ""),
    dataset: String(set("dataset") ?? DEFAULTS.dataset),
    enabled: job["enabled"] === true,
    filter: typeof job["filter"] === "object" ? job["filter"] && JSON.stringify(job["filter"]) : (set("filter") as string | null),
    destination_conf: String(job["destination_conf"] ?? ""),
    kind: String(set("kind") ?? DEFAULTS.kind),
    frequency: String(set("frequency") ?? DEFAULTS.frequency),
    logpull_options: set("logpull_options") as string | null,
    output_options: normalOptions(job["output_options"] as Members | null | undefined),
    max_upload_bytes: set("max_upload_bytes") as number | null,
    max_upload_records: set("max_upload_records") as number | null,
    max_upload_interval_seconds: set("max_upload_interval_seconds") as number | null,
  };
}

/** Without what is a default anyway, so that an API that fills defaults in has the same options as one that does not. */
function normalOptions(options: Members | null | undefined): Members | null {
  if (!options) return null;
  const csv = options["output_type"] === "csv";
  const defaults: Members = {
    field_names: [], output_type: "ndjson", batch_prefix: "", batch_suffix: "", record_prefix: csv ? "" : "{", record_suffix: csv ? "\n" : "}\n",
    record_delimiter: "", field_delimiter: ",", record_template: "", timestamp_format: null, sample_rate: 1, "CVE-2021-44228": false,
    merge_subrequests: false, stringify_object: false, schema: "logpush",
  };
  const members = Object.entries(options)
    // What Logpush's API reference called it for years.
    .map(([name, value]): [string, Json] => [name === "CVE-2021-4428" ? "CVE-2021-44228" : name, value])
    .filter(([name, value]) => value !== null && !isDeepStrictEqual(value, defaults[name]));
  return members.length === 0 ? null : Object.fromEntries(members);
}

/** What has to change for the deployment's job to be the file's. */
export function differences(before: Job, after: Job): Difference[] {
  return (Object.keys(after) as (keyof Job)[])
    .filter((member) => !same(member, before[member], after[member]))
    .map((member) => ({ member, before: before[member], after: after[member] }));
}

function same(member: keyof Job, before: Json, after: Json): boolean {
  if (member === "destination_conf") return sameDestination(String(before), String(after));
  if (member === "filter") return isDeepStrictEqual(parsed(before), parsed(after));
  return isDeepStrictEqual(before, after);
}

/** A filter's JSON, or its text where it is none. */
export function parsed(filter: Json): Json {
  if (typeof filter !== "string") return filter;
  try {
    return JSON.parse(filter) as Json;
  } catch {
    return filter;
  }
}

/** The job as a file holds it: the filter as JSON, and nothing that is a default. */
export function fileForm(job: Job): Members {
  const members = Object.entries(job).filter(([member, value]) => value !== null && value !== (DEFAULTS as Members)[member]);
  return { ...Object.fromEntries(members), ...(job.filter === null ? {} : { filter: parsed(job.filter) }) };
}

/** A member's value for a reader, with no credential in it. */
export function shown(member: keyof Job, value: Json): string {
  if (value === null || value === "") return "unset";
  if (member === "destination_conf") return masked(String(value));
  if (member === "filter") return JSON.stringify(parsed(value));
  return JSON.stringify(value);
}
