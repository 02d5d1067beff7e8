import type { JSX } from "preact";
import { DEFAULTS, estimateAll, type Bill, type Input, type Measured, type Prices } from "../../../../scripts/cost/model.ts";
import measured from "../../../../scripts/cost/measured.json";
import prices from "../../../../scripts/cost/prices.json";
import { bytes, count, dollars } from "../../format.ts";
import { useLoad } from "../../load.ts";
import { readStats, type Stats } from "../../stats.ts";
import { LoadError, Spinner, Table } from "../../ui/index.ts";

const DAY_MILLIS = 86_400_000;
/** It is of a whole day, and changes slowly. */
const REFRESH_SECONDS = 600;
/** Batches of a push that the model takes at most, as its flag does. */
const BATCHES_PER_PUSH_MAX = 1_000;

/** What a month costs if every day is as the last 24 hours. */
export function Cost(): JSX.Element {
  const { value, error, reload } = useLoad("cost", async (signal) => inputs(await readStats({ since: new Date(Date.now() - DAY_MILLIS) }, signal)), { everySeconds: REFRESH_SECONDS });
  return (
    <section class="card" aria-labelledby="cost">
      <h2 id="cost">What it costs</h2>
      {error !== undefined && value === undefined && <LoadError what="What came in a day" error={error} retry={reload} />}
      {error === undefined && value === undefined && <Spinner text="Reading what came in a day …" />}
      {value !== undefined && (value.length === 0 ? <p>Nothing came in the last 24 hours, so there is nothing to go by. The plan alone is {dollars(prices.items.plan.usd)} a month.</p> : <Estimate of={value} />)}
    </section>
  );
}

/** What the model wants to know of each dataset that took something. */
export function inputs({ datasets, jobs }: Pick<Stats, "datasets" | "jobs">): Input[] {
  return datasets.filter(({ records, batches, bytes_compressed }) => records > 0 && batches > 0 && bytes_compressed > 0).map((one) => {
    const of = jobs.filter((job) => !job.deleted && job.scope === one.scope && job.dataset === one.dataset && job.selected.records > 0);
    const pushes = of.reduce((sum, { rates }) => sum + rates["24h"].pushes, 0);
    const selections = of.reduce((sum, { selected }) => sum + selected.batches, 0);
    return {
      ...DEFAULTS,
      recordsPerDay: one.records,
      bytesPerRecord: one.bytes_raw / one.records,
      gzipRatio: one.bytes_raw / one.bytes_compressed,
      recordsPerBatch: one.records / one.batches,
      jobs: of.length,
      selected: 0,
      shares: of.map(({ selected }) => Math.min(1, selected.records / one.records)),
      batchesPerPush: pushes === 0 ? 1 : Math.min(BATCHES_PER_PUSH_MAX, Math.max(1, Math.round(selections / pushes))),
    };
  });
}

function Estimate({ of }: { of: readonly Input[] }): JSX.Element {
  const bill: Bill = estimateAll(of, measured as Measured, prices as Prices);
  return (
    <>
      <p class="bar">
        <strong class="figure">{dollars(bill.total_usd)}</strong>
        <span>a month, if every day is as the last 24 hours: {dollars(bill.worker_usd)} for the Worker and what it uses, {dollars(bill.export_usd)} for one export by Logpush.</span>
      </p>
      <details>
        <summary>What that is made of</summary>
        <Table
          caption="Cost of a month" rows={bill.lines} rowKey={({ item }) => item}
          columns={[
            { title: "What", isHeading: true, cell: ({ title }) => title },
            { title: "Used", isNumber: true, cell: ({ units, unit }) => `${count(units)} ${unit}` },
            { title: "Included", isNumber: true, cell: ({ included }) => count(included) },
            { title: "Price", isNumber: true, cell: ({ price, per, unit }) => `$${price} / ${per === 1 ? unit : `${count(per)} ${unit}`}` },
            { title: "USD", isNumber: true, cell: ({ usd }) => dollars(usd) },
          ]}
        />
      </details>
      <details>
        <summary>What is assumed</summary>
        <ul>
          <li>In a month of 30 days: {bytes(bill.raw_gb * 1e9)} uncompressed in {count(bill.batches)} batches, and what jobs selected in the last 24 hours.</li>
          <li>List prices, read on {prices.read}; a contract may say otherwise. CPU as measured on {measured.cpu.date} ({measured.cpu.note}).</li>
          <li>
            The archive is kept for {DEFAULTS.retentionDays} days and the ledger for {DEFAULTS.ledgerMonths} months; destinations answer
            in {DEFAULTS.answerMillis} ms; each event in Workers Logs has {DEFAULTS.logEventBytes} bytes, and all are logged.
          </li>
          <li>What the SIEM takes for its records is not in it.</li>
        </ul>
        <p>Every formula is in docs/cost.md, and <code>npm run cost</code> takes other assumptions.</p>
      </details>
    </>
  );
}
