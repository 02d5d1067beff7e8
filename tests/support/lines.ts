// Counting lines the same way on both sides: the generator says what must arrive, the stand-in SIEM what did.

import { hash } from "node:crypto";

/** What was counted: `digest` is the same for the same lines in any order, and differs when one is missing or twice there. */
export interface Tally {
  records: number;
  /** Bytes of the lines with their newlines. */
  bytes: number;
  digest: string;
}

export class LineCounter {
  records = 0;
  bytes = 0;
  #high = 0;
  #low = 0;

  /** `line` comes without its newline. */
  add(line: string | Buffer): void {
    this.records += 1;
    this.bytes += Buffer.byteLength(line) + 1;
    // A sum of hashes does not depend on the order, and unlike an exclusive-or it notices a line that came twice.
    const sum = hash("sha1", line, "buffer");
    this.#high = (this.#high + sum.readUInt32LE(0)) >>> 0;
    this.#low = (this.#low + sum.readUInt32LE(4)) >>> 0;
  }

  tally(): Tally {
    const digest = [this.#high, this.#low].map((part) => part.toString(16).padStart(8, "0")).join("");
    return { records: this.records, bytes: this.bytes, digest };
  }

  /** Adds what another counter has seen. */
  merge(tally: Tally): void {
    this.records += tally.records;
    this.bytes += tally.bytes;
    this.#high = (this.#high + Number.parseInt(tally.digest.slice(0, 8), 16)) >>> 0;
    this.#low = (this.#low + Number.parseInt(tally.digest.slice(8), 16)) >>> 0;
  }
}

/** Of lines without their newlines. */
export function tallyOf(lines: Iterable<string>): Tally {
  const counter = new LineCounter();
  for (const line of lines) counter.add(line);
  return counter.tally();
}

export function sumTallies(tallies: Iterable<Tally>): Tally {
  const sum = new LineCounter();
  for (const tally of tallies) sum.merge(tally);
  return sum.tally();
}

/** Records as Logpush writes them: one JSON object a line. A string is a line already. */
export function ndjson(records: readonly (object | string)[]): Buffer {
  return Buffer.from(records.map((one) => `${typeof one === "string" ? one : JSON.stringify(one)}\n`).join(""));
}
