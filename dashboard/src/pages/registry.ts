// The pages. One more is one folder beside this file, and one entry here.

import type { ComponentType } from "preact";
import type { Session } from "../session.ts";

export interface PageProps {
  /** Segments of the address behind the page's own: of `#/jobs/zones/z/7` the page `jobs` gets ["zones", "z", "7"]. */
  path: readonly string[];
  query: URLSearchParams;
  /** Show what changes something only where `access` is "write". */
  session: Session;
}

export interface Page {
  /** First segment of its address; the overview has none. */
  name: string;
  /** In the navigation, and in the window's title. */
  title: string;
  /** Loaded when somebody goes there. Its component draws `<Heading>` first, which takes the focus. */
  load(): Promise<{ default: ComponentType<PageProps> }>;
}

export const PAGES: readonly Page[] = [
  { name: "", title: "Overview", load: () => import("./overview/index.tsx") },
  { name: "jobs", title: "Jobs", load: () => import("./jobs/index.tsx") },
  { name: "dead-letters", title: "Dead letters", load: () => import("./dead-letters/index.tsx") },
  { name: "tail", title: "Live tail", load: () => import("./tail/index.tsx") },
];
