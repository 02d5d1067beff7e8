// Where the reader is, in the part of the address behind `#`, which is never sent to a server:
// `#/jobs/zones/023e…/7?tab=filter` is the path ["jobs", "zones", "023e…", "7"] and the query `tab=filter`.

import { store, useStore } from "./store.ts";

export interface Location {
  /** Decoded segments; none on the overview. */
  path: readonly string[];
  query: URLSearchParams;
}

function read(): Location {
  const [path = "", query = ""] = window.location.hash.replace(/^#\/?/, "").split("?", 2);
  return { path: path.split("/").filter(Boolean).map(decoded), query: new URLSearchParams(query) };
}

/** A hand-made address may have a stray `%`. */
function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

const location = store<Location>(read());
window.addEventListener("hashchange", () => location.set(read()));

export const useLocation = (): Location => useStore(location);

/** An address of this page: `href(["jobs", "zones", id], { tab: "filter" })`. Members of `query` that are empty are left out. */
export function href(path: readonly (string | number)[], query: Record<string, string | undefined> = {}): string {
  const given = Object.entries(query).filter((entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== "");
  const text = new URLSearchParams(given).toString();
  return `#/${path.map((segment) => encodeURIComponent(segment)).join("/")}${text === "" ? "" : `?${text}`}`;
}

/** Goes there. With `replace`, the way back does not lead here. */
export function go(to: string, { replace = false } = {}): void {
  if (!replace) window.location.hash = to;
  else {
    window.history.replaceState(null, "", to);
    location.set(read());
  }
}
