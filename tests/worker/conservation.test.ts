// The conservation run in its short form; `npm run test:conservation` is the long one.

import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import { conserve, report, type Host } from "../support/conservation.ts";
import { EvictedHost, KilledHost } from "../support/hosts.ts";

async function run(context: TestContext, host: Host & { close(): Promise<void> }, seed: number): Promise<void> {
  context.after(async () => await host.close());
  const verdict = await conserve({ batches: 60, jobs: 5, disturbances: 2, seed, host, say: () => {} });
  for (const line of report(verdict).split("\n")) context.diagnostic(line);
  assert.ok(verdict.ok, report(verdict));
  assert.equal(verdict.disturbances, 2);
  assert.ok([...verdict.faultsMade.values()].reduce((sum, one) => sum + one, 0) >= 20, "enough went wrong to mean something");
}

describe("nothing is lost, and nothing comes twice without a reason, while a SIEM fails at random", () => {
  test("and the Worker is killed", async (context) => await run(context, new KilledHost(), 1));

  test("and Durable Objects are evicted", async (context) => {
    const host = await EvictedHost.start();
    await run(context, host, 2);
    assert.ok(host.evicted > 0);
  });
});
