// The file of jobs: read, held against docs/jobs.schema.json, and every fault told with its line and member.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Ajv2020, type ErrorObject } from "ajv/dist/2020.js";
import { normalJob, type Job } from "./job.ts";
import { JsonError, parseLocated, type Json, type Located, type Path } from "./json.ts";

const SCHEMA = fileURLToPath(new URL("../../docs/jobs.schema.json", import.meta.url));

/** A failure whose text is for the one who typed the command; it is shown without a stack trace. */
export class JobsError extends Error {}

export interface JobsFile {
  /** What the file names as its schema. */
  schema: string | undefined;
  /** `zones/…` and `accounts/…` with their jobs. */
  scopes: Map<string, Job[]>;
}

interface Fault {
  path: Path;
  text: string;
}

/** Reads a file, or fails with all of its faults, one a line: `jobs.json:12: scopes["zones/z"][0].filter: …`. */
export function readJobsFile(path: string, title: string): JobsFile {
  let text;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new JobsError(`${title}: can not be read (${(error as NodeJS.ErrnoException).code})`);
  }
  const located = locate(text, title);
  const faults = schemaFaults(located.value);
  if (faults.length === 0) faults.push(...jobFaults(located.value as unknown as JobsDocument));
  if (faults.length > 0) {
    const lines = faults.map(({ path, text }) => ({ line: located.lineOf(path), text: `${pathText(path)}${text}` }));
    lines.sort((a, b) => a.line - b.line);
    throw new JobsError(lines.map(({ line, text }) => `${title}:${line}: ${text}`).join("\n"));
  }
  const document = located.value as unknown as JobsDocument;
  const scopes = Object.entries(document.scopes).map(([scope, jobs]): [string, Job[]] => [scope, jobs.map(normalJob)]);
  return { schema: document.$schema, scopes: new Map(scopes) };
}

interface JobsDocument {
  $schema?: string;
  scopes: Record<string, Record<string, Json>[]>;
}

function locate(text: string, title: string): Located {
  try {
    return parseLocated(text);
  } catch (error) {
    if (error instanceof JsonError) throw new JobsError(`${title}:${error.line}: ${error.message}`);
    throw error;
  }
}

function schemaFaults(value: Json): Fault[] {
  const ajv = new Ajv2020({ allErrors: true, strict: true, allowUnionTypes: true });
  const validate = ajv.compile(JSON.parse(readFileSync(SCHEMA, "utf8")) as object);
  if (validate(value)) return [];
  // `if` and `propertyNames` only say that something inside of them failed, which has an error of its own.
  return (validate.errors ?? []).filter(({ keyword }) => keyword !== "if" && keyword !== "propertyNames").map(fault);
}

/** Ajv's error in our words. No value is repeated: it may be a credential. */
function fault(error: ErrorObject): Fault {
  const path = pathOf(error.instancePath);
  const params = error.params as Record<string, unknown>;
  if (error.propertyName !== undefined) return { path: [...path, error.propertyName], text: "a scope is written zones/<id> or accounts/<id>" };
  switch (error.keyword) {
    case "additionalProperties":
      return { path: [...path, String(params["additionalProperty"])], text: "is not known here" };
    case "required":
      return { path, text: `${JSON.stringify(params["missingProperty"])} is missing` };
    case "enum":
      return { path, text: `must be one of ${JSON.stringify(params["allowedValues"]).slice(1, -1).replaceAll(",", ", ")}` };
    case "type":
      return { path, text: `must be ${[params["type"]].flat().join(" or ")}` };
    case "not":
      return { path, text: "REDACTED is what a read shows in place of a credential" };
    case "pattern":
      return { path, text: path.at(-1) === "destination_conf" ? "must begin with a scheme, such as https://" : `must match ${String(params["pattern"])}` };
    default:
      return { path, text: error.message ?? "is wrong" };
  }
}

function pathOf(pointer: string): Path {
  return pointer.split("/").slice(1).map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~")).map((part) => (/^\d+$/.test(part) ? Number(part) : part));
}

/** What a schema can not say. */
function jobFaults({ scopes }: JobsDocument): Fault[] {
  const faults: Fault[] = [];
  for (const [scope, jobs] of Object.entries(scopes)) {
    const seen = new Map<string, number>();
    for (const [n, job] of jobs.entries()) {
      const path = ["scopes", scope, n];
      const { name, dataset } = normalJob(job);
      const key = keyOf({ name, dataset });
      const first = seen.get(key);
      if (first === undefined) seen.set(key, n);
      else faults.push({ path: [...path, "name"], text: `job ${first} of the list has the same name and dataset` });
      if (typeof job["filter"] === "string" && job["filter"] !== "" && !isFilter(job["filter"])) {
        faults.push({ path: [...path, "filter"], text: 'must hold a JSON object with "where"' });
      }
    }
  }
  return faults;
}

/** What a job is known by within its scope. */
export function keyOf({ name, dataset }: Pick<Job, "name" | "dataset">): string {
  return JSON.stringify([dataset, name]);
}

function isFilter(text: string): boolean {
  try {
    const filter: unknown = JSON.parse(text);
    return typeof filter === "object" && filter !== null && "where" in filter;
  } catch {
    return false;
  }
}

/** `scopes["zones/z"][0].filter: `, or nothing for the whole file. */
function pathText(path: Path): string {
  const text = path.map((part) => (typeof part === "number" ? `[${part}]` : /^[\w$]+$/.test(part) ? `.${part}` : `[${JSON.stringify(part)}]`)).join("");
  return text === "" ? "" : `${text.replace(/^\./, "")}: `;
}
