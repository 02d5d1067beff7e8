// A short form of `npm run bench:tail`.

import assert from "node:assert/strict";
import { test } from "node:test";
import { tailLoad } from "../support/tail-load.ts";

const MIB = 1024 * 1024;

test("ingest is as quick with two who watch as with nobody, and one that stalls is told what it lost", { timeout: 120_000 }, async () => {
  const { without, watched } = await tailLoad({ seconds: 2, recordsPerSecond: 1_000, batchesPerSecond: 10 });
  assert.ok(without && watched);
  const { sent, good, stalled } = watched;
  console.log(`ingest p50/p99 ms: nobody ${without.latency.p50}/${without.latency.p99}, two ${watched.latency.p50}/${watched.latency.p99}; ${sent} sent, ${stalled.lost} lost by the stalled one`);
  assert.deepEqual(good, { shown: sent, lost: 0 });
  assert.equal(stalled.shown + stalled.lost, sent);
  assert.ok(stalled.lost > 0);
  assert.equal(stalled.notices, 1);
  // A machine that does something else makes both slower; waiting for a viewer would make one of them slower by seconds.
  assert.ok(watched.latency.p50 < without.latency.p50 * 3 + 50, JSON.stringify([without.latency, watched.latency]));
  assert.ok(watched.wasmBytes < 24 * MIB, `${watched.wasmBytes}`);
});
