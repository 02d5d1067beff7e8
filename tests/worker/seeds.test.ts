// Two published walk-throughs, done here: SEKOIA.IO's page on Cloudflare DNS logs, and Cloudflare's article "Integrating
// Network Analytics Logs with your SIEM dashboard". Their calls are made word for word, but for placeholders, the host of
// the API, and the host of the destination.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { ndjson } from "../support/lines.ts";
import { Siem } from "../support/siem.ts";
import { freshScope, SECRETS, TestWorker } from "../support/worker.ts";

const EMAIL = "operator@example.com";
const INTAKE_KEY = "seed-intake-key";
const HEC_TOKEN = "seed-hec-token";
const FIELDS = "ColoCode,EDNSSubnet,EDNSSubnetLength,QueryName,QueryType,ResponseCached,ResponseCode,SourceIP,Timestamp";
const DELIVERY_DEADLINE_MILLIS = 20_000;

let worker: TestWorker;
let siem: Siem;
before(async () => {
  siem = await Siem.start({ intakeKeys: [INTAKE_KEY], splunkTokens: [HEC_TOKEN] });
  worker = await TestWorker.start({ ALLOW_PRIVATE_DESTINATIONS: "true" });
});
after(async () => {
  await worker?.close();
  await siem?.close();
});

/** Makes the call that a command line on a page stands for: with curl, or by the same request where there is no curl. */
async function call(command: string, placeholders: Record<string, string>): Promise<any> {
  let text = command.replaceAll("https://api.cloudflare.com", worker.url);
  for (const [placeholder, value] of Object.entries(placeholders)) text = text.replaceAll(placeholder, value);
  const [program, ...args] = words(text);
  assert.equal(program, "curl");
  return JSON.parse((await curl(args)) ?? (await fetched(args)));
}

/** The words of a command line as a shell sees them: quotes, and line ends after a backslash. */
function words(line: string): string[] {
  const parts = line.replaceAll("\\\n", " ").matchAll(/(?:'[^']*'|"[^"]*"|[^\s'"])+/g);
  return [...parts].map(([word]) => word.replaceAll(/'([^']*)'|"([^"]*)"/g, (_, single, double) => single ?? double));
}

/** What curl prints, or undefined where there is none. */
async function curl(args: string[]): Promise<string | undefined> {
  // A proxy of the developer's is not for loopback.
  const child = spawn("curl", args, { env: { ...process.env, NO_PROXY: "*", no_proxy: "*" }, stdio: ["ignore", "pipe", "ignore"] });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => void (output += text));
  const code = await new Promise<number | null | undefined>((resolve, reject) => {
    child.once("error", (error: NodeJS.ErrnoException) => (error.code === "ENOENT" ? resolve(undefined) : reject(error)));
    child.once("close", resolve);
  });
  if (code === undefined) return undefined;
  assert.equal(code, 0, `curl ended with ${code}`);
  return output;
}

async function fetched(args: string[]): Promise<string> {
  const rest = args.filter((word) => word !== "-s");
  let [method, url, body] = ["GET", "", undefined as string | undefined];
  const headers: [string, string][] = [];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word === "-X") method = rest.shift() ?? "";
    else if (word === "--data") body = rest.shift();
    else if (word === "-H") headers.push((rest.shift() ?? "").split(/: (.*)/, 2) as [string, string]);
    else url = word;
  }
  return await (await fetch(url, { method, headers, body })).text();
}

function fixture(name: string): string[] {
  return readFileSync(new URL(`../fixtures/${name}`, import.meta.url), "utf8").trim().split("\n");
}

describe("the walk-through of SEKOIA.IO for DNS logs", () => {
  const zone = freshScope("zones");
  const placeholders: Record<string, string> = {
    "<Cloudflare Zone ID>": zone.slice("zones/".length),
    "<ZONE_ID>": zone.slice("zones/".length),
    "<Cloudflare Email Address>": EMAIL,
    "<Cloudflare API Token>": SECRETS.API_TOKEN,
    "<LIST_OF_FIELDS>": FIELDS,
    "<YOUR_INTAKE_KEY>": INTAKE_KEY,
    "<DATASET>": "dns_logs",
  };
  const credentials = String.raw`-H "X-Auth-Email: <Cloudflare Email Address>" -H "X-Auth-Key: <Cloudflare API Token>"`;
  let id = 0;

  test("shows the fields that can be forwarded", async () => {
    const { success, errors, result } = await call(
      String.raw`curl -s -H "X-Auth-Email: <Cloudflare Email Address>" \
-H "X-Auth-Key: <Cloudflare API Token>" \
"https://api.cloudflare.com/client/v4/zones/<Cloudflare Zone ID>/logpush/datasets/dns_logs/fields"`,
      placeholders,
    );
    assert.deepEqual([success, errors], [true, []]);
    const types = Object.entries(result as Record<string, string>).map(([name, text]) => [name, text.split("; ")[0]]);
    // The page's answer. What stands behind the type is Cloudflare's wording there, and our own here.
    assert.deepEqual(types, [
      ["ColoCode", "string"], ["EDNSSubnet", "string"], ["EDNSSubnetLength", "int"], ["QueryName", "string"], ["QueryType", "int"],
      ["ResponseCached", "bool"], ["ResponseCode", "int"], ["SourceIP", "string"], ["Timestamp", "int or string"],
    ]);
  });

  test("creates the job with logpull_options", async () => {
    // The page has `-h` before the e-mail address, at which curl prints its help and calls nobody; `-H` is meant. The
    // destination is https there. The stand-in on loopback has no certificate, hence http.
    const { success, errors, messages, result } = await call(
      String.raw`curl -X POST https://api.cloudflare.com/client/v4/zones/<Cloudflare Zone ID>/logpush/jobs \
-H "X-Auth-Email: <Cloudflare Email Address>" \
-H "X-Auth-Key: <Cloudflare API Token>" \
-H "Content-Type: application/json" \
--data '{
    "dataset": "dns_logs",
    "enabled": true,
    "max_upload_bytes": 5000000,
    "max_upload_records": 1000,
    "logpull_options":"fields=<LIST_OF_FIELDS>&timestamps=rfc3339",
    "destination_conf": "https://intake.sekoia.io/plain/batch?header_X-SEKOIAIO-INTAKE-KEY=<YOUR_INTAKE_KEY>"
}'`,
      { ...placeholders, "https://intake.sekoia.io": `http://${siem.host}` },
    );
    assert.deepEqual([success, errors, messages], [true, [], []], JSON.stringify(errors));
    id = result.id;
    assert.ok(id > 0);
    // The page's answer has `dns_log` and `enabled: false`, which is not what its own call asks for.
    const { dataset, enabled, logpull_options, destination_conf, max_upload_bytes, max_upload_records, last_complete, last_error, error_message } = result;
    assert.deepEqual(
      { dataset, enabled, logpull_options, destination_conf, max_upload_bytes, max_upload_records, last_complete, last_error, error_message },
      {
        dataset: "dns_logs", enabled: true, logpull_options: `fields=${FIELDS}&timestamps=rfc3339`, destination_conf: siem.plain(INTAKE_KEY),
        max_upload_bytes: 5_000_000, max_upload_records: 1_000, last_complete: null, last_error: null, error_message: null,
      },
    );
    assert.equal(siem.intake(INTAKE_KEY).tests, 1, "the destination was tried out once");
  });

  test("verifies the job by its number and by its dataset", async () => {
    const one = await call(`curl -s ${credentials} https://api.cloudflare.com/client/v4/zones/<ZONE_ID>/logpush/jobs/<JOB_ID>`, { ...placeholders, "<JOB_ID>": String(id) });
    assert.deepEqual([one.success, one.result.id, one.result.dataset], [true, id, "dns_logs"]);
    const all = await call(`curl -s ${credentials} https://api.cloudflare.com/client/v4/zones/<ZONE_ID>/logpush/datasets/<DATASET>/jobs`, placeholders);
    assert.deepEqual([all.success, all.result], [true, [one.result]]);
  });

  test("delivers the sample records with the fields and the times that the job asks for", async () => {
    assert.ok(id > 0, "there is a job");
    const samples = fixture("dns_logs.ndjson");
    const answer = await worker.push(`${zone}/dns_logs`, gzipSync(ndjson(samples)));
    assert.equal(answer.status, 200, answer.text);
    await siem.waitFor(() => siem.intake(INTAKE_KEY).records >= samples.length, DELIVERY_DEADLINE_MILLIS, "the samples");
    const delivered = siem.intake(INTAKE_KEY).lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    // 1657233726004000000 is 2022-07-07T22:42:06.004Z; rfc3339 has no fractions.
    const expected = samples.map((line) => ({ ...JSON.parse(line), Timestamp: "2022-07-07T22:42:06Z" }));
    // A selected field that the record lacks may be left out or be null.
    const present = delivered.map((record) => Object.fromEntries(Object.entries(record).filter(([, value]) => value !== null)));
    assert.deepEqual(present, expected);
    for (const record of delivered) assert.deepEqual(Object.keys(record).filter((name) => !FIELDS.split(",").includes(name)), []);
  });

  test("changes the job after a mistake was noticed", async () => {
    const changed = await call(
      `curl -s -X PUT ${credentials} https://api.cloudflare.com/client/v4/zones/<ZONE_ID>/logpush/jobs/<JOB_ID> --data '{"logpull_options": "fields=QueryName,Timestamp&timestamps=rfc3339"}'`,
      { ...placeholders, "<JOB_ID>": String(id) },
    );
    assert.deepEqual([changed.success, changed.result?.id, changed.result?.logpull_options], [true, id, "fields=QueryName,Timestamp&timestamps=rfc3339"]);
  });
});

describe("the walk-through of Cloudflare for network analytics logs", () => {
  const account = freshScope("accounts");
  const channel = randomUUID();
  /** The article's `{your-unique-splunk-configuration}`; the host of Splunk Cloud is the stand-in. */
  const configuration = () => `splunk://${siem.host}/services/collector/raw?channel=${channel}&header_Authorization=Splunk%20${HEC_TOKEN}&insecure-skip-verify=false`;
  const placeholders = (): Record<string, string> => ({
    "{account-id}": account.slice("accounts/".length),
    "{api-token}": SECRETS.API_TOKEN,
    "{your-unique-splunk-configuration}": configuration(),
    "{your-splunk-hec-tag}": HEC_TOKEN,
  });
  let created: any;

  test("creates and enables the job with one call", async () => {
    // The article uses Postman: method, URL, bearer token and body are given.
    const { success, errors, messages, result } = await call(
      String.raw`curl -s -X POST https://api.cloudflare.com/client/v4/accounts/{account-id}/logpush/jobs \
-H "Authorization: Bearer {api-token}" \
-H "Content-Type: application/json" \
--data '{
"destination_conf": "{your-unique-splunk-configuration}",
"dataset": "network_analytics_logs",
"token": "{your-splunk-hec-tag}",
"enabled": "true"
}'`,
      placeholders(),
    );
    assert.deepEqual([success, errors, messages], [true, [], []], JSON.stringify(errors));
    created = result;
  });

  test("verifies with a GET of the same URL that the job was created and is enabled", async () => {
    const { success, errors, messages, result } = await call(
      String.raw`curl -s https://api.cloudflare.com/client/v4/accounts/{account-id}/logpush/jobs -H "Authorization: Bearer {api-token}"`,
      placeholders(),
    );
    assert.deepEqual([success, errors, messages], [true, [], []]);
    // The article shows the one job; Cloudflare's API answers this call with a list, and so does the Worker.
    assert.deepEqual(result, [created]);
    const shown = {
      id: created.id, dataset: "network_analytics_logs", frequency: "high", kind: "", enabled: true, name: null, logpull_options: null,
      destination_conf: configuration(), last_complete: null, last_error: null, error_message: null,
    };
    assert.deepEqual({ ...created, ...shown }, created);
    assert.equal("token" in created, false);
  });

  test("delivers the article's packet sample as it is", async () => {
    const [sample = ""] = fixture("network_analytics_logs.ndjson");
    const answer = await worker.push(`${account}/network_analytics_logs`, gzipSync(ndjson([sample])));
    assert.equal(answer.status, 200, answer.text);
    await siem.waitFor(() => siem.intake(HEC_TOKEN).records > 0, DELIVERY_DEADLINE_MILLIS, "the sample");
    assert.deepEqual(siem.intake(HEC_TOKEN).lines, [sample]);
    assert.equal((await worker.settled(account, created.id)).delivered.records, 1);
  });
});

describe("the destination strings of both, from a batch to the log", () => {
  // Spaces, escapes, digits beyond 2^53 and letters beyond ASCII: what a parser would write another way.
  const lines = (time: string, name: string) =>
    Array.from({ length: 400 }, (_, n) => `{"${time}": ${1_657_233_726_004_000_000n + BigInt(n)},"${name}":"n${n} \\u00e9 é 日本 \\/","Ratio":1.0e2,"Empty":{ } }`);
  const channel = randomUUID();
  const rows = [
    {
      what: "SEKOIA.IO", dataset: "dns_logs", time: "Timestamp", name: "QueryName", kind: "zones" as const, credential: INTAKE_KEY,
      destination: (host: string) => `http://${host}/plain/batch?header_X-SEKOIAIO-INTAKE-KEY=${INTAKE_KEY}`,
      line: "POST /plain/batch", headers: { "x-sekoiaio-intake-key": INTAKE_KEY },
    },
    {
      what: "Splunk", dataset: "network_analytics_logs", time: "Datetime", name: "ColoCode", kind: "accounts" as const, credential: HEC_TOKEN,
      destination: (host: string) => `splunk://${host}/services/collector/raw?channel=${channel}&header_Authorization=Splunk%20${HEC_TOKEN}&insecure-skip-verify=false`,
      line: `POST /services/collector/raw?channel=${channel}`, headers: { authorization: `Splunk ${HEC_TOKEN}` },
    },
  ];

  for (const { what, dataset, time, name, kind, credential, destination, line, headers } of rows) {
    for (const [how, filter] of [["whole", undefined], ["with a filter that all records pass", { where: { key: name, operator: "contains", value: "n" } }]] as const) {
      test(`${what}: a batch that is taken ${how} arrives byte for byte, behind the headers that the string names`, async (context) => {
        const own = await Siem.start({ intakeKeys: [INTAKE_KEY], splunkTokens: [HEC_TOKEN] });
        context.after(async () => await own.close());
        const scope = freshScope(kind);
        const { id } = await worker.createJob(scope, { name: what, dataset, destination_conf: destination(own.host), filter });
        const records = lines(time, name);
        const answer = await worker.push(`${scope}/${dataset}`, gzipSync(ndjson(records)));
        assert.equal(answer.status, 200, answer.text);
        const job = await worker.settled(scope, id);
        assert.equal(job.delivered.records, records.length, JSON.stringify(job));
        const intake = own.intake(credential);
        assert.deepEqual(intake.lines, records);
        assert.deepEqual([own.attempts.length, intake.tests, intake.repeats], [1, 1, 0]);
        const [attempt] = own.attempts;
        assert.equal(attempt?.line, line);
        const { "x-logpush-push-id": pushId, "user-agent": agent, ...rest } = attempt?.headers ?? {};
        assert.match(String(pushId), /^[0-9a-f]{32}$/);
        assert.match(String(agent), /^logpush-edge\//);
        const expected = { "content-type": "application/x-ndjson", "content-encoding": "gzip", ...headers };
        assert.deepEqual({ ...rest, ...expected }, rest);
      });
    }
  }
});
