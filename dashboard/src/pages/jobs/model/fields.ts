// The catalogue's fields, as `GET {S}/logpush/datasets/{dataset}/fields` lists them: `{"Name": "type; description"}`.

import type { FieldType } from "./filter.ts";

export interface Field {
  name: string;
  type: FieldType;
  description: string;
  isDeprecated: boolean;
}

const DEPRECATED = " (deprecated)";

export function readFields(listed: Readonly<Record<string, string>>): Field[] {
  return Object.entries(listed).map(([name, text]) => {
    const at = text.indexOf(";");
    const type = (at < 0 ? text : text.slice(0, at)) as FieldType;
    const rest = at < 0 ? "" : text.slice(at + 1).trim();
    const isDeprecated = rest.endsWith(DEPRECATED);
    return { name, type, description: isDeprecated ? rest.slice(0, -DEPRECATED.length) : rest, isDeprecated };
  });
}

/** Those that have every word in their name or description; names that begin with the first word come first. */
export function searchFields(fields: readonly Field[], text: string): Field[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const [first = ""] = words;
  const matches = fields.filter(({ name, description }) => words.every((word) => `${name} ${description}`.toLowerCase().includes(word)));
  const rank = ({ name }: Field) => (name.toLowerCase().startsWith(first) ? 0 : name.toLowerCase().includes(first) ? 1 : 2);
  return matches.sort((a, b) => rank(a) - rank(b));
}
