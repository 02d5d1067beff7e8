// Follows a live tail: opens sessions, stays connected, writes records out no faster than somebody reads them.

import { once } from "node:events";
import type { Writable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { WebSocket, type ClientOptions } from "ws";
import type { Deployment, TailSession } from "../jobs/deployment.ts";
import { JobsError } from "../jobs/file.ts";

/** What somebody wants to see. */
export interface Wish {
  scope: string;
  /** The body that opens a session. */
  session: object;
  /** Ends after so many records … */
  lines: number;
  /** … or after so long. */
  millis: number;
  /** Goes on with another session when the time of one is over. */
  renews: boolean;
}

/** How a connection ended. */
interface End {
  /** The close code, 1006 for a connection that broke; or the status of a refusal. */
  code: number;
  reason: string;
}

/** Marks are answered at most that often: each answer is a message that the deployment pays for. */
const ACK_EVERY_MILLIS = 100;
/** How long before its session ends the next one is opened: every isolate knows it then. */
const RENEW_BEFORE_MILLIS = 10_000;
const RETRY_MILLIS = { first: 500, most: 30_000 };
/** How long the runtime may hold a connection that has said why it ends; the types of the library lack the option. */
const OPTIONS: ClientOptions & { closeTimeout: number } = { closeTimeout: 1_000, handshakeTimeout: 20_000, maxPayload: 4 * 1024 * 1024 };

const TIME_IS_UP = 4001;
const ENDED = 1000;
const NOT_FOUND = 404;

export class Follower {
  readonly #from: Deployment;
  readonly #wish: Wish;
  readonly #out: Writable;
  readonly #tell: (text: string) => void;
  readonly #stopping = new AbortController();
  #open: TailSession[] = [];
  #next: Promise<TailSession | undefined> | undefined;
  #left: number;

  constructor(from: Deployment, wish: Wish, out: Writable, tell: (text: string) => void) {
    [this.#from, this.#wish, this.#out, this.#tell, this.#left] = [from, wish, out, tell, wish.lines];
  }

  /** Ends it, as if there were no more to see. */
  stop(): void {
    this.#stopping.abort();
  }

  get #isOver(): boolean {
    return this.#stopping.signal.aborted;
  }

  /** Writes records until it is stopped, or there is nothing more to come. */
  async run(): Promise<void> {
    // Somebody like `head` has seen enough.
    this.#out.once("error", () => this.stop());
    const timer = Number.isFinite(this.#wish.millis) ? setTimeout(() => this.stop(), this.#wish.millis) : undefined;
    try {
      let session = await this.#session();
      for (let wait = RETRY_MILLIS.first; !this.#isOver; ) {
        const { code, reason, wasOpen } = await this.#watch(session);
        if (this.#isOver) return;
        if (wasOpen) wait = RETRY_MILLIS.first;
        if (code === ENDED) return this.#tell("· the session was ended");
        if (code === TIME_IS_UP || code === NOT_FOUND) {
          if (!this.#wish.renews) return this.#tell("· the session's time is over");
          this.#open = this.#open.filter(({ id }) => id !== session.id);
          session = (await this.#next) ?? (await this.#session());
          this.#next = undefined;
          continue;
        }
        if (code >= 400 && code < 500) throw new JobsError(`the session can not be watched: ${code} ${reason}`);
        this.#tell(`· the connection broke (${code}${reason ? ` ${reason}` : ""}), and what comes meanwhile is not shown; connecting again`);
        await delay(wait, undefined, { signal: this.#stopping.signal }).catch(() => {});
        wait = Math.min(wait * 2, RETRY_MILLIS.most);
      }
    } finally {
      clearTimeout(timer);
      this.stop();
      await this.#next?.catch(() => {});
      // They would end by themselves, after five minutes in which they count.
      await Promise.allSettled(this.#open.map(async ({ id }) => await this.#from.endSession(this.#wish.scope, id)));
    }
  }

  async #session(): Promise<TailSession> {
    const session = await this.#from.openSession(this.#wish.scope, this.#wish.session);
    this.#open.push(session);
    return session;
  }

  /** Stays connected to a session until the connection ends. */
  async #watch(session: TailSession): Promise<End & { wasOpen: boolean }> {
    const socket = new WebSocket(`${session.destination_conf}?ack=true`, OPTIONS);
    const end: End & { wasOpen: boolean } = { code: 1006, reason: "", wasOpen: false };
    let work: Promise<void> = Promise.resolve();
    let mark = 0;
    let ack: NodeJS.Timeout | undefined;
    const acknowledge = () => {
      ack ??= setTimeout(() => {
        ack = undefined;
        if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ ack: mark }));
      }, ACK_EVERY_MILLIS);
    };
    socket.on("message", (data) => {
      // One after the other. What waits here is not acknowledged, so it is never more than the deployment lets be on its way.
      work = work.then(async () => {
        mark = (await this.#write(data.toString())) ?? mark;
        acknowledge();
      });
    });
    const total = Date.parse(session.ends_at) - Date.parse(session.created_at);
    const renewal = setTimeout(() => {
      if (!this.#wish.renews || this.#isOver) return;
      // When this fails, the next one is opened when it is needed.
      this.#next = this.#session().catch(() => undefined);
    }, total - Math.min(RENEW_BEFORE_MILLIS, total / 2));
    const stop = () => socket.terminate();
    this.#stopping.signal.addEventListener("abort", stop);
    try {
      await new Promise<void>((resolve) => {
        socket.once("open", () => {
          end.wasOpen = true;
          this.#tell(`· watching until ${session.ends_at}; Ctrl-C ends it`);
        });
        socket.once("unexpected-response", (_, response) => {
          end.code = response.statusCode ?? 1006;
          response.resume();
          resolve();
        });
        socket.once("error", (error) => void (end.reason ||= (error as NodeJS.ErrnoException).code ?? ""));
        socket.once("close", (code, reason) => {
          [end.code, end.reason] = [code, reason.toString() || end.reason];
          resolve();
        });
        if (this.#isOver) stop();
      });
      if (!this.#isOver) await work;
    } finally {
      clearTimeout(ack);
      clearTimeout(renewal);
      this.#stopping.signal.removeEventListener("abort", stop);
    }
    return end;
  }

  /** Writes the records of a message, tells its notices, and returns its mark. */
  async #write(message: string): Promise<number | undefined> {
    let mark;
    let records = "";
    for (const line of message.split("\n")) {
      if (this.#isOver || line === "") continue;
      if (line.startsWith("[")) {
        const [kind, value] = JSON.parse(line) as [string, Record<string, number>];
        if (kind === "mark") mark = value["bytes"];
        if (kind === "lost") this.#tell(`· ${lostText(value)}`);
      } else if (this.#left > 0) {
        records += `${line}\n`;
        this.#left -= 1;
      }
    }
    if (records !== "" && !this.#out.write(records)) await once(this.#out, "drain", { signal: this.#stopping.signal }).catch(() => {});
    if (this.#left <= 0) this.stop();
    return mark;
  }
}

const REASONS: Record<string, string> = {
  batch_limit: "did not fit beside the others of their batch",
  hand_over: "did not get to the session in time",
  rate_limit: "came too fast",
  slow_viewer: "came while the output was not read",
};

function lostText({ records, ...reasons }: Record<string, number>): string {
  const parts = Object.entries(reasons).map(([reason, count]) => `${count} ${REASONS[reason] ?? reason}`);
  return `${records} records are missing here: ${parts.join(", ")}`;
}
