import type { ComponentChildren, JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { ApiFailure, textOf } from "../../api.ts";
import { digits, percent } from "../../format.ts";
import { Bytes, Choice, Count, Notice, Time } from "../../ui/index.ts";
import { readPreview, type Preview, type Previewed } from "./data.ts";
import { placeOf } from "./model/job.ts";

/** After the last change; a look at a batch is half a second of the Worker's time. */
const PAUSE_MILLIS = 600;

interface Props extends Previewed {
  /** Why there is nothing to look at yet. */
  blocked: string | undefined;
  /** What the Worker says is wrong with the filter or the output options. */
  onFault: (member: string | undefined, text: string | undefined) => void;
}

/** What the job would have made of the newest archived batch, again after every change. */
export function PreviewPanel({ blocked, onFault, ...asked }: Props): JSX.Element {
  const [state, setState] = useState<{ preview?: Preview; error?: string; isBusy: boolean }>({ isBusy: false });
  const key = JSON.stringify([asked.scope, asked.dataset, asked.filter, asked.output_options, asked.logpull_options]);
  useEffect(() => {
    if (blocked !== undefined) {
      setState((old) => ({ ...old, isBusy: false }));
      return;
    }
    const abort = new AbortController();
    setState((old) => ({ ...old, isBusy: true }));
    const timer = window.setTimeout(() => {
      readPreview(asked, abort.signal).then(
        (preview) => {
          setState({ preview, isBusy: false });
          onFault(undefined, undefined);
        },
        (error: unknown) => {
          if (abort.signal.aborted) return;
          const { member, text } = placeOf(textOf(error));
          const isTheirs = error instanceof ApiFailure && error.status === 400 && (member === "filter" || member === "output_options");
          setState((old) => ({ ...old, isBusy: false, error: isTheirs ? undefined : textOf(error) }));
          onFault(isTheirs ? member : undefined, isTheirs ? text : undefined);
        },
      );
    }, PAUSE_MILLIS);
    return () => {
      window.clearTimeout(timer);
      abort.abort();
    };
  }, [key, blocked]);

  const { preview, error, isBusy } = state;
  return (
    <section class="card preview" aria-labelledby="preview-title" aria-busy={isBusy}>
      <div class="bar"><h2 id="preview-title">Preview</h2>{isBusy && <span class="spinner" aria-hidden="true" />}</div>
      <div role="status" class="stack">
        {blocked !== undefined && <p class="faint">{blocked}</p>}
        {error !== undefined && <Notice kind="error"><p>{error}</p></Notice>}
        {blocked === undefined && preview !== undefined && <Summary preview={preview} dataset={asked.dataset} />}
        {blocked === undefined && preview === undefined && isBusy && <p class="faint">Reading the newest batch …</p>}
      </div>
      {preview?.batch !== null && preview !== undefined && <Records preview={preview} />}
    </section>
  );
}

function Summary({ preview, dataset }: { preview: Preview; dataset: string }): JSX.Element {
  const { batch, read, selected, per_day } = preview;
  if (batch === null) {
    return <p>No batch of <code>{dataset}</code> has come in here yet, so there is nothing to try the job on. It can be saved all the same.</p>;
  }
  return (
    <>
      <p class="preview-figure">
        <strong>{digits(selected.records)}</strong> of {digits(read.records)} records
        {read.records > 0 && <span class="faint"> ({percent(selected.records / read.records)})</span>}
      </p>
      <dl class="facts">
        <Fact name="Bytes as pushed"><Bytes value={selected.bytes} /></Fact>
        {per_day !== null && (
          <Fact name="A day, about">
            <Count value={per_day.records} /> records, <Bytes value={per_day.bytes} />
            <div class="hint">This share of the <Count value={per_day.of_records} /> records that came in the last 24 hours. Before compression.</div>
          </Fact>
        )}
        <Fact name="Batch">received <Time at={batch.received_at} isAgo /></Fact>
      </dl>
      {read.stopped_by !== null && <p class="hint">The batch is large ({digits(batch.records)} records): the first {digits(read.records)} were looked at.</p>}
      {read.invalid_lines > 0 && <p class="hint">{digits(read.invalid_lines)} lines are no records.</p>}
    </>
  );
}

const Fact = ({ name, children }: { name: string; children: ComponentChildren }): JSX.Element => <div><dt>{name}</dt><dd>{children}</dd></div>;

function Records({ preview: { selected, not_selected } }: { preview: Preview }): JSX.Element {
  const [shown, setShown] = useState<"selected" | "not">("selected");
  const isSelected = shown === "selected";
  const first = isSelected ? selected.first.length : not_selected.first.length;
  const all = isSelected ? selected.records : not_selected.records;
  return (
    <>
      <Choice
        label="Which records to show" value={shown} onChange={(what) => setShown(what === "not" ? "not" : "selected")}
        options={[{ value: "selected", text: `Selected (${digits(selected.records)})` }, { value: "not", text: `Not selected (${digits(not_selected.records)})` }]}
      />
      {all === 0 && <p class="faint">{isSelected ? "No record of this batch is selected." : "Every record of this batch is selected."}</p>}
      {all > first && <p class="hint">The first {first}.</p>}
      <ol class="records" tabIndex={0} aria-label={isSelected ? "Selected records, as they would be pushed" : "Records that are not selected, and why"}>
        {isSelected
          ? selected.first.map((text, index) => <li key={index}><pre><code>{text}</code></pre></li>)
          : not_selected.first.map(({ record, reason }, index) => <li key={index}><p class="reason">{reason}</p><pre><code>{record}</code></pre></li>)}
      </ol>
    </>
  );
}
