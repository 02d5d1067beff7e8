// JSON with line numbers: what JSON.parse keeps to itself, and what an error about a hand-written file has to say.
// No error repeats the text around it, because that may be a credential.

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** Names of members and numbers of elements that lead to a value. */
export type Path = readonly (string | number)[];

export class JsonError extends Error {
  readonly line: number;

  constructor(line: number, message: string) {
    super(message);
    this.line = line;
  }
}

export interface Located {
  value: Json;
  /** The line where the value at this path begins, or that of the nearest one around it. */
  lineOf(path: Path): number;
}

const SPACE = /[ \t\r\n]*/y;
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const WORD = /true|false|null/y;
/** Deeper than any file that somebody means. */
const MAX_DEPTH = 64;

/** Reads a JSON text (RFC 8259) in which no object has a member twice. */
export function parseLocated(text: string): Located {
  const reader = new Reader(text.startsWith("\uFEFF") ? text.slice(1) : text);
  const value = reader.whole();
  return {
    value,
    lineOf: (path) => {
      for (let length = path.length; length > 0; length -= 1) {
        const line = reader.lines.get(JSON.stringify(path.slice(0, length)));
        if (line !== undefined) return line;
      }
      return 1;
    },
  };
}

class Reader {
  readonly lines = new Map<string, number>();
  readonly #text: string;
  #at = 0;
  /** The line of `#counted`; positions are asked for in order, so each line end is counted once. */
  #line = 1;
  #counted = 0;

  constructor(text: string) {
    this.#text = text;
  }

  whole(): Json {
    const value = this.#value([]);
    this.#take(SPACE);
    if (this.#at < this.#text.length) throw this.#error("the file goes on after its value has ended");
    return value;
  }

  #value(path: Path): Json {
    this.#take(SPACE);
    if (path.length > MAX_DEPTH) throw this.#error("the values are nested too deep");
    if (path.length > 0) this.lines.set(JSON.stringify(path), this.#lineHere());
    const first = this.#text[this.#at];
    if (first === "{") return this.#object(path);
    if (first === "[") return this.#array(path);
    const token = first === '"' ? this.#string("a text") : (this.#take(WORD) ?? this.#take(NUMBER));
    if (token === undefined) throw this.#error(first === undefined ? "the file ends where a value must stand" : "a value must stand here");
    return JSON.parse(token) as Json;
  }

  #object(path: Path): Json {
    const members: [string, Json][] = [];
    const names = new Set<string>();
    this.#list("{", "}", () => {
      const line = this.#lineHere();
      const name = JSON.parse(this.#string("the name of a member")) as string;
      if (names.has(name)) throw new JsonError(line, `${JSON.stringify(name)} stands twice in the same object`);
      names.add(name);
      this.#take(SPACE);
      this.#expect(":");
      members.push([name, this.#value([...path, name])]);
    });
    return Object.fromEntries(members);
  }

  #array(path: Path): Json {
    const elements: Json[] = [];
    this.#list("[", "]", () => void elements.push(this.#value([...path, elements.length])));
    return elements;
  }

  #list(open: string, close: string, element: () => void): void {
    this.#expect(open);
    this.#take(SPACE);
    if (this.#text[this.#at] === close) return this.#expect(close);
    for (;;) {
      this.#take(SPACE);
      element();
      this.#take(SPACE);
      if (this.#text[this.#at] === close) return this.#expect(close);
      if (this.#text[this.#at] !== ",") throw this.#error(`"," or "${close}" must stand here`);
      this.#at += 1;
    }
  }

  #string(what: string): string {
    const token = this.#take(STRING);
    if (token !== undefined) return token;
    if (this.#text[this.#at] === '"') throw this.#error("a text is not ended, or holds a character that must be written with \\");
    throw this.#error(`${what} in double quotes must stand here`);
  }

  #expect(character: string): void {
    if (this.#text[this.#at] !== character) throw this.#error(`"${character}" must stand here`);
    this.#at += 1;
  }

  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const token = pattern.exec(this.#text)?.[0];
    if (token !== undefined) this.#at += token.length;
    return token;
  }

  #lineHere(): number {
    for (let next = this.#text.indexOf("\n", this.#counted); next !== -1 && next < this.#at; next = this.#text.indexOf("\n", this.#counted)) {
      this.#line += 1;
      this.#counted = next + 1;
    }
    return this.#line;
  }

  #error(message: string): JsonError {
    return new JsonError(this.#lineHere(), message);
  }
}
