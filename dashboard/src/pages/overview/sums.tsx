import type { JSX } from "preact";
import { digits } from "../../format.ts";
import type { Stats } from "../../stats.ts";
import { Badge } from "../../ui/index.ts";

/** The two sums that say that nothing was lost, with all their digits: they are here to be compared. */
export function Sums({ sums }: { sums: Stats["reconciliation"] }): JSX.Element {
  const archive = sums.received_equals_archived;
  const account = sums.selected_equals_accounted;
  const isMoving = !sums.holds && account.owed_batches + account.waiting_records > 0;
  const parts = [
    [account.delivered_records, "delivered"], [account.waiting_records, "waiting"], [account.parked_records, "parked"],
    [account.dead_records, "dead"], [account.discarded_records, "discarded"],
  ] as const;
  return (
    <section class="card" aria-labelledby="sums">
      <h2 id="sums">Is everything accounted for?</h2>
      <p class="sum">
        <Verdict holds={archive.holds} />
        <span>received {digits(archive.received_batches)} batches, {digits(archive.received_bytes)} bytes = archived {digits(archive.archived_batches)} batches, {digits(archive.archived_bytes)} bytes</span>
      </p>
      <p class="sum">
        <Verdict holds={account.holds} />
        <span>selected {digits(account.selected_records)} records = {parts.map(([records, word]) => `${digits(records)} ${word}`).join(" + ")}</span>
      </p>
      {account.owed_batches > 0 && <p>{digits(account.owed_batches)} batches are owed: their selection is still to be made from the archive.</p>}
      {!sums.holds && <p>{isMoving ? "While batches are being taken the two sides are read one after the other: look again in a moment." : "Look again in a moment; if it stays so, docs/operations.md says what to compare (“The two sums”)."}</p>}
    </section>
  );
}

function Verdict({ holds }: { holds: boolean }): JSX.Element {
  return holds ? <Badge kind="good">holds</Badge> : <Badge kind="warning">does not hold now</Badge>;
}
