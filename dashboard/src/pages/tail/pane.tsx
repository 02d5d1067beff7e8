import { Component, type JSX } from "preact";
import { useEffect, useId, useMemo, useRef, useState } from "preact/hooks";
import { members, shown } from "../../json.ts";
import { useWork } from "../../load.ts";
import { Badge, Button, Count, Notice, TextField } from "../../ui/index.ts";
import { columnsOf, Feed, LOSSES, type Line } from "./feed.ts";
import { RecordDialog } from "./record.tsx";
import { follow, openSession, type LinkState, type Session } from "./session.ts";

/** Rows that are drawn. More come when somebody asks for them, up to what is kept. */
const ROWS = 100;

/** Between two drawings: nobody reads faster, and a slow phone draws a hundred rows in less. */
const DRAW_MILLIS = 100;

/** Characters of a value in the table; the record has all of them. */
const CELL_CHARACTERS = 120;

/** Names that are offered as columns. */
const NAMES_MAX = 300;

export interface Watched {
  key: number;
  scope: string;
  session: Session;
}

interface PaneProps {
  watched: Watched;
  onClose: () => void;
}

/** One session, as it comes. */
export function Pane({ watched, onClose }: PaneProps): JSX.Element {
  const { scope } = watched;
  const [session, setSession] = useState(watched.session);
  const feed = useRef(new Feed()).current;
  const [state, setState] = useState<LinkState>({ kind: "connecting" });
  const [gaps, setGaps] = useState(0);
  const [, draw] = useState(0);
  const [pausedAt, setPausedAt] = useState<number>();
  const [word, setWord] = useState("");
  const [rows, setRows] = useState(ROWS);
  const [chosen, setChosen] = useState<readonly string[]>();
  const [opened, setOpened] = useState<Line>();
  const [said, setSaid] = useState("");
  const link = useRef<ReturnType<typeof follow> | undefined>(undefined);
  const again = useWork();
  const heading = useId();

  useEffect(() => {
    const drawing = drawer(() => draw((n) => n + 1));
    const current = follow(scope, session, {
      onState: (next) => {
        if (next.kind === "waiting") setGaps((n) => n + 1);
        setState(next);
      },
      onMessage: (text) => {
        drawing.soon();
        return feed.take(text, performance.now());
      },
    });
    link.current = current;
    // The rate falls while nothing comes.
    const tick = window.setInterval(drawing.soon, 1_000);
    return () => {
      window.clearInterval(tick);
      drawing.stop();
      current.close();
    };
  }, [session.session_id]);

  const lines = feed.newest(rows, word, pausedAt);
  const first = lines[0] ?? feed.newest(1, "")[0];
  const natural = useMemo(() => columnsOf(first === undefined ? undefined : members(first.text)), [first === undefined]);
  const columns = chosen ?? (session.fields === "" ? natural : session.fields.split(","));
  const isPaused = pausedAt !== undefined;
  const waiting = isPaused ? feed.received - pausedAt : 0;

  const restart = () => void again.run(async () => {
    setSession(await openSession(scope, { dataset: session.dataset, fields: session.fields, filter: session.filter, sample: session.sample }));
  });
  const copyShown = async () => {
    try {
      await navigator.clipboard.writeText(lines.map(({ text }) => `${text}\n`).join(""));
      setSaid(`${lines.length} records copied.`);
    } catch {
      setSaid("The browser does not let this page copy.");
    }
  };

  return (
    <section class="card tail-pane" aria-labelledby={heading}>
      <div class="bar">
        <h2 id={heading}>{session.dataset} <span class="faint">{scope}</span></h2>
        <span role="status"><State state={state} isPaused={isPaused} /></span>
        <span class="push actions">
          <Button pressed={isPaused} onClick={() => { setPausedAt(isPaused ? undefined : feed.received); setRows(ROWS); }}>{isPaused ? `Go on (${waiting.toLocaleString("en")} new)` : "Pause"}</Button>
          <Button onClick={() => { feed.clear(); setPausedAt(undefined); draw((n) => n + 1); }}>Clear</Button>
          <Button onClick={() => void copyShown()} disabledBecause={lines.length === 0 ? "There is nothing to copy." : undefined}>Copy what is shown</Button>
          <Button onClick={onClose} label={`Close ${session.dataset} of ${scope}`}>Close</Button>
        </span>
      </div>
      <p class="faint">
        <Count value={feed.received} /> record{feed.received === 1 ? "" : "s"}, {rateText(feed.rate(performance.now()))} a second
        {session.sample > 1 && <>; 1 of {session.sample.toLocaleString("en")} is shown</>}
        {session.filter !== "" && <>; filter <code>{session.filter}</code></>}
        {gaps > 0 && <>; interrupted {gaps === 1 ? "once" : `${gaps} times`}, and what came meanwhile is not here</>}
        . <span role="status">{said}</span>
      </p>
      {feed.lost > 0 && (
        <Notice kind="warning">
          <p>{feed.lost.toLocaleString("en")} records are not shown: {[...feed.losses].map(([why, records]) => `${records.toLocaleString("en")} because ${LOSSES[why] ?? why}`).join(", ")}. They are in the archive and go to their jobs all the same. A filter or a sample shows fewer.</p>
        </Notice>
      )}
      {state.kind === "waiting" && <Notice kind="warning" isLive><p>{state.why} The next attempt comes in {state.seconds} s. <Button onClick={() => link.current?.retry()}>Try now</Button></p></Notice>}
      {state.kind === "ended" && (
        <Notice kind="info" isLive>
          <p>{state.why} <Button isBusy={again.isBusy} onClick={restart}>Watch again</Button></p>
          {again.error !== undefined && <p>{again.error}</p>}
        </Notice>
      )}
      <div class="bar">
        <TextField label="Find in what is kept" type="search" value={word} onInput={setWord} />
        <Columns columns={columns} lines={lines} onChange={setChosen} isChosen={chosen !== undefined} />
      </div>
      <Records caption={`Records of ${session.dataset}, newest first`} columns={columns} lines={lines} onOpen={setOpened} empty={feed.kept === 0 ? "Nothing yet. Records come as soon as Logpush brings a batch, which is every few seconds to a few minutes." : "None of what is kept holds that word."} />
      {lines.length === rows && feed.kept > rows && <p><Button onClick={() => setRows(rows + ROWS)}>Show {ROWS} more</Button> <span class="faint">{feed.kept.toLocaleString("en")} are kept.</span></p>}
      {opened !== undefined && <RecordDialog line={opened} dataset={session.dataset} onClose={() => setOpened(undefined)} />}
    </section>
  );
}

/** Draws on the browser's next frame, but not more often than anybody could see. A tab in the background draws nothing. */
function drawer(draw: () => void): { soon: () => void; stop: () => void } {
  let timer: number | undefined;
  let frame: number | undefined;
  let drawnAt = 0;
  const soon = () => {
    if (timer !== undefined || frame !== undefined) return;
    timer = window.setTimeout(() => {
      timer = undefined;
      frame = window.requestAnimationFrame(() => {
        frame = undefined;
        drawnAt = performance.now();
        draw();
      });
    }, Math.max(0, drawnAt + DRAW_MILLIS - performance.now()));
  };
  const stop = () => {
    window.clearTimeout(timer);
    if (frame !== undefined) window.cancelAnimationFrame(frame);
  };
  return { soon, stop };
}

function rateText(rate: number): string {
  return rate === 0 || rate >= 10 ? Math.round(rate).toLocaleString("en") : rate.toFixed(1);
}

function State({ state, isPaused }: { state: LinkState; isPaused: boolean }): JSX.Element {
  if (state.kind === "live") return isPaused ? <Badge kind="quiet">paused</Badge> : <Badge kind="good">live</Badge>;
  if (state.kind === "connecting") return <Badge kind="quiet">connecting</Badge>;
  if (state.kind === "waiting") return <Badge kind="warning">not connected</Badge>;
  return <Badge kind="quiet">ended</Badge>;
}

interface ColumnsProps {
  columns: readonly string[];
  lines: readonly Line[];
  isChosen: boolean;
  onChange: (columns: readonly string[] | undefined) => void;
}

function Columns({ columns, lines, isChosen, onChange }: ColumnsProps): JSX.Element {
  const [isOpen, setOpen] = useState(false);
  const names = isOpen ? [...new Set([...columns, ...(lines[0] === undefined ? [] : (members(lines[0].text)?.keys() ?? []))])].slice(0, NAMES_MAX) : [];
  return (
    <details onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>Columns</summary>
      <ul class="tail-columns" tabIndex={0} aria-label="Columns">
        {names.map((name) => (
          <li key={name}>
            <label>
              <input type="checkbox" checked={columns.includes(name)} onChange={(event) => onChange(event.currentTarget.checked ? [...columns, name] : columns.filter((one) => one !== name))} />
              {" "}<code>{name}</code>
            </label>
          </li>
        ))}
      </ul>
      {isChosen && <Button onClick={() => onChange(undefined)}>As it was</Button>}
    </details>
  );
}

interface RecordsProps {
  caption: string;
  columns: readonly string[];
  lines: readonly Line[];
  onOpen: (line: Line) => void;
  empty: string;
}

function Records({ caption, columns, lines, onOpen, empty }: RecordsProps): JSX.Element {
  return (
    <div class="table tail-records" role="region" aria-label={caption} tabIndex={0}>
      <table>
        <caption class="unseen">{caption}</caption>
        <thead>
          <tr>
            <th scope="col"><span class="unseen">Open</span></th>
            {columns.map((name) => <th key={name} scope="col">{name}</th>)}
          </tr>
        </thead>
        <tbody>
          {lines.length === 0 && <tr><td colSpan={columns.length + 1} class="none">{empty}</td></tr>}
          {lines.map((line) => <Row key={line.number} line={line} columns={columns} onOpen={onOpen} />)}
        </tbody>
      </table>
    </div>
  );
}

interface RowProps {
  line: Line;
  columns: readonly string[];
  onOpen: (line: Line) => void;
}

/** Drawn once: a record does not change. */
class Row extends Component<RowProps> {
  override shouldComponentUpdate({ line, columns }: RowProps): boolean {
    return line !== this.props.line || columns.join() !== this.props.columns.join();
  }

  override render({ line, columns, onOpen }: RowProps): JSX.Element {
    const record = members(line.text);
    return (
      <tr onClick={() => onOpen(line)}>
        <td><Button kind="quiet" label={`Open record ${line.number}`}>⤢</Button></td>
        {columns.map((name) => <td key={name}>{cut(shown(record?.get(name)))}</td>)}
      </tr>
    );
  }
}

const cut = (text: string): string => (text.length > CELL_CHARACTERS ? `${text.slice(0, CELL_CHARACTERS)}…` : text);
