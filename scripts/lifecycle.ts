// npm run lifecycle: writes the bucket's lifecycle rules as the variables in wrangler.toml say. `npm run deploy` does the
// same when there is one that deletes something.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { unstable_readConfig } from "wrangler";
import { foreign, isConfigured, mistakes, NEVER_BY_AGE, rules } from "./lifecycle/rules.ts";

/** A failure whose text tells the reader what to do. */
class Advice extends Error {}

const say = (text: string) => void process.stderr.write(`${text}\n`);

const HELP = `npm run lifecycle [-- flags]

Writes the lifecycle rules of the bucket ARCHIVE as RETAIN_…_DAYS in wrangler.toml say, with wrangler: docs/lifecycle.md.

  --print        only show the rules and the command
  --check        only say whether the variables can be followed
  --replace      also when the bucket has rules that were not written here: they are gone then
  --config FILE  another wrangler.toml
  --env NAME     an environment of it
`;

function main(args: string[]): number {
  const { values } = parseArgs({
    args,
    options: {
      print: { type: "boolean" },
      check: { type: "boolean" },
      replace: { type: "boolean" },
      "when-configured": { type: "boolean" },
      config: { type: "string" },
      env: { type: "string" },
      help: { type: "boolean" },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const config = unstable_readConfig({ config: values.config ?? "wrangler.toml", env: values.env }, { hideWarnings: true });
  const wrong = mistakes(config.vars);
  if (wrong.length > 0) throw new Advice(`${wrong.join("\n")}\nMend [vars] in wrangler.toml; nothing was changed.`);
  if (values.check || (values["when-configured"] && !isConfigured(config.vars))) return 0;
  const buckets = config.r2_buckets as { binding: string; bucket_name?: string; jurisdiction?: string }[];
  const archive = buckets.find(({ binding }) => binding === "ARCHIVE");
  const bucket = archive?.bucket_name;
  if (bucket === undefined) throw new Advice("wrangler.toml names no bucket for the binding ARCHIVE.");
  // The same account, and the same bucket, as a deployment has.
  const where = Object.entries({ "--jurisdiction": archive?.jurisdiction, "--config": values.config, "--env": values.env });
  const flags = where.flatMap(([name, value]) => (value === undefined ? [] : [name, value]));
  const wanted = rules(config.vars);
  const text = `${JSON.stringify({ rules: wanted }, null, 2)}\n`;
  if (values.print) {
    process.stdout.write(text);
    say(["wrangler r2 bucket lifecycle set", bucket, "--file FILE --force", ...flags].join(" "));
    say(`${NEVER_BY_AGE} has no rule: the Worker deletes what no queue refers to any more.`);
    return 0;
  }
  if (!values.replace) {
    const list = spawnSync("wrangler", ["r2", "bucket", "lifecycle", "list", bucket, ...flags], { encoding: "utf8" });
    if (list.status !== 0) throw new Advice(`${list.stdout}${list.stderr}\nThe rules of ${bucket} could not be read; none were changed.`);
    const others = foreign(list.stdout);
    if (others.length > 0) {
      const names = others.map((name) => `  ${name}`).join("\n");
      throw new Advice(`${bucket} has rules that were not written here, and setting ours would remove them:\n${names}
Run \`npm run lifecycle -- --replace\` to do so, or set the rules by hand: \`npm run lifecycle -- --print\` shows them.`);
    }
  }
  const folder = mkdtempSync(join(tmpdir(), "logpush-edge-rules-"));
  try {
    const file = join(folder, "rules.json");
    writeFileSync(file, text);
    // `--force` answers the one question that is left, and --replace or the look at the rules has answered that.
    const args = ["r2", "bucket", "lifecycle", "set", bucket, "--file", file, "--force", ...flags];
    const set = spawnSync("wrangler", args, { stdio: "inherit" });
    return set.status ?? 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

try {
  process.exitCode = main(process.argv.slice(2));
} catch (error) {
  // What parseArgs says is about the flags.
  const isUsage = error instanceof TypeError && "code" in error;
  say(error instanceof Advice ? error.message : isUsage ? `${error.message}\n\n${HELP}` : String((error as Error).stack));
  process.exitCode = 1;
}
