// Sends what Logpush sends, the way it sends it: a Go client, gzip, no batch id, no dataset name, nothing to rely on
// but the URL and the headers that the operator wrote into destination_conf.

import { Agent, request, type ClientRequest } from "node:http";
import { Readable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { gzipSync } from "node:zlib";

export interface Answer {
  status: number;
  headers: Record<string, string>;
  text: string;
  /** The body as JSON, or undefined when it is none. */
  json: any;
  /** From the last byte sent to the whole answer: Logpush gives up after ten seconds. */
  millis: number;
}

export interface PushOptions {
  /** Without Content-Length, as an HTTP/2 client may well send it. */
  chunked?: boolean;
  method?: string;
  headers?: Record<string, string>;
  /** Without `Content-Encoding: gzip`. */
  undeclared?: boolean;
}

/** The shapes that the message which checks a destination has had over the years. */
export const TEST_FORMS = {
  tests: { body: gzipSync('{"content":"tests"}'), gzip: true },
  test: { body: gzipSync('{"content":"test"}'), gzip: true },
  "plain with file name": { body: Buffer.from('{"content":"test","filename":"test.txt"}'), gzip: false },
  "four bytes": { body: Buffer.from("test"), gzip: false },
  empty: { body: gzipSync(""), gzip: true },
} as const;

export type TestForm = keyof typeof TEST_FORMS;

const agent = new Agent({ keepAlive: true });

export async function pushTest(url: string, form: TestForm, headers: Record<string, string> = {}): Promise<Answer> {
  const { body, gzip } = TEST_FORMS[form];
  return await send(url, body, { headers: { ...(gzip ? { "Content-Encoding": "gzip" } : {}), ...headers } });
}

/** `gzip` is a whole batch or a stream of one; a stream goes out chunked. */
export async function pushBatch(url: string, gzip: Buffer | Readable, options: PushOptions = {}): Promise<Answer> {
  const encoding: Record<string, string> = options.undeclared ? {} : { "Content-Encoding": "gzip" };
  return await send(url, gzip, { ...options, headers: { ...encoding, ...options.headers } });
}

/** Retries what Logpush would retry, minding Retry-After, until the batch is taken or the deadline has passed. */
export async function pushUntilAccepted(
  url: string,
  gzip: Buffer,
  { deadlineMillis = 60_000, ...options }: PushOptions & { deadlineMillis?: number } = {},
): Promise<Answer & { attempts: number }> {
  const deadline = performance.now() + deadlineMillis;
  for (let attempts = 1; ; attempts += 1) {
    // A connection that breaks is a try that failed, like any refusal.
    const answer = await pushBatch(url, gzip, options).catch((error: Error) => error);
    if (!(answer instanceof Error) && answer.status >= 200 && answer.status < 300) return { ...answer, attempts };
    const wait = answer instanceof Error ? 100 : Number(answer.headers["retry-after"] ?? 0.1) * 1000;
    if (performance.now() + wait > deadline) {
      const last = answer instanceof Error ? answer.message : `${answer.status} ${answer.text}`;
      throw new Error(`not accepted within ${deadlineMillis} ms and ${attempts} tries, last: ${last}`);
    }
    await delay(wait);
  }
}

async function send(url: string, body: Buffer | Readable, options: PushOptions): Promise<Answer> {
  const known = Buffer.isBuffer(body) && !options.chunked;
  const outgoing = request(url, {
    agent,
    method: options.method ?? "POST",
    headers: {
      "User-Agent": "Go-http-client/2.0",
      ...(known ? { "Content-Length": body.length } : { "Transfer-Encoding": "chunked" }),
      ...options.headers,
    },
  });
  const answer = answerTo(outgoing);
  if (known) outgoing.end(body);
  else {
    const stream = Buffer.isBuffer(body) ? Readable.from(pieces(body)) : body;
    stream.on("error", (error) => outgoing.destroy(error)).pipe(outgoing);
  }
  return await answer;
}

async function answerTo(outgoing: ClientRequest): Promise<Answer> {
  return await new Promise<Answer>((resolve, reject) => {
    let sent = performance.now();
    outgoing.on("error", reject);
    outgoing.on("finish", () => void (sent = performance.now()));
    outgoing.on("response", (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
      incoming.on("error", reject);
      incoming.on("end", () => {
        const text = Buffer.concat(chunks).toString("utf8");
        const headers = Object.fromEntries(Object.entries(incoming.headers).map(([name, value]) => [name, String(value)]));
        resolve({ status: incoming.statusCode ?? 0, headers, text, json: parsed(text), millis: performance.now() - sent });
      });
    });
  });
}

/** An upload in the test's own hands: `write` pieces of it, then `finish`, or `abort` as a client does that dies. */
export interface OpenUpload {
  write(piece: Buffer): Promise<void>;
  finish(): void;
  abort(): void;
  answer: Promise<Answer>;
}

/** Begins an upload; with `bytes` it has a Content-Length, without it is chunked. */
export function openUpload(url: string, headers: Record<string, string>, bytes?: number): OpenUpload {
  const length: Record<string, string | number> = bytes === undefined ? { "Transfer-Encoding": "chunked" } : { "Content-Length": bytes };
  const outgoing = request(url, { method: "POST", headers: { ...length, ...headers } });
  const answer = answerTo(outgoing);
  return {
    write: async (piece) => await new Promise((resolve, reject) => outgoing.write(piece, (error) => (error ? reject(error) : resolve()))),
    finish: () => void outgoing.end(),
    abort: () => void outgoing.destroy(),
    answer,
  };
}

function* pieces(body: Buffer): Generator<Buffer> {
  for (let at = 0; at < body.length; at += 64 * 1024) yield body.subarray(at, at + 64 * 1024);
}

function parsed(text: string): any {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
