// `npm run test:conservation [-- --batches N --jobs N --kills N --seed N]`: batches go to jobs while their SIEM fails at
// random and the Worker is killed again and again; at the end every record is accounted for. Exit code 1 when one is not,
// or came twice without a reason, or in the wrong order.

import { parseArgs } from "node:util";
import { conserve, report } from "../tests/support/conservation.ts";
import { KilledHost } from "../tests/support/hosts.ts";

const { values } = parseArgs({
  options: {
    batches: { type: "string", default: "2000" },
    jobs: { type: "string", default: "5" },
    kills: { type: "string", default: "10" },
    seed: { type: "string", default: "1" },
  },
});

function whole(name: keyof typeof values, least: number): number {
  const number = Number(values[name]);
  if (!Number.isInteger(number) || number < least) throw new Error(`--${name} wants a whole number of at least ${least}`);
  return number;
}

const host = new KilledHost();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => void host.close().finally(() => process.exit(130)));

try {
  const started = performance.now();
  const verdict = await conserve({
    batches: whole("batches", 1),
    jobs: whole("jobs", 1),
    disturbances: whole("kills", 0),
    seed: whole("seed", 0),
    host,
    say: (text) => console.log(`· ${((performance.now() - started) / 1000).toFixed(0).padStart(4)} s  ${text}`),
  });
  console.log(`\n${report(verdict)}`);
  process.exitCode = verdict.ok ? 0 : 1;
} catch (error) {
  console.error(`✗ ${(error as Error).stack}\n\nThe Worker's last words:\n${host.logs}`);
  process.exitCode = 1;
} finally {
  await host.close();
}
// A kept-alive connection must not keep it.
process.exit();
