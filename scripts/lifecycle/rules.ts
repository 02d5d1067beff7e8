// How long the bucket keeps what, as R2's lifecycle rules. The settings are the Worker's own: src/lifecycle/retention.json.

import { readFileSync } from "node:fs";
import { stripVTControlCharacters } from "node:util";

export interface Setting {
  name: string;
  default_days: number | null;
  min_days: number;
  prefixes: string[];
}

/** A rule as `wrangler r2 bucket lifecycle set` sends it to R2; ages are seconds. */
export interface Rule {
  id: string;
  enabled: true;
  conditions: { prefix?: string };
  deleteObjectsTransition?: { condition: { maxAge: number; type: "Age" } };
  abortMultipartUploadsTransition?: { condition: { maxAge: number; type: "Age" } };
}

/** What every rule that is written here begins with. Others are somebody else's. */
export const OURS = "logpush-edge ";

/** Never by age: a queue may refer to a spooled object for as long as a destination is down. The Worker deletes them. */
export const NEVER_BY_AGE = "spool/";

/** R2 has this rule on every bucket until others are set, and setting any replaces it. */
const DEFAULT_RULE = "Default Multipart Abort Rule";
const ABORT_AFTER_DAYS = 7;
const MAX_DAYS = 36_500;
const DAY_SECONDS = 86_400;

export function settings(): Setting[] {
  return JSON.parse(readFileSync(new URL("../../src/lifecycle/retention.json", import.meta.url), "utf8")) as Setting[];
}

/** What is wrong with the variables, in words; the Worker refuses the same. */
export function mistakes(vars: Record<string, unknown>): string[] {
  const wrong: string[] = [];
  for (const { name, min_days } of settings()) {
    const days = daysOf(vars, name);
    if (days !== undefined && !(Number.isInteger(days) && days >= min_days && days <= MAX_DAYS)) {
      wrong.push(`${name} is \`${String(vars[name])}\`: it must be a whole number of days from ${min_days} to ${MAX_DAYS}, or not be set`);
    }
  }
  return wrong;
}

/** The days of a variable; undefined when it is not set, NaN when it is no number. */
function daysOf(vars: Record<string, unknown>, name: string): number | undefined {
  const text = String(vars[name] ?? "").trim();
  if (text === "") return undefined;
  return /^\d+$/.test(text) ? Number(text) : NaN;
}

/** Whether the bucket is to delete anything by age. */
export function isConfigured(vars: Record<string, unknown>): boolean {
  return settings().some(({ name, prefixes }) => prefixes.length > 0 && daysOf(vars, name) !== undefined);
}

/** The rules that the bucket should have, all of them: setting them replaces what was there. */
export function rules(vars: Record<string, unknown>): Rule[] {
  const wrong = mistakes(vars);
  if (wrong.length > 0) throw new Error(wrong.join("\n"));
  const age = (days: number) => ({ condition: { maxAge: days * DAY_SECONDS, type: "Age" as const } });
  const byAge = settings().flatMap(({ name, prefixes }) => {
    const days = daysOf(vars, name);
    if (days === undefined) return [];
    return prefixes.map((prefix): Rule => ({
      id: `${OURS}${prefix} ${name}`,
      enabled: true,
      conditions: { prefix },
      deleteObjectsTransition: age(days),
    }));
  });
  return [
    ...byAge,
    { id: `${OURS}incomplete uploads`, enabled: true, conditions: {}, abortMultipartUploadsTransition: age(ABORT_AFTER_DAYS) },
  ];
}

/** Names of the rules in what `wrangler r2 bucket lifecycle list` prints that were not written here. */
export function foreign(listed: string): string[] {
  const names = [...stripVTControlCharacters(listed).matchAll(/^name:\s+(.*?)\s*$/gm)].map(([, name]) => name as string);
  return names.filter((name) => !name.startsWith(OURS) && name !== DEFAULT_RULE);
}
