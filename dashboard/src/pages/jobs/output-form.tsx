import type { JSX } from "preact";
import { Button, CheckField, Choice, Notice, SelectField, TextField } from "../../ui/index.ts";
import { FieldPicker } from "./field-picker.tsx";
import type { Field } from "./model/fields.ts";
import {
  escaped, fieldNames, fromLogpull, isOn, outputFaults, TEXT_OPTIONS, textOption, TIMESTAMP_FORMATS, unescaped, withOption, type OutputOptions,
} from "./model/output.ts";

interface Props {
  fields: readonly Field[] | undefined;
  options: OutputOptions | null;
  onChange: (options: OutputOptions | null) => void;
  /** The older form; counts when there are no options. */
  logpull: string;
  onConvert: (options: OutputOptions | null) => void;
  /** What the API says. */
  error: string | undefined;
}

const EXAMPLES: Record<string, string> = {
  unixnano: "1506702504433000200", unix: "1506702504", rfc3339: "2017-09-29T16:28:24Z", rfc3339ms: "2017-09-29T16:28:24.433Z", rfc3339ns: "2017-09-29T16:28:24.4330002Z",
};

export function OutputForm({ fields, options, onChange, logpull, onConvert, error }: Props): JSX.Element {
  const set = (name: string, value: unknown) => onChange(withOption(options, name, value));
  const faults = outputFaults(options);
  const isEcs = options?.["schema"] === "ecs";
  const isCsv = options?.["output_type"] === "csv";
  const rate = options?.["sample_rate"];
  const texts = TEXT_OPTIONS.filter(({ name }) => textOption(options, name) !== undefined);
  const template = textOption(options, "record_template") ?? "";
  return (
    <div class="stack">
      {options === null && logpull !== "" && (
        <Notice kind="info" title="This job has the older logpull_options">
          <p><code>{logpull}</code></p>
          <p>They count as long as nothing is set below. <Button onClick={() => onConvert(fromLogpull(logpull))}>Turn them into output options</Button></p>
        </Notice>
      )}
      <Choice label="Schema" value={isEcs ? "ecs" : "logpush"} onChange={(schema) => set("schema", schema === "ecs" ? "ecs" : undefined)} options={[{ value: "logpush", text: "Logpush's own fields" }, { value: "ecs", text: "Normalised events (ECS 8)" }]} />
      <FieldPicker fields={fields} chosen={fieldNames(options)} onChange={(names) => set("field_names", names)} error={undefined} />
      <div class="job-grid">
        <SelectField
          label="Form" value={isCsv ? "csv" : "ndjson"} onChange={(type) => set("output_type", type === "csv" ? "csv" : undefined)} error={faults.get("output_type")}
          options={[{ value: "ndjson", text: "NDJSON" }, { value: "csv", text: "CSV" }]}
        />
        <SelectField
          label="Times" value={textOption(options, "timestamp_format") ?? ""} onChange={(format) => set("timestamp_format", format === "" ? undefined : format)}
          options={[{ value: "", text: "as they came" }, ...TIMESTAMP_FORMATS.map((format) => ({ value: format, text: `${format}, ${EXAMPLES[format]}` }))]}
        />
        <TextField
          label="Sample rate" value={rate === undefined || rate === null ? "" : String(rate)} placeholder="1" hint="0.1 keeps one record of ten, after the filter." error={faults.get("sample_rate")}
          onInput={(text) => set("sample_rate", text.trim() === "" ? undefined : /^\d*\.?\d+$/.test(text.trim()) && String(Number(text)) === text.trim() ? Number(text) : text)}
        />
      </div>
      <details open={texts.length > 0 || template !== "" || isOn(options, "CVE-2021-44228") || isOn(options, "stringify_object")}>
        <summary>Templates, and what stands around records</summary>
        <div class="stack">
          {!isEcs && (
            <TextField
              label="Record template" isCode rows={3} value={template} onInput={(text) => set("record_template", text === "" ? undefined : text)} placeholder={'"client-ip":{{.ClientIP}}'}
              hint="Stands where the fields would; {{.Field}} is a field as JSON." error={faults.get("record_template")}
            />
          )}
          <div class="job-grid">
            {TEXT_OPTIONS.map(({ name, label, defaults }) => {
              const value = textOption(options, name);
              const usual = escaped(isCsv ? defaults.csv : defaults.ndjson);
              return (
                <div class="stack" key={name}>
                  <CheckField label={label} hint={value === undefined ? (usual === "" ? "usually nothing" : <>usually <code>{usual}</code></>) : undefined} isChecked={value !== undefined} onChange={(isSet) => set(name, isSet ? unescaped(usual) : undefined)} />
                  {value !== undefined && <TextField label={`${label}: text`} isCode value={escaped(value)} onInput={(text) => set(name, unescaped(text))} hint="\n is a line break, \t a tab." />}
                </div>
              );
            })}
          </div>
          <CheckField label="Replace ${ by x{" hint="CVE-2021-44228: keeps a receiver with an old Log4j from reading it as a command." isChecked={isOn(options, "CVE-2021-44228")} onChange={(isSet) => set("CVE-2021-44228", isSet || undefined)} />
          <CheckField label="Objects as strings" hint="stringify_object: for receivers that take no nested values." isChecked={isOn(options, "stringify_object")} onChange={(isSet) => set("stringify_object", isSet || undefined)} />
        </div>
      </details>
      {error !== undefined && <Notice kind="error" isLive title="The Worker does not take these options"><p>{error}</p></Notice>}
    </div>
  );
}
