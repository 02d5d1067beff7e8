// `npm run logs -- --scope zones/… --dataset … --start … [flags]`: archived records as NDJSON. See docs/archive.md.
// Exit code: 0 when everything was read, 1 after an error, 2 when objects are missing, 3 when a RayID was not found.

import { parseArgs } from "node:util";
import { JobsError } from "./jobs/file.ts";
import { Archive, type Progress } from "./logs/retrieval.ts";

const USAGE = `npm run --silent logs -- --scope SCOPE --dataset DATASET --start TIME [flags] > records.ndjson

  --scope SCOPE       zones/<id> or accounts/<id>
  --dataset DATASET   such as http_requests
  --start TIME        RFC 3339, unix seconds, or so long ago: 90m, 2h, 3d
  --end TIME          the same; now when it is left out
  --where JSON        a filter as jobs have it, such as '{"key":"EdgeResponseStatus","operator":"geq","value":500}'
  --fields LIST       A,B,C instead of all fields
  --timestamps FORM   unixnano, unix, rfc3339, rfc3339ms or rfc3339ns instead of as they came
  --sample RATE       0.01 for one record of a hundred
  --count NUMBER      no more records than that
  --ray ID            the records with this RayID instead; without --start of the last seven days
  --url URL           address of the Worker (or LOGPUSH_EDGE_URL)
  --token TOKEN       READ_TOKEN or API_TOKEN (or LOGPUSH_EDGE_TOKEN, which other users of the machine can not see)

Exit code: 0 everything was read; 1 error; 2 objects of the archive are missing; 3 no such RayID.`;

const [MISSING, NOT_FOUND] = [2, 3];
const complain = (text: string) => void process.stderr.write(`${text}\n`);

async function main(args: string[]): Promise<number> {
  const flags = read(args);
  if (flags.help) {
    process.stdout.write(`${USAGE}\n`);
    return 0;
  }
  const archive = deployment(flags);
  const query: Record<string, string> = {};
  if (flags.dataset !== undefined) query["dataset"] = flags.dataset;
  for (const name of ["fields", "timestamps"] as const) if (flags[name] !== undefined) query[name] = flags[name];
  for (const name of ["start", "end"] as const) if (flags[name] !== undefined) query[name] = instant(flags[name], name);
  if (flags.ray !== undefined) {
    const stray = (["where", "sample", "count"] as const).find((name) => flags[name] !== undefined);
    if (stray) throw new JobsError(`--ray has no --${stray}\n\n${USAGE}`);
    return await ray(archive, flags.ray, query);
  }
  if (flags.dataset === undefined) throw new JobsError("which records? Give --dataset, such as --dataset http_requests");
  if (flags.start === undefined) throw new JobsError("from when on? Give --start, such as --start 2h or --start 2026-05-04T12:00:00Z");
  query["end"] ??= new Date().toISOString();
  for (const name of ["where", "sample", "count"] as const) if (flags[name] !== undefined) query[name] = flags[name];
  if (flags.count !== undefined && !/^[1-9]\d{0,15}$/.test(flags.count)) throw new JobsError("--count is a number from 1 on");

  const show = progress(Date.parse(query["start"] ?? ""), Date.parse(query["end"]));
  try {
    const { records, objects, rawBytes, resumed, missing } = await archive.retrieve(query, write, show.tell);
    show.end();
    complain(`✓ ${records} records, from ${objects} objects with ${megabytes(rawBytes)} MB${resumed > 0 ? `; the connection was made anew ${resumed} times` : ""}`);
    for (const name of missing) complain(`✗ not in the bucket any more: ${name}`);
    return missing.length > 0 ? MISSING : 0;
  } finally {
    show.end();
  }
}

async function ray(archive: Archive, id: string, query: Record<string, string>): Promise<number> {
  const { lines, isComplete, missing } = await archive.ray(id, query);
  if (lines.length > 0) await write(lines);
  const range = query.start === undefined && query.end === undefined ? "the last seven days; --start and --end look elsewhere" : "that range of time";
  if (lines.length === 0) complain(`no record has this RayID in ${range}`);
  if (!isComplete) complain("✗ there may be more records with it: not every object was read; give a narrower --start and --end");
  if (missing > 0) complain(`✗ ${missing} objects that may hold it are not in the bucket any more`);
  if (lines.length === 0) return NOT_FOUND;
  return isComplete && missing === 0 ? 0 : MISSING;
}

function read(args: string[]) {
  const text = { type: "string" } as const;
  try {
    return parseArgs({
      args,
      options: {
        scope: text, dataset: text, start: text, end: text, where: text, fields: text, timestamps: text, sample: text, count: text,
        ray: text, url: text, token: text, help: { type: "boolean", short: "h" },
      },
    }).values;
  } catch (error) {
    throw new JobsError(`${(error as Error).message}\n\n${USAGE}`);
  }
}

function deployment({ url, token, scope }: { url?: string | undefined; token?: string | undefined; scope?: string | undefined }): Archive {
  const [address, secret] = [url ?? process.env["LOGPUSH_EDGE_URL"], token ?? process.env["LOGPUSH_EDGE_TOKEN"]];
  if (!address) throw new JobsError("which deployment? Give its address with --url or in LOGPUSH_EDGE_URL");
  if (!secret) throw new JobsError("give the deployment's READ_TOKEN or API_TOKEN in LOGPUSH_EDGE_TOKEN, or with --token");
  if (!scope || !/^(zones|accounts)\/[A-Za-z0-9_-]{1,64}$/.test(scope)) throw new JobsError("give --scope as zones/<id> or accounts/<id>");
  return new Archive(address, secret, scope);
}

/** As RFC 3339, so that every part of the range is asked for with the same text. */
function instant(text: string, name: string): string {
  const ago = /^(\d{1,6})([smhd])$/.exec(text);
  if (ago) {
    const millis = Number(ago[1]) * { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }[ago[2] as "s" | "m" | "h" | "d"];
    return new Date(Date.now() - millis).toISOString();
  }
  if (/^\d{1,11}$/.test(text)) return new Date(Number(text) * 1_000).toISOString();
  if (Number.isNaN(Date.parse(text))) throw new JobsError(`--${name} is a time such as 2026-05-04T12:00:00Z, unix seconds, or so long ago: 90m, 2h, 3d`);
  return text;
}

/** Waits while the reader of standard output is slow. */
async function write(lines: Buffer): Promise<void> {
  await new Promise<void>((done, failed) => process.stdout.write(lines, (error) => (error ? failed(error) : done())));
}

const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1);

/** One line that is written over, for somebody who watches. */
function progress(startMillis: number, endMillis: number) {
  if (!process.stderr.isTTY) return { tell: undefined, end: () => {} };
  let last = 0;
  const clear = () => void process.stderr.write("\r\x1b[K");
  return {
    tell: ({ records, rawBytes, atMillis, resumed }: Progress) => {
      const now = performance.now();
      if (now - last < 200) return;
      last = now;
      const share = atMillis === undefined ? 0 : Math.min(1, Math.max(0, (atMillis - startMillis) / (endMillis - startMillis)));
      const anew = resumed > 0 ? `, made anew ${resumed} times` : "";
      process.stderr.write(`\r\x1b[K${(share * 100).toFixed(0)} %: ${records} records, ${megabytes(rawBytes)} MB read${anew}`);
    },
    end: clear,
  };
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  // Whoever reads has had enough, as `head` has.
  if ((error as NodeJS.ErrnoException).code !== "EPIPE") {
    complain(error instanceof JobsError ? error.message : ((error as Error).stack ?? String(error)));
    process.exitCode = 1;
  }
}
