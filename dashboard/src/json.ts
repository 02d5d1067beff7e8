// JSON for the eye, token by token: numbers keep all their digits and members their order and spelling, which they would
// not if they went through JSON.parse and back.

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
};

/** Strings, numbers and words as they are, and one by one what stands between them. */
const tokensOf = (json: string): string[] => json.match(/"(?:[^"\\]|\\.)*"|[^\s{}[\],:"]+|[{}[\],:]/g) ?? [];

/** The members of an object in their order, values as JSON; undefined for anything else. */
export function members(text: string): Map<string, string> | undefined {
  if (!/^\s*\{/.test(text) || !isJson(text)) return undefined;
  const found = new Map<string, string>();
  let depth = 0;
  let name: string | undefined;
  let value: string[] = [];
  const end = () => {
    if (name !== undefined) found.set(name, value.join(""));
    [name, value] = [undefined, []];
  };
  for (const token of tokensOf(text)) {
    if (token === "}" || token === "]") depth -= 1;
    if (depth === 0 && token === "}") end();
    else if (depth === 1 && token === ",") end();
    else if (depth === 1 && name === undefined) name = JSON.parse(token) as string;
    else if (depth > 0 && !(depth === 1 && token === ":" && value.length === 0)) value.push(token);
    if (token === "{" || token === "[") depth += 1;
  }
  return found;
}

/** A value as one reads it: a string without its quotes, anything else as JSON. */
export const shown = (json: string | undefined): string => (json === undefined ? "" : json.startsWith('"') ? (JSON.parse(json) as string) : json);

/** One value over several lines; text that is no JSON as it is. */
export function pretty(text: string): string {
  if (!isJson(text)) return text;
  const out: string[] = [];
  let depth = 0;
  const line = () => out.push("\n", "  ".repeat(depth));
  const tokens = tokensOf(text);
  tokens.forEach((token, index) => {
    const isEmpty = (token === "{" && tokens[index + 1] === "}") || (token === "[" && tokens[index + 1] === "]");
    const closesEmpty = (token === "}" && tokens[index - 1] === "{") || (token === "]" && tokens[index - 1] === "[");
    if ((token === "}" || token === "]") && !closesEmpty) {
      depth -= 1;
      line();
    }
    out.push(token === ":" ? ": " : token);
    if ((token === "{" || token === "[") && !isEmpty) {
      depth += 1;
      line();
    }
    if (token === ",") line();
  });
  return out.join("");
}

/** Each line for itself, as records come; lines that are no JSON stay as they are. */
export const prettyLines = (text: string): string => text.replace(/\n$/, "").split("\n").map(pretty).join("\n");
