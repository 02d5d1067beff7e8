// `npm run jobs -- <apply|diff|pull|validate> [file] [flags]`: the jobs of a deployment as a file. See docs/jobs-as-code.md.
// Exit code: 0 when done or nothing was to do, 1 after an error, 2 when `diff` has found differences.

import { existsSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { REDACTED } from "./jobs/destination.ts";
import { Deployment } from "./jobs/deployment.ts";
import { JobsError, keyOf, readJobsFile, type JobsFile } from "./jobs/file.ts";
import { fileForm } from "./jobs/job.ts";
import { carryOut, makePlan, planText, title } from "./jobs/plan.ts";

const USAGE = `npm run jobs -- <command> [file] [flags]

  apply FILE      makes the deployment's jobs those of the file
  diff FILE       shows what apply would do
  pull [FILE]     writes the deployment's jobs into the file, or prints them
  validate FILE   checks the file; with --destinations also has a test message sent to each destination

  --url URL       address of the Worker (or LOGPUSH_EDGE_URL)
  --token TOKEN   its API_TOKEN (or LOGPUSH_EDGE_TOKEN, which other users of the machine can not see); diff also takes READ_TOKEN
  --prune         apply, diff: also delete jobs of the file's zones and accounts that the file does not have
  --scope SCOPE   pull: zones/<id> or accounts/<id>, may be repeated; else those of the file that is there
  --destinations  validate: see above

Exit code: 0 done, or nothing to do; 1 error; 2 diff has found differences.`;

const DIFFERENCES = 2;

const say = (text: string) => void process.stdout.write(`${text}\n`);
const complain = (text: string) => void process.stderr.write(`${text}\n`);

interface Flags {
  url?: string | undefined;
  token?: string | undefined;
  prune?: boolean | undefined;
  scope?: string[] | undefined;
  destinations?: boolean | undefined;
}

async function main(args: string[]): Promise<number> {
  const { command, file, flags } = read(args);
  switch (command) {
    case "apply":
    case "diff": {
      const jobs = readJobsFile(place(file), file);
      const plan = await makePlan(jobs, deployment(flags), flags.prune === true);
      say(planText(plan));
      if (plan.steps.length === 0) return 0;
      if (command === "diff") return DIFFERENCES;
      return (await carryOut(plan, deployment(flags), say, complain)) === 0 ? 0 : 1;
    }
    case "pull":
      return await pull(file, flags);
    case "validate":
      return await validate(readJobsFile(place(file), file), file, flags);
    default:
      say(USAGE);
      return 0;
  }
}

function read(args: string[]): { command: string; file: string; flags: Flags } {
  let parsed;
  try {
    parsed = parseArgs({
      args,
      allowPositionals: true,
      options: {
        url: { type: "string" },
        token: { type: "string" },
        prune: { type: "boolean" },
        scope: { type: "string", multiple: true },
        destinations: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    throw new JobsError(`${(error as Error).message}\n\n${USAGE}`);
  }
  const { help, ...flags } = parsed.values;
  const [command = "", file = "", ...rest] = parsed.positionals;
  if (help) return { command: "help", file: "", flags };
  const allowed: Record<string, (keyof Flags)[]> = {
    apply: ["url", "token", "prune"], diff: ["url", "token", "prune"], pull: ["url", "token", "scope"], validate: ["url", "token", "destinations"],
  };
  const known = allowed[command];
  if (!known) throw new JobsError(`${command === "" ? "Which command?" : `${command} is no command.`}\n\n${USAGE}`);
  const stray = (Object.keys(flags) as (keyof Flags)[]).find((flag) => !known.includes(flag));
  if (stray) throw new JobsError(`${command} has no --${stray}\n\n${USAGE}`);
  if (file === "" && command !== "pull") throw new JobsError(`${command} needs a file\n\n${USAGE}`);
  if (rest.length > 0) throw new JobsError(`${command} takes one file\n\n${USAGE}`);
  return { command, file, flags };
}

/** npm runs scripts in the package's folder; the file's name is meant where the command was typed. */
function place(file: string): string {
  return resolve(process.env["INIT_CWD"] ?? process.cwd(), file);
}

function deployment({ url, token }: Flags): Deployment {
  const [address, secret] = [url ?? process.env["LOGPUSH_EDGE_URL"], token ?? process.env["LOGPUSH_EDGE_TOKEN"]];
  if (!address) throw new JobsError("which deployment? Give its address with --url or in LOGPUSH_EDGE_URL");
  if (!secret) throw new JobsError("give the deployment's API_TOKEN in LOGPUSH_EDGE_TOKEN, or with --token");
  return new Deployment(address, secret);
}

async function pull(file: string, flags: Flags): Promise<number> {
  const there = file !== "" && existsSync(place(file)) ? readJobsFile(place(file), file) : undefined;
  const scopes = flags.scope ?? [...(there?.scopes.keys() ?? [])];
  if (scopes.length === 0) throw new JobsError("which jobs? Give --scope zones/<id> or accounts/<id>, or a file that has scopes");
  const from = deployment(flags);
  const pulled: Record<string, object[]> = {};
  for (const scope of scopes) {
    if (!/^(zones|accounts)\/[A-Za-z0-9_-]{1,64}$/.test(scope)) throw new JobsError("--scope is written zones/<id> or accounts/<id>");
    const jobs = await from.jobs(scope);
    const keys = Map.groupBy(jobs, keyOf);
    const nameable = jobs.filter((job) => job.name !== "" && keys.get(keyOf(job))?.length === 1);
    for (const job of jobs.filter((one) => !nameable.includes(one))) {
      complain(`· ${scope}: ${title(job)}, job ${job.id}, is left out: a job in a file needs a name that no other one has`);
    }
    if (nameable.some((job) => job.destination_conf.includes(REDACTED))) {
      throw new JobsError(`${scope}: credentials come masked with a token that may only read; pull needs API_TOKEN`);
    }
    pulled[scope] = nameable.map(({ id: _, ...job }) => fileForm(job));
  }
  // Scopes that were not asked for stay as they are.
  const kept = [...(there?.scopes ?? [])].filter(([scope]) => !(scope in pulled)).map(([scope, jobs]) => [scope, jobs.map(fileForm)]);
  const text = JSON.stringify({ ...(there?.schema === undefined ? {} : { $schema: there.schema }), scopes: { ...Object.fromEntries(kept), ...pulled } }, null, 2);
  if (file === "") say(text);
  else {
    const path = place(file);
    // There may be credentials in it. Written beside and renamed, so that there is always a whole file.
    rmSync(`${path}.new`, { force: true });
    writeFileSync(`${path}.new`, `${text}\n`, { mode: 0o600, flag: "wx" });
    renameSync(`${path}.new`, path);
    complain(`✓ ${Object.values(pulled).flat().length} jobs written to ${file}`);
  }
  return 0;
}

async function validate(jobs: JobsFile, file: string, flags: Flags): Promise<number> {
  let faults = 0;
  if (flags.destinations) {
    const asked = deployment(flags);
    for (const [scope, list] of jobs.scopes) {
      for (const job of list) {
        const fault = await asked.destinationFault(scope, job.destination_conf);
        if (fault === undefined) continue;
        faults += 1;
        complain(`✗ ${scope}: ${title(job)}: ${fault}`);
      }
    }
  }
  const count = [...jobs.scopes.values()].flat().length;
  say(`${faults === 0 ? "✓" : "✗"} ${file}: ${count} jobs in ${jobs.scopes.size} scopes${flags.destinations ? `, ${faults} destinations fail` : ""}`);
  return faults === 0 ? 0 : 1;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  complain(error instanceof JobsError ? error.message : ((error as Error).stack ?? String(error)));
  process.exitCode = 1;
}
