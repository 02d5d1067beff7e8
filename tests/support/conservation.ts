// Nothing is lost, and nothing comes twice without a reason: batches go to jobs while their destination fails by chance
// and the Worker dies again and again. Every record has a number, so that each one can be accounted for at the end.

import { setTimeout as delay } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { Random } from "./random.ts";
import { Siem, type Attempt } from "./siem.ts";
import { eventually, type Client } from "./worker.ts";

const SCOPE = "zones/conservation";
const DATASET = "http_requests";
/** Batches under way at once. Of one lane, the next batch is sent when the last one was taken, so its order is known. */
const LANES = 4;
/** What the SIEM takes in one push, and below which it never says 413. */
const PUSH_MAX_BYTES = 60_000;
const TOO_LARGE_ABOVE_BYTES = 30_000;
/** Share of the pushes that something happens to. */
const CHAOS_SHARE = 0.25;
/** How long after its answer was sent a push may still be lost with the Worker: reading it, and writing that down. */
const ANSWER_UNDER_WAY_MILLIS = 1_500;
/** An answer whose body does not end is read for three seconds. */
const ENDLESS_MILLIS = 5_000;
const DRAIN_MILLIS = 240_000;
/** Pushes that must have failed, however few batches there are. */
const FAULTS_MIN = 25;
/** Every so many batches there is one that is too large for an outbox's table, and goes through R2. */
const LARGE_EVERY = 150;
const LARGE_RECORDS = 8_000;

/** The Worker shortens its waits, so that minutes show what takes hours. */
export const PUSH_DEADLINE_SECONDS = 3;
export const VARS = {
  ALLOW_PRIVATE_DESTINATIONS: "true",
  RETRY_MAX_SECONDS: "1",
  PROBE_MAX_SECONDS: "1",
  PUSH_DEADLINE_SECONDS: String(PUSH_DEADLINE_SECONDS),
};

/** Where the Worker runs, and how it dies. */
export interface Host {
  /** Waits while there is none. */
  client(): Promise<Client>;
  /** Kills or evicts; resolves when the Worker is up again. */
  disturb(): Promise<void>;
  /** How long what died may still be heard of: an object that is evicted in the middle of a push is not stopped at once. */
  afterlifeMillis: number;
  /** Answers that one job may lose by one disturbance. */
  answersLost: number;
}

export interface ConservationOptions {
  batches: number;
  jobs: number;
  /** How often the Worker is disturbed, spread over the batches. */
  disturbances: number;
  seed: number;
  host: Host;
  say(text: string): void;
}

interface Record {
  number: number;
  status: number;
  country: string;
  /** The SIEM refuses it in whatever company. */
  isPoison: boolean;
}

interface Plan {
  name: string;
  selects(record: Record): boolean;
  job: object;
  kind: "https" | "splunk";
}

const where = (key: string, operator: string, value: string | number) => JSON.stringify({ where: { key, operator, value } });

/** Every way in which an outbox holds records. */
const PLANS: readonly Plan[] = [
  { name: "all by reference", kind: "https", selects: () => true, job: {} },
  { name: "errors", kind: "splunk", selects: ({ status }) => status >= 400, job: { filter: where("EdgeResponseStatus", "geq", 400) } },
  {
    name: "csv of one country", kind: "https", selects: ({ country }) => country === "de",
    job: {
      filter: where("ClientCountry", "eq", "de"),
      output_options: { output_type: "csv", field_names: ["EdgeResponseStatus", "RayID"] },
    },
  },
  { name: "1000 a push", kind: "https", selects: () => true, job: { max_upload_records: 1_000 } },
  {
    name: "template", kind: "splunk", selects: ({ status }) => status < 400,
    job: { filter: where("EdgeResponseStatus", "lt", 400), output_options: { field_names: ["RayID"], record_template: '"id":{{.RayID}}' } },
  },
];

export interface JobVerdict {
  name: string;
  selected: number;
  delivered: number;
  dead: number;
  lost: number;
  /** Records that came again, by why. */
  twice: Map<string, number>;
  unexplained: number;
  wrongOrder: number;
  notSelected: number;
  /** What does not agree with `/stats`, or is wrong otherwise. */
  faults: string[];
}

export interface Verdict {
  jobs: JobVerdict[];
  /** What is wrong with the whole. */
  faults: string[];
  sums: { received_equals_archived: any; selected_equals_accounted: any };
  batches: number;
  records: number;
  sendings: number;
  duplicatesOnPurpose: number;
  attempts: number;
  accepted: number;
  /** What was done to pushes on purpose. */
  faultsMade: Map<string, number>;
  disturbances: number;
  seconds: number;
  ok: boolean;
}

const DIED = "the Worker died with the answer on its way";

/** What has arrived of one job's records. */
class Arrivals {
  readonly plan: Plan;
  readonly credential: string;
  id = 0;
  readonly selected: Uint8Array;
  readonly poison: Uint8Array;
  /** The attempt, from 1, that last brought a record; 0 for none. */
  readonly lastAttempt: Uint32Array;
  readonly lastOfLane: Int32Array;
  readonly twice = new Map<string, number>();
  /** Attempts that were accepted and died with the Worker. */
  readonly diedWith = new Set<number>();
  unexplained: string[] = [];
  wrongOrder: string[] = [];
  notSelected: string[] = [];
  arrived = 0;

  constructor(plan: Plan, credential: string, records: number) {
    this.plan = plan;
    this.credential = credential;
    this.selected = new Uint8Array(records);
    this.poison = new Uint8Array(records);
    this.lastAttempt = new Uint32Array(records);
    this.lastOfLane = new Int32Array(LANES).fill(-1);
  }
}

interface Batch {
  gzip: Buffer;
  lane: number;
}

class Conservation {
  readonly #options: ConservationOptions;
  readonly #random: Random;
  readonly #batches: (() => Batch)[] = [];
  #laneOf: Uint8Array = new Uint8Array(0);
  #arrivals: Arrivals[] = [];
  #byCredential = new Map<string, Arrivals>();
  #attempts: Attempt[] = [];
  /** When the Worker was disturbed, unix milliseconds. */
  readonly #disturbed: { from: number; to: number }[] = [];
  #taken = 0;
  #sendings = 0;
  #duplicates = 0;
  readonly #faults: string[] = [];

  constructor(options: ConservationOptions) {
    this.#options = options;
    this.#random = new Random(options.seed);
  }

  async run(): Promise<Verdict> {
    const started = performance.now();
    const { jobs, batches, seed, host, say } = this.#options;
    const credentials = Array.from({ length: jobs }, (_, index) => `job-${index + 1}`);
    const records = this.#makeBatches(credentials);
    say(`${batches} batches of ${records.toLocaleString("en-US")} records, ${jobs} jobs`);
    const siem = await Siem.start({
      splunkTokens: credentials,
      intakeKeys: credentials,
      keepLines: false,
      onTaken: (attempt, lines) => this.#arrive(attempt, lines),
    });
    try {
      siem.limits = { rawBytes: PUSH_MAX_BYTES, refuses: (line) => /"r\d+x"/.test(line) };
      await this.#createJobs(siem, await host.client());
      siem.failAtRandom({ seed, share: CHAOS_SHARE, tooLargeAboveBytes: TOO_LARGE_ABOVE_BYTES });
      await this.#sendAll(siem);
      say(`all batches taken (${seconds(started)})`);
      await this.#goOnFailing(siem);
      say(`the SIEM is mended (${seconds(started)})`);
      siem.mend();
      const stats = await this.#drained(siem);
      return await this.#verdict(siem, stats, records, started);
    } finally {
      await siem.close();
    }
  }

  /** The batches are made when they are sent; what must become of their records is known before. Returns their number. */
  #makeBatches(credentials: readonly string[]): number {
    const random = this.#random;
    const { batches } = this.#options;
    const sizes = Array.from({ length: batches }, (_, index) =>
      index % LARGE_EVERY === LARGE_EVERY - 1 ? LARGE_RECORDS : random.between(1, 60),
    );
    const total = sizes.reduce((sum, size) => sum + size, 0);
    // Few enough that looking for them does not take all the time.
    const poisonChance = Math.max(3, Math.min(30, batches / 20)) / total;
    this.#laneOf = new Uint8Array(total);
    this.#arrivals = credentials.map((credential, index) => new Arrivals(PLANS[index % PLANS.length] as Plan, credential, total));
    for (const arrivals of this.#arrivals) this.#byCredential.set(arrivals.credential, arrivals);
    let number = 0;
    for (const [index, size] of sizes.entries()) {
      const lane = index % LANES;
      const made: Record[] = [];
      for (let i = 0; i < size; i += 1) {
        const record = { number, status: random.pick([200, 200, 304, 404, 503]), country: random.pick(["de", "fr", "us"]), isPoison: random.chance(poisonChance) };
        made.push(record);
        this.#laneOf[number] = lane;
        for (const arrivals of this.#arrivals) {
          if (!arrivals.plan.selects(record)) continue;
          arrivals.selected[number] = 1;
          if (record.isPoison) arrivals.poison[number] = 1;
        }
        number += 1;
      }
      this.#batches.push(() => ({ lane, gzip: gzipSync(made.map(lineOf).join("")) }));
    }
    return total;
  }

  async #createJobs(siem: Siem, client: Client): Promise<void> {
    for (const arrivals of this.#arrivals) {
      const { plan, credential } = arrivals;
      const destination_conf = plan.kind === "splunk" ? siem.splunk(credential) : siem.plain(credential);
      const { id } = await client.createJob(SCOPE, { name: plan.name, dataset: DATASET, destination_conf, ...plan.job });
      arrivals.id = id;
    }
  }

  /** Sends everything, and disturbs the Worker while it takes; with every third disturbance left for afterwards. */
  async #sendAll(siem: Siem): Promise<void> {
    const { batches, disturbances } = this.#options;
    const meanwhile = disturbances - Math.floor(disturbances / 3);
    let next = 1;
    let disturbing: Promise<void> | undefined;
    const lanes = Array.from({ length: LANES }, async (_, lane) => {
      // Chance of its own, so that the lanes do not depend on who comes first.
      const random = new Random(this.#options.seed * 1_000 + lane);
      for (let index = lane; index < batches; index += LANES) {
        const make = this.#batches[index] as () => Batch;
        await this.#send(make().gzip, random);
        this.#taken += 1;
        if (next <= meanwhile && this.#taken >= (batches * next) / (meanwhile + 1) && disturbing === undefined) {
          next += 1;
          disturbing = this.#disturb(siem).finally(() => void (disturbing = undefined));
        }
      }
    });
    await Promise.all(lanes);
    await disturbing;
  }

  async #disturb(siem: Siem): Promise<void> {
    const { host, say, disturbances } = this.#options;
    const disturbance = { from: Date.now(), to: Infinity };
    this.#disturbed.push(disturbance);
    await host.disturb();
    disturbance.to = Date.now();
    const accepted = siem.attempts.filter(({ taken }) => taken).length;
    say(`${this.#taken} batches taken, ${siem.attempts.length} pushes tried, ${accepted} of them accepted; disturbance ${this.#disturbed.length} of ${disturbances}`);
  }

  /** Until enough has gone wrong: a SIEM that fails delivers slowly, and batches are sent quickly. */
  async #goOnFailing(siem: Siem): Promise<void> {
    const { batches, disturbances, host } = this.#options;
    const faults = () => siem.attempts.filter(({ fault }) => fault !== undefined).length;
    const left = disturbances - this.#disturbed.length;
    const [before, wanted] = [faults(), Math.max(FAULTS_MIN, batches / 4)];
    for (let next = 1; next <= left + 1; next += 1) {
      const goal = before + ((wanted - before) * next) / (left + 1);
      const isDrained = async () => {
        const { jobs } = await (await host.client()).stats();
        await delay(100);
        return jobs.every((job: any) => job.waiting.records + job.parked.records + job.owed.batches === 0);
      };
      await eventually("faults", async () => faults() >= goal || (await isDrained()), DRAIN_MILLIS);
      if (next <= left) await this.#disturb(siem);
    }
  }

  /** As Logpush does: again until there is a 200. And now and then again after it, or twice at once. */
  async #send(gzip: Buffer, random: Random): Promise<void> {
    const once = async () => {
      const client = await this.#options.host.client();
      this.#sendings += 1;
      return await client.push(`${SCOPE}/${DATASET}`, gzip, { chunked: random.chance(0.2) }).catch(() => undefined);
    };
    const together = random.chance(0.02);
    const isAgain = random.chance(0.05);
    for (;;) {
      const answers = await Promise.all(together ? [once(), once()] : [once()]);
      if (answers.some((answer) => answer?.status === 200)) break;
      await delay(50);
    }
    if (!isAgain) return;
    const again = await once();
    if (again?.status === 200) {
      this.#duplicates += 1;
      if (again.json?.result !== "duplicate") this.#faults.push(`a batch that was taken is ${again.text} when it comes again`);
    }
  }

  #arrive(attempt: Attempt, lines: readonly string[]): void {
    const arrivals = this.#byCredential.get(attempt.credential ?? "");
    if (!arrivals) return void this.#faults.push(`a push with the credential ${attempt.credential}`);
    this.#attempts.push(attempt);
    const current = this.#attempts.length;
    for (const line of lines) {
      const number = Number(/"r(\d+)x?"/.exec(line)?.[1] ?? -1);
      if (arrivals.selected[number] !== 1 || arrivals.poison[number] === 1) {
        arrivals.notSelected.push(line.slice(0, 100));
        continue;
      }
      const last = arrivals.lastAttempt[number] as number;
      arrivals.lastAttempt[number] = current;
      if (last > 0) {
        const why = this.#whyAgain(this.#attempts[last - 1] as Attempt);
        if (why === DIED) arrivals.diedWith.add(last);
        if (why !== undefined) arrivals.twice.set(why, (arrivals.twice.get(why) ?? 0) + 1);
        else arrivals.unexplained.push(`r${number}: ${JSON.stringify(this.#attempts[last - 1])}, then ${JSON.stringify(attempt)}, disturbed ${JSON.stringify(this.#disturbed)}`);
        continue;
      }
      arrivals.arrived += 1;
      const lane = this.#laneOf[number] as number;
      if (number < (arrivals.lastOfLane[lane] as number)) arrivals.wrongOrder.push(`r${number} after r${arrivals.lastOfLane[lane]}`);
      else arrivals.lastOfLane[lane] = number;
    }
  }

  /** Why what this attempt brought may come again: its answer never got into the outbox. Undefined when it should have. */
  #whyAgain(before: Attempt): string | undefined {
    if (before.fault === "reset after") return "connection reset after accepting";
    if (before.fault === "hang after") return "no answer after accepting";
    const end = (before.answeredAtMillis ?? before.atMillis + ENDLESS_MILLIS) + ANSWER_UNDER_WAY_MILLIS;
    const died = this.#disturbed.some(({ from, to }) => to + this.#options.host.afterlifeMillis >= before.atMillis && from <= end);
    if (died) return DIED;
    if (before.fault === "cut" || before.fault === "endless") return undefined;
    const late = PUSH_DEADLINE_SECONDS * 1_000 - 300;
    if (before.answeredAtMillis === undefined || before.answeredAtMillis - before.atMillis >= late) return "answered too late";
    return undefined;
  }

  async #drained(siem: Siem): Promise<any> {
    const { host, say } = this.#options;
    const client = await host.client();
    let said = performance.now();
    return await eventually(
      "everything to drain",
      async () => {
        const stats = await client.stats();
        if (performance.now() - said > 10_000) {
          said = performance.now();
          const left = stats.jobs.map((job: any) => job.waiting.records + job.parked.records);
          say(`waiting: ${left.join(", ")} records; ${siem.attempts.length} pushes tried`);
        }
        await delay(200);
        return stats.jobs.every((job: any) => job.waiting.records + job.parked.records + job.owed.batches === 0) && stats;
      },
      DRAIN_MILLIS,
    );
  }

  async #verdict(siem: Siem, stats: any, records: number, started: number): Promise<Verdict> {
    const { batches } = this.#options;
    const client = await this.#options.host.client();
    const jobs: JobVerdict[] = [];
    for (const arrivals of this.#arrivals) jobs.push(await this.#judge(arrivals, stats, client));
    const faults = this.#faults;
    const expect = (what: string, actual: unknown, expected: unknown) => {
      if (actual !== expected) faults.push(`${what}: ${actual} instead of ${expected}`);
    };
    const dataset = stats.datasets[0];
    expect("batches received", dataset.batches, batches);
    expect("records received", dataset.records, records);
    expect("batches archived", dataset.archived.batches, batches);
    expect("bad lines", dataset.invalid_lines, 0);
    if (dataset.duplicates < this.#duplicates) faults.push(`duplicates: ${dataset.duplicates}, but ${this.#duplicates} were sent`);
    const { received_equals_archived, selected_equals_accounted } = stats.reconciliation;
    expect("received = archived", received_equals_archived.holds, true);
    expect("selected = accounted", selected_equals_accounted.holds, true);
    const faultsMade = new Map<string, number>();
    for (const { fault } of siem.attempts) if (fault) faultsMade.set(fault, (faultsMade.get(fault) ?? 0) + 1);
    return {
      jobs, faults, batches, records, faultsMade,
      sums: { received_equals_archived, selected_equals_accounted },
      sendings: this.#sendings,
      duplicatesOnPurpose: this.#duplicates,
      attempts: siem.attempts.length,
      accepted: siem.attempts.filter(({ taken }) => taken).length,
      disturbances: this.#disturbed.length,
      seconds: (performance.now() - started) / 1000,
      ok: faults.length === 0 && jobs.every((job) => job.faults.length === 0),
    };
  }

  async #judge(arrivals: Arrivals, stats: any, client: Client): Promise<JobVerdict> {
    const { plan, selected: isSelected, poison, lastAttempt } = arrivals;
    const counted = stats.jobs.find(({ id }: { id: number }) => id === arrivals.id);
    let [selected, poisoned, lost] = [0, 0, 0];
    const missing: number[] = [];
    isSelected.forEach((one, number) => {
      selected += one;
      if (poison[number] === 1) poisoned += 1;
      else if (one === 1 && lastAttempt[number] === 0) missing.push(number);
    });
    lost = missing.length;
    const faults: string[] = [];
    const expect = (what: string, actual: unknown, expected: unknown) => {
      if (actual !== expected) faults.push(`${what}: ${actual} instead of ${expected}`);
    };
    if (lost > 0) faults.push(`lost: r${missing.slice(0, 5).join(", r")} …`);
    if (arrivals.unexplained.length > 0) faults.push(`came again without a reason: ${arrivals.unexplained.slice(0, 3).join("; ")}`);
    if (arrivals.wrongOrder.length > 0) faults.push(`wrong order: ${arrivals.wrongOrder.slice(0, 5).join("; ")}`);
    if (arrivals.notSelected.length > 0) faults.push(`nobody selected: ${arrivals.notSelected.slice(0, 3).join("; ")}`);
    // One push at a time, so a Worker that dies takes no more than one answer of a job with it.
    if (arrivals.diedWith.size > this.#disturbed.length * this.#options.host.answersLost) {
      faults.push(`${arrivals.diedWith.size} pushes came again because the Worker died, which it did ${this.#disturbed.length} times`);
    }
    expect("selected, by /stats", counted.selected.records, selected);
    expect("delivered, by /stats", counted.delivered.records, selected - poisoned);
    expect("dead, by /stats", counted.dead.records, poisoned);
    expect("discarded, by /stats", counted.discarded.records, 0);
    expect("enabled", counted.enabled, true);
    const dead = await this.#deadNumbers(arrivals.id, client);
    const wrong = dead.filter((number) => poison[number] !== 1);
    if (wrong.length > 0) faults.push(`dead, but not refused: r${wrong.slice(0, 5).join(", r")}`);
    expect("different dead records", new Set(dead).size, poisoned);
    return {
      name: plan.name, selected, delivered: arrivals.arrived, dead: dead.length, lost, faults,
      twice: arrivals.twice,
      unexplained: arrivals.unexplained.length,
      wrongOrder: arrivals.wrongOrder.length,
      notSelected: arrivals.notSelected.length,
    };
  }

  /** The numbers of the records in a job's dead letters. */
  async #deadNumbers(id: number, client: Client): Promise<number[]> {
    const path = `${SCOPE}/logpush/jobs/${id}/dead-letters`;
    const { json } = await client.api("GET", `${path}?limit=1000`);
    const numbers: number[] = [];
    for (const letter of json.result) {
      const { json: one } = await client.api("GET", `${path}/${letter.id}`);
      for (const [, number] of String(one.result.content).matchAll(/"r(\d+)x?"/g)) numbers.push(Number(number));
    }
    return numbers;
  }
}

function lineOf({ number, status, country, isPoison }: Record): string {
  // Padded, so that records of different batches have one size and nothing but their place tells their pushes apart.
  return `{"RayID":"r${number}${isPoison ? "x" : ""}","EdgeStartTimestamp":${1_782_900_000 + (number % 3_600)},"EdgeResponseStatus":${status},"ClientCountry":"${country}","ClientRequestURI":"/${"p".repeat(120)}"}\n`;
}

function seconds(started: number): string {
  return `${((performance.now() - started) / 1000).toFixed(1)} s`;
}

export async function conserve(options: ConservationOptions): Promise<Verdict> {
  return await new Conservation(options).run();
}

/** The verdict as a table and a list. */
export function report(verdict: Verdict): string {
  const whole = (value: number) => value.toLocaleString("en-US");
  const counts = (map: Map<string, number>) => [...map].sort().map(([what, count]) => `${what} ${whole(count)}`).join(", ");
  const head = ["job", "selected", "delivered", "dead", "lost", "came twice", "without reason", "wrong order", "not selected"];
  const rows = verdict.jobs.map((job) => [
    job.name,
    ...[job.selected, job.delivered, job.dead, job.lost, [...job.twice.values()].reduce((sum, one) => sum + one, job.unexplained), job.unexplained, job.wrongOrder, job.notSelected].map(whole),
  ]);
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => (row[column] as string).length)));
  const line = (cells: string[]) => cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[column] as number) : cell.padStart(widths[column] as number))).join("  ");
  const lines = [line(head), ...rows.map(line), ""];
  for (const job of verdict.jobs) if (job.twice.size > 0) lines.push(`${job.name}: came twice because: ${counts(job.twice)}`);
  lines.push(
    `received = archived: ${JSON.stringify(verdict.sums.received_equals_archived)}`,
    `selected = accounted: ${JSON.stringify(verdict.sums.selected_equals_accounted)}`,
    `${whole(verdict.batches)} batches (${whole(verdict.records)} records) sent ${whole(verdict.sendings)} times, ${verdict.duplicatesOnPurpose} of them on purpose after a 200; ${verdict.disturbances} disturbances`,
    `${whole(verdict.attempts)} pushes, ${whole(verdict.accepted)} accepted; on purpose: ${counts(verdict.faultsMade)}`,
    `${verdict.seconds.toFixed(0)} s`,
  );
  for (const job of verdict.jobs) for (const fault of job.faults) lines.push(`✗ ${job.name}: ${fault}`);
  for (const fault of verdict.faults) lines.push(`✗ ${fault}`);
  const lost = verdict.jobs.reduce((sum, job) => sum + job.lost, 0);
  lines.push(verdict.ok ? `✓ lost ${lost}` : `✗ lost ${lost}, and what is listed above is wrong`);
  return lines.join("\n");
}
