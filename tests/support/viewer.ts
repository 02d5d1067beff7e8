// Whoever watches a live tail: a WebSocket of the most used library that takes messages apart by docs/tail.md.

import { WebSocket, type ClientOptions } from "ws";
import { eventually } from "./worker.ts";

/** An option of the library that its types lack. */
const CLOSES_AT_ONCE: ClientOptions & { closeTimeout: number } = { closeTimeout: 500 };

export class Viewer {
  /** Lines that begin with `{`, as they came. */
  readonly lines: string[] = [];
  /** What was said to be lost, notice by notice. */
  readonly notices: Record<string, number>[] = [];
  /** Messages as they came. */
  readonly messages: string[] = [];
  closed: { code: number; reason: string } | undefined;
  /** Answers marks; a viewer that has to see them first switches it off. */
  acknowledges = true;
  mark = 0;
  readonly #socket: WebSocket;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on("message", (data) => this.#read(data.toString()));
    socket.on("close", (code, reason) => void (this.closed = { code, reason: reason.toString() }));
    socket.on("error", () => {});
  }

  /** Connects, or throws `status code` of a refusal. */
  static async connect(url: string): Promise<Viewer> {
    // Once it has said why, the runtime holds a connection for as long as the object stays in memory, some ten seconds.
    const socket = new WebSocket(url, CLOSES_AT_ONCE);
    const viewer = new Viewer(socket);
    await new Promise<void>((resolve, reject) => {
      socket.once("open", resolve);
      socket.once("error", reject);
      socket.once("unexpected-response", (_, response) => {
        let text = "";
        response.on("data", (chunk) => (text += String(chunk))).on("end", () => {
          reject(new Error(`${response.statusCode} ${JSON.parse(text).error.code}`));
        });
      });
    });
    return viewer;
  }

  #read(message: string): void {
    this.messages.push(message);
    if (!message.endsWith("\n")) return;
    for (const line of message.slice(0, -1).split("\n")) {
      if (line.startsWith("{")) {
        this.lines.push(line);
        continue;
      }
      const [kind, value] = JSON.parse(line) as [string, Record<string, number>];
      if (kind === "lost") this.notices.push(value);
      else if (kind === "mark") this.mark = Number(value["bytes"]);
      else throw new Error(`a notice that is not documented: ${line}`);
    }
    if (this.acknowledges && message.includes('\n["mark"')) this.acknowledge();
  }

  acknowledge(): void {
    this.send(JSON.stringify({ ack: this.mark }));
  }

  send(text: string): void {
    this.#socket.send(text);
  }

  /** Stops reading, so that what is sent to it stays on the way. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  get records(): any[] {
    return this.lines.map((line) => JSON.parse(line));
  }

  /** How many records it was said to have lost. */
  get lost(): number {
    return this.notices.reduce((sum, notice) => sum + Number(notice["records"]), 0);
  }

  /** Waits until it has so many records, or was told that they are lost. */
  async until(records: number, deadlineMillis?: number): Promise<void> {
    await eventually(`${records} records`, () => this.lines.length + this.lost >= records, deadlineMillis).catch((error: Error) => {
      throw new Error(`${error.message}; there are ${this.lines.length}, and ${this.lost} are lost`);
    });
  }

  async untilClosed(deadlineMillis?: number): Promise<{ code: number; reason: string }> {
    return await eventually("the connection to end", () => this.closed, deadlineMillis);
  }

  close(): void {
    this.#socket.terminate();
  }

  /** Ends as a browser does. */
  leave(): void {
    this.#socket.close(1000);
  }
}
