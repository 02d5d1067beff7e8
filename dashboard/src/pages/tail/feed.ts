// What a session has shown so far, as much as is kept of it. No browser here.
// A message holds lines: a record begins with `{`, a notice with `[`: ["lost",{"records":7,…}], ["mark",{"bytes":n}].

/** Records that are kept, and characters of them: what somebody scrolls through, and what a tab can afford. */
const RECORDS_MAX = 2_000;
const CHARACTERS_MAX = 16_000_000;

/** For so long records are counted to tell how many come in a second. */
const RATE_MILLIS = 5_000;

export interface Line {
  /** Its number since the session was first watched here. */
  number: number;
  /** The record's JSON as it came. */
  text: string;
}

/** Why records did not get here: the Worker's words, and how that is said. */
export const LOSSES: Readonly<Record<string, string>> = {
  batch_limit: "one batch had more than a tail shows of it",
  hand_over: "they were not handed over in time",
  rate_limit: "there were more in a second than a tail shows",
  slow_viewer: "this browser did not keep up",
};

export class Feed {
  /** Records that came. */
  received = 0;
  /** Records that did not come, all together and by why. */
  lost = 0;
  readonly losses = new Map<string, number>();
  #lines: Line[] = [];
  #characters = 0;
  #recent: { at: number; records: number }[] = [];

  /** Takes a message; returns what has to be acknowledged of it. */
  take(message: string, now: number): number | undefined {
    let mark: number | undefined;
    const before = this.received;
    for (const text of message.split("\n")) {
      if (text.startsWith("{")) this.#keep(text);
      else if (text.startsWith("[")) mark = this.#hear(text) ?? mark;
    }
    if (this.received > before) this.#recent.push({ at: now, records: this.received - before });
    this.#drop();
    return mark;
  }

  /** The newest lines first, of those that hold the word. */
  newest(most: number, word: string, upTo = Number.POSITIVE_INFINITY): Line[] {
    const wanted = word.trim().toLowerCase();
    const found: Line[] = [];
    for (let at = this.#lines.length - 1; at >= 0 && found.length < most; at -= 1) {
      const line = this.#lines[at];
      if (line !== undefined && line.number <= upTo && (wanted === "" || line.text.toLowerCase().includes(wanted))) found.push(line);
    }
    return found;
  }

  get kept(): number {
    return this.#lines.length;
  }

  /** Records a second, of late. */
  rate(now: number): number {
    this.#recent = this.#recent.filter(({ at }) => now - at < RATE_MILLIS);
    return this.#recent.reduce((sum, { records }) => sum + records, 0) / (RATE_MILLIS / 1_000);
  }

  clear(): void {
    this.#lines = [];
    this.#characters = 0;
  }

  #keep(text: string): void {
    this.received += 1;
    this.#lines.push({ number: this.received, text });
    this.#characters += text.length;
  }

  /** The oldest go, a quarter of them at once so that it is not done for every message. */
  #drop(): void {
    if (this.#lines.length <= RECORDS_MAX && this.#characters <= CHARACTERS_MAX) return;
    let going = Math.max(0, this.#lines.length - (RECORDS_MAX * 3) / 4);
    let characters = 0;
    for (const [index, { text }] of this.#lines.entries()) {
      if (index >= going && this.#characters - characters <= (CHARACTERS_MAX * 3) / 4) break;
      characters += text.length;
      going = Math.max(going, index + 1);
    }
    this.#lines = this.#lines.slice(going);
    this.#characters -= characters;
  }

  #hear(text: string): number | undefined {
    const [what, about] = parsed(text);
    if (what === "mark" && typeof about?.["bytes"] === "number") return about["bytes"];
    if (what === "lost") {
      for (const [why, records] of Object.entries(about ?? {})) {
        if (typeof records !== "number") continue;
        if (why === "records") this.lost += records;
        else this.losses.set(why, (this.losses.get(why) ?? 0) + records);
      }
    }
    return undefined;
  }
}

function parsed(text: string): [string?, Record<string, unknown>?] {
  try {
    return JSON.parse(text) as [string?, Record<string, unknown>?];
  } catch {
    return []; // of another version
  }
}

/** Fields that tell when a record was made, in the order in which they are looked for. */
const TIMES = ["EdgeStartTimestamp", "Datetime", "Timestamp", "EventTimestampMs", "QueryTimestamp", "SessionStartTime", "When", "@timestamp"];

/** Columns that are shown unless somebody chooses: the time and what comes first. */
const COLUMNS = 6;

export function columnsOf(record: ReadonlyMap<string, string> | undefined): string[] {
  const names = [...(record ?? new Map<string, string>()).keys()].filter((name) => name !== "sampleInterval");
  const time = TIMES.find((name) => names.includes(name));
  return [...new Set([...(time === undefined ? [] : [time]), ...names])].slice(0, COLUMNS);
}
