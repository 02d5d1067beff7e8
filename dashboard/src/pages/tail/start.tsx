import type { JSX } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { useLoad, useWork } from "../../load.ts";
import { Button, Confirm, Notice, Table, TextField, Time } from "../../ui/index.ts";
import { isScope, readDatasetFields, readDatasets, readJobs } from "../jobs/data.ts";
import { FieldPicker } from "../jobs/field-picker.tsx";
import { FilterEditor } from "../jobs/filter-editor.tsx";
import { endSession, listSessions, openSession, type Session } from "./session.ts";

/** Seconds between two looks at the sessions that are open. */
const EVERY_SECONDS = 15;

interface StartProps {
  query: URLSearchParams;
  /** Why no more can be watched. */
  full: string | undefined;
  /** Ids of the sessions that are watched here. */
  watched: readonly string[];
  onWatch: (scope: string, session: Session) => void;
}

/** What to watch. */
export function Start({ query, full, watched, onWatch }: StartProps): JSX.Element {
  const [scope, setScope] = useState(query.get("scope"));
  const [dataset, setDataset] = useState(query.get("dataset") ?? "http_requests");
  const [fields, setFields] = useState<readonly string[]>();
  const [filter, setFilter] = useState("");
  const [fault, setFault] = useState<string>();
  const [sample, setSample] = useState("1");
  const [isStrict, setStrict] = useState(false);
  const { isBusy, error, run } = useWork();
  const lists = useId();

  const scopes = useLoad("scopes", async (signal) => (await readJobs(signal)).scopes);
  const at = (scope ?? scopes.value?.[0] ?? "").trim();
  const isScoped = isScope(at);
  const datasets = useLoad(isScoped ? `datasets ${at}` : "", async (signal) => (isScoped ? await readDatasets(at, signal) : []));
  const isKnown = datasets.value?.some((one) => one.dataset === dataset && one.known) ?? false;
  const known = useLoad(isKnown ? `fields ${at} ${dataset}` : "", async (signal) => (isKnown ? await readDatasetFields(at, dataset, signal) : undefined));
  const every = Number(sample);
  const faults = {
    scope: isScoped ? undefined : "Enter zones/ or accounts/ and an id.",
    dataset: /^[A-Za-z0-9_-]{1,256}$/.test(dataset) ? undefined : "Enter the name of a dataset.",
    sample: Number.isInteger(every) && every >= 1 ? undefined : "Enter a whole number from 1 on.",
  };
  const submit = (event: Event) => {
    event.preventDefault();
    setStrict(true);
    if (full !== undefined || fault !== undefined || Object.values(faults).some((text) => text !== undefined)) return;
    void run(async () => onWatch(at, await openSession(at, { dataset, fields: (fields ?? []).join(","), filter, sample: every })));
  };
  const arrived = [...(datasets.value ?? [])].sort((a, b) => Number(b.arrived) - Number(a.arrived));

  return (
    <form class="card" onSubmit={submit} noValidate aria-label="What to watch">
      <datalist id={`${lists}-scopes`}>{(scopes.value ?? []).map((one) => <option key={one} value={one} />)}</datalist>
      <datalist id={`${lists}-datasets`}>{arrived.map((one) => <option key={one.dataset} value={one.dataset}>{one.arrived ? "comes in" : ""}</option>)}</datalist>
      <div class="job-grid">
        <TextField label="Zone or account" value={scope ?? scopes.value?.[0] ?? ""} onInput={setScope} list={`${lists}-scopes`} hint="zones/ or accounts/ and its id." error={isStrict ? faults.scope : undefined} />
        <TextField label="Dataset" value={dataset} onInput={(text) => setDataset(text.trim())} list={`${lists}-datasets`} hint="Any that comes in." error={isStrict ? faults.dataset : undefined} />
        <TextField label="One record of" type="number" value={sample} onInput={setSample} hint="1 shows all, 100 every hundredth or so." error={isStrict ? faults.sample : undefined} />
      </div>
      <details>
        <summary>Fields: {fields === undefined ? "all that come" : fields.join(", ")}</summary>
        <FieldPicker fields={known.value} chosen={fields} onChange={setFields} error={undefined} />
      </details>
      <details>
        <summary>Filter: {filter === "" ? "every record" : <code>{filter}</code>}{fault !== undefined && ", not finished"}</summary>
        <FilterEditor scope={isScoped ? at : ""} dataset={dataset} filter="" fields={known.value} onChange={(next, wrong) => { setFilter(next); setFault(wrong); }} error={undefined} />
      </details>
      <div role="alert">
        {error !== undefined && <Notice kind="error"><p>{error}</p></Notice>}
        {isStrict && fault !== undefined && <Notice kind="error"><p>Finish the filter: {fault}</p></Notice>}
      </div>
      <div class="actions"><Button type="submit" kind="primary" isBusy={isBusy} disabledBecause={full}>Watch</Button></div>
      {isScoped && <Sessions scope={at} full={full} watched={watched} onWatch={onWatch} />}
    </form>
  );
}

/** Sessions that others, or this browser, have open: they can be watched by several at once. */
function Sessions({ scope, full, watched, onWatch }: Omit<StartProps, "query"> & { scope: string }): JSX.Element | null {
  const { value, reload } = useLoad(`sessions ${scope}`, async (signal) => await listSessions(scope, signal), { everySeconds: EVERY_SECONDS });
  const [ending, setEnding] = useState<Session>();
  const watchedBefore = useRef(watched.length);
  useEffect(() => {
    if (watchedBefore.current !== watched.length) reload();
    watchedBefore.current = watched.length;
  }, [watched.length]);
  if (value === undefined || value.length === 0) return null;
  return (
    <>
      <Table
        caption={`Open sessions of ${scope}`} showCaption rows={value} rowKey={({ id }) => id}
        columns={[
          { title: "Dataset", cell: ({ dataset }) => dataset, isHeading: true },
          { title: "Shows", cell: ({ fields, filter, sample }) => <span class="reason">{[sample > 1 ? `1 of ${sample}` : "all records", filter, fields].filter(Boolean).join("; ")}</span> },
          { title: "Began", cell: ({ created_at }) => <Time at={created_at} isAgo /> },
          { title: "Ends", cell: ({ ends_at }) => <Time at={ends_at} /> },
          {
            title: <span class="unseen">Actions</span>,
            cell: (session) => (
              <span class="actions">
                {watched.includes(session.session_id)
                  ? <span class="faint">watched here</span>
                  : <Button onClick={() => onWatch(scope, session)} disabledBecause={full}>Watch session {session.id} too</Button>}
                <Button kind="danger" onClick={() => setEnding(session)}>End session {session.id} …</Button>
              </span>
            ),
          },
        ]}
      />
      {ending !== undefined && (
        <Confirm title={`End session ${ending.id}?`} action="End it" isDanger work={async () => await endSession(scope, ending.id)} onClose={() => { setEnding(undefined); reload(); }}>
          <p>Everybody who watches it stops getting records. Nothing is lost: the batches are in the archive.</p>
        </Confirm>
      )}
    </>
  );
}
