// The built Worker with the queue of R2's events: the shipped wrangler.toml with its consumer switched on. The local runtime
// has no notifications, so a test puts objects into the bucket and sends the events itself, in the form that R2 documents; and
// it can tell a Durable Object to fail.

import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bundled } from "./wrapped.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Cases of a `switch (pathname)` in a Worker's `fetch`: an object is put, and messages are sent. */
export const PUT_AND_SEND = `
      case "/test/put": {
        const { etag, size } = await this.env.ARCHIVE.put(searchParams.get("key"), request.body);
        return Response.json({ etag, size });
      }
      case "/test/send":
        await this.env.EVENTS.sendBatch(await request.json());
        return Response.json({});
`;

const WRAPPER = `
import * as built from "./index.js";
export * from "./index.js";

const failures = new Map();
const failing = (Base, name) => class extends Base {
  async fetch(request) {
    const what = name + new URL(request.url).pathname + " of " + request.headers.get("x-instance");
    for (const [told, failure] of failures) {
      if (!what.startsWith(told) || failure.times === 0) continue;
      failure.times -= 1;
      if (failure.isDone) await super.fetch(request);
      return new Response("told to fail", { status: 500 });
    }
    return await super.fetch(request);
  }
};
export const Ledger = failing(built.Ledger, "Ledger");
export const Outbox = failing(built.Outbox, "Outbox");
export const Registry = failing(built.Registry, "Registry");
export default class extends built.default {
  async fetch(request) {
    const { pathname, searchParams } = new URL(request.url);
    switch (pathname) {
      ${PUT_AND_SEND}
      case "/test/fail":
        failures.set(searchParams.get("what"), { times: Number(searchParams.get("times")), isDone: searchParams.has("done") });
        return Response.json({});
      default:
        return super.fetch(request);
    }
  }
}
`;

/** The shipped configuration with the consumer of events switched on, and a producer to send them with; `consumer` are settings of it that a test wants otherwise. */
export function withConsumer(main: string, consumer: Record<string, number> = {}): string {
  const shipped = readFileSync(join(root, "wrangler.toml"), "utf8");
  const block = /^# \[\[queues\.consumers\]\]\n(?:# .*\n)*/m;
  let active = block.exec(shipped)?.[0].replaceAll(/^# /gm, "") ?? "";
  if (!active.includes('queue = "logpush-edge-events"')) throw new Error("wrangler.toml has no consumer of events to switch on");
  for (const [name, value] of Object.entries(consumer)) {
    const line = new RegExp(`^${name} = .*$`, "m");
    if (!line.test(active)) throw new Error(`the consumer in wrangler.toml does not say ${name}`);
    active = active.replace(line, `${name} = ${value}`);
  }
  const producer = '[[queues.producers]]\nbinding = "EVENTS"\nqueue = "logpush-edge-events"\n';
  return shipped
    .replace(block, active + producer)
    .replace(/^main = .*$/m, `main = "${main}"`)
    .replace(/^directory = "(.*)"$/m, (_, files: string) => `directory = ${JSON.stringify(join(root, files))}`)
    // What there is to build is built.
    .replace(/^\[build\]\n(?:[^[\n].*\n)*/m, "");
}

/** A folder with such a Worker; `consumer` are settings of the consumer that a test wants otherwise. */
export async function eventWorker(consumer: Record<string, number> = {}) {
  const folder = await bundled(WRAPPER);
  const configPath = join(folder, "wrangler.toml");
  writeFileSync(configPath, withConsumer(join(folder, "index.js"), consumer));
  return { folder, configPath, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

export interface StoredAs {
  key: string;
  etag: string;
  size: number;
}

/** Speaks to such a Worker as R2 and Logpush would. */
export class EventSource {
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  async #post(path: string, body?: Buffer | string): Promise<any> {
    const answer = await fetch(`${this.#url}/test/${path}`, { method: "POST", ...(body === undefined ? {} : { body: new Uint8Array(Buffer.from(body)) }) });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return await answer.json();
  }

  /** Writes an object as Logpush does. */
  async put(key: string, bytes: Buffer): Promise<StoredAs> {
    return { key, ...(await this.#post(`put?key=${encodeURIComponent(key)}`, bytes)) };
  }

  /** Sends messages in one go: objects as R2 sends them, texts as they are. */
  async send(...bodies: unknown[]): Promise<void> {
    const messages = bodies.map((body) => ({ body, contentType: typeof body === "string" ? "text" : "json" }));
    await this.#post("send", JSON.stringify(messages));
  }

  /** The next so many calls fail that begin so: `Ledger/commit of zones/…`. `isDone`: only the answer is lost. */
  async fail(what: string, times: number, isDone = false): Promise<void> {
    await this.#post(`fail?what=${encodeURIComponent(what)}&times=${times}${isDone ? "&done" : ""}`);
  }
}

/** The event that R2 documents (Event notifications, message format). */
export function creation({ key, etag, size }: StoredAs, action = "PutObject"): Record<string, unknown> {
  return {
    account: "3f4b7e3dcab231cbfdaa90a6a28bd548",
    action,
    bucket: "logpush-edge-archive",
    object: { key, size, eTag: etag },
    eventTime: new Date().toISOString(),
  };
}
