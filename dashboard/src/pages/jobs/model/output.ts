// Output options as a form. The object of the job is kept as it is; the form sets and takes away single members, so an
// option that this page does not know stays.

export type OutputOptions = Readonly<Record<string, unknown>>;

export const TIMESTAMP_FORMATS = ["unixnano", "unix", "rfc3339", "rfc3339ms", "rfc3339ns"] as const;

export interface TextOption {
  name: string;
  label: string;
  /** What counts when it is not set, with NDJSON and with CSV. */
  defaults: { ndjson: string; csv: string };
}

export const TEXT_OPTIONS: readonly TextOption[] = [
  { name: "batch_prefix", label: "Before the first record of a push", defaults: { ndjson: "", csv: "" } },
  { name: "record_prefix", label: "Before each record", defaults: { ndjson: "{", csv: "" } },
  { name: "field_delimiter", label: "Between two fields", defaults: { ndjson: ",", csv: "," } },
  { name: "record_suffix", label: "After each record", defaults: { ndjson: "}\n", csv: "\n" } },
  { name: "record_delimiter", label: "Between two records", defaults: { ndjson: "", csv: "" } },
  { name: "batch_suffix", label: "After the last record of a push", defaults: { ndjson: "", csv: "" } },
];

/** The options with one of them set; undefined takes it away. Null when none is left: the job has none. */
export function withOption(options: OutputOptions | null, name: string, value: unknown): OutputOptions | null {
  const rest = Object.entries(options ?? {}).filter(([known]) => known !== name);
  if (value !== undefined) rest.push([name, value]);
  return rest.length === 0 ? null : Object.fromEntries(rest);
}

export const textOption = (options: OutputOptions | null, name: string): string | undefined => {
  const value = options?.[name];
  return typeof value === "string" ? value : undefined;
};

export const isOn = (options: OutputOptions | null, name: string): boolean => options?.[name] === true;

/** The names that a record is to have, in order; undefined: all that came. */
export function fieldNames(options: OutputOptions | null): string[] | undefined {
  const names = options?.["field_names"];
  return Array.isArray(names) && names.length > 0 ? names.map(String) : undefined;
}

/** What can not stand together, or has no form, by option. */
export function outputFaults(options: OutputOptions | null): Map<string, string> {
  const found = new Map<string, string>();
  const rate = options?.["sample_rate"];
  if (rate !== undefined && rate !== null && (typeof rate !== "number" || !(rate > 0 && rate <= 1))) found.set("sample_rate", "Enter a number above 0, and at most 1.");
  if (options?.["schema"] === "ecs") {
    if (options["output_type"] === "csv") found.set("output_type", "Normalised events are JSON: choose NDJSON, or Logpush's own fields.");
    if ((textOption(options, "record_template") ?? "") !== "") found.set("record_template", "Normalised events have a form of their own: leave the template out, or choose Logpush's own fields.");
  }
  return found;
}

/** A text in one line: `\n`, `\r`, `\t` and `\\` stand for what they mean. */
export const escaped = (text: string): string =>
  text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll("\r", "\\r").replaceAll("\t", "\\t");

export const unescaped = (text: string): string =>
  text.replaceAll(/\\([nrt\\])/g, (_, letter: string) => ({ n: "\n", r: "\r", t: "\t" })[letter] ?? "\\");

/** The options that say the same as the older `logpull_options`. */
export function fromLogpull(text: string): OutputOptions | null {
  const query = (text.includes("?") ? text.slice(text.indexOf("?") + 1) : text).split("#")[0] ?? "";
  let options: OutputOptions | null = null;
  for (const [name, value] of new URLSearchParams(query)) {
    const given = value.trim();
    if (given === "") continue;
    if (name === "fields") {
      const names = given.split(",").map((one) => one.trim()).filter(Boolean);
      options = withOption(options, "field_names", names);
    } else if (name === "timestamps") options = withOption(options, "timestamp_format", given);
    else if (name === "sample") options = withOption(options, "sample_rate", Number(given));
    else if (name === "CVE-2021-44228" || name === "CVE-2021-4428") options = withOption(options, "CVE-2021-44228", given === "true");
  }
  return options;
}
