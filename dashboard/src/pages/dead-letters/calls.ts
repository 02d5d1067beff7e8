// The calls of the API about dead letters: docs/delivery.md.

import { api, plain } from "../../api.ts";
import { jobKey, type JobOf, type Letter, type Listed } from "./letters.ts";

/** Most letters of one page of the list, and most numbers in one call (the API's limits). */
const PAGE = 1_000;

/** Letters of one job that are listed. More are counted, and can be sent again or deleted all together. */
const LISTED_MAX = 5_000;

export interface Found {
  /** When the Worker looked. */
  at: string;
  /** Jobs with dead letters. */
  jobs: JobOf[];
  letters: Listed[];
}

export interface Reading {
  done: number;
  of: number;
}

interface StatsJob {
  id: number;
  name: string | null;
  scope: string;
  dataset: string;
  deleted: boolean;
  dead: { letters: number; records: number; bytes: number };
  last_error: string | null;
}

/** Lists of jobs as they were read last, so that only those are read again in which something happened. */
export class Lists {
  readonly #kept = new Map<string, { state: string; letters: Letter[] }>();

  /** The next reading takes nothing for granted. */
  forget(): void {
    this.#kept.clear();
  }

  async read(signal: AbortSignal, onReading: (reading: Reading) => void): Promise<Found> {
    // What is in dead letters is counted whenever it came, so that no more than the last minute needs to be asked for.
    const since = new Date(Date.now() - 60_000).toISOString();
    const { at, jobs } = await plain<{ at: string; jobs: StatsJob[] }>(`/stats?since=${since}`, { signal });
    // A deleted job's letters are discarded, and its API is gone.
    const concerned = jobs.filter(({ deleted, dead }) => !deleted && dead.letters > 0);
    const found: Found = { at, jobs: [], letters: [] };
    for (const [done, { id, name, scope, dataset, dead, last_error }] of concerned.entries()) {
      onReading({ done, of: concerned.length });
      const job: JobOf = { id, name, scope, dataset, letters: dead.letters };
      const state = JSON.stringify([dead, last_error]);
      let kept = this.#kept.get(jobKey(job));
      if (kept?.state !== state) {
        kept = { state, letters: await lettersOf(job, signal) };
        this.#kept.set(jobKey(job), kept);
      }
      found.jobs.push(job);
      for (const letter of kept.letters) found.letters.push({ ...letter, job });
    }
    return found;
  }
}

const path = (job: { scope: string; id: number }): string => `${job.scope}/logpush/jobs/${job.id}/dead-letters`;

async function lettersOf(job: JobOf, signal: AbortSignal): Promise<Letter[]> {
  const letters: Letter[] = [];
  let after = 0;
  while (letters.length < LISTED_MAX) {
    const page = await api<Letter[]>(`${path(job)}?limit=${PAGE}&after=${after}`, { signal });
    letters.push(...page);
    const last = page.at(-1);
    if (page.length < PAGE || last === undefined) break;
    after = last.id;
  }
  return letters;
}

export interface Content extends Letter {
  /** Null when the object is gone. */
  content: string | null;
  content_truncated: boolean;
}

export const readLetter = async (scope: string, job: string, id: string, signal: AbortSignal): Promise<Content> =>
  await api<Content>(`${scope}/logpush/jobs/${job}/dead-letters/${id}`, { signal });

export type Fate = "redrive" | "delete";

/** Which letters: these numbers, or all that were there at a time. */
export interface Target {
  job: { scope: string; id: number };
  which: { ids: readonly number[] } | { until: string };
}

export interface Outcome {
  letters: number;
  records: number;
  /** Their text is gone from the bucket: they stay. */
  unavailable: number;
}

/** Does it job by job in calls of the size that the API takes, and tells how many letters are done. */
export async function carryOut(fate: Fate, targets: readonly Target[], onDone: (letters: number) => void): Promise<Outcome> {
  const outcome: Outcome = { letters: 0, records: 0, unavailable: 0 };
  const call = async (job: Target["job"], body: object): Promise<number> => {
    const answer = await api<{ dead_letters: number; records: number; unavailable: number; left: number }>(
      fate === "redrive" ? `${path(job)}/redrive` : path(job), { method: fate === "redrive" ? "POST" : "DELETE", body },
    );
    outcome.letters += answer.dead_letters;
    outcome.records += answer.records;
    outcome.unavailable += answer.unavailable;
    onDone(outcome.letters);
    return answer.dead_letters > 0 ? answer.left : 0;
  };
  for (const { job, which } of targets) {
    if ("until" in which) {
      while ((await call(job, { until: which.until })) > 0);
    } else {
      for (let at = 0; at < which.ids.length; at += PAGE) await call(job, { ids: which.ids.slice(at, at + PAGE) });
    }
  }
  return outcome;
}
