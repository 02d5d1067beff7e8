import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { textOf } from "../../api.ts";
import { Button, Notice, SelectField, TextField } from "../../ui/index.ts";
import { testDestination } from "./data.ts";
import {
  destinationFaults, isWrittenOut, kindOf, KINDS, others, parseDestination, printDestination, secretsOf, valueOfPart, withGiven, withPart, withScheme, withValue,
  type Destination, type Part,
} from "./model/destination.ts";
import { inPlainWords } from "./model/plain-words.ts";

interface Props {
  /** Of the job; the test message is sent with its scope's right. */
  scope: string;
  conf: string;
  onChange: (conf: string) => void;
  /** What the API said of it when the job was saved. */
  error: string | undefined;
  /** Show what is missing; not before somebody has tried to save. */
  isStrict: boolean;
  canWrite: boolean;
}

type Verdict = { of: string; kind: "busy" | "good" } | { of: string; kind: "bad"; message: string };

export function DestinationForm({ scope, conf, onChange, error, isStrict, canWrite }: Props): JSX.Element {
  const [verdict, setVerdict] = useState<Verdict>();
  const read = parseDestination(conf);
  const kind = read === undefined ? undefined : kindOf(read.scheme);
  const faults = read === undefined ? new Map<string, string>() : destinationFaults(read);
  const edit = (next: Destination) => onChange(printDestination(next));
  const test = async () => {
    setVerdict({ of: conf, kind: "busy" });
    try {
      const { valid, message } = await testDestination(scope, conf);
      setVerdict(valid ? { of: conf, kind: "good" } : { of: conf, kind: "bad", message });
    } catch (e) {
      setVerdict({ of: conf, kind: "bad", message: textOf(e) });
    }
  };
  // A verdict is about the string that was tested.
  const current = verdict?.of === conf ? verdict : undefined;
  const firstFault = [...faults.values()][0];
  return (
    <div class="stack">
      <SelectField
        label="Kind" value={kind?.scheme ?? ""} onChange={(scheme) => edit(read === undefined ? { scheme, front: "", given: [] } : withScheme(read, scheme))}
        options={[...(kind === undefined ? [{ value: "", text: "As written below" }] : []), ...KINDS.map(({ scheme, title }) => ({ value: scheme, text: title }))]}
      />
      {read !== undefined && kind !== undefined && (
        <>
          <TextField
            label={kind.front.label} hint={kind.front.hint} placeholder={kind.front.placeholder} isCode value={read.front}
            onInput={(front) => edit({ ...read, front: front.replace(/[?#].*$/s, "") })} error={faultShown("")}
          />
          <div class="job-grid">
            {kind.parts.map((part) => <PartField key={part.name} part={part} value={valueOfPart(read, part)} error={faultShown(part.name)} canWrite={canWrite} onInput={(value) => edit(withPart(read, part, value))} />)}
          </div>
          {(kind.isOpen || others(read).length > 0) && <Others read={read} edit={edit} />}
        </>
      )}
      <TextField
        label="Destination string" isCode rows={3} value={conf} onInput={(text) => onChange(text.replaceAll("\n", ""))}
        hint={<>The whole <code>destination_conf</code>, as Logpush has it. The fields above and this text edit each other.</>}
      />
      <Secrets conf={conf} />
      {canWrite && (
        <div class="bar">
          <Button onClick={() => void test()} isBusy={current?.kind === "busy"} disabledBecause={read !== undefined ? firstFault : undefined}>Send a test message</Button>
          <span class="faint">Saving a new destination sends one as well.</span>
        </div>
      )}
      <div role="status">{current?.kind === "good" && <Notice kind="good"><p>The destination took the test message.</p></Notice>}</div>
      {current?.kind === "bad" && <Refusal title="The destination did not take the test message" message={current.message} />}
      {error !== undefined && current === undefined && <Refusal title="The job was not saved, because of its destination" message={error} />}
    </div>
  );

  function faultShown(name: string): string | undefined {
    const fault = canWrite ? faults.get(name) : undefined;
    // "Required" is no news to somebody who has just begun.
    return isStrict || (fault !== undefined && !/required|^Enter (host|bucket|binding|account)/i.test(fault)) ? fault : undefined;
  }
}

function Refusal({ title, message }: { title: string; message: string }): JSX.Element {
  const words = inPlainWords(message);
  return (
    <Notice kind="error" title={title} isLive>
      {words !== undefined && <p>{words}</p>}
      <p class={words === undefined ? undefined : "faint"}>{message}</p>
    </Notice>
  );
}

function PartField({ part, value, error, canWrite, onInput }: { part: Part; value: string; error: string | undefined; canWrite: boolean; onInput: (value: string) => void }): JSX.Element {
  if (part.options !== undefined) {
    const options = part.options.includes(value) || value === "" ? part.options : [...part.options, value];
    return <SelectField label={part.label} hint={part.hint} value={value === "" ? (part.options[0] ?? "") : value} onChange={onInput} options={options.map((one) => ({ value: one, text: one === "" ? "no" : one }))} />;
  }
  const label = part.isRequired === true ? `${part.label} (required)` : part.label;
  const placeholder = part.placeholder ?? (part.isSecret === true ? "${secret:NAME}" : undefined);
  const isOpen = canWrite && part.isSecret === true && value !== "" && isWrittenOut(value);
  return (
    <TextField
      label={label} placeholder={placeholder} isCode value={value} onInput={onInput} error={error}
      hint={part.prefix !== undefined || part.hint !== undefined || isOpen
        ? <>{part.hint}{part.prefix !== undefined && <> “{part.prefix.trim()}” is put in front of it.</>}{isOpen && <> Better a secret's name: <code>{"${secret:NAME}"}</code>.</>}</>
        : undefined}
    />
  );
}

/** Headers and parameters that the form has no field for. */
function Others({ read, edit }: { read: Destination; edit: (next: Destination) => void }): JSX.Element {
  const [name, setName] = useState("");
  const [value, setValue] = useState("");
  const [isHeader, setHeader] = useState(true);
  const given = others(read);
  const add = () => {
    edit(withGiven(read, `${isHeader ? "header_" : ""}${name.trim()}`, value));
    setName("");
    setValue("");
  };
  const isFilled = /^[^\s=&?#]+$/.test(name.trim()) && value !== "";
  return (
    <details open={given.length > 0}>
      <summary>Other headers and parameters{given.length > 0 ? ` (${given.length})` : ""}</summary>
      <div class="stack">
        {given.map((one) => (
          <div class="job-other" key={one.name}>
            <TextField label={one.name.replace(/^header_/, "Header ")} isCode value={one.value ?? ""} onInput={(text) => edit(withValue(read, one, text))} />
            <Button kind="quiet" label={`Remove ${one.name}`} onClick={() => edit(withGiven(read, one.name, ""))}>Remove</Button>
          </div>
        ))}
        <div class="job-other">
          <SelectField label="Add a" value={isHeader ? "header" : "parameter"} onChange={(what) => setHeader(what === "header")} options={[{ value: "header", text: "header" }, { value: "parameter", text: "parameter of the address" }]} />
          <TextField label="Its name" isCode value={name} onInput={setName} />
          <TextField label="Its value" isCode value={value} onInput={setValue} placeholder="${secret:NAME}" />
          <Button onClick={add} disabledBecause={isFilled ? undefined : "Enter a name and a value."}>Add</Button>
        </div>
      </div>
    </details>
  );
}

function Secrets({ conf }: { conf: string }): JSX.Element {
  const names = secretsOf(conf);
  return (
    <p class="hint">
      Credentials belong into secrets of the Worker: write <code>{"${secret:NAME}"}</code>, and the job holds the name alone.
      {names.length > 0 && <> This one needs {names.map((name, index) => <span key={name}>{index > 0 && ", "}<code>npx wrangler secret put {name}</code></span>)}.</>}
    </p>
  );
}
