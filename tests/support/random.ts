// Chance that repeats itself: the same seed gives the same numbers on every machine.

export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number) {
    this.#a = seed >>> 0;
    this.#b = Math.imul(seed, 0x9e3779b1) >>> 0;
    this.#c = ~seed >>> 0;
    for (let i = 0; i < 16; i += 1) this.next();
  }

  /** 32 random bits ("small fast counter", by Chris Doty-Humphrey). */
  next(): number {
    const sum = (this.#a + this.#b + this.#counter) >>> 0;
    this.#counter = (this.#counter + 1) >>> 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) >>> 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) >>> 0;
    return sum;
  }

  /** A whole number from 0 up to, not including, `limit`. */
  below(limit: number): number {
    return Math.floor((this.next() / 2 ** 32) * limit);
  }

  between(from: number, to: number): number {
    return from + this.below(to - from + 1);
  }

  chance(share: number): boolean {
    return this.next() < share * 2 ** 32;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)] as T;
  }

  hex(digits: number): string {
    let text = "";
    while (text.length < digits) text += this.next().toString(16).padStart(8, "0");
    return text.slice(0, digits);
  }

  /** Long-tailed sizes around `median`, as response sizes and durations are. */
  longTail(median: number): number {
    const spread = (this.next() / 2 ** 32 + this.next() / 2 ** 32 + this.next() / 2 ** 32 - 1.5) * 2;
    return Math.round(median * Math.exp(spread));
  }
}

const SLOTS = 1 << 16;

/**
 * Picks the first entries often and the last ones rarely (Zipf: popularity falls with rank to the power of `exponent`),
 * which is what makes real logs compress as well as they do.
 */
export class Popular<T> {
  readonly entries: readonly T[];
  readonly #slots: Uint16Array = new Uint16Array(SLOTS);

  constructor(entries: readonly T[], exponent = 1) {
    this.entries = entries;
    const weights = entries.map((_, rank) => 1 / (rank + 1) ** exponent);
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    let slot = 0;
    let reached = 0;
    weights.forEach((weight, rank) => {
      reached += weight / total;
      while (slot < Math.round(reached * SLOTS)) this.#slots[slot++] = rank;
    });
    this.#slots.fill(entries.length - 1, slot);
  }

  pick(random: Random): T {
    return this.entries[this.#slots[random.next() & (SLOTS - 1)] as number] as T;
  }
}
