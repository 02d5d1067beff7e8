import type { JSX } from "preact";
import { href } from "../../router.ts";
import type { Stats } from "../../stats.ts";
import { Notice, Time } from "../../ui/index.ts";
import { jobName, STATES } from "../../words.ts";

/** What somebody has to look at, first of all: one line when there is nothing. */
export function Attention({ stats }: { stats: Stats }): JSX.Element {
  const { alerts, reconciliation } = stats;
  const troubled = stats.jobs.filter(({ state }) => STATES[state].kind === "error" || STATES[state].kind === "warning");
  const told = new Set(alerts?.open.map(({ job_id }) => job_id));
  const untold = troubled.filter(({ id }) => !told.has(id));
  const isGood = troubled.length === 0 && (alerts?.open_count ?? 0) === 0 && reconciliation.holds;
  return (
    <section class="stack" aria-label="What needs attention">
      {isGood && alerts !== null && <Notice kind="good"><p>Nothing needs attention: every job delivers, and no alert is open.</p></Notice>}
      {alerts === null && <Notice kind="warning"><p>Alerts could not be asked. This page tries again by itself.</p></Notice>}
      {alerts?.open.map((alert) => (
        <Notice key={alert.alert_correlation_id} kind={alert.severity === "critical" ? "error" : "warning"} title={<>Open alert, since <Time at={alert.since} /></>}>
          {alert.text.split("\n").map((line) => <p key={line}>{line}</p>)}
          {alert.job_id !== null && alert.scope !== null && <p><a href={href(["jobs", ...alert.scope.split("/"), alert.job_id])}>To the job</a></p>}
        </Notice>
      ))}
      {untold.map((job) => (
        <Notice key={job.id} kind={STATES[job.state].kind === "warning" ? "warning" : "error"} title={`${jobName(job)}: ${STATES[job.state].text}`}>
          <p>{STATES[job.state].means}</p>
          <p><a href={href(["jobs", ...job.scope.split("/"), job.id])}>To the job</a></p>
        </Notice>
      ))}
      {alerts !== null && alerts.open_count > alerts.open.length && <p>{alerts.open_count - alerts.open.length} more alerts are open.</p>}
      {alerts !== null && alerts.misconfigured.length > 0 && <Notice kind="warning" title="Settings of alerts that can not be read"><p>{alerts.misconfigured.join(", ")}</p></Notice>}
      {alerts?.deliveries.last_error !== undefined && alerts.deliveries.last_error !== null && (
        <p class="faint">The last alert that could not be told, <Time at={alerts.deliveries.last_error_at} />: {alerts.deliveries.last_error}</p>
      )}
    </section>
  );
}
