// JSON as Logpush writes it. The text is built by hand, because a JavaScript number cannot hold a time in nanoseconds.

export type TimestampFormat = "unixnano" | "unix" | "rfc3339" | "rfc3339ms" | "rfc3339ns";

const ESCAPED: Record<string, string> = {
  "&": "\\u0026",
  "<": "\\u003c",
  ">": "\\u003e",
  "\u2028": "\\u2028",
  "\u2029": "\\u2029",
};

/** A JSON string with the characters escaped that Go's encoder escapes. */
export function quote(text: string): string {
  return JSON.stringify(text).replace(/[&<>\u2028\u2029]/g, (character) => ESCAPED[character] as string);
}

export function array(values: readonly (string | number)[]): string {
  return `[${values.map((value) => (typeof value === "number" ? String(value) : quote(value))).join(",")}]`;
}

export function object(entries: Readonly<Record<string, string | number>>): string {
  const members = Object.entries(entries).map(
    ([name, value]) => `${quote(name)}:${typeof value === "number" ? value : quote(value)}`,
  );
  return `{${members.join(",")}}`;
}

/** A moment given as milliseconds and the nanoseconds below them. */
export function timestamp(millis: number, nanos: number, format: TimestampFormat): string {
  switch (format) {
    case "unixnano":
      return String(BigInt(millis) * 1_000_000n + BigInt(nanos));
    case "unix":
      return String(Math.floor(millis / 1000));
    case "rfc3339":
      return `"${iso(millis).slice(0, 19)}Z"`;
    case "rfc3339ms":
      return `"${iso(millis)}"`;
    case "rfc3339ns":
      return `"${iso(millis).slice(0, 23)}${String(nanos).padStart(6, "0")}Z"`.replace(/\.?0*Z"$/, 'Z"');
  }
}

function iso(millis: number): string {
  return new Date(millis).toISOString();
}

const EMPTY: Record<string, string> = {
  string: '""',
  int: "0",
  float: "0",
  bool: "false",
  object: "{}",
  "int or string": "0",
};

/** How a field says that there is nothing: Logpush never leaves a selected field out. */
export function emptyOf(type: string): string {
  return type.startsWith("array") ? "[]" : (EMPTY[type] ?? '""');
}
