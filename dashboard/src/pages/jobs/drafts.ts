// Changes that are not saved. They outlive a look at another page, and the browser asks before it closes the tab over
// them. They are kept in memory alone, because a destination may hold a credential, and end with the session.

import { sessionState } from "../../session.ts";
import type { Draft } from "./model/job.ts";

const drafts = new Map<string, Draft>();

/** The new job; one that is changed is kept under `{scope}/{id}`. */
export const NEW = "new";

/** The copy of a job, by `{scope}/{id}` of that. */
export const copyKey = (of: string): string => `copy of ${of}`;

export const kept = (key: string): Draft | undefined => drafts.get(key);
export const keptKeys = (): string[] => [...drafts.keys()];

/** Keeps a draft, or, with undefined, forgets it. */
export function keep(key: string, draft: Draft | undefined): void {
  if (draft === undefined) drafts.delete(key);
  else drafts.set(key, draft);
}

window.addEventListener("beforeunload", (event) => {
  if (drafts.size > 0) event.preventDefault();
});

sessionState.subscribe(() => {
  if (sessionState.get().kind === "signed-out") drafts.clear();
});

let message: string | undefined;

/** Says something once, on the list that comes next. */
export const say = (text: string): void => void (message = text);

export function said(): string | undefined {
  const text = message;
  message = undefined;
  return text;
}
