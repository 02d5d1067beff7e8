// The two ways in which a Worker under the conservation run dies: its process by SIGKILL, or its Durable Objects by eviction.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VARS, type Host } from "./conservation.ts";
import { WorkerProcess } from "./process.ts";
import { Client, SECRETS, TestWorker } from "./worker.ts";

/** `wrangler dev` in a process of its own; a disturbance kills it, as a power failure would, and starts it on the same state. */
export class KilledHost implements Host {
  readonly afterlifeMillis = 0;
  readonly answersLost = 1;
  readonly #persistDir = mkdtempSync(join(tmpdir(), "logpush-edge-conservation-"));
  #worker: WorkerProcess | undefined;
  #client: Promise<Client> = this.#start();

  async #start(): Promise<Client> {
    this.#worker = await WorkerProcess.start({ persistDir: this.#persistDir, vars: { ...SECRETS, ...VARS } });
    return new Client(this.#worker.url);
  }

  async client(): Promise<Client> {
    return await this.#client;
  }

  async disturb(): Promise<void> {
    const dying = this.#worker;
    // Set before the kill: whoever asks from now on waits for the next one.
    this.#client = Promise.resolve(dying?.kill9()).then(async () => await this.#start());
    await this.#client;
  }

  /** The Worker's last words, for a run that went wrong. */
  get logs(): string {
    return this.#worker?.logs.slice(-4_000) ?? "";
  }

  async close(): Promise<void> {
    await this.#client.catch(() => {});
    await this.#worker?.kill9();
    rmSync(this.#persistDir, { recursive: true, force: true });
  }
}

/** The test harness; a disturbance takes every Durable Object out of memory while it works. */
export class EvictedHost implements Host {
  readonly afterlifeMillis = 1_000;
  /** That of the object that is evicted, and that of the one that it woke while it went. */
  readonly answersLost = 2;
  readonly #worker: TestWorker;
  evicted = 0;

  private constructor(worker: TestWorker) {
    this.#worker = worker;
  }

  static async start(): Promise<EvictedHost> {
    return new EvictedHost(await TestWorker.start(VARS));
  }

  async client(): Promise<Client> {
    return this.#worker;
  }

  async disturb(): Promise<void> {
    for (const name of ["OUTBOX", "LEDGER", "REGISTRY"]) {
      this.evicted += await this.#worker.evict(name).catch((error: Error) => {
        // The runtime may have been quicker: it evicts what has nothing to do.
        if (/not currently running/.test(error.message)) return 0;
        throw error;
      });
    }
  }

  async close(): Promise<void> {
    await this.#worker.close();
  }
}
