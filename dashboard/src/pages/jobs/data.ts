// What the jobs pages ask the API for.

import { api } from "../../api.ts";
import { readStats, type JobStats } from "../../stats.ts";
import { readFields, type Field } from "./model/fields.ts";
import type { Job } from "./model/job.ts";
import { fromLogpull, type OutputOptions } from "./model/output.ts";

export interface ListedJob extends JobStats {
  /** Masked for a read token; undefined when its scope's jobs could not be read. */
  destination: string | undefined;
}

/** The rates that the list shows are of windows of their own; so a short time is asked for. */
const RECENT_MILLIS = 3_600_000;
/** Calls in flight at once; a deployment has a handful of scopes. */
const AT_ONCE = 6;

/** The jobs of all scopes, and the scopes that anything is known of. */
export async function readJobs(signal: AbortSignal): Promise<{ jobs: ListedJob[]; scopes: string[] }> {
  const stats = await readStats({ since: new Date(Date.now() - RECENT_MILLIS) }, signal);
  const jobs = stats.jobs.filter((job) => !job.deleted);
  const scopes = [...new Set([...jobs, ...stats.datasets].map(({ scope }) => scope))].sort();
  const wanted = [...new Set(jobs.map(({ scope }) => scope))];
  const conf = new Map<number, string>();
  const work = Array.from({ length: AT_ONCE }, async () => {
    for (let scope = wanted.pop(); scope !== undefined; scope = wanted.pop()) {
      for (const job of await api<Job[]>(`${scope}/logpush/jobs`, { signal })) conf.set(job.id, job.destination_conf);
    }
  });
  await Promise.all(work);
  return { jobs: jobs.map((job) => ({ ...job, destination: conf.get(job.id) })), scopes };
}

/** Ids that the Worker takes in a path. */
export const isScope = (scope: string): boolean => /^(zones|accounts)\/[A-Za-z0-9_-]{1,64}$/.test(scope);

export const readJob = async (scope: string, id: string, signal?: AbortSignal): Promise<Job> =>
  await api<Job>(`${scope}/logpush/jobs/${encodeURIComponent(id)}`, { signal });

export interface ListedDataset {
  dataset: string;
  known: boolean;
  arrived: boolean;
  last_seen: string | null;
}

export const readDatasets = async (scope: string, signal: AbortSignal): Promise<ListedDataset[]> =>
  await api<ListedDataset[]>(`${scope}/logpush/datasets`, { signal });

export const readDatasetFields = async (scope: string, dataset: string, signal: AbortSignal): Promise<Field[]> =>
  readFields(await api<Record<string, string>>(`${scope}/logpush/datasets/${encodeURIComponent(dataset)}/fields`, { signal }));

/** The Worker's answer about the newest archived batch. */
export interface Preview {
  batch: { object: string; received_at: string; records: number; bytes_raw: number } | null;
  read: { records: number; invalid_lines: number; stopped_by: "records" | "bytes" | null };
  selected: { records: number; bytes: number; first: string[] };
  not_selected: { records: number; first: { record: string; reason: string }[] };
  values: Record<string, SuggestedValue[]>;
  per_day: { records: number; bytes: number; of_records: number; window_seconds: number } | null;
}

export interface SuggestedValue {
  value: string;
  records: number;
}

export interface Previewed {
  scope: string;
  dataset: string;
  filter: string;
  output_options: OutputOptions | null;
  logpull_options: string;
}

export async function readPreview({ scope, dataset, filter, output_options, logpull_options }: Previewed, signal: AbortSignal): Promise<Preview> {
  const options = output_options ?? (logpull_options === "" ? null : fromLogpull(logpull_options));
  return await api<Preview>(`${scope}/logpush/preview`, { method: "POST", signal, body: { dataset, source: "newest_batch", filter, output_options: options, first: 10 } });
}

/** Most fields of one question. */
export const VALUES_MAX_FIELDS = 10;

/** The most frequent values of fields in the newest batch. */
export async function readValues(scope: string, dataset: string, names: readonly string[], signal: AbortSignal): Promise<Record<string, SuggestedValue[]>> {
  const body = { dataset, source: "newest_batch", first: 0, values: names.slice(0, VALUES_MAX_FIELDS) };
  return (await api<Preview>(`${scope}/logpush/preview`, { method: "POST", body, signal })).values;
}

export const testDestination = async (scope: string, destination_conf: string): Promise<{ valid: boolean; message: string }> =>
  await api(`${scope}/logpush/validate/destination`, { method: "POST", body: { destination_conf } });

export const createJob = async (scope: string, body: object): Promise<Job> => await api<Job>(`${scope}/logpush/jobs`, { method: "POST", body });
export const changeJob = async (scope: string, id: number | string, body: object): Promise<Job> => await api<Job>(`${scope}/logpush/jobs/${id}`, { method: "PUT", body });
export const deleteJob = async (scope: string, id: number | string): Promise<void> => void (await api(`${scope}/logpush/jobs/${id}`, { method: "DELETE" }));
