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

/** One value over several lines; text that is no JSON as it is. */
export function pretty(text: string): string {
  if (!isJson(text)) return text;
  const out: string[] = [];
  let depth = 0;
  const line = () => out.push("\n", "  ".repeat(depth));
  // Strings, numbers and words as they are, and one by one what stands between them.
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[^\s{}[\],:"]+|[{}[\],:]/g) ?? [];
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
