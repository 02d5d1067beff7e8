import type { JSX } from "preact";
import type { DatasetStats } from "../../stats.ts";
import { Bytes, Count, Table, Time } from "../../ui/index.ts";

export function Incoming({ datasets }: { datasets: readonly DatasetStats[] }): JSX.Element {
  return (
    <Table
      caption="What came in, by dataset" rows={datasets} rowKey={({ scope, dataset }) => `${scope} ${dataset}`}
      empty="Nothing came in in this time. Is the Logpush job at Cloudflare enabled? Its health there says what was answered."
      columns={[
        { title: "Dataset", isHeading: true, cell: ({ dataset }) => dataset },
        { title: "Zone or account", cell: ({ scope }) => <code>{scope}</code> },
        { title: "Batches", isNumber: true, cell: ({ batches }) => <Count value={batches} /> },
        { title: "Records", isNumber: true, cell: ({ records }) => <Count value={records} /> },
        { title: "Uncompressed", isNumber: true, cell: ({ bytes_raw }) => <Bytes value={bytes_raw} /> },
        { title: "As received", isNumber: true, cell: ({ bytes_compressed }) => <Bytes value={bytes_compressed} /> },
        { title: "Bad lines", isNumber: true, cell: ({ invalid_lines }) => <Count value={invalid_lines} /> },
        { title: "Came twice", isNumber: true, cell: ({ duplicates }) => <Count value={duplicates} /> },
        { title: "Last batch", cell: ({ last_batch }) => <Time at={last_batch} isAgo /> },
      ]}
    />
  );
}
