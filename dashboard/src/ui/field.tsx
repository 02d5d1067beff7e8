import type { ComponentChildren, JSX } from "preact";
import { useId } from "preact/hooks";

interface Common {
  label: string;
  /** A sentence below the label. */
  hint?: ComponentChildren;
  /** What is wrong with what was entered. */
  error?: string | undefined;
}

interface Wiring {
  id: string;
  "aria-describedby": string | undefined;
  "aria-invalid": boolean | undefined;
}

/** A label, a hint and an error around any control; `children` gets the attributes that tie them together. */
export function Field({ label, hint, error, children }: Common & { children: (wiring: Wiring) => ComponentChildren }): JSX.Element {
  const id = useId();
  const described = [hint !== undefined && `${id}-hint`, error !== undefined && `${id}-error`].filter(Boolean).join(" ");
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {hint !== undefined && <p class="hint" id={`${id}-hint`}>{hint}</p>}
      {children({ id, "aria-describedby": described || undefined, "aria-invalid": error === undefined ? undefined : true })}
      {error !== undefined && <p class="field-error" id={`${id}-error`}>{error}</p>}
    </div>
  );
}

interface TextProps extends Common {
  value: string;
  onInput: (value: string) => void;
  type?: "text" | "password" | "number" | "url" | "search";
  placeholder?: string;
  /** Lines; more than one makes a text area. */
  rows?: number;
  /** Set in the typeface for code. */
  isCode?: boolean;
  isReadOnly?: boolean;
  autocomplete?: string;
  /** Id of a `<datalist>`. */
  list?: string;
  autoFocus?: boolean;
}

export function TextField(props: TextProps): JSX.Element {
  const { label, hint, error, value, onInput, type = "text", placeholder, rows = 1, isCode = false, isReadOnly = false, autocomplete = "off", list } = props;
  const input = (event: Event) => onInput((event.currentTarget as HTMLInputElement | HTMLTextAreaElement).value);
  const shared = { value, placeholder, readOnly: isReadOnly, spellcheck: false, class: isCode ? "code" : undefined, onInput: input };
  return (
    <Field label={label} hint={hint} error={error}>
      {(wiring) => rows > 1
        ? <textarea {...wiring} {...shared} rows={rows} />
        // The types of Preact tie each kind of field to its own roles; all of these share what is set here.
        : <input {...wiring} {...shared} type={type as "text"} autocomplete={autocomplete as "off"} list={list} autoFocus={props.autoFocus} />}
    </Field>
  );
}

export function SelectField(props: Common & { value: string; onChange: (value: string) => void; options: readonly { value: string; text: string }[] }): JSX.Element {
  const { label, hint, error, value, onChange, options } = props;
  return (
    <Field label={label} hint={hint} error={error}>
      {(wiring) => (
        <select {...wiring} value={value} onChange={(event) => onChange(event.currentTarget.value)}>
          {options.map((option) => <option key={option.value} value={option.value}>{option.text}</option>)}
        </select>
      )}
    </Field>
  );
}

export function CheckField({ label, hint, isChecked, onChange }: { label: string; hint?: ComponentChildren; isChecked: boolean; onChange: (isChecked: boolean) => void }): JSX.Element {
  const id = useId();
  return (
    <div class="field check">
      <input id={id} type="checkbox" checked={isChecked} aria-describedby={hint === undefined ? undefined : `${id}-hint`} onChange={(event) => onChange(event.currentTarget.checked)} />
      <label for={id}>{label}</label>
      {hint !== undefined && <p class="hint" id={`${id}-hint`}>{hint}</p>}
    </div>
  );
}

/** One of a few, side by side: a group of radio buttons. */
export function Choice({ label, value, onChange, options }: { label: string; value: string; onChange: (value: string) => void; options: readonly { value: string; text: string }[] }): JSX.Element {
  const name = useId();
  return (
    <fieldset class="choice">
      <legend class="unseen">{label}</legend>
      {options.map((option) => (
        <label key={option.value} class={option.value === value ? "chosen" : undefined}>
          <input type="radio" name={name} value={option.value} checked={option.value === value} onChange={() => onChange(option.value)} />
          {option.text}
        </label>
      ))}
    </fieldset>
  );
}
