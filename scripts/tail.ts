// `npm run tail -- <dataset> --scope <scope> [flags]`: records as they come in. See docs/tail.md.
// Records go to stdout, everything else to stderr. Exit code: 0 when it was ended, 1 after an error.

import { parseArgs } from "node:util";
import { Deployment } from "./jobs/deployment.ts";
import { JobsError } from "./jobs/file.ts";
import { Follower, type Wish } from "./tail/follower.ts";

const USAGE = `npm run --silent tail -- <dataset> --scope zones/<id> [flags]

  --scope SCOPE   zones/<id> or accounts/<id>
  --filter JSON   as of a job; without it every record
  --fields A,B    these fields; without it all that came
  --sample N      one record of N
  --for 10s       ends after so long: s, m or h
  --lines N       ends after N records
  --no-renew      ends when the session does, after 60 minutes
  --url URL       address of the Worker (or LOGPUSH_EDGE_URL)
  --token TOKEN   READ_TOKEN or API_TOKEN (or LOGPUSH_EDGE_TOKEN, which other users of the machine can not see)

Exit code: 0 ended; 1 error.`;

const UNITS: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000 };

function read(args: string[]): { wish: Wish; from: Deployment } | "help" {
  let parsed;
  try {
    const text = { type: "string" } as const;
    parsed = parseArgs({
      args,
      allowPositionals: true,
      options: {
        scope: text, filter: text, fields: text, sample: text, for: text, lines: text, url: text, token: text,
        "no-renew": { type: "boolean" }, help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    throw new JobsError(`${(error as Error).message}\n\n${USAGE}`);
  }
  const { values: flags, positionals } = parsed;
  if (flags.help) return "help";
  const [dataset, ...rest] = positionals;
  if (dataset === undefined || rest.length > 0) throw new JobsError(`${dataset === undefined ? "Which dataset?" : "One dataset at a time."}\n\n${USAGE}`);
  if (flags.scope === undefined) throw new JobsError("which records? Give --scope zones/<id> or accounts/<id>");
  if (!/^(zones|accounts)\/[A-Za-z0-9_-]{1,64}$/.test(flags.scope)) throw new JobsError("--scope is written zones/<id> or accounts/<id>");
  const [url, token] = [flags.url ?? process.env["LOGPUSH_EDGE_URL"], flags.token ?? process.env["LOGPUSH_EDGE_TOKEN"]];
  if (!url) throw new JobsError("which deployment? Give its address with --url or in LOGPUSH_EDGE_URL");
  if (!token) throw new JobsError("give the deployment's READ_TOKEN in LOGPUSH_EDGE_TOKEN, or with --token");
  const wish: Wish = {
    scope: flags.scope,
    session: {
      dataset,
      fields: flags.fields ?? "",
      filter: flags.filter ?? "",
      sample: flags.sample === undefined ? 1 : whole("--sample", flags.sample),
      kind: "instant-logs",
    },
    lines: flags.lines === undefined ? Infinity : whole("--lines", flags.lines),
    millis: flags.for === undefined ? Infinity : duration(flags.for),
    renews: flags["no-renew"] !== true,
  };
  return { wish, from: new Deployment(url, token) };
}

function whole(flag: string, text: string): number {
  const number = Number(text);
  if (!/^\d+$/.test(text) || number < 1 || number > 1_000_000_000) throw new JobsError(`${flag} takes a whole number from 1 on`);
  return number;
}

function duration(text: string): number {
  const [, number = "", unit = ""] = /^(\d{1,6})([smh])$/.exec(text) ?? [];
  const millis = Number(number) * (UNITS[unit] ?? 0);
  // setTimeout takes no more than 2^31 ms, some 24 days.
  if (millis < 1 || millis > 2 ** 31 - 1) throw new JobsError("--for takes a time such as 10s, 5m or 1h");
  return millis;
}

const complain = (text: string) => void process.stderr.write(`${text}\n`);

try {
  const asked = read(process.argv.slice(2));
  if (asked === "help") process.stdout.write(`${USAGE}\n`);
  else {
    const follower = new Follower(asked.from, asked.wish, process.stdout, complain);
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => follower.stop());
    await follower.run();
  }
} catch (error) {
  complain(error instanceof JobsError ? error.message : ((error as Error).stack ?? String(error)));
  process.exitCode = 1;
}
