import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { textOf } from "../../api.ts";
import { duration } from "../../format.ts";
import { useLoad } from "../../load.ts";
import { href } from "../../router.ts";
import { Badge, Button, Bytes, Confirm, Count, Empty, Heading, LinkButton, LoadError, Notice, Spinner, Table, Time } from "../../ui/index.ts";
import { changeJob, deleteJob, readJobs, type ListedJob } from "./data.ts";
import { copyKey, keep, keptKeys, NEW, said } from "./drafts.ts";
import { kindOf, parseDestination } from "./model/destination.ts";
import { inPlainWords } from "./model/plain-words.ts";
import { jobName, STATES, statusInWords } from "../../words.ts";

/** How long the list may be old. */
const REFRESH_SECONDS = 15;

export function JobList({ canWrite }: { canWrite: boolean }): JSX.Element {
  const { value, error, reload } = useLoad("jobs", readJobs, { everySeconds: REFRESH_SECONDS });
  const [flash] = useState(said);
  const [doomed, setDoomed] = useState<ListedJob>();
  const [busy, setBusy] = useState<number>();
  const [failed, setFailed] = useState<string>();
  const isUnfinished = keptKeys().includes(NEW);

  const toggle = async (job: ListedJob) => {
    setBusy(job.id);
    setFailed(undefined);
    try {
      await changeJob(job.scope, job.id, { enabled: !job.enabled });
      reload();
    } catch (e) {
      setFailed(`${jobName(job)} was not changed: ${textOf(e)}`);
    } finally {
      setBusy(undefined);
    }
  };
  const address = ({ scope, id }: ListedJob) => href(["jobs", ...scope.split("/"), id]);

  const copyWord = ({ scope, id }: ListedJob) => (keptKeys().includes(copyKey(`${scope}/${id}`)) ? "Continue the copy of" : "Duplicate");

  return (
    <>
      <div class="bar">
        <Heading>Jobs</Heading>
        {canWrite && <div class="push"><LinkButton kind="primary" href={href(["jobs", "new"])}>{isUnfinished ? "Continue the new job" : "New job"}</LinkButton></div>}
      </div>
      {flash !== undefined && <Notice kind="good" isLive><p>{flash}</p></Notice>}
      {failed !== undefined && <Notice kind="error" isLive><p>{failed}</p></Notice>}
      {error !== undefined && <LoadError what="The list of jobs" error={error} retry={reload} />}
      {value === undefined && error === undefined && <Spinner text="Reading jobs …" />}
      {value !== undefined && value.jobs.length === 0 && (
        <Empty title="There is no job yet">
          <p>A job says which records of a dataset go where. What comes in is archived without one as well.</p>
          {canWrite ? <p><LinkButton kind="primary" href={href(["jobs", "new"])}>Make the first one</LinkButton></p> : <p>To make one, sign in with <code>API_TOKEN</code>.</p>}
        </Empty>
      )}
      {value !== undefined && value.jobs.length > 0 && (
        <Table
          caption="Jobs of all zones and accounts" rows={value.jobs} rowKey={({ id }) => id}
          columns={[
            {
              title: "Job", isHeading: true,
              cell: (job) => (
                <>
                  <a href={address(job)}>{jobName(job)}</a>
                  {keptKeys().includes(`${job.scope}/${job.id}`) && <> <Badge kind="warning">not saved</Badge></>}
                  <div class="faint job-place">{job.dataset} of {job.scope.replace("/", " ").replace(/^(zone|account)s/, "$1")}</div>
                </>
              ),
            },
            { title: "Goes to", cell: (job) => <Where text={job.destination} /> },
            { title: "State", cell: (job) => <State job={job} /> },
            { title: "Last 24 h", isNumber: true, cell: ({ rates }) => <><Count value={rates["24h"]?.records ?? 0} /> records<div class="faint"><Bytes value={rates["24h"]?.bytes ?? 0} /></div></> },
            ...(canWrite ? [{
              title: <span class="unseen">Actions</span>,
              cell: (job: ListedJob) => (
                <div class="job-actions">
                  <Button isBusy={busy === job.id} onClick={() => void toggle(job)} label={`${job.enabled ? "Disable" : "Enable"} ${jobName(job)}`}>{job.enabled ? "Disable" : "Enable"}</Button>
                  <LinkButton href={href(["jobs", "new"], { from: `${job.scope}/${job.id}` })} label={`${copyWord(job)} ${jobName(job)}`}>{copyWord(job).replace(" of", "")}</LinkButton>
                  <Button kind="danger" onClick={() => setDoomed(job)} label={`Delete ${jobName(job)}`}>Delete</Button>
                </div>
              ),
            }] : []),
          ]}
        />
      )}
      {doomed !== undefined && (
        <Confirm
          title={`Delete ${jobName(doomed)}?`} action="Delete" isDanger
          work={async () => {
            await deleteJob(doomed.scope, doomed.id);
            keep(`${doomed.scope}/${doomed.id}`, undefined);
          }}
          onClose={(isDone) => {
            setDoomed(undefined);
            if (isDone) reload();
          }}
        >
          <p>
            Nothing more is selected for it.
            {doomed.waiting.records + doomed.parked.records + doomed.dead.records > 0
              ? <> <Count value={doomed.waiting.records + doomed.parked.records} /> records that wait for the destination and <Count value={doomed.dead.records} /> in dead letters are discarded, and counted as such.</>
              : " No record waits for its destination."}
          </p>
          <p>What was received stays in the archive. This can not be taken back; disabling can.</p>
        </Confirm>
      )}
    </>
  );
}

function State({ job }: { job: ListedJob }): JSX.Element {
  const { kind, text, means } = STATES[job.state] ?? { kind: "quiet", text: job.state, means: undefined };
  const { status } = job.last_failure;
  const isInTrouble = kind === "error" || kind === "warning";
  const words = (status === null ? undefined : statusInWords(status)) ?? (job.error_message === null ? undefined : inPlainWords(job.error_message));
  return (
    <>
      <span title={means}><Badge kind={kind}>{text}</Badge></span>
      {job.lag_seconds !== null && job.lag_seconds > 60 && <span class="faint"> waits for {duration(job.lag_seconds)}</span>}
      {(isInTrouble || job.error_message !== null) && (
        <div class="job-trouble">
          {isInTrouble && <p>{means}</p>}
          {job.error_message !== null && words !== undefined && <p>{words}</p>}
          {job.error_message !== null && <p class="faint">{job.error_message} <Time at={job.last_failure.at} isAgo empty="" /></p>}
        </div>
      )}
    </>
  );
}

/** Kind and host of a destination; the rest may be long. */
function Where({ text }: { text: string | undefined }): JSX.Element {
  const read = text === undefined ? undefined : parseDestination(text);
  if (read === undefined) return <span class="faint">unknown</span>;
  const host = read.scheme === "sumo" ? "" : (read.front.split("/")[0] ?? "");
  return <>{kindOf(read.scheme)?.title}<div class="faint job-place">{host}</div></>;
}
