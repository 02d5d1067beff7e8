// What has to be done for a deployment to have the jobs of a file, and how it is shown.

import type { Deployment } from "./deployment.ts";
import { JobsError, keyOf, type JobsFile } from "./file.ts";
import { differences, fileForm, shown, type Difference, type Job, type StoredJob } from "./job.ts";

export type Step =
  | { kind: "create"; scope: string; job: Job }
  | { kind: "change"; scope: string; job: Job; id: number; differences: Difference[] }
  | { kind: "delete"; scope: string; job: StoredJob; id: number };

export interface Plan {
  steps: Step[];
  /** How many jobs are as the file says. */
  same: number;
  /** Jobs that the file does not have and that stay. */
  strangers: { scope: string; job: StoredJob }[];
}

/** Looks at every scope of the file. With `prune`, jobs that the file does not have are to be deleted. */
export async function makePlan(file: JobsFile, deployment: Deployment, prune: boolean): Promise<Plan> {
  const plan: Plan = { steps: [], same: 0, strangers: [] };
  const ambiguous: string[] = [];
  const scopes = await Promise.all([...file.scopes].map(async ([scope, jobs]) => ({ scope, jobs, there: await deployment.jobs(scope) })));
  for (const { scope, jobs, there } of scopes) {
    const byKey = Map.groupBy(there, keyOf);
    for (const job of jobs) {
      const [stored, ...more] = byKey.get(keyOf(job)) ?? [];
      if (more.length > 0) {
        const ids = [stored, ...more].map((one) => one?.id).join(", ");
        ambiguous.push(`${scope}: the jobs ${ids} all have the name ${title(job)}; rename or delete all but one`);
      } else if (!stored) plan.steps.push({ kind: "create", scope, job });
      else {
        const found = differences(stored, job);
        if (found.some(({ member }) => member === "kind")) ambiguous.push(`${scope}: kind of ${title(job)} can not be changed; give the job another name`);
        if (found.length === 0) plan.same += 1;
        else plan.steps.push({ kind: "change", scope, job, id: stored.id, differences: found });
      }
    }
    const wanted = new Set(jobs.map(keyOf));
    for (const job of there.filter((one) => !wanted.has(keyOf(one)))) {
      if (prune) plan.steps.push({ kind: "delete", scope, job, id: job.id });
      else plan.strangers.push({ scope, job });
    }
  }
  if (ambiguous.length > 0) throw new JobsError(ambiguous.join("\n"));
  return plan;
}

/** The plan for a reader. Credentials are masked. */
export function planText({ steps, same, strangers }: Plan): string {
  const lines: string[] = [];
  for (const scope of new Set([...steps, ...strangers].map((one) => one.scope))) {
    lines.push(scope);
    for (const step of steps.filter((one) => one.scope === scope)) lines.push(...stepLines(step));
    for (const { job } of strangers.filter((one) => one.scope === scope)) lines.push(`  ? ${title(job)}, job ${job.id}: not in the file; --prune deletes it`);
  }
  const count = (kind: Step["kind"]) => steps.filter((step) => step.kind === kind).length;
  lines.push(`${count("create")} to create, ${count("change")} to change, ${count("delete")} to delete, ${same} as the file says`);
  return lines.join("\n");
}

function stepLines(step: Step): string[] {
  switch (step.kind) {
    case "create": {
      const members = Object.keys(fileForm(step.job)).filter((member) => member !== "name" && member !== "dataset") as (keyof Job)[];
      return [`  + ${title(step.job)}`, ...members.map((member) => `      ${member}: ${shown(member, step.job[member])}`)];
    }
    case "change":
      return [`  ~ ${title(step.job)}, job ${step.id}`, ...step.differences.map((one) => `      ${changeText(one)}`)];
    case "delete":
      return [`  - ${title(step.job)}, job ${step.id}`];
  }
}

function changeText({ member, before, after }: Difference): string {
  const [from, to] = [shown(member, before), shown(member, after)];
  return from === to ? `${member}: ${from} (what differs is masked)` : `${member}: ${from} → ${to}`;
}

/** A job by its name and dataset. */
export function title({ name, dataset }: Pick<Job, "name" | "dataset">): string {
  return `${name === "" ? "a job without a name" : JSON.stringify(name)} (${dataset})`;
}

/** Does the steps one after the other. One that fails does not stop the others; returns how many failed. */
export async function carryOut(plan: Plan, deployment: Deployment, say: (text: string) => void, complain: (text: string) => void): Promise<number> {
  let failures = 0;
  for (const step of plan.steps) {
    const where = `${step.scope}: ${title(step.job)}`;
    try {
      if (step.kind === "create") say(`✓ ${where} created as job ${await deployment.create(step.scope, step.job)}`);
      else if (step.kind === "change") {
        await deployment.change(step.scope, step.id, step.differences);
        say(`✓ ${where} changed, job ${step.id}`);
      } else {
        await deployment.remove(step.scope, step.id);
        say(`✓ ${where} deleted, job ${step.id}`);
      }
    } catch (error) {
      if (!(error instanceof JobsError)) throw error;
      failures += 1;
      complain(`✗ ${where} not ${step.kind}d: ${error.message}`);
    }
  }
  return failures;
}
