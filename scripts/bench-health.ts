// `npm run bench:health`: what it takes to ask the push logs of many jobs, filled with 31 days of minutes.
//
//     npm run bench:health -- [--jobs N] [--days N] [--repeats N] [--json]
//
// In the local runtime, with the logs in its SQLite files. Ends with 1 when the question over all days and jobs takes a
// second or more.

import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createTestHarness } from "wrangler";
import { PLAIN_PATH, Siem } from "../tests/support/siem.ts";
import { Client, SECRETS } from "../tests/support/worker.ts";
import { table } from "./bench/figures.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

/** What the question over everything may take. */
const LIMIT_MILLIS = 1_000;
const DAY = 86_400_000;
const SCOPE = "zones/0123456789abcdef0123456789abcdef";

const { values } = parseArgs({
  options: {
    jobs: { type: "string", default: "50" },
    days: { type: "string", default: "31" },
    repeats: { type: "string", default: "5" },
    json: { type: "boolean", default: false },
  },
});
const number = (name: "jobs" | "days" | "repeats", most: number) => {
  const value = Number(values[name]);
  if (!Number.isInteger(value) || value < 1 || value > most) throw new Error(`--${name} must be a whole number from 1 to ${most}`);
  return value;
};
const [jobs, days, repeats] = [number("jobs", 200), number("days", 31), number("repeats", 100)];

interface Found {
  question: string;
  rows: number;
  rows_read: number;
  attempts: number;
  ms_median: number;
  ms_max: number;
}

const siem = await Siem.start({ intakeKeys: ["bench"], keepLines: false });
const harness = createTestHarness({
  root,
  workers: [{ configPath: "wrangler.toml", prebuiltWorkerDir: "target/bench-build", secrets: { ...SECRETS, ALLOW_PRIVATE_DESTINATIONS: "true" } }],
});
try {
  const { url } = await harness.listen();
  const client = new Client(url.origin);
  const destination_conf = `http://${siem.host}${PLAIN_PATH}?header_X-SEKOIAIO-INTAKE-KEY=bench`;
  let job = 0;
  for (let n = 0; n < jobs; n += 1) job = (await client.createJob(SCOPE, { name: `job-${n}`, dataset: "http_requests", destination_conf })).id;
  const ask = async (query: string): Promise<any> => {
    const answer = await fetch(`${client.url}/bench/log?scope=${SCOPE}&${query}`);
    if (!answer.ok) throw new Error(`${query}: ${answer.status} ${await answer.text()}`);
    return await answer.json();
  };
  const began = performance.now();
  // A few minutes less than the days that are kept, so that none is dropped while this runs.
  const minutes = days * 1440 - 90;
  await ask(`fill=${minutes}`);
  console.error(`${jobs} jobs with ${minutes} minutes each, filled in ${((performance.now() - began) / 1_000).toFixed(1)} s`);

  const until = Math.floor(Date.now() / 60_000) * 60_000;
  const whole = until - days * DAY + 100 * 60_000;
  const questions: [string, string][] = [
    [`${days} days of ${jobs} jobs, by hour`, `from=${whole}&until=${until}&resolution=hour`],
    [`a day of ${jobs} jobs, by minute`, `from=${Math.max(whole, until - DAY + 3_600_000)}&until=${until}&resolution=minute`],
    [`an hour of ${jobs} jobs, each attempt`, `from=${until - 3_600_000}&until=${until}&resolution=attempt`],
    [`${days} days of one job, by minute`, `from=${whole}&until=${until}&resolution=minute&job=${job}`],
  ];
  const found: Found[] = [];
  for (const [question, query] of questions) {
    const times: number[] = [];
    let answer: any;
    for (let n = 0; n < repeats; n += 1) {
      const start = performance.now();
      answer = await ask(query);
      times.push(performance.now() - start);
    }
    times.sort((a, b) => a - b);
    const at = (share: number) => Math.round(times[Math.floor((times.length - 1) * share)] ?? NaN);
    found.push({ question, rows: answer.rows, rows_read: answer.rows_read, attempts: answer.attempts, ms_median: at(0.5), ms_max: at(1) });
  }
  if (values.json) console.log(JSON.stringify({ jobs, days, repeats, questions: found }));
  else {
    const cells = found.map((one) => [one.question, one.attempts, one.rows, one.rows_read, one.ms_median, one.ms_max].map(String));
    console.log(table(["question", "attempts", "rows", "rows read", "ms, median", "ms, max"], cells));
  }
  const first = found[0];
  if (first === undefined || first.ms_median >= LIMIT_MILLIS) {
    console.error(`✗ ${first?.question}: ${first?.ms_median} ms, and it may take ${LIMIT_MILLIS}`);
    process.exitCode = 1;
  }
} finally {
  await harness.close();
  await siem.close();
}
