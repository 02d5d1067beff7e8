// Logpush's filter language as a tree that a form can edit, and as the JSON that a job has. docs/filters.md has the rules;
// the Worker decides in the end, and its preview says what it thinks of a filter.

/** Types of Logpush's documentation; "int or string" is a time. */
export type FieldType = "string" | "int" | "float" | "bool" | "int or string" | "array[string]" | "array[int]" | "object" | "array[object]";

/** A value as it stands in the JSON. A number that JavaScript can not hold is a string of its digits. */
export type Scalar = string | number | boolean;

export interface Condition {
  kind: "condition";
  /** For the form alone: tells nodes apart while they are edited. */
  id: number;
  key: string;
  /** With its `!`. */
  operator: string;
  /** A list for `in` and `!in`. */
  value: Scalar | Scalar[];
}

export interface Group {
  kind: "group";
  id: number;
  word: "and" | "or";
  nodes: FilterNode[];
}

export type FilterNode = Condition | Group;

/** What is wrong, and where: `where.and[1]`. */
export class FilterFault extends Error {
  readonly place: string;

  constructor(place: string, message: string) {
    super(message);
    this.place = place;
  }
}

/** Bytes of a filter, conditions' nesting: the Worker's limits (docs/filters.md). */
export const FILTER_MAX_BYTES = 32_768;
export const FILTER_MAX_DEPTH = 32;

const POSITIVE = ["eq", "lt", "leq", "gt", "geq", "startsWith", "endsWith", "contains", "in"] as const;
const ORDER = ["lt", "leq", "gt", "geq"];
const NUMBERS = ["eq", "!eq", ...ORDER, "in", "!in"];

/** The operators that a type takes, negations included; every one where nothing says the type. */
export function operatorsFor(type: FieldType | undefined): readonly string[] {
  switch (type) {
    case "string":
      return ["eq", "!eq", "startsWith", "!startsWith", "endsWith", "!endsWith", "contains", "!contains", "in", "!in"];
    case "int":
    case "float":
    case "int or string":
      return NUMBERS;
    case "bool":
      return ["eq", "!eq"];
    case "array[string]":
    case "array[int]":
      return ["contains", "!contains"];
    case "object":
    case "array[object]":
      return [];
    case undefined:
      return ["eq", "!eq", ...ORDER, "startsWith", "!startsWith", "endsWith", "!endsWith", "contains", "!contains", "in", "!in"];
  }
}

/** An operator in words, as an option of the form. */
export const OPERATOR_WORDS: Readonly<Record<string, string>> = {
  eq: "is", "!eq": "is not", lt: "is below", leq: "is at most", gt: "is above", geq: "is at least",
  startsWith: "starts with", "!startsWith": "does not start with", endsWith: "ends with", "!endsWith": "does not end with",
  contains: "contains", "!contains": "does not contain", in: "is one of", "!in": "is none of",
};

export const takesList = (operator: string): boolean => operator === "in" || operator === "!in";

let lastId = 0;
const nextId = () => (lastId += 1);

export const condition = (key = "", operator = "eq", value: Scalar | Scalar[] = ""): Condition => ({ kind: "condition", id: nextId(), key, operator, value });
export const group = (word: "and" | "or" = "and", nodes: FilterNode[] = []): Group => ({ kind: "group", id: nextId(), word, nodes });

// ── From text ───────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * Reads a filter as somebody has it at hand: the JSON itself, the string that holds it, with its escapes and with or
 * without quotes around it, a `"filter": "…"` member, or a whole job. The tree's root is always a group; an empty text is
 * one without nodes, which selects every record.
 *
 * Throws FilterFault.
 */
export function parseFilter(text: string): Group {
  const trimmed = text.trim();
  if (trimmed === "") return group();
  const value = whereOf(readJson(trimmed));
  if (value === undefined) return group();
  const node = readNode(value, "where", 0);
  return node.kind === "group" ? node : group("and", [node]);
}

function readJson(text: string): unknown {
  const tries = [text, `{${text.replace(/,\s*$/, "")}}`, `"${text}"`];
  for (const attempt of tries) {
    const value = json(attempt);
    if (value === undefined) continue;
    // The second form is for `"filter": "…"` alone: anything else in braces would be a guess.
    if (attempt === tries[1] && (value as { filter?: unknown }).filter === undefined) continue;
    return value;
  }
  try {
    JSON.parse(text);
  } catch (error) {
    throw new FilterFault("where", `not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  throw new FilterFault("where", "not JSON");
}

/** Parses JSON; a number that would lose digits becomes a string of them, which a filter may have in its place. */
function json(text: string): unknown {
  const revive = (_: string, value: unknown, context?: { source?: string }) => {
    const source = context?.source;
    return typeof value === "number" && source !== undefined && /^-?\d+$/.test(source) && String(value) !== source && source !== "-0" ? source : value;
  };
  try {
    return JSON.parse(text, revive) as unknown;
  } catch {
    return undefined;
  }
}

/** What stands behind `where`, out of as many strings as it was put in. */
function whereOf(value: unknown, depth = 0): unknown {
  if (typeof value === "string") {
    if (value.trim() === "") return undefined;
    if (depth > 4) throw new FilterFault("where", "a string in a string in a string: paste the filter itself");
    const inner = json(value);
    if (inner === undefined) throw new FilterFault("where", "not JSON");
    return whereOf(inner, depth + 1);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new FilterFault("where", "must be an object with the one member `where`");
  const members = Object.keys(value);
  const object = value as Record<string, unknown>;
  if ("where" in object && members.length === 1) return object["where"];
  if ("filter" in object) return object["filter"] === null ? undefined : whereOf(object["filter"], depth + 1);
  if ("result" in object) return whereOf(object["result"], depth + 1);
  if ("and" in object || "or" in object || "key" in object) return object;
  throw new FilterFault("where", "must be an object with the one member `where`");
}

function readNode(value: unknown, place: string, depth: number): FilterNode {
  if (depth > FILTER_MAX_DEPTH) throw new FilterFault(place, `nested deeper than ${FILTER_MAX_DEPTH} levels; an \`and\` in an \`and\` can be one`);
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new FilterFault(place, "must be an object: `and`, `or`, or a condition");
  const object = value as Record<string, unknown>;
  const names = Object.keys(object);
  for (const word of ["and", "or"] as const) {
    if (!(word in object)) continue;
    const other = names.find((name) => name !== word);
    if (other !== undefined) throw new FilterFault(place, `\`${word}\` can not stand beside \`${other}\``);
    const list = object[word];
    if (!Array.isArray(list) || list.length === 0) throw new FilterFault(`${place}.${word}`, "must be a list with at least one node");
    return group(word, list.map((one, index) => readNode(one, `${place}.${word}[${index}]`, depth + 1)));
  }
  if (names.length === 1 && "where" in object) return readNode(object["where"], place, depth + 1);
  for (const name of ["key", "operator", "value"]) if (!(name in object)) throw new FilterFault(place, `\`${name}\` is missing`);
  const other = names.find((name) => !["key", "operator", "value"].includes(name));
  if (other !== undefined) throw new FilterFault(place, `unknown member \`${other}\``);
  const { key, operator } = object;
  if (typeof key !== "string" || typeof operator !== "string") throw new FilterFault(place, "`key` and `operator` must be strings");
  const word = readOperator(operator);
  if (word === undefined) throw new FilterFault(place, `unknown operator \`${operator}\`; there are ${POSITIVE.join(", ")}`);
  return condition(key, word, readValue(object["value"], word, place));
}

function readOperator(text: string): string | undefined {
  if (text.toLowerCase() === "neq") return "!eq";
  const sign = text.startsWith("!") ? "!" : "";
  const bare = text.slice(sign.length);
  const word = bare.slice(0, 1).toLowerCase() + bare.slice(1);
  return (POSITIVE as readonly string[]).includes(word) ? sign + word : undefined;
}

const isScalar = (value: unknown): value is Scalar => ["string", "number", "boolean"].includes(typeof value);

function readValue(value: unknown, operator: string, place: string): Scalar | Scalar[] {
  if (takesList(operator)) {
    // Instant Logs' form: one string with commas.
    const list = typeof value === "string" ? value.split(",").map((one) => one.trim()) : value;
    if (!Array.isArray(list) || list.length === 0 || !list.every(isScalar)) throw new FilterFault(place, "`in` takes a list with at least one value");
    return list;
  }
  if (!isScalar(value)) throw new FilterFault(place, "`value` must be a string, a number, true or false");
  return value;
}

// ── To text ─────────────────────────────────────────────────────────────────────────────────────────────────────────

type Plain = { key: string; operator: string; value: Scalar | Scalar[] } | { and: Plain[] } | { or: Plain[] };

function plain(node: FilterNode): Plain {
  if (node.kind === "condition") return { key: node.key, operator: node.operator, value: node.value };
  const nodes = node.nodes.map(plain);
  return node.word === "and" ? { and: nodes } : { or: nodes };
}

/** The JSON of a job's `filter`; "" for a filter without conditions. A root with one node is that node. */
export function printFilter(root: Group, indent?: number): string {
  if (root.nodes.length === 0) return "";
  const [only] = root.nodes;
  return JSON.stringify({ where: plain(root.nodes.length === 1 && only !== undefined ? only : root) }, null, indent);
}

/** A condition as a reader says it: `EdgeResponseStatus is at least 400`. */
export function sentence(node: FilterNode): string {
  if (node.kind === "condition") {
    const value = Array.isArray(node.value) ? node.value.join(", ") : String(node.value);
    return `${node.key} ${OPERATOR_WORDS[node.operator] ?? node.operator} ${value}`;
  }
  if (node.nodes.length === 0) return "every record";
  return node.nodes.map((one) => (one.kind === "group" && node.nodes.length > 1 ? `(${sentence(one)})` : sentence(one))).join(` ${node.word} `);
}

// ── Editing ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** The tree with the node of this id replaced; `undefined` takes it away. The root stays a group. */
export function replaceNode(root: Group, id: number, change: (node: FilterNode) => FilterNode | undefined): Group {
  const walk = (node: FilterNode): FilterNode[] => {
    const changed = node.id === id ? change(node) : node.kind === "group" ? { ...node, nodes: node.nodes.flatMap(walk) } : node;
    return changed === undefined ? [] : [changed];
  };
  const [changed] = walk(root);
  return changed?.kind === "group" ? changed : root;
}

export const addNode = (root: Group, into: number, node: FilterNode): Group =>
  replaceNode(root, into, (found) => (found.kind === "group" ? { ...found, nodes: [...found.nodes, node] } : found));

/** Keys of all conditions, each once. */
export function keysOf(node: FilterNode): string[] {
  const keys = node.kind === "condition" ? [node.key] : node.nodes.flatMap(keysOf);
  return [...new Set(keys)].filter((key) => key !== "");
}

export const countConditions = (node: FilterNode): number => (node.kind === "condition" ? 1 : node.nodes.reduce((sum, one) => sum + countConditions(one), 0));

/** What somebody typed, as a value of the field's type. Text that does not fit it stays text, and is said to be wrong. */
export function valueOf(text: string, type: FieldType | undefined): Scalar {
  switch (type) {
    case "int":
    case "float":
    case "array[int]":
      return numberOf(text) ?? text;
    case "bool":
      return text === "true" ? true : text === "false" ? false : text;
    case "string":
    case "array[string]":
    case "int or string":
    case "object":
    case "array[object]":
    case undefined:
      return text;
  }
}

/** A number that JavaScript writes as it was typed; others stay text, which the Worker reads to the last digit. */
function numberOf(text: string): number | undefined {
  const trimmed = text.trim();
  if (!/^-?\d+(\.\d+)?$/.test(trimmed)) return undefined;
  const value = Number(trimmed);
  return String(value) === trimmed ? value : undefined;
}

/** A condition after another field was chosen: its operator and value are kept where they fit the new type. */
export function withKey(old: Condition, key: string, type: FieldType | undefined): Condition {
  const operators = operatorsFor(type);
  const operator = operators.includes(old.operator) || operators.length === 0 ? old.operator : (operators[0] ?? "eq");
  return { ...withOperator(old, operator, type), key };
}

/** A condition after another operator was chosen: one value becomes a list of it, and of a list the first is kept. */
export function withOperator(old: Condition, operator: string, type: FieldType | undefined): Condition {
  const list = (Array.isArray(old.value) ? old.value : [old.value]).map((one) => valueOf(String(one), type));
  return { ...old, operator, value: takesList(operator) ? list.filter((one) => one !== "") : (list[0] ?? "") };
}

// ── What is wrong ───────────────────────────────────────────────────────────────────────────────────────────────────

const isNumber = (value: Scalar) => typeof value === "number" || (typeof value === "string" && /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(value.trim()));
const isTime = (value: Scalar) => typeof value !== "boolean" && (isNumber(value) || (typeof value === "string" && /^\d{4}-\d\d-\d\d[Tt ]/.test(value)));

/** What is wrong with each condition or group, by id; types by name, or undefined for a dataset of an open schema. */
export function faults(root: Group, types: ReadonlyMap<string, FieldType> | undefined): Map<number, string> {
  const found = new Map<number, string>();
  const look = (node: FilterNode, isRoot: boolean) => {
    if (node.kind === "group") {
      if (node.nodes.length === 0 && !isRoot) found.set(node.id, "An empty group: add a condition, or remove it.");
      node.nodes.forEach((one) => look(one, false));
      return;
    }
    const fault = faultOf(node, types);
    if (fault !== undefined) found.set(node.id, fault);
  };
  look(root, true);
  return found;
}

function faultOf({ key, operator, value }: Condition, types: ReadonlyMap<string, FieldType> | undefined): string | undefined {
  if (key === "") return "Choose a field.";
  const type = types?.get(key);
  if (types !== undefined && type === undefined) return `The dataset has no field ${key}.`;
  const operators = operatorsFor(type);
  if (operators.length === 0) return `${key} holds objects, which a filter can not look into.`;
  if (!operators.includes(operator)) return `“${OPERATOR_WORDS[operator] ?? operator}” does not apply to ${key}, which is of type ${type}.`;
  const values = Array.isArray(value) ? value : [value];
  if (values.length === 0) return "Enter at least one value.";
  const wrong = (one: Scalar): boolean => {
    if (type === "int" || type === "float" || type === "array[int]") return !isNumber(one);
    if (type === "int or string") return !isTime(one);
    if (type === "bool") return typeof one !== "boolean" && one !== "true" && one !== "false";
    return false;
  };
  const first = values.find(wrong);
  if (first === undefined) return undefined;
  const wanted = type === "bool" ? "true or false" : type === "int or string" ? "a time: RFC 3339, or a unix time" : "a number";
  return first === "" ? `Enter ${wanted}.` : `${String(first)} is not ${wanted}.`;
}
