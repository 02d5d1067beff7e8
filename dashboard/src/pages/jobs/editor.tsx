import type { ComponentChildren, JSX } from "preact";
import { useCallback, useEffect, useId, useMemo, useRef, useState } from "preact/hooks";
import { textOf } from "../../api.ts";
import { useLoad, useWork } from "../../load.ts";
import { go, href } from "../../router.ts";
import { Badge, Button, CheckField, Confirm, Heading, LinkButton, LoadError, Notice, SelectField, Spinner, TextField } from "../../ui/index.ts";
import { changeJob, createJob, deleteJob, isScope, readDatasetFields, readDatasets, readJob, readJobs } from "./data.ts";
import { DestinationForm } from "./destination-form.tsx";
import { copyKey, keep, kept, NEW, say } from "./drafts.ts";
import { FilterEditor } from "./filter-editor.tsx";
import { changes, copyOf, creation, draftOf, isChanged, limitFaults, LIMITS, newDraft, placeOf, type Draft } from "./model/job.ts";
import { destinationFaults, parseDestination } from "./model/destination.ts";
import { outputFaults } from "./model/output.ts";
import { inPlainWords } from "./model/plain-words.ts";
import { OutputForm } from "./output-form.tsx";
import { PreviewPanel } from "./preview-panel.tsx";

interface Props {
  canWrite: boolean;
  /** Of the job that is edited; a new one has neither. */
  scope?: string;
  id?: string;
  /** `{scope}/{id}` of the job that a new one is a copy of; "". */
  from?: string;
}

/** Reads what the form begins with. */
export function Editor({ canWrite, scope, id, from = "" }: Props): JSX.Element {
  const isNew = id === undefined;
  const key = !isNew ? `${scope}/${id}` : from === "" ? NEW : copyKey(from);
  const { value, error, reload } = useLoad(`draft ${key} ${from}`, async (signal) => {
    if (!isNew) return draftOf(scope ?? "", await readJob(scope ?? "", id, signal));
    const [, source, number] = /^(.+)\/(\d+)$/.exec(from) ?? [];
    if (source !== undefined && number !== undefined && isScope(source)) return copyOf(draftOf(source, await readJob(source, number, signal)));
    const { scopes } = await readJobs(signal);
    return newDraft(scopes[0] ?? "zones/", "http_requests");
  });
  const title = isNew ? "New job" : value?.name || `Job ${id}`;
  return (
    <>
      <p><a href={href(["jobs"])}>All jobs</a></p>
      <Heading>{title}</Heading>
      {error !== undefined && <LoadError what="The job" error={error} retry={reload} />}
      {value === undefined && error === undefined && <Spinner text="Reading the job …" />}
      {isNew && !canWrite && <Notice kind="info"><p>To make a job, sign in with <code>API_TOKEN</code>.</p></Notice>}
      {value !== undefined && (!isNew || canWrite) && <Form draftKey={key} begin={value} id={id} canWrite={canWrite} />}
    </>
  );
}

function Form({ draftKey, begin, id, canWrite }: { draftKey: string; begin: Draft; id: string | undefined; canWrite: boolean }): JSX.Element {
  const isNew = id === undefined;
  const [draft, setDraft] = useState(() => kept(draftKey) ?? begin);
  const [isRestored, setRestored] = useState(() => kept(draftKey) !== undefined);
  const [version, setVersion] = useState(0);
  const [filterFault, setFilterFault] = useState<string>();
  const [refused, setRefused] = useState<Record<string, string>>({});
  const [previewFault, setPreviewFault] = useState<{ member?: string | undefined; text?: string | undefined }>({});
  const [isStrict, setStrict] = useState(false);
  const [isDeleting, setDeleting] = useState(false);
  const { isBusy, run } = useWork();
  const alert = useRef<HTMLDivElement>(null);
  const canSave = canWrite && (isNew || isChanged(begin, draft));

  const edit = useCallback((change: Partial<Draft>) => {
    setDraft((old) => ({ ...old, ...change }));
    // What was said of a member is about what stood there before.
    setRefused((old) => Object.fromEntries(Object.entries(old).filter(([member]) => member !== "" && !(member in change))));
  }, []);
  useEffect(() => {
    if (canWrite) keep(draftKey, isChanged(begin, draft) ? draft : undefined);
  }, [draft]);

  const { scope, dataset } = draft;
  const isScoped = isScope(scope);
  const datasets = useLoad(isScoped ? `datasets ${scope}` : "", async (signal) => (isScoped ? await readDatasets(scope, signal) : []));
  const isKnown = datasets.value?.some((one) => one.dataset === dataset && one.known) ?? false;
  const fields = useLoad(isKnown ? `fields ${scope} ${dataset}` : "", async (signal) => (isKnown ? await readDatasetFields(scope, dataset, signal) : undefined));

  const problems = useMemo(() => {
    const read = parseDestination(draft.destination_conf);
    return [
      !isScoped && "Zone or account: enter its id, of letters, digits, _ and -.",
      dataset === "" && "Dataset: choose one.",
      read === undefined ? draft.destination_conf.trim() === "" && "Destination: say where the records are to go." : named("Destination", [...destinationFaults(read).values()][0]),
      named("Filter", filterFault),
      named("Output options", [...outputFaults(draft.output_options).values()][0]),
      named("Limits", [...limitFaults(draft).values()][0]),
    ].filter((one): one is string => typeof one === "string");
  }, [draft, filterFault, isScoped]);

  const save = () => {
    setStrict(true);
    setRefused({});
    if (problems.length > 0) return void setTimeout(() => alert.current?.focus());
    void run(async () => {
      try {
        const job = isNew ? await createJob(scope, creation(draft)) : await changeJob(scope, id, changes(begin, draft));
        keep(draftKey, undefined);
        say(isNew ? `${job.name || `Job ${job.id}`} is made${job.enabled ? ". What comes in from now on is sent." : ", and not enabled yet."}` : `${job.name || `Job ${job.id}`} is saved.`);
        go(href(["jobs"]));
      } catch (error) {
        const { member, text } = placeOf(textOf(error));
        setRefused({ [member ?? ""]: text });
        setTimeout(() => alert.current?.focus());
      }
    });
  };
  const discard = () => {
    keep(draftKey, undefined);
    setDraft(begin);
    setRestored(false);
    setRefused({});
    setStrict(false);
    setVersion(version + 1);
  };
  const blocked = !isScoped ? "Enter the zone or account first." : dataset === "" ? "Choose a dataset first." : filterFault !== undefined ? `Finish the filter to see what it selects: ${filterFault}` : undefined;
  const said = (member: string) => refused[member] ?? (previewFault.member === member ? previewFault.text : undefined);

  return (
    <form class="job-form" onSubmit={(event) => { event.preventDefault(); save(); }} noValidate>
      <div class="job-main">
        {!canWrite && <Notice kind="info"><p>You can look at everything here. To change something, sign in with <code>API_TOKEN</code>.</p></Notice>}
        {isRestored && (
          <Notice kind="warning" title="These changes were not saved yet" isLive>
            <p>You were here before. <Button onClick={discard}>Discard them</Button></p>
          </Notice>
        )}
        <fieldset class="job-fields" disabled={!canWrite}>
          <Section title="Job">
            <TextField label="Name" value={draft.name} onInput={(name) => edit({ name })} hint="For people; may stay empty." error={refused["name"]} />
            {isNew ? <ScopeFields scope={scope} onChange={(to) => edit({ scope: to })} isStrict={isStrict} /> : <p>{scope.startsWith("zones/") ? "Zone" : "Account"} <code>{scope.split("/")[1]}</code>, dataset <code>{dataset}</code>. These can not change; duplicate the job for another one.</p>}
            {isNew && <DatasetField dataset={dataset} listed={datasets.value ?? []} onChange={(to) => edit({ dataset: to })} error={refused["dataset"]} />}
            <CheckField label="Enabled" hint="A job that is not enabled selects nothing." isChecked={draft.enabled} onChange={(enabled) => edit({ enabled })} />
          </Section>
          <Section title="Destination">
            <DestinationForm scope={isScoped ? scope : "zones/-"} conf={draft.destination_conf} onChange={(destination_conf) => edit({ destination_conf })} error={refused["destination_conf"]} isStrict={isStrict} canWrite={canWrite} />
          </Section>
          <Section title="Filter">
            <FilterEditor
              key={version} scope={isScoped ? scope : ""} dataset={dataset} filter={draft.filter} fields={fields.value} error={said("filter")}
              onChange={(filter, fault) => { setFilterFault(fault); setDraft((old) => (old.filter === filter ? old : sameFilter(old, begin, filter))); }}
            />
          </Section>
          <Section title="Output">
            <OutputForm
              key={version} fields={fields.value} options={draft.output_options} onChange={(output_options) => edit({ output_options })} logpull={draft.logpull_options}
              onConvert={(output_options) => edit({ output_options, logpull_options: "" })} error={said("output_options") ?? refused["logpull_options"]}
            />
          </Section>
          <Section title="Limits of a push">
            <p class="hint">Empty leaves it to the destination. Nothing waits unless you say so: what is there is pushed.</p>
            <div class="job-grid">
              {LIMITS.map(({ name, label, min, max }) => (
                <TextField
                  key={name} label={label} value={draft[name]} onInput={(text) => edit({ [name]: text })} placeholder="not set"
                  hint={`${min.toLocaleString("en")} to ${max.toLocaleString("en")}`} error={refused[name] ?? limitFaults(draft).get(name)}
                />
              ))}
            </div>
          </Section>
        </fieldset>
        {canWrite && (
          <div class="job-save">
            <div ref={alert} tabIndex={-1} role="alert">
              {isStrict && problems.length > 0 && <Notice kind="error" title="Before it can be saved"><ul>{problems.map((text) => <li key={text}>{text}</li>)}</ul></Notice>}
              {Object.entries(refused).map(([member, text]) => (
                <Notice key={member} kind="error" title={member === "" ? "The job was not saved" : `The job was not saved because of its ${PLACES[member] ?? member}`}>
                  <p>{(member === "destination_conf" ? inPlainWords(text) : undefined) ?? text}</p>
                </Notice>
              ))}
            </div>
            <div class="bar">
              <Button type="submit" kind="primary" isBusy={isBusy} disabledBecause={canSave ? undefined : "Nothing is changed."}>{isNew ? "Create job" : "Save changes"}</Button>
              {isChanged(begin, draft) && <Button onClick={discard}>Discard changes</Button>}
              {isChanged(begin, draft) && <Badge kind="warning">not saved</Badge>}
              {!isNew && (
                <span class="bar push">
                  <LinkButton href={href(["jobs", "new"], { from: `${scope}/${id}` })}>Duplicate</LinkButton>
                  <Button kind="danger" onClick={() => setDeleting(true)}>Delete</Button>
                </span>
              )}
            </div>
          </div>
        )}
      </div>
      <PreviewPanel
        scope={scope} dataset={dataset} filter={draft.filter} output_options={draft.output_options} logpull_options={draft.logpull_options} blocked={blocked}
        onFault={(member, text) => setPreviewFault({ member, text })}
      />
      {isDeleting && (
        <Confirm
          title="Delete this job?" action="Delete" isDanger
          work={async () => {
            await deleteJob(scope, id ?? "");
            keep(draftKey, undefined);
            say("The job is deleted.");
          }}
          onClose={(isDone) => {
            setDeleting(false);
            if (isDone) go(href(["jobs"]));
          }}
        >
          <p>Nothing more is selected for it. What waits for its destination is discarded, and counted as such. What was received stays in the archive.</p>
        </Confirm>
      )}
    </form>
  );
}

/** A filter that says the same as the stored one is no change, however that one is written. */
function sameFilter(old: Draft, begin: Draft, filter: string): Draft {
  const isStored = squeezed(begin.filter) === filter;
  return { ...old, filter: isStored ? begin.filter : filter };
}

/** JSON without its spaces, as the form prints it. */
function squeezed(text: string): string {
  try {
    return text.trim() === "" ? "" : JSON.stringify(JSON.parse(text));
  } catch {
    return text;
  }
}

const PLACES: Readonly<Record<string, string>> = { destination_conf: "destination", filter: "filter", output_options: "output options", logpull_options: "logpull_options", name: "name", dataset: "dataset" };

const named = (place: string, fault: string | undefined): string | undefined => (fault === undefined ? undefined : `${place}: ${fault}`);

function Section({ title, children }: { title: string; children: ComponentChildren }): JSX.Element {
  const id = useId();
  return <section class="card" aria-labelledby={id}><h2 id={id}>{title}</h2>{children}</section>;
}

function ScopeFields({ scope, onChange, isStrict }: { scope: string; onChange: (scope: string) => void; isStrict: boolean }): JSX.Element {
  const [kind = "zones", id = ""] = scope.split("/");
  return (
    <div class="job-grid">
      <SelectField label="Scope" value={kind} onChange={(to) => onChange(`${to}/${id}`)} options={[{ value: "zones", text: "Zone" }, { value: "accounts", text: "Account" }]} />
      <TextField
        label={kind === "zones" ? "Zone id" : "Account id"} isCode value={id} onInput={(to) => onChange(`${kind}/${to.trim()}`)} hint="As in the address that Logpush pushes to."
        error={(isStrict || id !== "") && !isScope(scope) ? "1 to 64 letters, digits, _ and -." : undefined}
      />
    </div>
  );
}

function DatasetField({ dataset, listed, onChange, error }: { dataset: string; listed: readonly { dataset: string; known: boolean; arrived: boolean }[]; onChange: (dataset: string) => void; error: string | undefined }): JSX.Element {
  const list = useId();
  const found = listed.find((one) => one.dataset === dataset);
  const come = listed.filter(({ arrived }) => arrived).map((one) => one.dataset);
  return (
    <>
      <TextField
        label="Dataset" isCode value={dataset} onInput={(text) => onChange(text.trim())} list={list} error={error}
        hint={<>
          {come.length > 0 ? <>Has come in here: {come.join(", ")}.</> : "Nothing has come in here yet."}
          {dataset !== "" && found === undefined && listed.length > 0 && " The catalogue does not have this one here: any field is taken."}
        </>}
      />
      <datalist id={list}>{listed.map((one) => <option key={one.dataset} value={one.dataset}>{one.arrived ? "has come in" : ""}</option>)}</datalist>
    </>
  );
}
