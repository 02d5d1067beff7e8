// The built Worker for one test file: the shipped wrangler.toml and the build as it is, in memory, up in half a second;
// and the few things that every test does with a Worker, whoever started it.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { createTestHarness, type TestHarness } from "wrangler";
import { pushBatch, type Answer, type PushOptions } from "./logpush.ts";

export const SECRETS = { INGEST_SECRET: "ingest-secret", API_TOKEN: "api-token", READ_TOKEN: "read-token" };

/** Unset unless a test sets them, whatever a developer's own .dev.vars says. */
const UNSET = Object.fromEntries(
  [
    "ALLOW_PRIVATE_DESTINATIONS", "ACCESS_TEAM_DOMAIN", "ACCESS_AUD", "ACCESS_WRITERS", "UNKNOWN_DATASETS", "R2_EVENTS_PATHS", "BATCHES_IN_FLIGHT_MAX", "BYTES_IN_FLIGHT_MAX", "OUTBOX_MAX_BYTES", "RETRY_MAX_SECONDS",
    "PROBE_MAX_SECONDS", "DISABLE_AFTER_SECONDS", "ACK_POLL_SECONDS", "ACK_DEADLINE_SECONDS", "PUSH_DEADLINE_SECONDS", "ALERT_EMAIL_FROM", "ALERT_FAILING_WARNING_AFTER",
    "ALERT_FAILING_CRITICAL_AFTER", "ALERT_BACKLOG_OLDER_THAN", "ALERT_SILENCE_TIMES", "ALERT_SILENCE_AT_LEAST",
    "ALERT_SILENCE_LEARN", "ALERT_INVALID_PERCENT", "ALERT_INVALID_LINES", "ALERT_INVALID_WINDOW", "RETAIN_RAW_DAYS",
    "RETAIN_QUARANTINE_DAYS", "RETAIN_DEAD_LETTERS_DAYS", "RETAIN_ROWS_DAYS", "SPOOL_ORPHAN_DAYS", "TAIL_SESSION_SECONDS", "TAIL_UNATTENDED_SECONDS",
  ].map((name) => [name, ""]),
);

const root = fileURLToPath(new URL("../..", import.meta.url));

/** A job as the API takes it; the filter as an object, because the API wants JSON in JSON. */
export type JobInput = Record<string, unknown> & { filter?: object | string };

export interface StoredObject {
  bytes: Buffer;
  contentType: string | undefined;
  contentEncoding: string | undefined;
  metadata: Record<string, string>;
}

/** Speaks to a Worker with the tokens of `SECRETS`. `scope` is `zones/…` or `accounts/…`. */
export class Client {
  readonly url: string;

  constructor(url: string) {
    this.url = url;
  }

  /** Sends a batch with the secret; `path` is `zones/…/{dataset}`. */
  async push(path: string, body: Buffer | Readable, options: PushOptions = {}): Promise<Answer> {
    const headers = { Authorization: `Bearer ${SECRETS.INGEST_SECRET}`, ...options.headers };
    return await pushBatch(`${this.url}/ingest/${path}`, body, { ...options, headers });
  }

  async get(path: string, token?: string): Promise<{ status: number; headers: Headers; json: any }> {
    return await this.call("GET", path, undefined, token);
  }

  async call(method: string, path: string, body?: unknown, token?: string) {
    const answer = await fetch(this.url + path, {
      method,
      headers: token === undefined ? {} : { Authorization: `Bearer ${token}` },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    return { status: answer.status, headers: answer.headers, json: (await answer.json()) as any };
  }

  /** A call of the jobs API; `path` is `{scope}/logpush/jobs…`. */
  async api(method: string, path: string, body?: unknown, token: string = SECRETS.API_TOKEN) {
    return await this.call(method, `/client/v4/${path}`, body, token);
  }

  /** Creates an enabled job, or throws what the API said. */
  async createJob(scope: string, { filter, ...job }: JobInput): Promise<any> {
    const text = typeof filter === "object" ? JSON.stringify(filter) : filter;
    return await this.#job("POST", `${scope}/logpush/jobs`, { enabled: true, ...job, filter: text });
  }

  async changeJob(scope: string, id: number, change: JobInput): Promise<any> {
    return await this.#job("PUT", `${scope}/logpush/jobs/${id}`, change);
  }

  async deleteJob(scope: string, id: number): Promise<void> {
    await this.#job("DELETE", `${scope}/logpush/jobs/${id}`);
  }

  async #job(method: string, path: string, body?: unknown): Promise<any> {
    const { status, json } = await this.api(method, path, body);
    if (status !== 200) throw new Error(`${method} ${path}: ${status} ${JSON.stringify(json)}`);
    return json.result;
  }

  /** `/stats`, with `scope=…&dataset=…` and the like. */
  async stats(query = ""): Promise<any> {
    const { status, json } = await this.get(`/stats?${query}`, SECRETS.READ_TOKEN);
    if (status !== 200) throw new Error(`/stats?${query}: ${status} ${JSON.stringify(json)}`);
    return json;
  }

  /** What a GraphQL query answers, without a word of an error. */
  async graphql(query: string, variables: object = {}): Promise<any> {
    const { status, json } = await this.api("POST", "graphql", { query, variables }, SECRETS.READ_TOKEN);
    if (status !== 200 || "errors" in json) throw new Error(`${query}: ${status} ${JSON.stringify(json)}`);
    return json.data;
  }

  /** `/metrics`, in Prometheus' text format or what else is accepted. */
  async metrics(accept = "text/plain"): Promise<string> {
    const headers = { Authorization: `Bearer ${SECRETS.READ_TOKEN}`, Accept: accept };
    const answer = await fetch(`${this.url}/metrics`, { headers });
    const text = await answer.text();
    if (answer.status !== 200) throw new Error(`/metrics: ${answer.status} ${text}`);
    return text;
  }

  /** The counters of the one dataset that this scope has. */
  async datasetStats(scope: string): Promise<any> {
    return (await this.stats(`scope=${scope}`)).datasets[0];
  }

  /** The counters of one job, deleted or not. */
  async jobStats(scope: string, id: number): Promise<any> {
    return (await this.stats(`scope=${scope}`)).jobs.find((job: { id: number }) => job.id === id);
  }

  /** The counters of a job as soon as nothing of it waits or is owed any more. */
  async settled(scope: string, id: number): Promise<any> {
    return await eventually(`job ${id} to settle`, async () => {
      const job = await this.jobStats(scope, id);
      return job.waiting.records === 0 && job.parked.records === 0 && job.owed.batches === 0 ? job : undefined;
    });
  }
}

/** The shipped configuration with more bindings, in another folder; the path of the file. */
export function configWith(folder: string, bindings: string): string {
  const path = join(folder, "wrangler.toml");
  const shipped = readFileSync(join(root, "wrangler.toml"), "utf8");
  const here = shipped.replace(/^(main|directory) = "(.*)"$/gm, (_, key: string, file: string) => `${key} = ${JSON.stringify(join(root, file))}`);
  writeFileSync(path, `${here}\n${bindings}`);
  return path;
}

export class TestWorker extends Client {
  readonly #harness: TestHarness;

  private constructor(url: string, harness: TestHarness) {
    super(url);
    this.#harness = harness;
  }

  /** `others` are configurations of Workers that run beside it; `prebuiltWorkerDir` has the build, or something around it. */
  static async start(
    vars: Record<string, string> = {}, configPath = "wrangler.toml", others: readonly string[] = [], prebuiltWorkerDir = "build",
  ): Promise<TestWorker> {
    if (!existsSync(new URL("../../build/index.js", import.meta.url))) throw new Error("there is no build: run `npm run build`");
    const harness = createTestHarness({
      root,
      workers: [{ configPath, prebuiltWorkerDir, secrets: { ...SECRETS, ...UNSET, ...vars } }, ...others.map((path) => ({ configPath: path }))],
    });
    const { url } = await harness.listen();
    return new TestWorker(url.origin, harness);
  }

  /** The bindings of a Worker that runs beside it. */
  async bindingsOf(name: string): Promise<any> {
    return await this.#harness.getWorker(name).getEnv();
  }

  /** Keys in the bucket of a binding. */
  async keys(prefix = "", binding = "ARCHIVE"): Promise<string[]> {
    const { objects } = await (await this.#bucket(binding)).list({ prefix });
    return objects.map(({ key }: { key: string }) => key);
  }

  async object(key: string, binding = "ARCHIVE"): Promise<StoredObject> {
    const object = await (await this.#bucket(binding)).get(key);
    if (object === null) throw new Error(`${key} is not in the bucket`);
    return {
      bytes: Buffer.from(await object.arrayBuffer()),
      contentType: object.httpMetadata?.contentType,
      contentEncoding: object.httpMetadata?.contentEncoding,
      metadata: { ...object.customMetadata },
    };
  }

  /** Puts an object into the bucket, past the Worker. */
  async put(key: string, bytes: Buffer): Promise<void> {
    await (await this.#bucket()).put(key, bytes);
  }

  /** Takes an object out of the bucket, past the Worker. */
  async remove(key: string): Promise<void> {
    await (await this.#bucket()).delete(key);
  }

  /** Takes every object of these classes that is in memory out of it; what is durable stays. */
  async evict(...classes: string[]): Promise<number> {
    const worker = this.#harness.getWorker();
    let evicted = 0;
    for (const name of classes) {
      for (const id of await worker.listDurableObjectIds(name)) {
        const wasRunning = await worker.evictDurableObject(name, { id }).then(
          () => true,
          (error: Error) => {
            if (error.message.includes("not currently running")) return false;
            throw error;
          },
        );
        if (wasRunning) evicted += 1;
      }
    }
    return evicted;
  }

  /** What it has logged, line by line. */
  logs(): string[] {
    return this.#harness.getLogs().map((log: any) => (typeof log === "string" ? log : JSON.stringify(log)));
  }

  /** What the cron trigger does at that time. */
  async scheduled(scheduledTime = new Date()): Promise<void> {
    const { outcome } = await this.#harness.getWorker().scheduled({ cron: "*/5 * * * *", scheduledTime });
    if (outcome !== "ok") throw new Error(`the scheduled handler ended with ${outcome}`);
  }

  /** Calls an operation of a Durable Object as the Worker would: a line of JSON, then bytes. */
  async callObject(binding: string, name: string, operation: string, question: object, bytes: Buffer = Buffer.alloc(0)): Promise<any> {
    const namespace = ((await this.#harness.getWorker().getEnv()) as any)[binding];
    const answer = await namespace.get(namespace.idFromName(name)).fetch(`https://object/${operation}`, {
      method: "POST",
      headers: { "x-instance": name },
      body: Buffer.concat([Buffer.from(`${JSON.stringify(question)}\n`), bytes]),
    });
    const text = await answer.text();
    if (answer.status !== 200) throw new Error(`${binding}.${operation}: ${answer.status} ${text}`);
    return JSON.parse(text);
  }

  async #bucket(binding = "ARCHIVE"): Promise<any> {
    return ((await this.#harness.getWorker().getEnv()) as any)[binding];
  }

  async close(): Promise<void> {
    await this.#harness.close();
  }
}

let scopes = 0;

/** A zone (or account) that no other test of this file has. */
export function freshScope(kind: "zones" | "accounts" = "zones"): string {
  return `${kind}/t${(scopes += 1)}`;
}

/** Asks until there is an answer other than undefined or false; a test that never gets one says what it waited for. */
export async function eventually<T>(what: string, ask: () => Promise<T> | T, deadlineMillis = 20_000): Promise<NonNullable<T>> {
  const deadline = performance.now() + deadlineMillis;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== null && answer !== false) return answer as NonNullable<T>;
    if (performance.now() > deadline) throw new Error(`waited ${deadlineMillis} ms for ${what} in vain`);
    await delay(20);
  }
}
