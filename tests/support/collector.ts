// A strict HTTP Event Collector: every row of Splunk's code table, both endpoints, and indexer acknowledgement.

import { HEC_CODES } from "./siem.ts";
import { StandIn, type Reply, type Seen } from "./standin.ts";

/** What becomes of a push that was taken, once somebody asks. */
export type Fate = "indexed" | "dropped" | "held";

export interface CollectorOptions {
  token: string;
  /** The token has indexer acknowledgement. */
  acknowledges?: boolean;
}

interface Event {
  event: unknown;
  [member: string]: unknown;
}

const GUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const MEMBERS = ["time", "host", "source", "sourcetype", "index", "event", "fields"];

export class Collector extends StandIn {
  /** What is indexed. */
  readonly lines: string[] = [];
  readonly events: Event[] = [];
  /** Questions for acknowledgements, in order. */
  readonly questions: { channel: string; acks: number[] }[] = [];
  /** What becomes of pushes from now on. */
  fate: Fate = "indexed";
  isDisabled = false;
  readonly indexes = new Set(["main"]);
  /** The code of a success; 24 and 25 are near capacity. */
  successCode = 0;
  /** While it is set, acknowledgements answer so. */
  ackFault: Reply | undefined;
  readonly #options: Required<CollectorOptions>;
  readonly #channels = new Map<string, Map<number, { fate: Fate; index: () => void }>>();
  #nextAck = 0;

  constructor(options: CollectorOptions) {
    super();
    this.#options = { acknowledges: false, ...options };
  }

  set acknowledges(on: boolean) {
    this.#options.acknowledges = on;
  }

  conf(rest: string, path = "/services/collector/raw"): string {
    return `splunk://${this.host}${path}?${rest}&header_Authorization=Splunk%20${this.#options.token}`;
  }

  /** Everything that was held is indexed now. */
  release(): void {
    for (const channel of this.#channels.values()) {
      for (const push of channel.values()) if (push.fate === "held") push.fate = "indexed";
    }
    this.fate = "indexed";
  }

  /** Pushes that were taken, without questions. */
  get pushes(): Seen[] {
    return this.taken.filter(({ path }) => path !== "/services/collector/ack");
  }

  protected answer(seen: Seen, isTest: boolean): Reply {
    const { path, query, headers, method } = seen;
    if (method !== "POST") return { status: 405 };
    const isEvent = /^\/services\/collector\/event(\/1\.0)?$/.test(path);
    const isRaw = /^\/services\/collector\/raw(\/1\.0)?$/.test(path);
    const isAck = path === "/services/collector/ack";
    if (!isEvent && !isRaw && !isAck) return { status: 404, body: { text: "The requested URL was not found on this server.", code: 404 } };
    if (query.has("token")) return hec(16);
    const authorization = headers.authorization;
    if (authorization === undefined || authorization === "") return hec(2);
    const token = /^Splunk (\S+)$/.exec(authorization)?.[1];
    if (token === undefined) return hec(3);
    if (token !== this.#options.token) return hec(4);
    if (this.isDisabled) return hec(1);
    const channel = query.get("channel") ?? headers["x-splunk-request-channel"];
    if (channel === undefined || channel === null) {
      if (this.#options.acknowledges) return hec(10);
    } else if (!GUID.test(String(channel))) {
      return hec(11);
    }
    if (seen.body === undefined) return hec(6);
    if (isAck) return this.#acknowledge(String(channel), seen.body);
    if (seen.body.length === 0) return hec(5);
    if (!this.indexes.has(query.get("index") ?? "main")) return hec(7);
    const index = isEvent ? this.#events(seen.body.toString()) : this.#raw(seen.body.toString());
    if (typeof index !== "function") return index;
    const success: Record<string, unknown> = { text: "Success", code: this.successCode };
    if (!this.#options.acknowledges) {
      if (!isTest) index();
      return { status: 200, body: success };
    }
    const id = this.#nextAck++;
    const owed = this.#channels.get(String(channel)) ?? new Map();
    this.#channels.set(String(channel), owed);
    if (!isTest) owed.set(id, { fate: this.fate, index });
    return { status: 200, body: { ...success, ackId: id } };
  }

  #acknowledge(channel: string, body: Buffer): Reply {
    if (!this.#options.acknowledges) return hec(14);
    if (this.ackFault) return this.ackFault;
    let acks: number[];
    try {
      ({ acks } = JSON.parse(body.toString()));
    } catch {
      return hec(6);
    }
    this.questions.push({ channel, acks });
    const owed = this.#channels.get(channel);
    const said: Record<string, boolean> = {};
    for (const id of acks) {
      const push = owed?.get(id);
      said[id] = push?.fate === "indexed";
      // It says so once, and forgets it.
      if (said[id]) {
        push?.index();
        owed?.delete(id);
      }
    }
    return { status: 200, body: { acks: said } };
  }

  #raw(text: string): Reply | (() => void) {
    const lines = text.trimEnd().split("\n");
    return () => {
      for (const line of lines) this.lines.push(line);
    };
  }

  #events(text: string): Reply | (() => void) {
    const events: Event[] = [];
    for (const [number, line] of text.trimEnd().split("\n").entries()) {
      const fault = (code: number): Reply => {
        const { status, body } = hec(code);
        return { status, body: { ...(body as object), "invalid-event-number": number } };
      };
      let event: Event;
      try {
        event = JSON.parse(line);
      } catch {
        return fault(6);
      }
      if (Object.keys(event).some((member) => !MEMBERS.includes(member))) return fault(6);
      if (!("event" in event)) return fault(12);
      if (event.event === "" || event.event === null) return fault(13);
      if (event.fields !== undefined && (typeof event.fields !== "object" || event.fields === null)) return fault(15);
      if (event.time !== undefined && typeof event.time !== "number") return fault(6);
      if (!this.indexes.has(String(event.index ?? "main"))) return fault(7);
      events.push(event);
    }
    return () => {
      for (const event of events) this.events.push(event);
    };
  }
}

/** The answer of a code. */
export function hec(code: number): Reply {
  const [status, text] = HEC_CODES[code] ?? [500, "unknown"];
  return { status, body: { text, code } };
}
