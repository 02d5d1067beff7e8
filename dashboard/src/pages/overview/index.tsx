import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { useLoad } from "../../load.ts";
import { go, href } from "../../router.ts";
import type { Stats } from "../../stats.ts";
import { Chart } from "../../ui/chart.tsx";
import { Button, Choice, Heading, LoadError, Notice, Progress, SelectField, Spinner, Time } from "../../ui/index.ts";
import { bytes, count, duration } from "../../format.ts";
import type { PageProps } from "../registry.ts";
import { Attention } from "./attention.tsx";
import { Cost } from "./cost.tsx";
import { FirstSteps } from "./first-steps.tsx";
import { Incoming } from "./incoming.tsx";
import { Outgoing } from "./outgoing.tsx";
import { RANGES, rangeNamed, type Range } from "./ranges.ts";
import { readOverview, SCOPES_MAX, scopesOf, type Course } from "./reading.ts";
import { Sums } from "./sums.tsx";

export default function Overview({ query }: PageProps): JSX.Element {
  const range = rangeNamed(query.get("range"));
  const scope = query.get("scope") ?? "";
  const { value, at, error, isLoading, progress, reload } = useLoad(
    `${range.name} ${scope}`, (signal, tell) => readOverview(range, scope, signal, tell), { everySeconds: range.refreshSeconds },
  );
  const scopes = useScopes(scope, value?.stats);
  const show = (change: { range?: string; scope?: string }) => go(href([], { range: range.name, scope, ...change }), { replace: true });
  const isEmpty = value !== undefined && value.stats.datasets.length === 0 && value.stats.jobs.length === 0;
  return (
    <>
      <div class="bar">
        <Heading>Overview</Heading>
        <Choice label="Time" value={range.name} onChange={(name) => show({ range: name })} options={RANGES.map(({ name, title }) => ({ value: name, text: title }))} />
        {scopes.length > 1 && (
          <div class="beside">
            <SelectField label="Zone or account" value={scope} onChange={(to) => show({ scope: to })} options={[{ value: "", text: "all" }, ...scopes.map((one) => ({ value: one, text: one }))]} />
          </div>
        )}
        <p class="push faint">
          {at !== undefined && <>as of <Time at={at.toISOString()} />, then every {duration(range.refreshSeconds)} </>}
          <Button onClick={reload} isBusy={isLoading}>Refresh</Button>
        </p>
      </div>
      {error !== undefined && <LoadError what="The overview" error={value === undefined ? error : `${error} What is shown below is older.`} retry={reload} />}
      {value === undefined && error === undefined && (progress === undefined
        ? <Spinner text="Reading what came and what went …" />
        : <Progress label="Reading what came and what went" done={progress.done} of={progress.of} />)}
      {value !== undefined && (isEmpty ? <FirstSteps hasScope={scope !== ""} /> : <Filled stats={value.stats} course={value.course} range={range} />)}
    </>
  );
}

function Filled({ stats, course, range }: { stats: Stats; course: Course | undefined; range: Range }): JSX.Element {
  return (
    <>
      <Attention stats={stats} />
      {course?.isCut === true && <Notice kind="warning"><p>There is more than one answer can hold, so lines may be too low. Choose one zone or account, or a shorter time.</p></Notice>}
      {course === undefined && <Notice kind="info"><p>Charts show at most {SCOPES_MAX} zones and accounts together. Choose one above.</p></Notice>}
      <section class="card" aria-labelledby="incoming">
        <h2 id="incoming">What comes in</h2>
        {course !== undefined && (
          <div class="charts">
            <Chart title="Records received" times={course.times} stepSeconds={range.stepSeconds} series={course.records} format={count} />
            <Chart title="Bytes received, uncompressed" times={course.times} stepSeconds={range.stepSeconds} series={course.bytes} format={bytes} />
          </div>
        )}
        <Incoming datasets={stats.datasets} />
      </section>
      <section class="card" aria-labelledby="outgoing">
        <h2 id="outgoing">What goes out</h2>
        {course !== undefined && course.pushes.length > 0 && (
          <div class="charts">
            <Chart title="Pushes by answer" times={course.times} stepSeconds={range.stepSeconds} series={course.pushes} format={count} />
          </div>
        )}
        <Outgoing jobs={stats.jobs} attempts={course?.attempts} />
      </section>
      <Sums sums={stats.reconciliation} />
      <Cost />
    </>
  );
}

/** Zones and accounts to choose from: those of the last answer about all of them. */
function useScopes(scope: string, stats: Stats | undefined): string[] {
  const [known, setKnown] = useState<string[]>([]);
  useEffect(() => {
    if (stats === undefined) return;
    const found = scopesOf(stats);
    setKnown((old) => (scope === "" ? found : [...new Set([...old, ...found, scope])].sort()));
  }, [scope, stats]);
  return known;
}
