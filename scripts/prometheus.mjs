// Prometheus and its linter, for the tests of /metrics and of what docs/ has for it. Nothing else needs them, so where
// they are missing those tests are skipped with the reason, unless LOGPUSH_EDGE_REQUIRE_PROMETHEUS is set.

import { Advice, onPath, say } from "./shell.mjs";

/** `env` with LOGPUSH_EDGE_PROMETHEUS_MISSING, where `prometheus` or `promtool` is: why the tests can not run. */
export function withPrometheus(env) {
  const missing = ["prometheus", "promtool"].filter((name) => !onPath(name, env.PATH));
  if (missing.length === 0) return env;
  const reason = `there is no ${missing.join(" and no ")} on PATH (Debian and Ubuntu: apt-get install prometheus)`;
  if (env.LOGPUSH_EDGE_REQUIRE_PROMETHEUS) throw new Advice(reason);
  say(`· tests with Prometheus will be skipped: ${reason}`);
  return { ...env, LOGPUSH_EDGE_PROMETHEUS_MISSING: reason };
}
