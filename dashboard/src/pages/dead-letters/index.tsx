import type { JSX } from "preact";
import { useMemo, useRef, useState } from "preact/hooks";
import { useLoad } from "../../load.ts";
import { go, href } from "../../router.ts";
import { Badge, Button, Bytes, Count, Empty, Heading, LoadError, Notice, Progress, SelectField, Spinner, Table, TextField, Time, type Column } from "../../ui/index.ts";
import type { PageProps } from "../registry.ts";
import { Lists, type Found, type Outcome, type Reading } from "./calls.ts";
import { Carry, type Wanted } from "./carry.tsx";
import { LetterDialog } from "./letter.tsx";
import { byJob, grouped, holds, jobKey, jobName, kindOf, lettersText, newestFirst, type Group, type Listed } from "./letters.ts";

/** Rows that are shown before more are asked for. */
const ROWS = 100;

/** Seconds between two looks. */
const EVERY_SECONDS = 20;

export default function Page({ path, query, session }: PageProps): JSX.Element {
  const lists = useRef(new Lists());
  const [reading, setReading] = useState<Reading>();
  const { value: found, error, reload } = useLoad("dead-letters", async (signal) => await lists.current.read(signal, setReading), { everySeconds: EVERY_SECONDS });
  const [wanted, setWanted] = useState<Wanted>();
  const [outcome, setOutcome] = useState<{ fate: Wanted["fate"]; outcome: Outcome }>();
  const mayWrite = session.access === "write";
  const [kind, id, job, number] = path;

  const begin = (next: Wanted) => {
    setOutcome(undefined);
    setWanted(next);
  };
  const changed = () => {
    lists.current.forget();
    reload();
  };
  const back = href(["dead-letters"], Object.fromEntries(query));
  const ended = (done: Outcome | undefined) => {
    if (done !== undefined && wanted !== undefined) {
      setOutcome({ fate: wanted.fate, outcome: done });
      if (number !== undefined) go(back, { replace: true });
    }
    setWanted(undefined);
    // Also when it was given up: a part may be done.
    changed();
  };

  return (
    <>
      <Heading>Dead letters</Heading>
      <p class="faint">What a destination refused for what it holds. Each record is kept as it would have been pushed, until somebody sends it again or deletes it.</p>
      {outcome !== undefined && <Done {...outcome} />}
      {error !== undefined && <LoadError what="Dead letters" error={error} retry={reload} />}
      {found === undefined && error === undefined && (reading === undefined || reading.of === 0
        ? <Spinner text="Counting dead letters …" />
        : <Progress label="Reading dead letters" done={reading.done} of={reading.of} text={`job ${reading.done + 1} of ${reading.of}`} />)}
      {found !== undefined && (found.jobs.length === 0 ? <None /> : <Letters found={found} query={query} mayWrite={mayWrite} begin={begin} />)}
      {kind !== undefined && id !== undefined && job !== undefined && number !== undefined && (
        <LetterDialog
          scope={`${kind}/${id}`} job={job} id={number} mayWrite={mayWrite} onClose={() => go(back)}
          onWanted={(fate) => begin({ fate, letters: 1, isAll: false, targets: [{ job: { scope: `${kind}/${id}`, id: Number(job) }, which: { ids: [Number(number)] } }] })}
        />
      )}
      {wanted !== undefined && <Carry wanted={wanted} onClose={ended} />}
    </>
  );
}

function None(): JSX.Element {
  return (
    <Empty title="There are no dead letters">
      <p>No destination refused a record for good. When one does, the record comes here with the reason, everything else goes on, and an alert can tell you.</p>
    </Empty>
  );
}

function Done({ fate, outcome }: { fate: Wanted["fate"]; outcome: Outcome }): JSX.Element {
  const { letters, records, unavailable } = outcome;
  const what = `${lettersText(letters)} with ${records.toLocaleString("en")} record${records === 1 ? "" : "s"}`;
  return (
    <Notice kind={unavailable > 0 ? "warning" : "good"} isLive>
      <p>{fate === "redrive" ? `${what} went to the end of their job's queue. What is refused once more comes back here.` : `${what} deleted. They count as discarded.`}</p>
      {unavailable > 0 && <p>{lettersText(unavailable)} could not be sent: their text is gone from the bucket. They stay here until they are deleted.</p>}
    </Notice>
  );
}

function Letters({ found, query, mayWrite, begin }: { found: Found; query: URLSearchParams; mayWrite: boolean; begin: (wanted: Wanted) => void }): JSX.Element {
  const [text, setText] = useState("");
  const [rows, setRows] = useState(ROWS);
  const chosenJob = found.jobs.some((job) => jobKey(job) === query.get("job")) ? (query.get("job") ?? "") : "";
  const ofJobs = useMemo(() => found.letters.filter(({ job }) => chosenJob === "" || jobKey(job) === chosenJob), [found, chosenJob]);
  const groups = useMemo(() => grouped(ofJobs), [ofJobs]);
  const chosenKind = groups.some((group) => group.kind === query.get("reason")) ? (query.get("reason") ?? "") : "";
  const shown = useMemo(
    () => ofJobs.filter((letter) => (chosenKind === "" || kindOf(letter) === chosenKind) && holds(letter, text)).sort(newestFirst),
    [ofJobs, chosenKind, text],
  );
  const choose = (change: Record<string, string>) => {
    setRows(ROWS);
    go(href(["dead-letters"], { job: chosenJob, reason: chosenKind, ...change }), { replace: true });
  };

  const jobs = found.jobs.filter((job) => chosenJob === "" || jobKey(job) === chosenJob);
  const counted = jobs.reduce((sum, job) => sum + job.letters, 0);
  const isAll = chosenKind === "" && text.trim() === "";
  const unlisted = counted - ofJobs.length;
  const wanted = (fate: Wanted["fate"]): Wanted => ({
    fate,
    isAll,
    letters: isAll ? counted : shown.length,
    targets: isAll ? jobs.map((job) => ({ job, which: { until: found.at } })) : byJob(shown).map(({ job, ids }) => ({ job, which: { ids } })),
  });
  const count = isAll ? counted : shown.length;
  const hasSeveralJobs = found.jobs.length > 1;

  return (
    <>
      <div class="card">
        <div class="bar">
          {hasSeveralJobs && (
            <SelectField
              label="Job" value={chosenJob} onChange={(job) => choose({ job, reason: "" })}
              options={[{ value: "", text: "All jobs" }, ...found.jobs.map((job) => ({ value: jobKey(job), text: `${jobName(job)}: ${job.dataset}, ${job.scope} (${job.letters.toLocaleString("en")})` }))]}
            />
          )}
          <TextField label="Find" type="search" value={text} onInput={(value) => { setText(value); setRows(ROWS); }} placeholder="a word of the reason, a batch's id" />
        </div>
        <Reasons groups={groups} chosen={chosenKind} choose={(reason) => choose({ reason })} hasSeveralJobs={hasSeveralJobs} />
      </div>
      {unlisted > 0 && (
        <Notice kind="info">
          <p>{unlisted.toLocaleString("en")} more are not listed here, because a job has more than 5,000. Without a reason or a word chosen, the buttons concern them as well.</p>
        </Notice>
      )}
      <div class="bar">
        <h2>{lettersText(count)}{isAll ? "" : " chosen"}</h2>
        {mayWrite && count > 0 && (
          <div class="actions push">
            <Button kind="primary" onClick={() => begin(wanted("redrive"))}>{isAll ? "Send all again" : `Send these ${count.toLocaleString("en")} again`}</Button>
            <Button kind="danger" onClick={() => begin(wanted("delete"))}>{isAll ? "Delete all …" : `Delete these ${count.toLocaleString("en")} …`}</Button>
          </div>
        )}
      </div>
      <Rows letters={shown.slice(0, rows)} query={query} hasSeveralJobs={hasSeveralJobs} />
      {shown.length > rows && <p><Button onClick={() => setRows(rows + ROWS)}>Show {Math.min(ROWS, shown.length - rows)} more of {shown.length.toLocaleString("en")}</Button></p>}
    </>
  );
}

function Reasons({ groups, chosen, choose, hasSeveralJobs }: { groups: Group[]; chosen: string; choose: (kind: string) => void; hasSeveralJobs: boolean }): JSX.Element {
  const columns: Column<Group>[] = [
    { title: "Reason", cell: ({ reason }) => <span class="reason">{reason}</span>, isHeading: true },
    ...(hasSeveralJobs ? [{ title: "Jobs", cell: ({ letters }: Group) => byJob(letters).map(({ job }) => jobName(job)).join(", ") }] : []),
    { title: "Dead letters", cell: ({ letters }) => <Count value={letters.length} />, isNumber: true },
    { title: "Records", cell: ({ records }) => <Count value={records} />, isNumber: true },
    { title: "Newest", cell: ({ newest }) => <Time at={newest} isAgo /> },
    {
      title: <span class="unseen">Choose</span>,
      cell: ({ kind, reason }) => (
        <Button pressed={kind === chosen} onClick={() => choose(kind === chosen ? "" : kind)} label={`${kind === chosen ? "Show all" : "Only these"}: ${reason}`}>{kind === chosen ? "Show all" : "Only these"}</Button>
      ),
    },
  ];
  return <Table caption="Dead letters by reason" showCaption columns={columns} rows={groups} rowKey={({ kind }) => kind} />;
}

function Rows({ letters, query, hasSeveralJobs }: { letters: Listed[]; query: URLSearchParams; hasSeveralJobs: boolean }): JSX.Element {
  const address = ({ job, id }: Listed) => href(["dead-letters", ...job.scope.split("/"), job.id, id], Object.fromEntries(query));
  const columns: Column<Listed>[] = [
    { title: "Number", cell: (letter) => <a href={address(letter)} aria-label={`Look into dead letter ${letter.id} of ${jobName(letter.job)}`}>{letter.id}</a>, isHeading: true },
    ...(hasSeveralJobs ? [{ title: "Job", cell: ({ job }: Listed) => <span title={`${job.dataset}, ${job.scope}`}>{jobName(job)}</span> }] : []),
    { title: "Refused", cell: ({ refused_at }) => <Time at={refused_at} isAgo /> },
    { title: "Status", cell: ({ status }) => <Badge kind="error">{status || "none"}</Badge> },
    { title: "Reason", cell: ({ reason }) => <span class="reason">{reason}</span> },
    { title: "Records", cell: ({ records }) => <Count value={records} />, isNumber: true },
    { title: "Size", cell: ({ bytes }) => <Bytes value={bytes} />, isNumber: true },
  ];
  return <Table caption="Dead letters, newest first" columns={columns} rows={letters} rowKey={({ job, id }) => `${jobKey(job)}/${id}`} empty="None that fits." />;
}
