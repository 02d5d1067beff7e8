// The Worker's own limits, read from its source so that the two can not part. Plain JavaScript, because the build of the
// page reads them, too, before there is anything but Node.

import { readFileSync } from "node:fs";

const CONSTANT = /^pub const (\w+): \w+ = ([\d_ *]+);/gm;

/** Every constant of src/limits.rs that is a number or a product of numbers, by name. */
export function limits() {
  const source = readFileSync(new URL("../../src/limits.rs", import.meta.url), "utf8");
  const value = (product) => product.split("*").reduce((sum, factor) => sum * Number(factor.trim().replaceAll("_", "")), 1);
  return Object.fromEntries([...source.matchAll(CONSTANT)].map(([, name, product]) => [name, value(product)]));
}

export const LIMITS = limits();
