// A stand-in SIEM: real HTTP servers on loopback that are as strict as the real ones, count what they take,
// and can be told to fail. Two intakes share the server: Splunk's raw HTTP Event Collector and a plain batch intake.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { gunzipSync } from "node:zlib";
import { LineCounter, type Tally } from "./lines.ts";

export const SPLUNK_PATH = "/services/collector/raw";
export const PLAIN_PATH = "/plain/batch";

export interface SiemOptions {
  /** Accepted HEC tokens. */
  splunkTokens?: readonly string[];
  /** Accepted intake keys; each is counted as an intake of its own. */
  intakeKeys?: readonly string[];
  /** Keep the lines themselves (default), or only count and digest them, for large runs. */
  keepLines?: boolean;
}

/** What one intake has taken. Only pushes that were accepted count. */
export interface Intake {
  /** Test messages, as Logpush sends to check a destination; counted nowhere else. */
  tests: number;
  pushes: number;
  records: number;
  bytes: number;
  /** Records of each push, in order. */
  pushRecords: readonly number[];
  /** As sent, compressed where it was. */
  wireBytes: number;
  lines: string[];
  /** Push ids with how often each came. */
  pushIds: Map<string, number>;
  /** Accepted pushes whose id had been accepted before. */
  repeats: number;
  /** Counts every line, those of repeated pushes included. */
  tally: Tally;
  /** The same without pushes that came again. */
  tallyOnce: Tally;
}

/** A refusal, by status, since the start. */
export interface Refusal {
  path: string;
  status: number;
  body: string;
}

export interface Failure {
  /** Only requests to this path (default: all). */
  path?: string;
  /** Only test messages; without it they pass, and pushes fail. */
  tests?: boolean;
  /** How many requests; default 1, Infinity until `mend()`. */
  times?: number;
  /** Answer with this instead of taking the push … */
  status?: number;
  body?: string;
  headers?: Record<string, string>;
  /** … or take it and lose the answer by resetting, or refuse it that way before it is read … */
  reset?: "before" | "after";
  /** … or never answer … */
  hang?: boolean;
  /** … or answer this much later. */
  delayMillis?: number;
}

interface Reply {
  status: number;
  body: unknown;
  headers?: Record<string, string>;
}

class IntakeCounter {
  tests = 0;
  pushes = 0;
  wireBytes = 0;
  repeats = 0;
  readonly pushRecords: number[] = [];
  readonly lines: string[] = [];
  readonly pushIds = new Map<string, number>();
  readonly all = new LineCounter();
  readonly once = new LineCounter();

  snapshot(): Intake {
    const tally = this.all.tally();
    const { tests, pushes, pushRecords, wireBytes, repeats, lines, pushIds } = this;
    return { tests, pushes, pushRecords, wireBytes, repeats, lines, pushIds, records: tally.records, bytes: tally.bytes, tally, tallyOnce: this.once.tally() };
  }
}

/** Splunk's codes, texts and statuses, as its documentation lists them. */
const HEC = {
  success: hec(200, 0, "Success"),
  tokenRequired: hec(401, 2, "Token is required"),
  invalidAuthorization: hec(401, 3, "Invalid authorization"),
  invalidToken: hec(403, 4, "Invalid token"),
  noData: hec(400, 5, "No data"),
  invalidFormat: hec(400, 6, "Invalid data format"),
  invalidChannel: hec(400, 11, "Invalid data channel"),
};

function hec(status: number, code: number, text: string): Reply {
  return { status, body: { text, code } };
}

const GUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export class Siem {
  readonly refusals: Refusal[] = [];
  readonly #server: Server;
  readonly #options: Required<SiemOptions>;
  readonly #intakes = new Map<string, IntakeCounter>();
  readonly #waiting = new Set<() => void>();
  #failures: (Failure & { left: number })[] = [];

  private constructor(options: SiemOptions) {
    this.#options = {
      splunkTokens: options.splunkTokens ?? [],
      intakeKeys: options.intakeKeys ?? [],
      keepLines: options.keepLines ?? true,
    };
    this.#server = createServer((request, response) => {
      this.#serve(request, response).catch(() => response.destroy());
    });
  }

  static async start(options: SiemOptions = {}): Promise<Siem> {
    const siem = new Siem(options);
    await new Promise<void>((resolve, reject) => {
      siem.#server.once("error", reject).listen(0, "127.0.0.1", resolve);
    });
    return siem;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** `host:port`, as it goes into a destination_conf. */
  get host(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** The destination_conf that leads to the plain intake with this key; `${secret:NAME}` is a key, too. */
  plain(key: string): string {
    return `http://${this.host}${PLAIN_PATH}?header_X-SEKOIAIO-INTAKE-KEY=${key}`;
  }

  /** The destination_conf that leads to the HTTP Event Collector with this token. */
  splunk(token: string): string {
    const channel = crypto.randomUUID();
    return `splunk://${this.host}${SPLUNK_PATH}?channel=${channel}&sourcetype=cloudflare:json&header_Authorization=Splunk%20${token}`;
  }

  /** What came with this HEC token or intake key. */
  intake(credential: string): Intake {
    return this.#counter(credential).snapshot();
  }

  /** The next requests fail this way; several failures are used up in the order in which they were asked for. */
  fail(failure: Failure): void {
    this.#failures.push({ ...failure, left: failure.times ?? 1 });
  }

  mend(): void {
    this.#failures = [];
  }

  /** Resolves as soon as `predicate` holds; looked at after every request, so there is nothing to poll. */
  async waitFor(predicate: (siem: Siem) => boolean, deadlineMillis: number, what = "the SIEM"): Promise<void> {
    if (predicate(this)) return;
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(look);
        reject(new Error(`waited ${deadlineMillis} ms for ${what} in vain`));
      }, deadlineMillis);
      const look = () => {
        if (!predicate(this)) return;
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve();
      };
      this.#waiting.add(look);
    });
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #counter(credential: string): IntakeCounter {
    let counter = this.#intakes.get(credential);
    if (!counter) this.#intakes.set(credential, (counter = new IntakeCounter()));
    return counter;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", "http://siem");
    const isTest = String(request.headers["x-logpush-push-id"] ?? "").startsWith("test-");
    const failure = this.#nextFailure(url.pathname, isTest);
    if (failure?.reset === "before") {
      request.socket.resetAndDestroy();
      return this.#look();
    }
    const body = await read(request);
    if (failure?.hang) return this.#look();
    if (failure?.delayMillis) await delay(failure.delayMillis);
    const reply: Reply =
      failure?.status === undefined
        ? this.#take(request, url, body)
        : { status: failure.status, body: failure.body ?? "", headers: failure.headers };
    const text = typeof reply.body === "string" ? reply.body : JSON.stringify(reply.body);
    if (reply.status >= 400) this.refusals.push({ path: url.pathname, status: reply.status, body: text });
    if (failure?.reset === "after") {
      request.socket.resetAndDestroy();
      return this.#look();
    }
    const type = typeof reply.body === "string" ? "text/plain" : "application/json";
    response.writeHead(reply.status, { "Content-Type": type, ...reply.headers }).end(text, () => this.#look());
  }

  #look(): void {
    for (const look of [...this.#waiting]) look();
  }

  #nextFailure(path: string, isTest: boolean): Failure | undefined {
    const failure = this.#failures.find(
      (one) => one.left > 0 && (one.path === undefined || one.path === path) && (one.tests ?? false) === isTest,
    );
    if (failure) failure.left -= 1;
    return failure;
  }

  #take(request: IncomingMessage, url: URL, body: Buffer): Reply {
    if (url.pathname !== SPLUNK_PATH && url.pathname !== PLAIN_PATH) {
      return { status: 404, body: { text: "The requested URL was not found on this server.", code: 404 } };
    }
    if (request.method !== "POST") return { status: 405, body: { text: "Method Not Allowed" } };
    return url.pathname === SPLUNK_PATH ? this.#takeSplunk(request, url, body) : this.#takePlain(request, body);
  }

  #takeSplunk(request: IncomingMessage, url: URL, body: Buffer): Reply {
    const authorization = request.headers.authorization;
    if (authorization === undefined || authorization === "") return HEC.tokenRequired;
    const token = /^Splunk (\S+)$/.exec(authorization)?.[1];
    if (token === undefined) return HEC.invalidAuthorization;
    if (!this.#options.splunkTokens.includes(token)) return HEC.invalidToken;
    const channel = url.searchParams.get("channel") ?? request.headers["x-splunk-request-channel"];
    if (channel !== undefined && !GUID.test(String(channel))) return HEC.invalidChannel;
    const content = contentOf(request, body);
    if (content === "unsupported") return { status: 415, body: { text: "Unsupported encoding" } };
    if (content === "broken") return HEC.invalidFormat;
    if (content.length === 0) return HEC.noData;
    return this.#count(token, request, body, content) ? HEC.success : HEC.invalidFormat;
  }

  #takePlain(request: IncomingMessage, body: Buffer): Reply {
    const key = request.headers["x-sekoiaio-intake-key"];
    if (typeof key !== "string" || key === "") return { status: 401, body: { message: "The intake key is missing" } };
    if (!this.#options.intakeKeys.includes(key)) return { status: 403, body: { message: "The intake key is not known" } };
    const content = contentOf(request, body);
    if (content === "unsupported") return { status: 415, body: { message: "Unsupported content encoding" } };
    if (content === "broken" || content.length === 0) return { status: 400, body: { message: "The body cannot be read" } };
    const events = this.#count(key, request, body, content);
    if (!events) return { status: 400, body: { message: "A line is not JSON" } };
    return { status: 200, body: { event_ids: Array.from({ length: Math.min(events, 3) }, () => crypto.randomUUID()) } };
  }

  /** Counts a push whole or not at all; returns the number of its records, 0 when a line is no JSON object. */
  #count(credential: string, request: IncomingMessage, body: Buffer, content: Buffer): number {
    const text = content.toString("utf8");
    const lines = (text.endsWith("\n") ? text.slice(0, -1) : text).split("\n");
    if (!lines.every(isObject)) return 0;
    const counter = this.#counter(credential);
    if (lines.length === 1 && isTestMessage(lines[0] as string)) {
      counter.tests += 1;
      return 1;
    }
    const id = request.headers["x-logpush-push-id"];
    const seen = typeof id === "string" ? (counter.pushIds.get(id) ?? 0) : 0;
    if (typeof id === "string") counter.pushIds.set(id, seen + 1);
    counter.pushes += 1;
    counter.pushRecords.push(lines.length);
    counter.wireBytes += body.length;
    if (seen > 0) counter.repeats += 1;
    const push = new LineCounter();
    for (const line of lines) push.add(line);
    const tally = push.tally();
    counter.all.merge(tally);
    if (seen === 0) counter.once.merge(tally);
    // One by one: a push may hold more lines than a call can have arguments.
    if (this.#options.keepLines) for (const line of lines) counter.lines.push(line);
    return lines.length;
  }
}

async function read(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** The body as the sender meant it. Splunk decompresses only what is declared so, and wants the gzip stream whole. */
function contentOf(request: IncomingMessage, body: Buffer): Buffer | "unsupported" | "broken" {
  const encoding = request.headers["content-encoding"];
  if (encoding === undefined || encoding === "identity") return body;
  if (encoding !== "gzip") return "unsupported";
  if (body.length === 0) return body;
  try {
    return gunzipWhole(body);
  } catch {
    return "broken";
  }
}

/** zlib in Node overlooks zeros and other bytes behind a gzip stream; a strict server does not. */
function gunzipWhole(body: Buffer): Buffer {
  const parts: Buffer[] = [];
  let rest = body;
  while (rest.length > 0) {
    const { buffer, engine } = gunzipSync(rest, { info: true } as never) as unknown as {
      buffer: Buffer;
      engine: { bytesWritten: number };
    };
    parts.push(buffer);
    if (engine.bytesWritten === 0) throw new Error("no progress");
    rest = rest.subarray(engine.bytesWritten);
    if (rest.length > 0 && (rest[0] !== 0x1f || rest[1] !== 0x8b)) throw new Error("trailing bytes");
  }
  return Buffer.concat(parts);
}

function isTestMessage(line: string): boolean {
  return /^\{"content":"tests?"(,"filename":"[^"]*")?\}$/.test(line);
}

function isObject(line: string): boolean {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}
