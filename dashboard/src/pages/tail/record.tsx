import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { members, pretty, shown } from "../../json.ts";
import { Button, Choice, CopyText, Dialog } from "../../ui/index.ts";
import type { Line } from "./feed.ts";

/** One record with all its fields. */
export function RecordDialog({ line, dataset, onClose }: { line: Line; dataset: string; onClose: () => void }): JSX.Element {
  const [form, setForm] = useState("fields");
  const [said, setSaid] = useState("");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(line.text);
      setSaid("Copied.");
    } catch {
      setSaid("The browser does not let this page copy: choose JSON and select the text.");
    }
  };
  return (
    <Dialog title={`Record ${line.number} of ${dataset}`} onClose={onClose}>
      <Choice label="Form" value={form} onChange={setForm} options={[{ value: "fields", text: "Fields" }, { value: "json", text: "JSON" }]} />
      {form === "json" ? <CopyText label="the record as JSON" text={pretty(line.text)} /> : (
        <>
          <dl class="facts tail-fields" tabIndex={0} aria-label="Fields of the record">
            {[...(members(line.text) ?? [])].map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{shown(value)}</dd></div>)}
          </dl>
          <p><Button onClick={() => void copy()}>Copy as JSON</Button> <span role="status">{said}</span></p>
        </>
      )}
      <div class="actions"><Button onClick={onClose}>Close</Button></div>
    </Dialog>
  );
}
