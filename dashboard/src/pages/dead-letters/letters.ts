// What dead letters are, put together for the eye. No browser here.

/** A job, as far as its dead letters are concerned. */
export interface JobOf {
  id: number;
  name: string | null;
  /** `zones/…` or `accounts/…`. */
  scope: string;
  dataset: string;
  /** All its dead letters, listed here or not. */
  letters: number;
}

/** As the API lists it. */
export interface Letter {
  id: number;
  status: number;
  reason: string;
  records: number;
  bytes: number;
  received_at: string;
  refused_at: string;
  batch_id: string;
  push_id: string;
}

export interface Listed extends Letter {
  job: JobOf;
}

/** Dead letters that were refused for the same reason. */
export interface Group {
  kind: string;
  /** In the words of the newest of them. */
  reason: string;
  letters: Listed[];
  records: number;
  newest: string;
}

export const jobKey = (job: { scope: string; id: number }): string => `${job.scope}/${job.id}`;
export const jobName = (job: JobOf): string => job.name || `job ${job.id}`;

/** What dead letters have in common that were refused alike: the status, and the reason without figures and ids. */
export const kindOf = ({ status, reason }: { status: number; reason: string }): string =>
  `${status} ${reason.replace(/\b[0-9a-f-]{16,}\b/gi, "…").replace(/\d+/g, "…")}`;

/** By reason, the largest first. */
export function grouped(letters: readonly Listed[]): Group[] {
  const groups = new Map<string, Group>();
  for (const letter of letters) {
    const kind = kindOf(letter);
    const group = groups.get(kind) ?? { kind, reason: letter.reason, letters: [], records: 0, newest: letter.refused_at };
    group.letters.push(letter);
    group.records += letter.records;
    if (letter.refused_at > group.newest) [group.newest, group.reason] = [letter.refused_at, letter.reason];
    groups.set(kind, group);
  }
  return [...groups.values()].sort((a, b) => b.letters.length - a.letters.length || (a.kind < b.kind ? -1 : 1));
}

/** The jobs of these letters, each with their numbers. */
export function byJob(letters: readonly Listed[]): { job: JobOf; ids: number[] }[] {
  const jobs = new Map<string, { job: JobOf; ids: number[] }>();
  for (const { job, id } of letters) {
    const one = jobs.get(jobKey(job)) ?? { job, ids: [] };
    one.ids.push(id);
    jobs.set(jobKey(job), one);
  }
  return [...jobs.values()];
}

/** Whether a word that somebody typed is in it. */
export function holds({ reason, batch_id, push_id, job }: Listed, text: string): boolean {
  const word = text.trim().toLowerCase();
  return word === "" || [reason, batch_id, push_id, jobName(job), job.dataset, job.scope].some((part) => part.toLowerCase().includes(word));
}

export const newestFirst = (a: Letter, b: Letter): number => (a.refused_at === b.refused_at ? b.id - a.id : a.refused_at < b.refused_at ? 1 : -1);

/** "1 dead letter", "2,000 dead letters". */
export const lettersText = (count: number): string => `${count.toLocaleString("en")} dead letter${count === 1 ? "" : "s"}`;
