// A stand-in SIEM: real HTTP servers on loopback that are as strict as the real ones, count what they take,
// and can be told to fail. Two intakes share the server: Splunk's raw HTTP Event Collector and a plain batch intake.

import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { gunzipSync } from "node:zlib";
import { LineCounter, type Tally } from "./lines.ts";
import { Random } from "./random.ts";

export const SPLUNK_PATH = "/services/collector/raw";
export const PLAIN_PATH = "/plain/batch";

export interface SiemOptions {
  /** Accepted HEC tokens. */
  splunkTokens?: readonly string[];
  /** Accepted intake keys; each is counted as an intake of its own. */
  intakeKeys?: readonly string[];
  /** Keep the lines themselves (default), or only count and digest them, for large runs. */
  keepLines?: boolean;
  /** Speak TLS with this certificate. */
  tls?: { key: string; cert: string };
  /** Told of every push that was taken, at the moment when it counts. */
  onTaken?: (attempt: Attempt, lines: readonly string[]) => void;
}

/** What this SIEM takes at all; as long as it is set, and whatever else fails. */
export interface Limits {
  /** Largest push, decompressed; 413 beyond. */
  rawBytes?: number;
  /** Most records of a push; 413 beyond. */
  records?: number;
  /** Records that are wrong: a push with one of them is refused whole, as the real ones do. */
  refuses?: (line: string) => boolean;
}

/** A request that was no test message, as it was seen from here. */
export interface Attempt {
  /** When its head was there, unix milliseconds. */
  atMillis: number;
  path: string;
  /** Method, path and query, as they came. */
  line: string;
  headers: IncomingHttpHeaders;
  pushId: string;
  /** Token or key; undefined when it was not looked at. */
  credential?: string;
  /** What it held, as far as it was read. */
  records: number;
  rawBytes: number;
  /** It counts as delivered. */
  taken: boolean;
  /** What was answered; undefined when nothing was. */
  status?: number;
  /** When the answer had been handed to the network, unix milliseconds; undefined when it was not, or not whole. */
  answeredAtMillis?: number;
  /** What was done to it on purpose. */
  fault?: string;
}

/** What goes wrong by chance. */
export type ChaosKind =
  | "500" | "503" | "429" | "413" | "hang" | "hang after" | "reset before" | "reset after" | "slow" | "cut" | "endless";

export const CHAOS_KINDS: readonly ChaosKind[] = [
  "500", "503", "429", "413", "hang", "hang after", "reset before", "reset after", "slow", "cut", "endless",
];

export interface Chaos {
  seed: number;
  /** Share of the pushes that something happens to, 0 to 1. */
  share: number;
  kinds?: readonly ChaosKind[];
  /** A push up to this size, decompressed, is never too large: a real limit does not move, either. */
  tooLargeAboveBytes?: number;
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
  /** … or with this code of the HTTP Event Collector … */
  hec?: number;
  /** … or take it and lose the answer by resetting, or refuse it that way before it is read … */
  reset?: "before" | "after";
  /** … or never answer, having taken it ("after") or not … */
  hang?: boolean | "after";
  /** … or answer this much later … */
  delayMillis?: number;
  /** … or send the answer's body bit by bit and without end … */
  endless?: boolean;
  /** … or break the connection in the middle of the answer's body … */
  cut?: boolean;
  /** … or say 413 to what is larger than this, decompressed. */
  tooLargeAboveBytes?: number;
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

/** Splunk's codes with their statuses and texts, as its documentation lists them. */
export const HEC_CODES: Readonly<Record<number, readonly [status: number, text: string]>> = {
  0: [200, "Success"],
  1: [403, "Token disabled"],
  2: [401, "Token is required"],
  3: [401, "Invalid authorization"],
  4: [403, "Invalid token"],
  5: [400, "No data"],
  6: [400, "Invalid data format"],
  7: [400, "Incorrect index"],
  8: [500, "Internal server error"],
  9: [503, "Server is busy"],
  10: [400, "Data channel is missing"],
  11: [400, "Invalid data channel"],
  12: [400, "Event field is required"],
  13: [400, "Event field cannot be blank"],
  14: [400, "ACK is disabled"],
  15: [400, "Error in handling indexed fields"],
  16: [400, "Query string authorization is not enabled"],
  18: [503, "HEC is unhealthy, queues are full"],
  19: [503, "HEC is unhealthy, ack service unavailable"],
  20: [503, "HEC is unhealthy, queues are full, ack service unavailable"],
  21: [400, "Invalid token"],
  22: [400, "Token disabled"],
  23: [503, "Server is shutting down"],
  24: [200, "Queue is approaching capacity"],
  25: [200, "ACK channel is approaching capacity"],
  26: [429, "Queue is at capacity"],
  27: [429, "ACK channel is at capacity"],
};

const HEC = {
  success: hec(0),
  tokenRequired: hec(2),
  invalidAuthorization: hec(3),
  invalidToken: hec(4),
  noData: hec(5),
  invalidFormat: hec(6),
  invalidChannel: hec(11),
};

function hec(code: number): Reply {
  const [status, text] = HEC_CODES[code] ?? [500, "unknown"];
  return { status, body: { text, code } };
}

/** How long a slow answer takes, how long a 429 asks to wait, and how often an endless answer says something. */
const SLOW_MILLIS = 400;
const CHAOS_RETRY_AFTER_SECONDS = 1;
const ENDLESS_PIECE_MILLIS = 100;
/** How long the first half of an answer gets to arrive before the connection breaks. */
const CUT_AFTER_MILLIS = 50;

const GUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export class Siem {
  readonly refusals: Refusal[] = [];
  /** Every push that came, in order, whatever became of it. */
  readonly attempts: Attempt[] = [];
  limits: Limits = {};
  readonly #server: Server;
  readonly #options: SiemOptions & { splunkTokens: string[]; intakeKeys: string[]; keepLines: boolean };
  readonly #intakes = new Map<string, IntakeCounter>();
  readonly #waiting = new Set<() => void>();
  #failures: (Failure & { left: number })[] = [];
  #chaos: { random: Random; options: Chaos } | undefined;

  private constructor(options: SiemOptions) {
    this.#options = {
      ...options,
      splunkTokens: [...(options.splunkTokens ?? [])],
      intakeKeys: [...(options.intakeKeys ?? [])],
      keepLines: options.keepLines ?? true,
    };
    const serve = (request: IncomingMessage, response: ServerResponse) => {
      this.#serve(request, response).catch(() => response.destroy());
    };
    this.#server = options.tls ? createTlsServer(options.tls, serve) : createServer(serve);
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
    return `${this.#options.tls ? "https" : "http"}://${this.host}${PLAIN_PATH}?header_X-SEKOIAIO-INTAKE-KEY=${key}`;
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

  /** From now on things go wrong by chance; what `fail` asked for comes first. */
  failAtRandom(chaos: Chaos): void {
    this.#chaos = { random: new Random(chaos.seed), options: chaos };
  }

  mend(): void {
    this.#failures = [];
    this.#chaos = undefined;
  }

  /** From now on this token is good, and those before it no more: somebody rotated it. */
  rotate(...credentials: string[]): void {
    this.#options.splunkTokens = [...credentials];
    this.#options.intakeKeys = [...credentials];
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
    const pushId = String(request.headers["x-logpush-push-id"] ?? "");
    const isTest = pushId.startsWith("test-");
    const line = `${request.method} ${request.url}`;
    const attempt: Attempt = { atMillis: Date.now(), path: url.pathname, line, headers: request.headers, pushId, records: 0, rawBytes: 0, taken: false };
    if (!isTest) this.attempts.push(attempt);
    const failure = this.#nextFailure(url.pathname, isTest);
    if (failure) attempt.fault = describe(failure);
    if (failure?.reset === "before") {
      request.socket.resetAndDestroy();
      return this.#look();
    }
    const body = await read(request);
    if (failure?.hang === true) return this.#look();
    if (failure?.delayMillis) await delay(failure.delayMillis);
    const reply = this.#replyTo(failure, attempt, request, url, body);
    const text = typeof reply.body === "string" ? reply.body : JSON.stringify(reply.body);
    if (reply.status >= 400) this.refusals.push({ path: url.pathname, status: reply.status, body: text });
    if (failure?.hang === "after") return this.#look();
    if (failure?.reset === "after") {
      request.socket.resetAndDestroy();
      return this.#look();
    }
    attempt.status = reply.status;
    const type = typeof reply.body === "string" ? "text/plain" : "application/json";
    const headers = { "Content-Type": type, ...reply.headers };
    if (failure?.endless) return await this.#answerWithoutEnd(response, reply.status, headers);
    if (failure?.cut) {
      response.writeHead(reply.status, { ...headers, "Content-Length": text.length + 100 }).write(text);
      await delay(CUT_AFTER_MILLIS);
      request.socket.resetAndDestroy();
      return this.#look();
    }
    response.once("close", () => this.#look());
    response.writeHead(reply.status, headers).end(text, () => {
      attempt.answeredAtMillis = Date.now();
      this.#look();
    });
  }

  async #answerWithoutEnd(response: ServerResponse, status: number, headers: Record<string, string>): Promise<void> {
    response.writeHead(status, headers);
    const say = () => void response.write("...");
    say();
    const timer = setInterval(say, ENDLESS_PIECE_MILLIS);
    response.once("close", () => {
      clearInterval(timer);
      this.#look();
    });
    this.#look();
  }

  #replyTo(failure: Failure | undefined, attempt: Attempt, request: IncomingMessage, url: URL, body: Buffer): Reply {
    if (failure?.hec !== undefined) return { ...hec(failure.hec), headers: failure.headers };
    if (failure?.status !== undefined) return { status: failure.status, body: failure.body ?? "", headers: failure.headers };
    return this.#take(attempt, request, url, body, failure?.tooLargeAboveBytes);
  }

  #look(): void {
    for (const look of [...this.#waiting]) look();
  }

  #nextFailure(path: string, isTest: boolean): Failure | undefined {
    const failure = this.#failures.find(
      (one) => one.left > 0 && (one.path === undefined || one.path === path) && (one.tests ?? false) === isTest,
    );
    if (failure) failure.left -= 1;
    else if (this.#chaos && !isTest) return this.#chance(this.#chaos.random, this.#chaos.options);
    return failure;
  }

  #chance(random: Random, { share, kinds = CHAOS_KINDS, tooLargeAboveBytes = Infinity }: Chaos): Failure | undefined {
    if (!random.chance(share)) return undefined;
    const kind = random.pick(kinds);
    switch (kind) {
      case "500":
      case "503":
        return { status: Number(kind), body: "by chance" };
      case "429": {
        const at = new Date(Date.now() + CHAOS_RETRY_AFTER_SECONDS * 1_000).toUTCString();
        return { status: 429, headers: { "Retry-After": random.chance(0.5) ? String(CHAOS_RETRY_AFTER_SECONDS) : at } };
      }
      case "413":
        return { tooLargeAboveBytes };
      case "hang":
        return { hang: true };
      case "hang after":
        return { hang: "after" };
      case "reset before":
        return { reset: "before" };
      case "reset after":
        return { reset: "after" };
      case "slow":
        return { delayMillis: SLOW_MILLIS };
      case "cut":
        return { cut: true };
      case "endless":
        return { endless: true };
    }
  }

  #take(attempt: Attempt, request: IncomingMessage, url: URL, body: Buffer, capBytes?: number): Reply {
    if (url.pathname !== SPLUNK_PATH && url.pathname !== PLAIN_PATH) {
      return { status: 404, body: { text: "The requested URL was not found on this server.", code: 404 } };
    }
    if (request.method !== "POST") return { status: 405, body: { text: "Method Not Allowed" } };
    const isSplunk = url.pathname === SPLUNK_PATH;
    const credential = isSplunk ? this.#splunkToken(request, url) : this.#intakeKey(request);
    if (typeof credential !== "string") return credential;
    attempt.credential = credential;
    const content = contentOf(request, body);
    if (content === "unsupported") return { status: 415, body: isSplunk ? { text: "Unsupported encoding" } : { message: "Unsupported content encoding" } };
    const unreadable = isSplunk ? HEC.invalidFormat : { status: 400, body: { message: "The body cannot be read" } };
    if (content === "broken") return unreadable;
    if (content.length === 0) return isSplunk ? HEC.noData : unreadable;
    attempt.rawBytes = content.length;
    const lines = linesOf(content);
    attempt.records = lines.length;
    // What a job writes out as something else than JSON says so, and is not looked into.
    const type = request.headers["content-type"] ?? "";
    if ((type === "" || type.includes("json")) && !lines.every(isObject)) {
      return isSplunk ? HEC.invalidFormat : { status: 400, body: { message: "A line is not JSON" } };
    }
    if (lines.length === 1 && isTestMessage(lines[0] as string)) {
      this.#counter(credential).tests += 1;
      return isSplunk ? HEC.success : taken(1);
    }
    const { rawBytes = Infinity, records = Infinity, refuses } = this.limits;
    if (content.length > Math.min(rawBytes, capBytes ?? Infinity) || lines.length > records) {
      return { status: 413, body: isSplunk ? { text: "Content-Length of the request is too large", code: 27 } : { message: "Request Entity Too Large" } };
    }
    const wrong = refuses ? lines.findIndex(refuses) : -1;
    if (wrong >= 0) {
      if (!isSplunk) return { status: 400, body: { message: `Event ${wrong} does not match the mapping` } };
      return { status: 400, body: { text: "Invalid data format", code: 6, "invalid-event-number": wrong } };
    }
    this.#count(attempt, credential, body, lines);
    return isSplunk ? HEC.success : taken(lines.length);
  }

  /** The token, or why there is no good one. */
  #splunkToken(request: IncomingMessage, url: URL): string | Reply {
    const authorization = request.headers.authorization;
    if (authorization === undefined || authorization === "") return HEC.tokenRequired;
    const token = /^Splunk (\S+)$/.exec(authorization)?.[1];
    if (token === undefined) return HEC.invalidAuthorization;
    if (!this.#options.splunkTokens.includes(token)) return HEC.invalidToken;
    const channel = url.searchParams.get("channel") ?? request.headers["x-splunk-request-channel"];
    if (channel !== undefined && !GUID.test(String(channel))) return HEC.invalidChannel;
    return token;
  }

  /** The key, or why there is no good one. */
  #intakeKey(request: IncomingMessage): string | Reply {
    const key = request.headers["x-sekoiaio-intake-key"];
    if (typeof key !== "string" || key === "") return { status: 401, body: { message: "The intake key is missing" } };
    if (!this.#options.intakeKeys.includes(key)) return { status: 403, body: { message: "The intake key is not known" } };
    return key;
  }

  /** Takes a push whole. */
  #count(attempt: Attempt, credential: string, body: Buffer, lines: string[]): void {
    const counter = this.#counter(credential);
    const id = attempt.pushId;
    const seen = id === "" ? 0 : (counter.pushIds.get(id) ?? 0);
    if (id !== "") counter.pushIds.set(id, seen + 1);
    attempt.taken = true;
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
    this.#options.onTaken?.(attempt, lines);
  }
}

function taken(events: number): Reply {
  return { status: 200, body: { event_ids: Array.from({ length: Math.min(events, 3) }, () => crypto.randomUUID()) } };
}

function linesOf(content: Buffer): string[] {
  const text = content.toString("utf8");
  return (text.endsWith("\n") ? text.slice(0, -1) : text).split("\n");
}

/** For a report: what was done to a push on purpose. */
function describe(failure: Failure): string {
  if (failure.reset) return `reset ${failure.reset}`;
  if (failure.hang) return failure.hang === "after" ? "hang after" : "hang";
  if (failure.endless) return "endless";
  if (failure.cut) return "cut";
  if (failure.delayMillis) return "slow";
  if (failure.tooLargeAboveBytes !== undefined) return "413";
  return String(failure.hec === undefined ? failure.status : `code ${failure.hec}`);
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
