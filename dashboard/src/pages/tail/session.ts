// Sessions of the live tail, and the WebSocket that shows one: docs/tail.md.

import { api, textOf } from "../../api.ts";

export interface Session {
  id: number;
  session_id: string;
  dataset: string;
  /** Names with commas between them; empty for all. */
  fields: string;
  filter: string;
  sample: number;
  destination_conf: string;
  created_at: string;
  ends_at: string;
}

export interface Wanted {
  dataset: string;
  fields: string;
  filter: string;
  sample: number;
}

const path = (scope: string): string => `${scope}/logpush/edge/jobs`;

export const listSessions = async (scope: string, signal?: AbortSignal): Promise<Session[]> => await api<Session[]>(path(scope), { signal });

export const endSession = async (scope: string, id: number): Promise<void> => void (await api(`${path(scope)}/${id}`, { method: "DELETE" }));

/** A session that shows what is wanted: one that is open already, or a new one. A dataset has only a few at once. */
export async function openSession(scope: string, wanted: Wanted): Promise<Session> {
  const open = await listSessions(scope);
  const same = open.find(({ dataset, fields, filter, sample }) =>
    dataset === wanted.dataset && fields === wanted.fields && filter === wanted.filter && sample === wanted.sample);
  return same ?? (await api<Session>(path(scope), { method: "POST", body: { kind: "instant-logs", ...wanted } }));
}

export type LinkState =
  | { kind: "connecting" }
  | { kind: "live" }
  | { kind: "waiting"; why: string; seconds: number }
  | { kind: "ended"; why: string };

/** Close codes after which there is nothing to come back to. */
const ENDS: Readonly<Record<number, string>> = {
  1000: "Somebody ended the session.",
  4001: "The session's time is over: it lasts an hour, or five minutes without anybody watching.",
};

/** Seconds before the next attempt: doubled each time, up to the last one. */
const WAITS = [1, 2, 4, 8, 15, 30];

/** Between two acknowledgements: each is billed as a twentieth of a request. */
const ACK_MILLIS = 100;

/** How often the session's object is asked whether it is there (`ping`, which the runtime answers without waking it). */
const PING_MILLIS = 20_000;

interface Listener {
  onState: (state: LinkState) => void;
  /** Returns what is to be acknowledged. */
  onMessage: (text: string) => number | undefined;
}

/** Keeps a connection to the session until it ends or this is closed. */
export function follow(scope: string, session: Session, { onState, onMessage }: Listener): { close(): void; retry(): void } {
  let socket: WebSocket | undefined;
  let timer: number | undefined;
  let attempts = 0;
  let isClosed = false;

  const connect = () => {
    window.clearTimeout(timer);
    socket?.close();
    onState({ kind: "connecting" });
    let wasOpen = false;
    let isAsked = false;
    const current = new WebSocket(addressOf(session));
    socket = current;
    const acknowledge = acknowledger(current);
    // A connection of which a part is gone looks like one on which nothing comes.
    const pulse = window.setInterval(() => {
      if (current.readyState !== WebSocket.OPEN) return;
      if (!isAsked) {
        isAsked = true;
        return current.send("ping");
      }
      window.clearInterval(pulse);
      current.close();
      void lost(current, 1006, true);
    }, PING_MILLIS);
    current.onopen = () => {
      wasOpen = true;
      attempts = 0;
      onState({ kind: "live" });
    };
    current.onmessage = ({ data }: MessageEvent<unknown>) => {
      isAsked = false;
      const mark = typeof data === "string" ? onMessage(data) : undefined;
      if (mark !== undefined) acknowledge(mark);
    };
    current.onclose = ({ code }) => {
      window.clearInterval(pulse);
      void lost(current, code, wasOpen);
    };
  };

  const lost = async (of: WebSocket, code: number, wasOpen: boolean) => {
    if (isClosed || of !== socket) return;
    socket = undefined;
    const end = ENDS[code];
    if (end !== undefined) return onState({ kind: "ended", why: end });
    // A browser does not tell why it could not connect: the session may be over.
    const why = wasOpen ? "The connection was lost." : await reason(scope, session);
    if (isClosed || socket !== undefined) return;
    if (why === undefined) return onState({ kind: "ended", why: "The session is over." });
    const seconds = WAITS[Math.min(attempts, WAITS.length - 1)] ?? 30;
    attempts += 1;
    onState({ kind: "waiting", why, seconds });
    timer = window.setTimeout(connect, seconds * 1_000);
  };

  connect();
  return {
    close() {
      isClosed = true;
      window.clearTimeout(timer);
      socket?.close(1000);
    },
    retry() {
      attempts = 0;
      connect();
    },
  };
}

/** Acknowledges the newest mark, now or soon. What is not read is not acknowledged, and then the Worker sends no more. */
function acknowledger(socket: WebSocket): (mark: number) => void {
  let newest = 0;
  let sentAt = Number.NEGATIVE_INFINITY;
  let timer: number | undefined;
  const send = () => {
    timer = undefined;
    sentAt = performance.now();
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ ack: newest }));
  };
  return (mark) => {
    newest = mark;
    timer ??= window.setTimeout(send, Math.max(0, sentAt + ACK_MILLIS - performance.now()));
  };
}

/** Why a session can not be connected to; undefined when it is not there any more. */
async function reason(scope: string, session: Session): Promise<string | undefined> {
  try {
    const open = await listSessions(scope);
    return open.some(({ session_id }) => session_id === session.session_id) ? "The session did not let this browser in: it may have as many viewers as it may have." : undefined;
  } catch (error) {
    return textOf(error);
  }
}

/** The session's path at the address that this page has. */
function addressOf(session: Session): string {
  const address = new URL(new URL(session.destination_conf).pathname, window.location.href);
  address.protocol = window.location.protocol === "https:" ? "wss:" : "ws:";
  address.search = "ack=true";
  return address.href;
}
