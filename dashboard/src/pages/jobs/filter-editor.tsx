// The filter as a form, and the same as JSON beside it; each edits the other.

import type { JSX } from "preact";
import { useEffect, useId, useMemo, useState } from "preact/hooks";
import { Button, Choice, Notice, TextField } from "../../ui/index.ts";
import { readValues, type SuggestedValue } from "./data.ts";
import type { Field } from "./model/fields.ts";
import {
  addNode, condition, faults, FilterFault, group, keysOf, OPERATOR_WORDS, operatorsFor, parseFilter, printFilter, replaceNode, sentence, takesList, valueOf,
  withKey, withOperator, type Condition, type FieldType, type FilterNode, type Group,
} from "./model/filter.ts";

export type Suggestions = Readonly<Record<string, readonly SuggestedValue[]>>;

/** Before the values of a field are asked for: names are typed letter by letter. */
const PAUSE_MILLIS = 400;
/** Values that stand below a condition; the others are offered while typing. */
const SUGGESTED = 5;

interface EditorProps {
  scope: string;
  dataset: string;
  filter: string;
  /** The catalogue's; undefined for a dataset of an open schema. */
  fields: readonly Field[] | undefined;
  /** The filter, and what of it keeps it from being saved. */
  onChange: (filter: string, fault: string | undefined) => void;
  /** What the API says of it. */
  error: string | undefined;
}

export function FilterEditor({ scope, dataset, filter, fields, onChange, error }: EditorProps): JSX.Element {
  const [first] = useState(() => ({ ...read(filter), text: filter }));
  const [root, setRoot] = useState(first.root);
  const [text, setText] = useState(first.fault === undefined ? printFilter(first.root, 2) : filter);
  const [fault, setFault] = useState(first.fault);
  const types = useMemo(() => (fields === undefined ? undefined : new Map(fields.map(({ name, type }) => [name, type]))), [fields]);
  const wrong = faults(root, types);
  const suggestions = useSuggestions(scope, dataset, keysOf(root));
  const list = useId();

  // What is wrong follows from the fields as well, which come later than the filter.
  const problem = fault ?? [...wrong.values()][0];
  // One that nobody has edited stays as it was written.
  useEffect(() => onChange(root === first.root ? first.text : printFilter(root), problem), [root, problem]);

  const build = (next: Group) => {
    setRoot(next);
    setText(printFilter(next, 2));
    setFault(undefined);
  };
  const type = (next: string) => {
    setText(next);
    const found = read(next);
    setFault(found.fault);
    if (found.fault === undefined) setRoot(found.root);
  };
  const tools: Tools = { fields, types, wrong, suggestions, list, change: (id, change) => build(replaceNode(root, id, change)), add: (id, node) => build(addNode(root, id, node)) };

  return (
    <div class="filter-editor">
      <datalist id={list}>{(fields ?? []).map(({ name, description }) => <option key={name} value={name}>{description}</option>)}</datalist>
      <div class="stack">
        <p class="faint">{root.nodes.length === 0 ? "Every record is sent. Add a condition to send fewer." : <>Sends records where <strong>{sentence(root)}</strong>.</>}</p>
        {fault !== undefined && <Notice kind="warning"><p>The JSON can not be read, so this form shows the last filter that could.</p></Notice>}
        <GroupEditor node={root} path="" tools={tools} />
        {error !== undefined && <Notice kind="error" isLive title="The Worker does not take this filter"><p>{error}</p></Notice>}
      </div>
      <TextField
        label="The same as JSON" isCode rows={Math.min(24, Math.max(8, text.split("\n").length + 1))} value={text} onInput={type} error={fault}
        hint="Paste a filter here, also one from a Cloudflare job with its backslashes, or a whole job."
      />
      {fault === undefined && text.trim() !== printFilter(root, 2) && <p><Button onClick={() => setText(printFilter(root, 2))}>Tidy the JSON</Button></p>}
    </div>
  );
}

function read(text: string): { root: Group; fault: string | undefined } {
  try {
    return { root: parseFilter(text), fault: undefined };
  } catch (error) {
    const said = error instanceof FilterFault ? `${error.place}: ${error.message}` : String(error);
    return { root: group(), fault: said };
  }
}

const NOTHING: Suggestions = {};

/** The values that fields have in the newest batch, asked for once each. */
function useSuggestions(scope: string, dataset: string, keys: readonly string[]): Suggestions {
  const of = `${scope} ${dataset}`;
  const [state, setState] = useState<{ of: string; values: Suggestions }>({ of, values: {} });
  const known = state.of === of ? state.values : NOTHING;
  const missing = keys.filter((key) => known[key] === undefined).sort().join("\n");
  useEffect(() => {
    if (missing === "" || scope === "" || dataset === "") return;
    const abort = new AbortController();
    const timer = window.setTimeout(() => {
      const names = missing.split("\n");
      readValues(scope, dataset, names, abort.signal).then(
        (values) => setState((old) => ({ of, values: old.of === of ? { ...old.values, ...values } : values })),
        () => {}, // they are a help; the preview says what is wrong
      );
    }, PAUSE_MILLIS);
    return () => {
      window.clearTimeout(timer);
      abort.abort();
    };
  }, [scope, dataset, missing]);
  return known;
}

interface Tools {
  fields: readonly Field[] | undefined;
  types: ReadonlyMap<string, FieldType> | undefined;
  wrong: ReadonlyMap<number, string>;
  suggestions: Suggestions;
  /** Id of the list of field names. */
  list: string;
  change: (id: number, change: (node: FilterNode) => FilterNode | undefined) => void;
  add: (into: number, node: FilterNode) => void;
}

function GroupEditor({ node, path, tools }: { node: Group; path: string; tools: Tools }): JSX.Element {
  const isRoot = path === "";
  const name = isRoot ? "the filter" : `group ${path}`;
  const fault = tools.wrong.get(node.id);
  const set = (word: string) => tools.change(node.id, (old) => ({ ...(old as Group), word: word as Group["word"] }));
  return (
    <div class={isRoot ? "filter-group filter-root" : "filter-group"} role="group" aria-label={isRoot ? "Conditions" : `Group ${path}`}>
      {(node.nodes.length > 1 || !isRoot) && (
        <div class="bar">
          <Choice label={`What has to be true in ${name}`} value={node.word} onChange={set} options={[{ value: "and", text: "all of these" }, { value: "or", text: "any of these" }]} />
          {!isRoot && <Button kind="quiet" label={`Remove group ${path}`} onClick={() => tools.change(node.id, () => undefined)}>Remove group</Button>}
        </div>
      )}
      {node.nodes.map((one, index) => {
        const place = `${isRoot ? "" : `${path}.`}${index + 1}`;
        return one.kind === "group" ? <GroupEditor key={one.id} node={one} path={place} tools={tools} /> : <ConditionEditor key={one.id} node={one} path={place} tools={tools} />;
      })}
      {fault !== undefined && <p class="field-error">{fault}</p>}
      <div class="bar">
        <Button label={`Add condition to ${name}`} onClick={() => tools.add(node.id, condition())}>Add condition</Button>
        <Button label={`Add group to ${name}`} onClick={() => tools.add(node.id, group(node.word === "and" ? "or" : "and", [condition()]))}>Add group</Button>
      </div>
    </div>
  );
}

function ConditionEditor({ node, path, tools }: { node: Condition; path: string; tools: Tools }): JSX.Element {
  const { types, suggestions } = tools;
  const type = types?.get(node.key);
  const fault = tools.wrong.get(node.id);
  const described = useId();
  const change = (next: Condition) => tools.change(node.id, () => next);
  const offered = operatorsFor(type);
  const operators = offered.includes(node.operator) ? offered : [node.operator, ...offered];
  const field = tools.fields?.find(({ name }) => name === node.key);
  const values = suggestions[node.key] ?? [];
  // A condition that was just added is not wrong yet.
  const shown = node.key === "" ? undefined : fault;
  const wiring = { "aria-describedby": described, "aria-invalid": shown === undefined ? undefined : true };
  return (
    <div class="filter-condition" role="group" aria-label={`Condition ${path}`}>
      <input
        type="text" class="code" list={tools.list} value={node.key} placeholder="Field" aria-label={`Field of condition ${path}`} autocomplete="off" spellcheck={false} {...wiring}
        onInput={(event) => change(withKey(node, event.currentTarget.value, types?.get(event.currentTarget.value)))}
      />
      <select value={node.operator} aria-label={`Operator of condition ${path}`} onChange={(event) => change(withOperator(node, event.currentTarget.value, type))}>
        {operators.map((operator) => <option key={operator} value={operator}>{OPERATOR_WORDS[operator] ?? operator}</option>)}
      </select>
      <ValueEditor node={node} path={path} type={type} values={values} wiring={wiring} change={change} />
      <Button kind="quiet" label={`Remove condition ${path}`} onClick={() => tools.change(node.id, () => undefined)}>Remove</Button>
      <div class="filter-about" id={described}>
        {shown !== undefined && <p class="field-error">{shown}</p>}
        {field !== undefined && <p class="hint">{field.type === "int or string" ? "time" : field.type}; {field.description}</p>}
      </div>
      {isTelling(values) && type !== "bool" && (
        <div class="filter-values" role="group" aria-label={`Values of ${node.key} in the newest batch`}>
          <span class="hint">In the newest batch:</span>
          {values.slice(0, SUGGESTED).map(({ value, records }) => (
            <Button key={value} kind="quiet" label={`${value === "" ? "empty" : value} ${records} records`} onClick={() => change(withValue(node, value, type))}>
              <code>{value === "" ? "empty" : value}</code> <span class="faint">{records}</span>
            </Button>
          ))}
        </div>
      )}
    </div>
  );
}

/** Values that all differ, as those of a Ray ID, are none to choose from. */
const isTelling = ([first]: readonly SuggestedValue[]): boolean => first !== undefined && first.records > 1;

/** With a suggested value: added to a list, else in place of what was there. */
function withValue(node: Condition, text: string, type: FieldType | undefined): Condition {
  const value = valueOf(text, type);
  if (!takesList(node.operator)) return { ...node, value };
  const list = Array.isArray(node.value) ? node.value : [];
  return { ...node, value: list.map(String).includes(text) ? list : [...list, value] };
}

interface ValueProps {
  node: Condition;
  path: string;
  type: FieldType | undefined;
  values: readonly SuggestedValue[];
  wiring: { "aria-describedby": string; "aria-invalid": boolean | undefined };
  change: (next: Condition) => void;
}

function ValueEditor({ node, path, type, values, wiring, change }: ValueProps): JSX.Element {
  const list = useId();
  const label = `Value of condition ${path}`;
  if (takesList(node.operator)) return <ListEditor node={node} label={label} type={type} wiring={wiring} change={change} />;
  if (type === "bool") {
    const value = String(node.value);
    return (
      <select value={value} aria-label={label} {...wiring} onChange={(event) => change({ ...node, value: event.currentTarget.value === "true" })}>
        {!["true", "false"].includes(value) && <option value={value}>{value === "" ? "choose" : value}</option>}
        <option value="true">true</option>
        <option value="false">false</option>
      </select>
    );
  }
  return (
    <>
      <input
        type="text" class="code" list={list} value={String(node.value)} placeholder="Value" aria-label={label} autocomplete="off" spellcheck={false} {...wiring}
        onInput={(event) => change({ ...node, value: valueOf(event.currentTarget.value, type) })}
      />
      <datalist id={list}>{values.map(({ value }) => <option key={value} value={value} />)}</datalist>
    </>
  );
}

/** One value a line: a value may hold a comma. */
function ListEditor({ node, label, type, wiring, change }: Omit<ValueProps, "path" | "values"> & { label: string }): JSX.Element {
  const lines = (text: string) => text.split("\n").map((line) => line.trim()).filter(Boolean);
  const value = Array.isArray(node.value) ? node.value.map(String) : [];
  const [text, setText] = useState(value.join("\n"));
  // Another hand has changed the list; an empty line that is being typed is no change.
  const current = lines(text).join("\n") === value.join("\n") ? text : value.join("\n");
  return (
    <textarea
      class="code" rows={Math.min(8, Math.max(2, current.split("\n").length))} value={current} placeholder="One value a line" aria-label={`${label}, one a line`} spellcheck={false} {...wiring}
      onInput={(event) => {
        setText(event.currentTarget.value);
        change({ ...node, value: lines(event.currentTarget.value).map((line) => valueOf(line, type)) });
      }}
    />
  );
}
