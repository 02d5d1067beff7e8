import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { href } from "../../router.ts";
import { CopyText, Empty, LinkButton, SelectField, TextField } from "../../ui/index.ts";

/** Nothing is known of any dataset or job: how the first batch gets here. */
export function FirstSteps({ hasScope }: { hasScope: boolean }): JSX.Element {
  const [kind, setKind] = useState("zones");
  const [id, setId] = useState("");
  const [dataset, setDataset] = useState("http_requests");
  return (
    <Empty title={hasScope ? "Nothing is known of this zone or account" : "Nothing has arrived yet"}>
      <p>Create a Logpush job at Cloudflare that pushes a dataset to this Worker. Cloudflare sends a test message at once, and the first batch within minutes. This page shows it by itself.</p>
      <div class="bar">
        <SelectField label="The dataset belongs to a" value={kind} onChange={setKind} options={[{ value: "zones", text: "zone" }, { value: "accounts", text: "account" }]} />
        <TextField label="Its id" value={id} onInput={setId} placeholder={kind === "zones" ? "ZONE_ID" : "ACCOUNT_ID"} isCode />
        <TextField label="Dataset" value={dataset} onInput={setDataset} isCode />
      </div>
      <CopyText label="command that creates the Logpush job" text={curl(window.location.origin, kind, name(id), name(dataset))} />
      <p>
        <code>$CLOUDFLARE_API_TOKEN</code> is a token of Cloudflare's that may edit logs; <code>$INGEST_SECRET</code> is the secret of that name that
        the Worker was deployed with. <code>field_names</code> says which fields come, and a filter here sees only those: choose your own, also for other
        datasets.
      </p>
      <p>Then say what is to be sent where:</p>
      <p><LinkButton href={href(["jobs"])}>To the jobs</LinkButton></p>
    </Empty>
  );
}

/** What ids and datasets are made of; anything else would be read by the shell. */
const name = (text: string): string => text.replace(/[^A-Za-z0-9_-]/g, "");

const FIELDS = [
  `    "field_names": ["EdgeStartTimestamp", "RayID", "EdgeResponseStatus", "ClientIP", "ClientCountry",`,
  `      "ClientRequestHost", "ClientRequestMethod", "ClientRequestURI", "ClientRequestUserAgent"],`,
];

/** As in README.md. The secret is a variable of the reader's shell, so it is never in this page. */
export function curl(origin: string, kind: string, id: string, dataset: string): string {
  const owner = `${kind}/${id === "" ? (kind === "zones" ? "ZONE_ID" : "ACCOUNT_ID") : id}`;
  return [
    `curl "https://api.cloudflare.com/client/v4/${owner}/logpush/jobs" \\`,
    `  -H "Authorization: Bearer $CLOUDFLARE_API_TOKEN" -H "Content-Type: application/json" -d @- <<JSON`,
    "{",
    `  "name": "logpush-edge",`,
    `  "dataset": "${dataset}",`,
    `  "enabled": true,`,
    `  "destination_conf": "${origin}/ingest/${owner}/${dataset}?header_Authorization=Bearer%20$INGEST_SECRET",`,
    `  "output_options": {`,
    ...(dataset === "http_requests" ? FIELDS : []),
    `    "timestamp_format": "rfc3339"`,
    "  },",
    `  "max_upload_bytes": 5000000,`,
    `  "max_upload_interval_seconds": 30`,
    "}",
    "JSON",
  ].join("\n");
}
