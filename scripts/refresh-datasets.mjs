// node scripts/refresh-datasets.mjs <folder>: brings src/logpush/datasets up to date from a folder of files of the same
// form, and says what changed. Nothing is written unless every file is in order. Datasets that the folder lacks stay.

import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const TYPES = ["string", "int", "float", "bool", "object", "array[string]", "array[int]", "array[object]", "int or string"];
const SCOPES = ["zone", "account"];
const MEMBERS = {
  dataset: "string",
  scope: "string",
  scopes: "strings",
  timestamp_field: "string",
  source: "string",
  note: "string",
  fields: "fields",
  optional_fields: "fields",
  filter_unsupported_fields: "strings",
  legacy_fields: "strings",
};
const REQUIRED = ["dataset", "scope", "timestamp_field", "source", "fields"];

const root = fileURLToPath(new URL("..", import.meta.url));

/** What is wrong with a file, one sentence each; `name` is its name without `.json`. */
export function faults(name, dataset) {
  if (!isObject(dataset)) return ["must be a JSON object"];
  const found = REQUIRED.filter((member) => !(member in dataset)).map((member) => `${member} is missing`);
  for (const [member, value] of Object.entries(dataset)) {
    const form = MEMBERS[member];
    if (form === undefined) found.push(`${member} is no member of a dataset`);
    else if (form === "string" && (typeof value !== "string" || value === "")) found.push(`${member} must be a text`);
    else if (form === "strings" && !isStrings(value)) found.push(`${member} must be a list of texts`);
    else if (form === "fields") found.push(...fieldFaults(member, value));
  }
  if (found.length > 0) return found;
  const { dataset: own, scope, timestamp_field: time, fields } = dataset;
  if (!SCOPES.includes(scope)) found.push(`scope must be ${SCOPES.join(" or ")}`);
  if (!/^[A-Za-z0-9_-]{1,256}$/.test(own)) found.push("dataset must be 1 to 256 characters of A-Z, a-z, 0-9, _ and -");
  if (name !== own && name !== `${own}.${scope}`) found.push(`is about ${own}, so it must be called ${own}.json or ${own}.${scope}.json`);
  if (Object.keys(fields).length === 0) found.push("fields is empty");
  if (!Object.hasOwn(fields, time)) found.push(`timestamp_field ${time} is no field`);
  for (const field of dataset.filter_unsupported_fields ?? []) {
    if (!Object.hasOwn(fields, field)) found.push(`filter_unsupported_fields: ${field} is no field`);
  }
  return found;
}

function fieldFaults(member, fields) {
  if (!isObject(fields)) return [`${member} must be an object`];
  return Object.entries(fields).flatMap(([name, field]) => {
    const at = `${member}.${name}`;
    if (!/^[A-Za-z][A-Za-z0-9_]*$/.test(name)) return [`${at}: a name is letters, digits and _`];
    if (!isObject(field)) return [`${at} must be an object`];
    const found = [];
    if (!TYPES.includes(field.type)) found.push(`${at}.type must be one of ${TYPES.join(", ")}`);
    if (typeof field.description !== "string" || field.description.trim() === "") found.push(`${at}.description must be a text`);
    if ("deprecated" in field && typeof field.deprecated !== "boolean") found.push(`${at}.deprecated must be true or false`);
    if ("scopes" in field && !isStrings(field.scopes)) found.push(`${at}.scopes must be a list of texts`);
    const known = ["type", "description", "deprecated", "scopes"];
    for (const other of Object.keys(field).filter((key) => !known.includes(key))) found.push(`${at}.${other} is no member of a field`);
    return found;
  });
}

/** What changed from one form of a dataset to the next, one line each. */
export function changes(before, after) {
  if (before === undefined) return [`new, with ${Object.keys(after.fields).length} fields`];
  const lines = [];
  for (const member of ["fields", "optional_fields"]) {
    const [old, fresh] = [before[member] ?? {}, after[member] ?? {}];
    for (const name of Object.keys(fresh).filter((name) => !Object.hasOwn(old, name))) lines.push(`+ ${name} (${fresh[name].type})`);
    for (const name of Object.keys(old).filter((name) => !Object.hasOwn(fresh, name))) lines.push(`- ${name}`);
    for (const name of Object.keys(fresh).filter((name) => Object.hasOwn(old, name))) {
      for (const key of ["type", "description", "deprecated", "scopes"]) {
        const [was, is] = [old[name][key], fresh[name][key]].map((value) => JSON.stringify(value));
        if (was !== is) lines.push(`~ ${name}: ${key} ${was ?? "unset"} → ${is ?? "unset"}`);
      }
    }
  }
  for (const member of Object.keys({ ...before, ...after }).filter((key) => MEMBERS[key] !== "fields")) {
    const [was, is] = [before[member], after[member]].map((value) => JSON.stringify(value));
    if (was !== is) lines.push(`~ ${member}: ${was ?? "unset"} → ${is ?? "unset"}`);
  }
  return lines;
}

/** The text of a file: one blank a level, no newline at the end, fields in byte order as Logpush lists them. */
export function format(dataset) {
  return JSON.stringify({ ...dataset, fields: sorted(dataset.fields) }, null, 1);
}

/** The source of the catalogue with these names in the list of its files. */
export function listed(source, names) {
  const list = /(const FILES: [^\n]*= files! \{\n)[^}]*(\};)/;
  if (!list.test(source)) throw new Error("the list FILES is not where it was in src/logpush/catalogue.rs");
  return source.replace(list, (_, head, tail) => `${head}${names.map((name) => `    "${name}"\n`).join("")}${tail}`);
}

/** Does all of it; `target` and `catalogue` are where the datasets and their list lie. Returns what to tell, and whether it is good. */
export function refresh(folder, target = join(root, "src/logpush/datasets"), catalogue = join(root, "src/logpush/catalogue.rs")) {
  const [say, writes] = [[], []];
  // `_index.json` and the like are about the folder, not a dataset.
  const names = namesIn(folder).filter((name) => !name.startsWith("_"));
  if (names.length === 0) return { ok: false, say: [`${folder} holds no datasets`] };
  let bad = 0;
  for (const name of names) {
    const read = parse(join(folder, `${name}.json`));
    const wrong = read.error === undefined ? faults(name, read.dataset) : [read.error];
    bad += wrong.length;
    say.push(...wrong.map((fault) => `${name}.json: ${fault}`));
    if (wrong.length > 0) continue;
    const file = join(target, `${name}.json`);
    const before = existsSync(file) ? readFileSync(file, "utf8") : undefined;
    const text = format(read.dataset);
    if (text === before) continue;
    writes.push([file, text]);
    const lines = changes(before === undefined ? undefined : JSON.parse(before), read.dataset);
    say.push(name, ...(lines.length > 0 ? lines : ["~ order or spacing only"]).map((line) => `  ${line}`));
  }
  if (bad > 0) return { ok: false, say: [...say, "nothing was written"] };
  const gone = namesIn(target).filter((name) => !names.includes(name));
  if (gone.length > 0) say.push(`not in ${basename(folder)}, and left as they are: ${gone.join(", ")}`);
  for (const [file, text] of writes) writeFileSync(file, text);
  const source = readFileSync(catalogue, "utf8");
  const relisted = listed(source, namesIn(target));
  if (relisted !== source) writeFileSync(catalogue, relisted);
  say.push(`${writes.length} of ${names.length} datasets changed`);
  return { ok: true, say };
}

/** Names without `.json`, in the byte order of the file names. */
function namesIn(folder) {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".json"))
    .sort()
    .map((name) => name.slice(0, -".json".length));
}

function parse(file) {
  try {
    return { dataset: JSON.parse(readFileSync(file, "utf8")) };
  } catch (error) {
    return { error: error.message };
  }
}

function sorted(object) {
  return Object.fromEntries(Object.entries(object).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isStrings(value) {
  return Array.isArray(value) && value.every((one) => typeof one === "string" && one !== "");
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [folder] = process.argv.slice(2);
  if (folder === undefined) {
    console.error("say which folder: node scripts/refresh-datasets.mjs <folder>");
    process.exitCode = 2;
  } else {
    const { ok, say } = refresh(folder);
    for (const line of say) console.log(line);
    process.exitCode = ok ? 0 : 1;
  }
}
