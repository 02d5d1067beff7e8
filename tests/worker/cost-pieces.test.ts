// What scripts/cost/measured.json says of calls, rows and operations is what the built Worker does.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { measured } from "../../scripts/cost.ts";
import { KINDS, PARTS, plus, times, type Part } from "../../scripts/cost/parts.ts";
import { Counter } from "../../scripts/cost/pieces.ts";

let counter: Counter;
before(async () => void (counter = await Counter.start()));
after(async () => await counter?.close());

test("each part costs the pieces that are written down", { timeout: 120_000 }, async () => {
  const found = await counter.parts();
  for (const part of PARTS) {
    for (const kind of KINDS) {
      assert.equal(found[part][kind], measured().pieces[part][kind], `${part}: ${kind}. Renew with \`npm run cost:count\` and \`npm run cost -- --save\``);
    }
  }
});

test("a batch with two jobs, one spooled and one inline, costs the sum of its parts", { timeout: 60_000 }, async () => {
  const found = await counter.pieces({
    jobs: [
      { filter: { where: { key: "EdgeResponseStatus", operator: "geq", value: 100 } } },
      { filter: { where: { key: "EdgeResponseStatus", operator: "geq", value: 500 } } },
    ],
    batch: { dataset: "http_requests", records: 2_000 },
    pushes: 2,
  });
  const counts: [Part, number][] = [["batch", 1], ["selection", 2], ["spooled_entry", 3], ["spooled_object", 1], ["inline_entry", 1], ["push", 2]];
  const { pieces } = measured();
  const wanted = counts.map(([part, count]) => times(pieces[part], count)).reduce(plus);
  // Rows read do not add up: they grow with the square of a short queue, and cost a thousandth.
  assert.deepEqual({ ...found, rows_read: 0 }, { ...wanted, rows_read: 0 });
});
