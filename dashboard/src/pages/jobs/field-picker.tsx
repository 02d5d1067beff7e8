import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { Button, Choice, TextField } from "../../ui/index.ts";
import { searchFields, type Field } from "./model/fields.ts";

interface Props {
  /** The catalogue's; undefined for a dataset of an open schema. */
  fields: readonly Field[] | undefined;
  /** In their order; undefined: all that come. */
  chosen: readonly string[] | undefined;
  onChange: (names: string[] | undefined) => void;
  error: string | undefined;
}

/** Which fields a record is to have, and in which order. */
export function FieldPicker({ fields, chosen, onChange, error }: Props): JSX.Element {
  const [search, setSearch] = useState("");
  const [isOpen, setOpen] = useState(chosen !== undefined);
  const names = chosen ?? [];
  const found = searchFields(fields ?? [], search);
  const set = (next: string[]) => onChange(next.length === 0 ? undefined : next);
  const choose = (what: string) => {
    setOpen(what === "chosen");
    if (what === "all") onChange(undefined);
  };
  const move = (index: number, by: number) => {
    const next = [...names];
    const [name] = next.splice(index, 1);
    if (name !== undefined) next.splice(index + by, 0, name);
    set(next);
  };
  return (
    <div class="stack">
      <Choice label="Fields" value={isOpen ? "chosen" : "all"} onChange={choose} options={[{ value: "all", text: "All fields that come" }, { value: "chosen", text: "Chosen fields" }]} />
      {isOpen && fields === undefined && (
        <TextField
          label="Names of fields" isCode rows={4} value={names.join("\n")} hint="One a line. The catalogue does not know this dataset, so any name is taken." error={error}
          onInput={(text) => set(text.split("\n").map((line) => line.trim()).filter(Boolean))}
        />
      )}
      {isOpen && fields !== undefined && (
        <div class="field-picker">
          <div class="stack">
            <TextField label="Search fields" type="search" value={search} onInput={setSearch} hint={`${found.length} of ${fields.length}. Words of the name or the description.`} />
            <div class="bar">
              <Button onClick={() => set([...new Set([...names, ...found.filter(({ isDeprecated }) => !isDeprecated).map(({ name }) => name)])])}>Choose all shown</Button>
              <Button onClick={() => set([])}>Choose none</Button>
            </div>
            <ul class="field-list" tabIndex={0} aria-label="Fields of the dataset">
              {found.map(({ name, type, description, isDeprecated }) => (
                <li key={name}>
                  <label>
                    <input type="checkbox" checked={names.includes(name)} onChange={(event) => set(event.currentTarget.checked ? [...names, name] : names.filter((one) => one !== name))} />
                    <span><code>{name}</code> <span class="faint">{type === "int or string" ? "time" : type}{isDeprecated && ", deprecated"}; {description}</span></span>
                  </label>
                </li>
              ))}
            </ul>
          </div>
          <div class="stack">
            <h3 id="chosen-fields">Chosen, in this order</h3>
            {names.length === 0 && <p class="faint">None: all fields are sent.</p>}
            <ol class="field-list" tabIndex={0} aria-labelledby="chosen-fields">
              {names.map((name, index) => (
                <li key={name} class="bar">
                  <code>{name}</code>
                  <span class="push">
                    <Button kind="quiet" label={`Move ${name} up`} disabledBecause={index === 0 ? "It is the first." : undefined} onClick={() => move(index, -1)}>↑</Button>
                    <Button kind="quiet" label={`Move ${name} down`} disabledBecause={index === names.length - 1 ? "It is the last." : undefined} onClick={() => move(index, 1)}>↓</Button>
                    <Button kind="quiet" label={`Leave ${name} out`} onClick={() => set(names.filter((one) => one !== name))}>✗</Button>
                  </span>
                </li>
              ))}
            </ol>
          </div>
          {error !== undefined && <p class="field-error">{error}</p>}
        </div>
      )}
    </div>
  );
}
