// What `npm test` says about counted instructions, from counts and profiles made by hand.

import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
// @ts-expect-error: a plain script, without types
import { compare, stagesOf } from "../../scripts/bench-instructions.mjs";

function compared(context: TestContext, count: number): { code: number; said: string } {
  let said = "";
  const write = context.mock.method(process.stderr, "write", (text: string) => {
    said += text;
    return true;
  });
  try {
    return { code: compare({ dns_logs: { filter: count, inflate: 10 } }, { dns_logs: { filter: 1_000, inflate: 10 } }), said };
  } finally {
    write.mock.restore();
  }
}

test("a tenth more instructions is let pass, and more than that fails with the figure and the way out", (context) => {
  assert.equal(compared(context, 1_100).code, 0);
  const { code, said } = compared(context, 1_120);
  assert.equal(code, 1);
  assert.match(said, /dns_logs filter: 1120 instructions, 12\.0 % more than 1000/);
  assert.match(said, /npm run bench:instructions -- --write/);
  assert.doesNotMatch(said, /inflate/);
});

test("more than a tenth less passes and asks for a new baseline", (context) => {
  const { code, said } = compared(context, 850);
  assert.equal(code, 0);
  assert.match(said, /15\.0 % less than 1000/);
  assert.match(said, /npm run bench:instructions -- --write/);
  assert.doesNotMatch(compared(context, 950).said, /--write/);
});

test("a stage that is not counted any more is an error", () => {
  assert.throws(() => compare({ dns_logs: {} }, { dns_logs: { filter: 1 } }), /dns_logs filter was not counted/);
});

test("a stage costs what stands in its blocks, calls included, and nothing of other functions", () => {
  const profile = [
    "events: Ir",
    "fn=(1) main",
    "16 5",
    "cfn=(2) stage_inflate",
    "calls=1 40",
    "16 130",
    "",
    "fn=(2)",
    "40 30",
    "+2 20",
    "cfn=(3) inner",
    "calls=2 7",
    "* 80",
    "",
    "fn=(3)",
    "7 80",
    "",
    "fn=(4) stage_filter",
    "9 11",
  ];
  assert.deepEqual(stagesOf(profile.join("\n")), { inflate: 130, filter: 11 });
});
