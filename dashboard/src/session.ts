// Who is signed in. The token lives in this tab's sessionStorage and nowhere else: it never gets into an address, a
// cookie, the document or localStorage, and it is gone with the tab.

import { store } from "./store.ts";

export interface Session {
  /** What the token may do; a read token sees all but credentials, and changes nothing. */
  access: "read" | "write";
  /** False when something in front of the Worker has signed the reader in (Cloudflare Access): there is no token to forget. */
  hasToken: boolean;
}

export type SessionState =
  | { kind: "starting" }
  | { kind: "signed-out"; notice?: string }
  | { kind: "signed-in"; session: Session };

const KEY = "logpush-edge-token";

export const sessionState = store<SessionState>({ kind: "starting" });

/** The token of this tab; null without one. */
export const token = (): string | null => window.sessionStorage.getItem(KEY);

export function beginSession(session: Session, bearer: string | null): void {
  if (bearer === null) window.sessionStorage.removeItem(KEY);
  else window.sessionStorage.setItem(KEY, bearer);
  sessionState.set({ kind: "signed-in", session });
}

/** Forgets the token. */
export function endSession(notice?: string): void {
  window.sessionStorage.removeItem(KEY);
  sessionState.set(notice === undefined ? { kind: "signed-out" } : { kind: "signed-out", notice });
}
