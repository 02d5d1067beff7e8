// The built Worker with a meter around it: everything that Cloudflare bills by the piece is counted where the runtime is
// called. Requests to objects, alarms, rows that SQLite reads and writes, alarms that are set, operations on the bucket.

import { PUT_AND_SEND, withConsumer } from "./events.ts";
import { Client } from "./worker.ts";
import { startWrapped } from "./wrapped.ts";

/** What one class of objects, or the bucket, did; by name of what is billed. */
export type Counts = Record<string, number>;

/**
 * The counts by class (`Ledger`, `Outbox`, `Registry`: `requests`, `alarms`, `rowsRead`,
 * `rowsWritten`, `alarmsSet`), of `R2` (by method) and of `Worker` (`requests`).
 */
export interface Meter {
  /** What is running right now. */
  busy: number;
  counts: Record<string, Counts>;
  /** Milliseconds of each call, by `Ledger /commit`, `Outbox alarm` and the like. */
  times: Record<string, number[]>;
}

const METER = `
import * as built from "./index.js";
export * from "./index.js";

const meter = { busy: 0, counts: {}, times: {} };
const add = (who, what, number = 1) => {
  const counts = (meter.counts[who] ??= {});
  counts[what] = (counts[what] ?? 0) + number;
};
const during = async (what, work) => {
  const start = performance.now();
  meter.busy += 1;
  try { return await work(); } finally {
    meter.busy -= 1;
    (meter.times[what] ??= []).push(performance.now() - start);
  }
};
/** Has \`after\` see every call of a method of the runtime's. */
const watched = new Set();
const watch = (object, method, after) => {
  const prototype = Object.getPrototypeOf(object);
  const key = prototype.constructor.name + "." + method;
  if (watched.has(key)) return;
  watched.add(key);
  const original = prototype[method];
  prototype[method] = function (...args) {
    const result = original.apply(this, args);
    after(this, result, args);
    return result;
  };
};

const classOf = new WeakMap();
const metered = (Base, name) => class extends Base {
  constructor(state, env) {
    const { storage } = state;
    classOf.set(storage, name).set(storage.sql, name);
    watch(storage, "setAlarm", (storage) => add(classOf.get(storage), "alarmsSet"));
    watch(storage.sql, "exec", (sql, cursor) => {
      classOf.set(cursor, classOf.get(sql));
      watch(cursor, "toArray", (cursor) => {
        add(classOf.get(cursor), "rowsRead", cursor.rowsRead);
        add(classOf.get(cursor), "rowsWritten", cursor.rowsWritten);
      });
    });
    watchBucket(env);
    super(state, env);
  }
  fetch(request) {
    add(name, "requests");
    return during(name + " " + new URL(request.url).pathname, () => super.fetch(request));
  }
  alarm(...args) {
    add(name, "alarms");
    return during(name + " alarm", () => super.alarm(...args));
  }
};
const watchBucket = (env) => {
  for (const method of ["put", "get", "head", "list", "delete"]) watch(env.ARCHIVE, method, () => add("R2", method));
  watch(env.ARCHIVE, "createMultipartUpload", (_, upload) => {
    add("R2", "createMultipartUpload");
    upload.then((upload) => {
      watch(upload, "uploadPart", () => add("R2", "uploadPart"));
      watch(upload, "complete", () => add("R2", "completeMultipartUpload"));
    });
  });
};

export const Ledger = metered(built.Ledger, "Ledger");
export const Outbox = metered(built.Outbox, "Outbox");
export const Registry = metered(built.Registry, "Registry");
export default class extends built.default {
  async fetch(request) {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === "/meter") return Response.json(meter);
    watchBucket(this.env);
    switch (pathname) {
      ${PUT_AND_SEND}
    }
    add("Worker", "requests");
    return await during("Worker", () => super.fetch(request));
  }
  queue(batch) {
    watchBucket(this.env);
    add("Worker", "requests");
    return during("Worker queue", () => super.queue(batch));
  }
}
`;

/** A Worker with a meter. */
export class MeteredWorker extends Client {
  readonly #close: () => Promise<void>;

  private constructor(url: string, close: () => Promise<void>) {
    super(url);
    this.#close = close;
  }

  static async start(): Promise<MeteredWorker> {
    const { url, close } = await startWrapped(METER, { ALLOW_PRIVATE_DESTINATIONS: "true" }, withConsumer);
    return new MeteredWorker(url, close);
  }

  async meter(): Promise<Meter> {
    return (await (await fetch(`${this.url}/meter`)).json()) as Meter;
  }

  async close(): Promise<void> {
    await this.#close();
  }
}
