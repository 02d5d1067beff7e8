import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { prettyLines } from "../../json.ts";
import { useLoad } from "../../load.ts";
import { Button, Bytes, Choice, CopyText, Count, Dialog, LoadError, Notice, Spinner, Time } from "../../ui/index.ts";
import { readLetter, type Content, type Fate } from "./calls.ts";

interface LetterDialogProps {
  scope: string;
  job: string;
  id: string;
  mayWrite: boolean;
  onClose: () => void;
  onWanted: (fate: Fate) => void;
}

/** One dead letter, with its records as they would be pushed. */
export function LetterDialog({ scope, job, id, mayWrite, onClose, onWanted }: LetterDialogProps): JSX.Element {
  const { value, error, reload } = useLoad(`${scope}/${job}/${id}`, async (signal) => await readLetter(scope, job, id, signal));
  return (
    <Dialog title={`Dead letter ${id} of job ${job}`} onClose={onClose}>
      {error !== undefined && value === undefined && <LoadError what="The dead letter" error={error} retry={reload} />}
      {value === undefined && error === undefined && <Spinner text="Reading the dead letter …" />}
      {value !== undefined && <Letter letter={value} />}
      <div class="actions">
        {mayWrite && value !== undefined && <Button kind="danger" onClick={() => onWanted("delete")}>Delete …</Button>}
        {mayWrite && value !== undefined && value.content !== null && <Button kind="primary" onClick={() => onWanted("redrive")}>Send again …</Button>}
        <Button onClick={onClose}>Close</Button>
      </div>
    </Dialog>
  );
}

function Letter({ letter }: { letter: Content }): JSX.Element {
  const [form, setForm] = useState("readable");
  const { content } = letter;
  const facts: [string, JSX.Element | string][] = [
    ["Reason", letter.reason],
    ["Refused", <Time at={letter.refused_at} />],
    ["Received", <Time at={letter.received_at} />],
    ["Records", <Count value={letter.records} />],
    ["Size", <Bytes value={letter.bytes} />],
    ["Batch", <code>{letter.batch_id}</code>],
    ["Push", <code>{letter.push_id}</code>],
  ];
  return (
    <>
      <dl class="facts">{facts.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>
      {content === null ? (
        <Notice kind="warning" title="Its text is gone">
          <p>The object is not in the bucket any more: somebody deleted it there. It can not be sent again; the batch that it came with may still be in the archive.</p>
        </Notice>
      ) : (
        <>
          <Choice label="Form" value={form} onChange={setForm} options={[{ value: "readable", text: "Readable" }, { value: "raw", text: "As it would be pushed" }]} />
          <CopyText label="what would be pushed" text={form === "raw" ? content : prettyLines(content)} />
          {letter.content_truncated && <p class="faint">These are the first 64 KiB; the object in R2 has all of it.</p>}
        </>
      )}
    </>
  );
}
