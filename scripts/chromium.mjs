// A browser for the tests of the page. Nothing else needs it, so where there is none those tests are skipped with the
// reason, unless LOGPUSH_EDGE_REQUIRE_CHROMIUM is set.

import { existsSync } from "node:fs";
import { Advice, onPath, say } from "./shell.mjs";

/** Names that it has on PATH, and where packages put it when PATH lacks them. */
const NAMES = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];
const PLACES = ["/usr/bin/chromium", "/snap/bin/chromium", "/Applications/Chromium.app/Contents/MacOS/Chromium", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"];

/** Its path, or undefined. LOGPUSH_EDGE_CHROMIUM names another one. */
export function findChromium(env, places = PLACES) {
  const named = env.LOGPUSH_EDGE_CHROMIUM;
  if (named) return existsSync(named) ? named : undefined;
  return NAMES.map((name) => onPath(name, env.PATH)).find(Boolean) ?? places.find((place) => existsSync(place));
}

/** Why the tests can not run; undefined when they can. Throws when they have to. */
export function chromiumMissing(env, places = PLACES) {
  if (findChromium(env, places) !== undefined) return undefined;
  const reason = "there is no Chromium on PATH (Debian and Ubuntu: apt-get install chromium; or its path in LOGPUSH_EDGE_CHROMIUM)";
  if (env.LOGPUSH_EDGE_REQUIRE_CHROMIUM) throw new Advice(reason);
  return reason;
}

/** `env` as it is, after a word about tests that will be skipped. */
export function withChromium(env) {
  const missing = chromiumMissing(env);
  if (missing !== undefined) say(`· tests of the page will be skipped: ${missing}`);
  return env;
}
