// A receiver of webhooks on loopback, as strict as Cloudflare's documentation asks a receiver to be: what comes without
// the secret in `cf-webhook-auth` is refused. It can be told to fail.

import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

export interface Message {
  path: string;
  headers: Record<string, string | string[] | undefined>;
  json: any;
}

export class Hook {
  /** Alerts that were taken, test messages apart. */
  readonly alerts: Message[] = [];
  /** Test messages that were taken. */
  readonly tests: Message[] = [];
  /** Statuses of requests that were not taken. */
  readonly refusals: number[] = [];
  /** Answers everything with this, if set; 0 resets the connection. */
  failWith: { status: number; body?: string; headers?: Record<string, string> } | undefined;
  readonly #server: Server;
  /** What `cf-webhook-auth` must be; undefined refuses any. */
  secret: string | undefined;

  private constructor(secret: string | undefined) {
    this.secret = secret;
    this.#server = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on("data", (part: Buffer) => parts.push(part));
      request.on("end", () => {
        const message = { path: request.url ?? "", headers: request.headers, json: undefined as any };
        const refuse = (status: number, body = "") => {
          this.refusals.push(status);
          response.writeHead(status, this.failWith?.headers ?? {}).end(body);
        };
        if (this.failWith) {
          if (this.failWith.status === 0) return void request.socket.destroy(void this.refusals.push(0));
          return refuse(this.failWith.status, this.failWith.body);
        }
        if (request.method !== "POST") return refuse(405);
        if (request.headers["content-type"] !== "application/json") return refuse(415);
        if (request.headers["cf-webhook-auth"] !== this.secret) return refuse(401, `not ${String(request.headers["cf-webhook-auth"])}`);
        try {
          message.json = JSON.parse(Buffer.concat(parts).toString());
        } catch {
          return refuse(400);
        }
        (String(message.json.text).startsWith("Hello World! This is a test message sent from") ? this.tests : this.alerts).push(message);
        response.writeHead(200).end("ok");
      });
    });
  }

  static async start(secret?: string): Promise<Hook> {
    const hook = new Hook(secret);
    await new Promise<void>((up) => hook.#server.listen(0, "127.0.0.1", up));
    return hook;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/hook`;
  }

  /** Alerts of one correlation, in the order in which they came: `["ALERT_STATE_EVENT_START", …]`. */
  events(correlation: string): string[] {
    return this.alerts.filter(({ json }) => json.alert_correlation_id === correlation).map(({ json }) => json.alert_event);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((closed) => this.#server.close(closed));
  }
}
