import type { JSX } from "preact";
import { duration } from "../../format.ts";
import { href } from "../../router.ts";
import type { JobStats } from "../../stats.ts";
import { Badge, Bytes, Count, LinkButton, Table, Time } from "../../ui/index.ts";
import { jobName, STATES, statusInWords, statusName } from "../../words.ts";

interface Props {
  jobs: readonly JobStats[];
  /** Attempts of each job by status; undefined when they were not read. */
  attempts: Map<number, Map<number, number>> | undefined;
}

export function Outgoing({ jobs, attempts }: Props): JSX.Element {
  // A deleted job is told of as long as it has something in this time.
  const shown = jobs.filter((job) => !job.deleted || job.selected.records > 0);
  if (shown.length === 0) {
    return (
      <>
        <p>There is no job, so nothing is sent anywhere. Every batch is kept in the archive.</p>
        <p><LinkButton href={href(["jobs"])}>To the jobs</LinkButton></p>
      </>
    );
  }
  return (
    <Table
      caption="What goes out, by job" rows={shown} rowKey={({ id }) => id}
      columns={[
        { title: "Job", isHeading: true, cell: (job) => (job.deleted ? jobName(job) : <a href={href(["jobs", ...job.scope.split("/"), job.id])}>{jobName(job)}</a>) },
        { title: "Dataset", cell: ({ dataset }) => dataset },
        { title: "State", cell: ({ state }) => <span title={STATES[state].means}><Badge kind={STATES[state].kind}>{STATES[state].text}</Badge></span> },
        { title: "Pushes", cell: ({ id }) => <Pushes byStatus={attempts?.get(id)} /> },
        { title: "Selected", isNumber: true, cell: ({ selected }) => <Count value={selected.records} /> },
        { title: "Delivered", isNumber: true, cell: ({ delivered }) => <Count value={delivered.records} /> },
        { title: "Waiting", isNumber: true, cell: (job) => <Backlog job={job} /> },
        { title: "Lag", isNumber: true, cell: ({ lag_seconds }) => (lag_seconds === null ? "–" : duration(lag_seconds)) },
        { title: "Dead", isNumber: true, cell: (job) => <Dead job={job} /> },
        { title: "Last success", cell: ({ last_success }) => <Time at={last_success} isAgo /> },
        { title: "Last error", cell: (job) => <LastError job={job} /> },
      ]}
    />
  );
}

function Dead({ job }: { job: JobStats }): JSX.Element {
  const count = <Count value={job.dead.records} />;
  if (job.dead.records === 0 || job.deleted) return count;
  return <a href={href(["dead-letters"], { job: `${job.scope}/${job.id}` })}>{count}<span class="unseen"> dead letters of {jobName(job)}</span></a>;
}

function Pushes({ byStatus }: { byStatus: Map<number, number> | undefined }): JSX.Element {
  if (byStatus === undefined) return <span class="faint">none</span>;
  const sorted = [...byStatus].sort(([a], [b]) => a - b);
  return <ul class="plain">{sorted.map(([status, attempts]) => <li key={status}><Count value={attempts} /> {statusName(status)}</li>)}</ul>;
}

/** What waits, parked or not: records, and their bytes. */
function Backlog({ job }: { job: JobStats }): JSX.Element {
  const records = job.waiting.records + job.parked.records;
  if (records === 0) return <>{job.owed.batches > 0 ? `${job.owed.batches} batches owed` : "0"}</>;
  return <><Count value={records} /><span class="below faint"><Bytes value={job.waiting.bytes + job.parked.bytes} /></span></>;
}

function LastError({ job }: { job: JobStats }): JSX.Element {
  const { error_message: message, last_error: at, last_failure: failure } = job;
  if (message === null) return failure.at === null ? <>–</> : <span class="faint">mended; it was {failure.status}, <Time at={failure.at} isAgo /></span>;
  const words = failure.status === null ? undefined : statusInWords(failure.status);
  return (
    <div class="error-text">
      {words !== undefined && <p>{words}</p>}
      <p class="faint"><Time at={at} isAgo />: {message}</p>
    </div>
  );
}
