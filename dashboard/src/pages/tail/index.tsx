import type { JSX } from "preact";
import { store, useStore } from "../../store.ts";
import { Heading } from "../../ui/index.ts";
import type { PageProps } from "../registry.ts";
import { Pane, type Watched } from "./pane.tsx";
import type { Session } from "./session.ts";
import { Start } from "./start.tsx";

/** Sessions that one tab watches at once. */
const PANES_MAX = 6;

/** What this tab watches: it is there again when the reader comes back to the page. */
const watching = store<readonly Watched[]>([]);
let opened = 0;

export default function Page({ query }: PageProps): JSX.Element {
  const panes = useStore(watching);
  const watch = (scope: string, session: Session) => {
    const isThere = watching.get().some((one) => one.session.session_id === session.session_id);
    if (!isThere) watching.set([{ key: (opened += 1), scope, session }, ...watching.get()]);
  };
  const full = panes.length >= PANES_MAX ? `${PANES_MAX} are watched here already: close one first.` : undefined;
  return (
    <>
      <Heading>Live tail</Heading>
      <p class="faint">Records as they come in, of any dataset. Ingest never waits for it; nothing is stored for it.</p>
      <Start query={query} full={full} watched={panes.map(({ session }) => session.session_id)} onWatch={watch} />
      {panes.map((watched) => <Pane key={watched.key} watched={watched} onClose={() => watching.set(watching.get().filter((one) => one !== watched))} />)}
    </>
  );
}
