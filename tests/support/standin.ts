// Stand-ins for services that are spoken to by a POST: real HTTP servers on loopback, as strict as their documentation.

import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";

/** A request as it was seen from here. */
export interface Seen {
  atMillis: number;
  method: string;
  path: string;
  query: URLSearchParams;
  headers: IncomingHttpHeaders;
  pushId: string;
  /** As sent. */
  wire: Buffer;
  /** Without its encoding; undefined when it can not be read. */
  body: Buffer | undefined;
  status: number;
}

export interface Reply {
  status: number;
  body?: unknown;
  headers?: Record<string, string>;
}

/** What a test message of Logpush holds, wherever it is wrapped. */
export const isTestMessage = (text: string) => /\{"content":"tests?"\}/.test(text);

export abstract class StandIn {
  /** Every request but test messages, in order. */
  readonly seen: Seen[] = [];
  tests = 0;
  /** Answers instead of the service while it is set. */
  fault: Reply | undefined;
  readonly #server: Server;
  readonly #waiting = new Set<() => void>();

  constructor() {
    this.#server = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const wire = Buffer.concat(chunks);
      const url = new URL(request.url ?? "/", "http://stand-in");
      const seen: Seen = {
        atMillis: Date.now(),
        method: request.method ?? "",
        path: url.pathname,
        query: url.searchParams,
        headers: request.headers,
        pushId: String(request.headers["x-logpush-push-id"] ?? ""),
        wire,
        body: decoded(request.headers["content-encoding"], wire),
        status: 0,
      };
      const isTest = isTestMessage(seen.body?.toString() ?? "");
      const reply = (isTest ? undefined : this.fault) ?? this.answer(seen, isTest);
      seen.status = reply.status;
      if (isTest) this.tests += 1;
      else this.seen.push(seen);
      const text = reply.body === undefined ? "" : typeof reply.body === "string" ? reply.body : JSON.stringify(reply.body);
      response.writeHead(reply.status, reply.headers).end(text);
      for (const look of [...this.#waiting]) look();
    });
  }

  async listen(): Promise<this> {
    await new Promise<void>((resolve, reject) => this.#server.once("error", reject).listen(0, "127.0.0.1", resolve));
    return this;
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Requests that were taken. */
  get taken(): Seen[] {
    return this.seen.filter(({ status }) => status >= 200 && status < 300);
  }

  async waitFor(predicate: () => boolean, deadlineMillis: number, what: string): Promise<void> {
    if (predicate()) return;
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(look);
        reject(new Error(`waited ${deadlineMillis} ms for ${what} in vain`));
      }, deadlineMillis);
      const look = () => {
        if (!predicate()) return;
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

  protected abstract answer(seen: Seen, isTest: boolean): Reply;
}

function decoded(encoding: string | undefined, wire: Buffer): Buffer | undefined {
  if (encoding === undefined) return wire;
  if (encoding !== "gzip") return undefined;
  try {
    return gunzipSync(wire);
  } catch {
    return undefined;
  }
}

/** Any endpoint: takes everything. */
export class Endpoint extends StandIn {
  protected answer(): Reply {
    return { status: 200 };
  }

  get bodies(): string[] {
    return this.taken.map(({ body }) => body?.toString() ?? "");
  }
}

/** Datadog's intake: both paths, a key, arrays of at most 1,000 logs and 5 MB; what is larger than 1 MB is cut. */
export class Datadog extends StandIn {
  readonly logs: any[] = [];
  /** Logs that the real one would have cut without a word. */
  cut = 0;

  readonly key: string;

  constructor(key: string) {
    super();
    this.key = key;
  }

  protected answer({ method, path, headers, body }: Seen, isTest: boolean): Reply {
    if (path !== "/api/v2/logs" && path !== "/v1/input") return { status: 404, body: { errors: ["Not found"] } };
    if (method !== "POST") return { status: 405 };
    const key = headers["dd-api-key"];
    if (key === undefined) return { status: 401, body: { errors: [{ title: "Unauthorized" }] } };
    if (key !== this.key) return { status: 403, body: { errors: [{ title: "Forbidden" }] } };
    const bad = { status: 400, body: { errors: [{ title: "Bad Request", detail: "malformed payload" }] } };
    if (body === undefined) return bad;
    if (body.length > 5_000_000) return { status: 413, body: { errors: [{ title: "Payload too large" }] } };
    let logs: unknown[];
    const type = String(headers["content-type"]);
    if (type === "text/plain") {
      logs = body.toString().split("\n").filter((line) => line !== "");
    } else if (type === "application/json") {
      try {
        const value: unknown = JSON.parse(body.toString());
        logs = Array.isArray(value) ? value : [value];
      } catch {
        return bad;
      }
      if (!logs.every((log) => typeof log === "object" && log !== null)) return bad;
    } else {
      return { status: 415 };
    }
    if (logs.length > 1_000) return bad;
    if (!isTest) {
      this.cut += logs.filter((log) => Buffer.byteLength(JSON.stringify(log)) > 1_000_000).length;
      for (const log of logs) this.logs.push(log);
    }
    return path === "/v1/input" ? { status: 200, body: {} } : { status: 202, body: {} };
  }
}

/** An HTTP source of Sumo Logic: its path is all that opens it. */
export class Sumo extends StandIn {
  readonly lines: string[] = [];

  code: string;

  constructor(code: string) {
    super();
    this.code = code;
  }

  protected answer({ method, path, body }: Seen, isTest: boolean): Reply {
    if (decodeURIComponent(path) !== `/receiver/v1/http/${this.code}`) return { status: 401, body: `no source ${path}` };
    if (method !== "POST" || body === undefined) return { status: 400 };
    if (body.length > 1_048_576) return { status: 413 };
    if (!isTest) for (const line of body.toString().trimEnd().split("\n")) this.lines.push(line);
    return { status: 200 };
  }
}

/** SentinelOne's collector. */
export class SentinelOne extends StandIn {
  readonly lines: string[] = [];

  readonly token: string;

  constructor(token: string) {
    super();
    this.token = token;
  }

  protected answer({ path, headers, body }: Seen, isTest: boolean): Reply {
    if (path !== "/services/collector/raw") return { status: 404 };
    if (headers.authorization === undefined) return { status: 401, body: { text: "Token is required", code: 2 } };
    if (headers.authorization !== `Bearer ${this.token}`) return { status: 403, body: { text: "Invalid token", code: 4 } };
    if (body === undefined) return { status: 400, body: { text: "Invalid data format", code: 6 } };
    if (body.length === 0) return { status: 400, body: { text: "No data", code: 5 } };
    if (!isTest) for (const line of body.toString().trimEnd().split("\n")) this.lines.push(line);
    return { status: 200, body: { text: "Success", code: 0 } };
  }
}

/** Elasticsearch's bulk API: action lines and documents; 200 whatever became of them. */
export class Bulk extends StandIn {
  readonly documents: any[] = [];
  refuses: (document: any) => boolean = () => false;

  protected answer({ path, headers, body }: Seen, isTest: boolean): Reply {
    if (!path.endsWith("/_bulk") || headers["content-type"] !== "application/x-ndjson") return { status: 406 };
    if (isTest) return { status: 200, body: { errors: false, items: [] } };
    const lines = (body?.toString() ?? "").split("\n");
    if (lines.pop() !== "" || lines.length % 2 !== 0) return { status: 400, body: { error: "The bulk request must be terminated by a newline" } };
    const documents: any[] = [];
    for (let at = 0; at < lines.length; at += 2) {
      if (lines[at] !== '{"create":{}}') return { status: 400, body: { error: `Malformed action/metadata line [${at + 1}]` } };
      documents.push(JSON.parse(lines[at + 1] as string));
    }
    const items = documents.map((document) => ({ create: { status: this.refuses(document) ? 400 : 201 } }));
    // A document without an id of its own is there twice when it is sent twice.
    for (const document of documents) if (!this.refuses(document)) this.documents.push(document);
    return { status: 200, body: { took: 1, errors: documents.some(this.refuses), items } };
  }
}
