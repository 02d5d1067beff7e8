// `npm run bench:instructions`: counts the instructions of every stage of the hot path under valgrind's callgrind and
// compares them with benches/instructions.json. Time depends on the machine's mood, a count does not, so this can be a
// test. Flags: `--write` makes what is counted the new baseline.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { benchInput, DATASETS } from "./bench-input.mjs";
import { Advice, capture, onPath, root, say } from "./shell.mjs";

/** Small, because an instruction takes fifty times as long under valgrind; a dataset's layout shows after some windows. */
const RECORDS = { http_requests: 1_000, dns_logs: 5_000, firewall_events: 1_000 };
const BASELINE = join(root, "benches", "instructions.json");
/** What may be lost without a word; counts of the same code differ by a hundredth of this. */
const TOLERANCE = 0.1;
const WRITE = "npm run bench:instructions -- --write";

/** The folder of small batches. */
export async function instructionsInput(env) {
  return await benchInput(env, "bench-instructions", RECORDS);
}

export async function benchInstructions(env, flags) {
  if (!onPath("valgrind", env.PATH)) {
    say("skipped: valgrind is not installed (Debian and Ubuntu: apt-get install valgrind)");
    return 0;
  }
  const program = await build(env);
  const made = { ...(await versions(env)), cpu: await abilities(env, program) };
  const baseline = JSON.parse(readFileSync(BASELINE, "utf8"));
  const writes = flags.includes("--write");
  const differing = Object.keys(made).filter((name) => made[name] !== baseline.made_with[name]);
  if (!writes && differing.length > 0) {
    const what = differing.map((name) => `${name} is ${made[name]}, the baseline's ${baseline.made_with[name]}`);
    say(`skipped: counts can not be compared (${what.join("; ")})`);
    return 0;
  }
  const folder = await instructionsInput(env);
  const counted = await Promise.all(DATASETS.map((dataset) => count(env, program, folder, dataset)));
  const instructions = Object.fromEntries(DATASETS.map((dataset, number) => [dataset, counted[number]]));
  if (writes) {
    writeFileSync(BASELINE, `${JSON.stringify({ made_with: made, instructions }, null, 2)}\n`);
    say("✓ wrote benches/instructions.json");
    return 0;
  }
  return compare(instructions, baseline.instructions);
}

async function build(env) {
  const args = ["build", "--profile", "instructions", "--bench", "instructions", "--message-format", "json"];
  const { code, stdout, all } = await capture("cargo", args, { env });
  const lines = stdout.split("\n").filter((line) => line.startsWith("{"));
  const messages = lines.map((line) => JSON.parse(line));
  if (code !== 0) {
    const rendered = messages.map(({ message }) => message?.rendered ?? "").join("");
    throw new Advice(`${rendered || all}\n✗ The program whose instructions are counted could not be built.`);
  }
  return messages.find(({ target, executable }) => executable && target.name === "instructions").executable;
}

async function versions(env) {
  const { stdout } = await capture("rustc", ["-vV"], { env });
  const of = (name) => new RegExp(`^${name}: (.*)$`, "m").exec(stdout)?.[1] ?? "unknown";
  return { rustc: of("release"), host: of("host") };
}

/** Libraries choose their code by what the processor can, as valgrind shows it to them. */
async function abilities(env, program) {
  const { code, stdout, all } = await capture("valgrind", ["--tool=none", "--quiet", program], { env });
  if (code !== 0) throw new Advice(`${all}\n✗ valgrind ended with ${code}.`);
  return stdout.trim();
}

async function count(env, program, folder, dataset) {
  const out = join(folder, `${dataset}.callgrind`);
  const flags = ["--tool=callgrind", "--quiet", `--callgrind-out-file=${out}`, "--toggle-collect=stage_*"];
  const input = join(folder, `${dataset}.ndjson.gz`);
  const { code, all } = await capture("valgrind", [...flags, program, dataset, input], { env });
  if (code !== 0) throw new Advice(`${all}\n✗ callgrind ended with ${code}.`);
  return stagesOf(readFileSync(out, "utf8"));
}

/**
 * What each `stage_…` function cost with everything that it called: the sum of the cost lines in its blocks, where the
 * line behind `calls=` is the cost of a call. Names are written once, as `fn=(7) name`, and later as `fn=(7)`.
 */
export function stagesOf(profile) {
  const names = new Map();
  const costs = {};
  let stage;
  for (const line of profile.split("\n")) {
    const named = /^c?fn=\((\d+)\)(?: (.*))?$/.exec(line);
    if (named) {
      if (named[2] !== undefined) names.set(named[1], named[2]);
      if (line.startsWith("fn=")) stage = /^stage_(\w+)$/.exec(names.get(named[1]) ?? "")?.[1];
      continue;
    }
    const cost = /^[+*-]?\d* (\d+)$/.exec(line);
    if (stage && cost) costs[stage] = (costs[stage] ?? 0) + Number(cost[1]);
  }
  return costs;
}

/** Prints one line for each stage that changed, and returns the exit code. */
export function compare(now, before) {
  const worse = [];
  const better = [];
  for (const [dataset, stages] of Object.entries(before)) {
    for (const [stage, old] of Object.entries(stages)) {
      const count = now[dataset]?.[stage];
      if (count === undefined) throw new Advice(`✗ ${dataset} ${stage} was not counted.`);
      const change = count / old - 1;
      const text = `  ${dataset} ${stage}: ${count} instructions, ${(100 * Math.abs(change)).toFixed(1)} % ${change > 0 ? "more" : "less"} than ${old}`;
      if (count > old * (1 + TOLERANCE)) worse.push(text);
      if (count < old * (1 - TOLERANCE)) better.push(text);
    }
  }
  if (better.length > 0) {
    say([...better, `Less than before: make it the baseline, so that it stays so: ${WRITE}`].join("\n"));
  }
  if (worse.length > 0) {
    say([...worse, `✗ More than ${100 * TOLERANCE} % worse than benches/instructions.json. If that is meant: ${WRITE}`].join("\n"));
    return 1;
  }
  say(`✓ no stage of ${Object.keys(before).length} datasets needs more instructions than before`);
  return 0;
}
