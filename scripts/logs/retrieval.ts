// The records of a range of any width, each once: asked for in parts that fit one request, and gone on with where a
// connection broke. See docs/archive.md, "marks".

import { setTimeout as delay } from "node:timers/promises";
import { origin } from "../jobs/deployment.ts";
import { JobsError } from "../jobs/file.ts";

/** Attempts in a row that bring nothing new before it is given up; the waits between them double up to half a minute. */
const ATTEMPTS_MAX = 8;
const WAIT_MILLIS = { first: 500, most: 30_000 };

/** An answer that has sent nothing for so long is broken off: the Worker reads an object in a fraction of that. */
const SILENCE_MILLIS = 120_000;

/** Statuses that pass. */
const PASSING = [429, 500, 502, 503, 504, 520, 522, 524];

/** Where a retrieval stands. */
export interface Progress {
  records: number;
  objects: number;
  rawBytes: number;
  /** Earliest time of the batch that was read last. */
  atMillis: number | undefined;
  /** Connections that were made anew. */
  resumed: number;
}

export interface Outcome extends Progress {
  /** Objects that the ledger knows and the bucket has not. */
  missing: string[];
}

interface Mark {
  cursor?: string;
  bytes?: number;
  missing?: string;
  end?: boolean;
  next?: string | null;
}

/** A connection that broke, or an answer that says to try again. */
class Broken extends Error {}

export class Archive {
  readonly #base: string;
  readonly #token: string;

  constructor(url: string, token: string, scope: string) {
    this.#base = `${origin(url)}/client/v4/${scope}/logs`;
    this.#token = token;
  }

  /** Every record once. `write` takes pieces of whole lines, and is waited for. */
  async retrieve(
    query: Record<string, string>,
    write: (lines: Buffer) => Promise<void>,
    tell: (progress: Progress) => void = () => {},
  ): Promise<Outcome> {
    const outcome: Outcome = { records: 0, objects: 0, rawBytes: 0, atMillis: undefined, resumed: 0, missing: [] };
    const { count, ...asked } = query;
    let cursor = "";
    /** Records that were written before the cursor, and behind it. */
    let [settled, loose] = [0, 0];
    let attempts = 0;
    for (;;) {
      let left = loose;
      const before = outcome.records;
      try {
        const rest: Record<string, string> = count === undefined ? {} : { count: String(Number(count) - settled) };
        const answer = await this.#ask("retrieve", { ...asked, ...rest, marks: "true", cursor });
        let last: Mark | undefined;
        for await (const { lines, records, mark } of parts(answer)) {
          if (records > 0) {
            const skipped = Math.min(left, records);
            left -= skipped;
            const fresh = skipped === 0 ? lines : behind(lines, skipped);
            loose += records - skipped;
            outcome.records += records - skipped;
            if (fresh.length > 0) await write(fresh);
          }
          if (mark?.missing !== undefined && !outcome.missing.includes(mark.missing)) outcome.missing.push(mark.missing);
          if (mark?.cursor !== undefined) {
            cursor = mark.cursor;
            [settled, loose, left] = [settled + loose, 0, 0];
            outcome.objects += 1;
            outcome.rawBytes += mark.bytes ?? 0;
            outcome.atMillis = Number(mark.cursor.split(".")[1]);
            attempts = 0;
          }
          if (mark?.end) last = mark;
          tell(outcome);
        }
        if (last === undefined) throw new Broken("the answer ended too early");
        if (last.next == null) return outcome;
        [cursor, settled, loose] = [last.next, settled + loose, 0];
        attempts = 0;
      } catch (error) {
        if (!(error instanceof Broken)) throw error;
        attempts = outcome.records > before ? 1 : attempts + 1;
        if (attempts >= ATTEMPTS_MAX) throw new JobsError(`given up after ${attempts} attempts: ${error.message}`);
        outcome.resumed += 1;
        tell(outcome);
        await delay(Math.min(WAIT_MILLIS.first * 2 ** (attempts - 1), WAIT_MILLIS.most));
      }
    }
  }

  /** The records with a RayID, as NDJSON. */
  async ray(ray: string, query: Record<string, string>): Promise<{ lines: Buffer; isComplete: boolean; missing: number }> {
    for (let attempts = 1; ; attempts += 1) {
      try {
        const answer = await this.#ask(`rayids/${encodeURIComponent(ray)}`, query);
        const lines = Buffer.from(await answer.arrayBuffer().catch(broken));
        const missing = Number(answer.headers.get("X-Logs-Missing-Objects") ?? 0);
        return { lines, missing, isComplete: answer.headers.get("X-Logs-Complete") !== "false" };
      } catch (error) {
        if (!(error instanceof Broken)) throw error;
        if (attempts >= ATTEMPTS_MAX) throw new JobsError(`given up after ${attempts} attempts: ${error.message}`);
        await delay(Math.min(WAIT_MILLIS.first * 2 ** (attempts - 1), WAIT_MILLIS.most));
      }
    }
  }

  async #ask(call: string, query: Record<string, string>): Promise<Response> {
    const headers = { Authorization: `Bearer ${this.#token}` };
    const answer = await fetch(`${this.#base}/${call}?${new URLSearchParams(query)}`, { headers, redirect: "manual" }).catch(broken);
    if (answer.status === 200) return answer;
    const text = await answer.text().catch(broken);
    let errors: { code: number; message: string }[] = [];
    try {
      errors = (JSON.parse(text) as { errors?: typeof errors }).errors ?? [];
    } catch {
      // Not of the Worker.
    }
    const what = `${answer.status}: ${errors.map(({ code, message }) => `${message} (${code})`).join("; ") || "no answer of this API; is the address right?"}`;
    throw PASSING.includes(answer.status) ? new Broken(what) : new JobsError(what);
  }
}

function broken(error: Error & { cause?: { code?: string } }): never {
  throw new Broken(error.cause?.code ?? error.message);
}

interface Part {
  /** Whole lines. */
  lines: Buffer;
  records: number;
  mark?: Mark;
}

const [NEWLINE, HASH] = [0x0a, 0x23];

/** An answer cut at its marks; the lines between two marks come in as many parts as they arrive in. */
async function* parts(answer: Response): AsyncGenerator<Part> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of chunks(answer)) {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let [from, at, records] = [0, 0, 0];
    for (let end = bytes.indexOf(NEWLINE, at); end >= 0; end = bytes.indexOf(NEWLINE, at)) {
      if (bytes[at] === HASH) {
        const mark = JSON.parse(bytes.subarray(at + 1, end).toString()) as Mark;
        yield { lines: bytes.subarray(from, at), records, mark };
        [from, records] = [end + 1, 0];
      } else records += 1;
      at = end + 1;
    }
    if (records > 0) yield { lines: bytes.subarray(from, at), records };
    rest = bytes.subarray(at);
  }
}

async function* chunks(answer: Response): AsyncGenerator<Buffer> {
  const reader = answer.body?.getReader();
  if (!reader) return;
  try {
    for (;;) {
      let timer: NodeJS.Timeout | undefined;
      const silence = new Promise<never>((_, failed) => {
        timer = setTimeout(() => failed(new Broken(`nothing came for ${SILENCE_MILLIS / 1_000} s`)), SILENCE_MILLIS);
      });
      const { done, value } = await Promise.race([reader.read().catch(broken), silence]).finally(() => clearTimeout(timer));
      if (done) return;
      yield Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    }
  } finally {
    // Whoever stops in the middle does not want the rest.
    await reader.cancel().catch(() => {});
  }
}

/** What stands behind so many lines. */
function behind(lines: Buffer, skipped: number): Buffer {
  let at = 0;
  for (let n = 0; n < skipped; n += 1) at = lines.indexOf(NEWLINE, at) + 1;
  return lines.subarray(at);
}
