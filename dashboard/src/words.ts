// States and errors of a job in plain words.

import type { JobState } from "./stats.ts";

interface StateWords {
  text: string;
  kind: "good" | "warning" | "error" | "quiet";
  /** What it means, and what to do. */
  means: string;
}

export const STATES: Record<JobState, StateWords> = {
  healthy: { text: "healthy", kind: "good", means: "Records are pushed as they come." },
  idle: { text: "idle", kind: "quiet", means: "Nothing waits, and nothing was pushed for a day." },
  backlog: { text: "behind", kind: "warning", means: "Nothing fails, but records wait for long: the destination is slower than what comes. Raise max_upload_bytes, or share the records between two jobs." },
  failing: { text: "failing", kind: "error", means: "The last push was not accepted. It is tried again by itself; nothing is lost." },
  parked: { text: "parked", kind: "error", means: "It waits for somebody to mend the destination or the job. Records are kept, and go on by themselves when it is mended." },
  disabled: { text: "disabled", kind: "quiet", means: "Somebody disabled it: it selects nothing." },
  disabled_by_failing: { text: "disabled by failing", kind: "error", means: "Nothing was accepted for a day. It still selects; enable it when the destination is mended." },
  deleted: { text: "deleted", kind: "quiet", means: "The job is gone; what waited was discarded." },
};

/** Logpush's codes where there was no answer: docs/delivery.md. */
const NO_ANSWER: Record<number, string> = {
  1101: "The network or the destination's certificate is at fault.",
  1102: "The destination's host takes no connection: it may be down, or a firewall drops them.",
  1103: "The destination's host refuses connections: nothing listens there.",
  1104: "The destination closed the connection before it answered.",
  1105: "The destination's host name is not known: look for a typing error.",
  1106: "The destination did not answer in time.",
  1107: "The destination's TLS certificate or version is not good.",
  1108: "No request could be made of the job's destination: look at its settings, and whether each ${secret:NAME} is set.",
  1109: "The destination took the records and did not acknowledge them in time.",
  1201: "The Worker had a fault of its own: see its log.",
};

/** What a status of a failed push says, for somebody who does not know it by heart; undefined when there is nothing to add. */
export function statusInWords(status: number): string | undefined {
  if (NO_ANSWER[status] !== undefined) return NO_ANSWER[status];
  if (status === 401 || status === 403) return "The destination refuses the credentials: compare the token in the job's destination.";
  if (status === 404) return "The destination knows no such address: compare the path in the job's destination.";
  if (status === 408 || status === 504) return "The destination did not answer in time.";
  if (status === 413) return "The push is too large for the destination: smaller ones are tried by themselves.";
  if (status === 429) return "The destination asks to be slower: it is tried again later.";
  if (status >= 300 && status < 400) return "The destination answers with another address, which is not followed: put the right one into the job.";
  if (status === 400 || status === 422) return "The destination refuses what is in the records.";
  if (status >= 500 && status < 600) return "The destination has a fault of its own: it is tried again later.";
  return undefined;
}

/** How a status is named in a legend: 200 stands for whatever was accepted. */
export function statusName(status: number): string {
  if (status === 200) return "accepted";
  return status >= 1_000 ? `no answer (${status})` : `refused (${status})`;
}

/** The name of a job, or its number where it has none. */
export const jobName = (job: { id: number; name: string | null }): string => (job.name === null || job.name === "" ? `job ${job.id}` : job.name);
