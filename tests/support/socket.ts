// A stand-in for a receiver with a WebSocket: a real server on loopback that knows whom it lets in, keeps what it was
// told, and can be told to fail, in the handshake and after it.

import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { WebSocketServer, type WebSocket } from "ws";

/** What happens to one connection. */
export interface SocketFailure {
  /** Only connections of test messages; without it they go well. */
  tests?: boolean;
  /** How many connections; default 1, Infinity until `mend()`. */
  times?: number;
  /** Answer the handshake with this instead … */
  status?: number;
  headers?: Record<string, string>;
  /** … or close with this code, and text, once this many frames have come (default 1) … */
  code?: number;
  reason?: string;
  afterFrames?: number;
  /** … or close so as the reply to the sender's own Close frame … */
  reply?: number;
  /** … or break the connection once a frame has come, or when the push was acknowledged … */
  reset?: "frame" | "acknowledged";
  /** … or read nothing, or keep silent: no acknowledgement, no reply to a Close frame … */
  hang?: "unread" | "silent";
  /** … or acknowledge another push. */
  wrongAck?: boolean;
}

/** One connection that was let in. */
export interface Conversation {
  path: string;
  headers: IncomingMessage["headers"];
  pushId: string;
  /** Text as it came; binary frames as bytes. */
  frames: (string | Buffer)[];
  /** The sender's Close frame; undefined as long as there was none. */
  closeCode?: number;
  isOver: boolean;
}

export class SocketReceiver {
  /** Pushes, in the order in which they were opened; test messages apart. */
  readonly conversations: Conversation[] = [];
  readonly tests: Conversation[] = [];
  /** Statuses of refused handshakes. */
  readonly refusals: number[] = [];
  /** Whether the receiver acknowledges. */
  acknowledges = true;
  readonly #token: string;
  readonly #server: Server;
  readonly #sockets: WebSocketServer;
  #failures: (SocketFailure & { left: number })[] = [];

  private constructor(token: string, maxPayload: number) {
    this.#token = token;
    this.#sockets = new WebSocketServer({ noServer: true, maxPayload });
    this.#server = createServer((_, response) => void response.writeHead(200).end("no upgrade"));
    this.#server.on("upgrade", (request, socket, head) => this.#upgrade(request, socket, head));
  }

  /** Lets in who has the token; a frame larger than `maxPayload` is answered with 1009. */
  static async start(token: string, maxPayload = 1024 * 1024): Promise<SocketReceiver> {
    const receiver = new SocketReceiver(token, maxPayload);
    await new Promise<void>((resolve, reject) => void receiver.#server.once("error", reject).listen(0, "127.0.0.1", resolve));
    return receiver;
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The destination_conf that leads here. */
  destination(settings = "", token = this.#token): string {
    return `ws://${this.host}/logs?source=edge&header_Authorization=Bearer%20${token}${settings}`;
  }

  /** Every frame of every push, control frames apart. */
  get records(): (string | Buffer)[] {
    return this.conversations.flatMap(({ frames }) => frames).filter((frame) => control(frame) === undefined);
  }

  fail(failure: SocketFailure): void {
    this.#failures.push({ ...failure, left: failure.times ?? 1 });
  }

  mend(): void {
    this.#failures = [];
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets.clients) socket.terminate();
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const pushId = String(request.headers["x-logpush-push-id"] ?? "");
    const isTest = pushId.startsWith("test-");
    const failure = this.#failures.find((one) => one.left > 0 && (one.tests ?? false) === isTest);
    if (failure) failure.left -= 1;
    const isKnown = request.headers.authorization === `Bearer ${this.#token}`;
    const status = failure?.status ?? (isKnown ? undefined : 401);
    if (status !== undefined) {
      this.refusals.push(status);
      const headers = Object.entries({ "Content-Length": "7", Connection: "close", ...failure?.headers });
      socket.end(`HTTP/1.1 ${status} No\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\nrefused`);
      return;
    }
    this.#sockets.handleUpgrade(request, socket, head, (connection) => {
      const conversation: Conversation = { path: request.url ?? "", headers: request.headers, pushId, frames: [], isOver: false };
      (isTest ? this.tests : this.conversations).push(conversation);
      this.#converse(connection, socket, conversation, failure);
    });
  }

  #converse(connection: WebSocket, socket: Duplex, conversation: Conversation, failure: SocketFailure | undefined): void {
    if (failure?.hang === "unread") connection.pause();
    connection.on("error", () => {});
    connection.on("message", (data, isBinary) => {
      const frame = isBinary ? (data as Buffer) : data.toString();
      conversation.frames.push(frame);
      if (failure?.reset === "frame") return void socket.destroy();
      if (failure?.code !== undefined && conversation.frames.length >= (failure.afterFrames ?? 1)) {
        return void connection.close(failure.code, failure.reason);
      }
      const push = control(frame);
      if (push === undefined || !this.acknowledges || failure?.hang) return;
      const text = JSON.stringify({ ack: failure?.wrongAck ? "another" : push });
      connection.send(text, () => {
        if (failure?.reset === "acknowledged") socket.destroy();
      });
    });
    connection.on("close", (code) => {
      conversation.closeCode = code;
      conversation.isOver = true;
    });
    if (failure?.reply !== undefined || failure?.hang === "silent") {
      // ws answers a Close frame by itself; this takes its place.
      const receiver = (connection as unknown as { _receiver: { removeAllListeners(name: string): void; on(name: string, listener: (code: number) => void): void } })._receiver;
      receiver.removeAllListeners("conclude");
      receiver.on("conclude", (code) => {
        conversation.closeCode = code;
        if (failure.reply !== undefined) connection.close(failure.reply, failure.reason);
      });
    }
  }
}

/** The push that a control frame ends; undefined for every other frame. */
function control(frame: string | Buffer): string | undefined {
  if (typeof frame !== "string") return undefined;
  try {
    const { push, frames } = JSON.parse(frame) as { push?: unknown; frames?: unknown };
    return typeof push === "string" && typeof frames === "number" ? push : undefined;
  } catch {
    return undefined;
  }
}
