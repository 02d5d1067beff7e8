// `npm run jobs` against the Worker: what a file says is what the deployment has, and doing it again changes nothing.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { masked, sameDestination } from "../../scripts/jobs/destination.ts";
import { JobsError, readJobsFile } from "../../scripts/jobs/file.ts";
import { Siem } from "../support/siem.ts";
import { freshScope, SECRETS, TestWorker } from "../support/worker.ts";

const scripts = fileURLToPath(new URL("../../scripts", import.meta.url));
const INTAKE_KEY = "cli-intake-key";
const HEC_TOKEN = "cli-hec-token";
const ODD = { where: { key: "QueryType", operator: "eq", value: 1 } };

let worker: TestWorker;
let siem: Siem;
let folder: string;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), "logpush-edge-jobs-"));
  siem = await Siem.start({ intakeKeys: [INTAKE_KEY], splunkTokens: [HEC_TOKEN] });
  worker = await TestWorker.start({ ALLOW_PRIVATE_DESTINATIONS: "true" });
});
after(async () => {
  await worker?.close();
  await siem?.close();
  rmSync(folder, { recursive: true, force: true });
});

interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs the command as its user does, in the folder of the files. */
async function jobs(args: string[], variables: Record<string, string> = {}, script: string[] = ["jobs.ts"]): Promise<Outcome> {
  const { LOGPUSH_EDGE_SET_UP: _, ...environment } = process.env;
  const [name = "", ...before] = script;
  const child = spawn(process.execPath, [join(scripts, name), ...before, ...args], {
    env: { ...environment, INIT_CWD: folder, LOGPUSH_EDGE_URL: worker.url, LOGPUSH_EDGE_TOKEN: SECRETS.API_TOKEN, ...variables },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const outcome: Outcome = { code: null, stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) child[name].setEncoding("utf8").on("data", (text: string) => void (outcome[name] += text));
  outcome.code = await new Promise((resolve, reject) => void child.once("error", reject).once("close", resolve));
  // Whatever happens, nobody reads a credential.
  assert.doesNotMatch(outcome.stderr + (args[0] === "pull" ? "" : outcome.stdout), new RegExp(`${INTAKE_KEY}|${HEC_TOKEN}|${SECRETS.API_TOKEN}`));
  return outcome;
}

let files = 0;
/** Writes a file of jobs and returns its name. */
function file(content: object | string): string {
  const name = `jobs-${(files += 1)}.json`;
  writeFileSync(join(folder, name), typeof content === "string" ? content : JSON.stringify(content, null, 2));
  return name;
}

async function list(scope: string): Promise<any[]> {
  return (await worker.api("GET", `${scope}/logpush/jobs`)).json.result;
}

/** A dns_logs job as a file holds it. */
function dns(name: string, more: object = {}): Record<string, unknown> {
  return { name, dataset: "dns_logs", destination_conf: siem.plain(INTAKE_KEY), ...more };
}

describe("apply", { concurrency: 4 }, () => {
  test("makes the jobs of the file, and changes nothing the second time", async () => {
    const [zone, account] = [freshScope("zones"), freshScope("accounts")];
    const path = file({
      scopes: {
        [zone]: [
          dns("odd", { enabled: true, filter: ODD, max_upload_records: 1_000, max_upload_bytes: 0, logpull_options: null }),
          { name: "odd", destination_conf: siem.splunk(HEC_TOKEN), filter: JSON.stringify({ where: { key: "EdgeResponseStatus", operator: "geq", value: 400 } }) },
        ],
        [account]: [{ name: "packets", dataset: "network_analytics_logs", destination_conf: siem.splunk(HEC_TOKEN), enabled: true }],
      },
    });
    const first = await jobs(["apply", path]);
    assert.equal(first.code, 0, first.stderr);
    assert.match(first.stdout, /^3 to create, 0 to change, 0 to delete, 0 as the file says$/m);
    const made = [await list(zone), await list(account)];
    assert.deepEqual(
      made.flat().map(({ name, dataset, enabled, max_upload_records }) => [name, dataset, enabled, max_upload_records]),
      [["odd", "dns_logs", true, 1_000], ["odd", "http_requests", false, null], ["packets", "network_analytics_logs", true, null]],
    );
    assert.deepEqual(JSON.parse(made[0]?.[0].filter), ODD);

    const second = await jobs(["apply", path]);
    assert.deepEqual([second.code, second.stdout], [0, "0 to create, 0 to change, 0 to delete, 3 as the file says\n"], second.stderr);
    assert.deepEqual([await list(zone), await list(account)], made);
    assert.equal((await jobs(["diff", path])).code, 0);
  });

  test("changes what differs, and unsets what the file does not mention", async () => {
    const zone = freshScope();
    assert.equal((await jobs(["apply", file({ scopes: { [zone]: [dns("a", { enabled: true, filter: ODD, max_upload_records: 2_000 }), dns("b")] } })])).code, 0);
    const [a, b] = await list(zone);
    const path = file({ scopes: { [zone]: [dns("a", { max_upload_interval_seconds: 60, destination_conf: siem.splunk(HEC_TOKEN) }), dns("b")] } });
    const diff = await jobs(["diff", path]);
    assert.equal(diff.code, 2, diff.stderr);
    for (const line of [
      zone, `  ~ "a" (dns_logs), job ${a.id}`, "      enabled: true → false", `      filter: ${JSON.stringify(ODD)} → unset`, "      max_upload_records: 2000 → unset",
      "      max_upload_interval_seconds: unset → 60", "0 to create, 1 to change, 0 to delete, 1 as the file says",
    ]) {
      assert.ok(diff.stdout.split("\n").includes(line), `${line}\nis not in\n${diff.stdout}`);
    }
    assert.match(diff.stdout, /destination_conf: http:\/\/\S+KEY=REDACTED → splunk:\/\/\S+header_Authorization=REDACTED/);
    assert.deepEqual(await list(zone), [a, b], "diff has changed something");

    assert.equal((await jobs(["apply", path])).code, 0);
    const [changed, same] = await list(zone);
    assert.deepEqual(same, b);
    assert.deepEqual(
      [changed.id, changed.enabled, changed.filter || null, changed.max_upload_records || null, changed.max_upload_interval_seconds],
      [a.id, false, null, null, 60],
    );
    assert.match(changed.destination_conf, /^splunk:/);
    assert.equal((await jobs(["diff", path])).code, 0);
  });

  test("says that a credential differs without saying what it is", async () => {
    const zone = freshScope();
    await worker.createJob(zone, { name: "a", dataset: "dns_logs", enabled: false, destination_conf: `${siem.plain(INTAKE_KEY)}&tags=old` });
    const path = file({ scopes: { [zone]: [dns("a", { destination_conf: `${siem.plain("${secret:CLI_KEY}")}&tags=old` })] } });
    const named = await jobs(["diff", path]);
    assert.match(named.stdout, /KEY=REDACTED&tags=old → \S+KEY=\$\{secret:CLI_KEY\}&tags=old$/m);
    const other = await jobs(["diff", file({ scopes: { [zone]: [dns("a", { destination_conf: `${siem.plain("other")}&tags=old` })] } })]);
    assert.match(other.stdout, /destination_conf: \S+KEY=REDACTED&tags=old \(what differs is masked\)$/m);
    assert.equal(other.code, 2);
  });

  test("keeps output options and logpull_options, and finds them unchanged", async () => {
    const zone = freshScope();
    const path = file({
      scopes: {
        [zone]: [
          dns("csv", { output_options: { output_type: "csv", field_names: ["QueryName", "Timestamp"], timestamp_format: "rfc3339", sample_rate: 0.5, batch_suffix: "" } }),
          dns("old", { logpull_options: "fields=QueryName,Timestamp&timestamps=unix" }),
          dns("defaults", { output_options: { output_type: "ndjson", record_prefix: "{", record_suffix: "}\n", "CVE-2021-44228": false } }),
        ],
      },
    });
    const first = await jobs(["apply", path]);
    assert.equal(first.code, 0, first.stderr);
    const second = await jobs(["apply", path]);
    assert.deepEqual([second.code, second.stdout], [0, "0 to create, 0 to change, 0 to delete, 3 as the file says\n"]);
  });

  test("deletes nothing without --prune, and with it only what the file's own scopes have too much", async () => {
    const [zone, emptied, untouched] = [freshScope(), freshScope(), freshScope()];
    for (const scope of [zone, emptied, untouched]) await worker.createJob(scope, { name: "extra", dataset: "dns_logs", destination_conf: siem.plain(INTAKE_KEY) });
    const unnamed = await worker.createJob(zone, { dataset: "dns_logs", destination_conf: siem.plain(INTAKE_KEY) });
    const path = file({ scopes: { [zone]: [dns("kept")], [emptied]: [] } });
    const kept = await jobs(["apply", path]);
    assert.equal(kept.code, 0, kept.stderr);
    assert.match(kept.stdout, /^ {2}\? "extra" \(dns_logs\), job \d+: not in the file; --prune deletes it$/m);
    assert.match(kept.stdout, new RegExp(`^ {2}\\? a job without a name \\(dns_logs\\), job ${unnamed.id}: `, "m"));
    assert.deepEqual((await list(zone)).map(({ name }) => name), ["extra", null, "kept"]);
    assert.equal((await jobs(["diff", path])).code, 0);
    assert.equal((await jobs(["diff", "--prune", path])).code, 2);

    const pruned = await jobs(["apply", "--prune", path]);
    assert.equal(pruned.code, 0, pruned.stderr);
    assert.match(pruned.stdout, /^0 to create, 0 to change, 3 to delete, 1 as the file says$/m);
    const names = [];
    for (const scope of [zone, emptied, untouched]) names.push((await list(scope)).map(({ name }) => name));
    assert.deepEqual(names, [["kept"], [], ["extra"]]);
  });

  test("goes on after a job that is refused, and ends with 1", async () => {
    const zone = freshScope();
    const nobody = { where: { key: "NoSuchField", operator: "eq", value: 1 } };
    const outcome = await jobs(["apply", file({ scopes: { [zone]: [dns("a"), dns("wrong", { filter: nobody }), dns("c")] } })]);
    assert.equal(outcome.code, 1);
    assert.match(outcome.stderr, /"wrong" \(dns_logs\) not created: 400: filter: .*NoSuchField.*\(1002\)/);
    assert.deepEqual((await list(zone)).map(({ name }) => name), ["a", "c"]);
  });

  test("does not guess which of two jobs with one name is meant", async () => {
    const zone = freshScope();
    const two = [];
    for (let n = 0; n < 2; n += 1) two.push((await worker.createJob(zone, { name: "twin", dataset: "dns_logs", destination_conf: siem.plain(INTAKE_KEY) })).id);
    const outcome = await jobs(["apply", "--prune", file({ scopes: { [zone]: [dns("twin", { enabled: true }), dns("other")] } })]);
    assert.deepEqual([outcome.code, outcome.stdout], [1, ""]);
    assert.match(outcome.stderr, new RegExp(`the jobs ${two.join(", ")} all have the name "twin" \\(dns_logs\\)`));
    assert.equal((await list(zone)).length, 2);
  });
});

describe("pull", { concurrency: 4 }, () => {
  test("writes a file that is valid, that differs in nothing, and that makes the same jobs elsewhere", async () => {
    const [zone, elsewhere] = [freshScope(), freshScope()];
    await worker.createJob(zone, { name: "one", dataset: "dns_logs", destination_conf: siem.plain(INTAKE_KEY), filter: ODD, max_upload_bytes: 5_000_000 });
    await worker.createJob(zone, { name: "two", enabled: false, destination_conf: siem.splunk(HEC_TOKEN) });
    const unnamed = await worker.createJob(zone, { destination_conf: siem.splunk(HEC_TOKEN) });
    const name = `pulled-${zone.replace("/", "-")}.json`;
    const pulled = await jobs(["pull", name, "--scope", zone]);
    assert.equal(pulled.code, 0, pulled.stderr);
    assert.match(pulled.stderr, new RegExp(`job ${unnamed.id}, is left out`));
    assert.equal(statSync(join(folder, name)).mode & 0o077, 0, "others may not read it");
    const content = JSON.parse(readFileSync(join(folder, name), "utf8"));
    assert.deepEqual(content.scopes[zone][0], dns("one", { enabled: true, filter: ODD, max_upload_bytes: 5_000_000 }));
    assert.equal((await jobs(["validate", name])).code, 0);
    assert.equal((await jobs(["diff", name])).code, 0);

    assert.equal((await jobs(["apply", file({ scopes: { [elsewhere]: content.scopes[zone] } })])).code, 0);
    const without = (all: any[]) => all.map(({ id, ...job }) => job);
    assert.deepEqual(without(await list(elsewhere)), without((await list(zone)).slice(0, 2)));
  });

  test("brings a file that is there up to date, with what else it has, and prints where there is none", async () => {
    const [zone, other] = [freshScope(), freshScope()];
    await worker.createJob(zone, { name: "new", dataset: "dns_logs", destination_conf: siem.plain(INTAKE_KEY) });
    const kept = [dns("kept")];
    const path = file({ $schema: "./jobs.schema.json", scopes: { [zone]: [], [other]: kept } });
    assert.equal((await jobs(["pull", path, "--scope", zone])).code, 0);
    const content = JSON.parse(readFileSync(join(folder, path), "utf8"));
    assert.deepEqual(content, { $schema: "./jobs.schema.json", scopes: { [zone]: [dns("new", { enabled: true })], [other]: kept } });
    const printed = await jobs(["pull", "--scope", zone]);
    assert.deepEqual(JSON.parse(printed.stdout), { scopes: { [zone]: content.scopes[zone] } });
    // Without a scope, those of the file.
    assert.equal((await jobs(["pull", path])).code, 0);
    assert.deepEqual(JSON.parse(readFileSync(join(folder, path), "utf8")).scopes[other], []);
    assert.match((await jobs(["pull"])).stderr, /which jobs\? Give --scope/);
  });
});

describe("a file", { concurrency: 4 }, () => {
  test("that is wrong is refused with the line and the member at fault, without a word of its content", async () => {
    const job = (more: string) => `{\n  "scopes": {\n    "zones/z": [\n      {\n        "name": "n",\n        "destination_conf": "https://logs.example.com/?k=s3cret"${more}\n      }\n    ]\n  }\n}\n`;
    const table: [string, string][] = [
      ["", ":1: the file ends where a value must stand"],
      ["[]", ":1: must be object"],
      ["{}", ':1: "scopes" is missing'],
      ['{\n  "scopes": {}\n} "s3cret"', ":3: the file goes on after its value has ended"],
      ['{\n  "scopes": {\n    "zones/z": [s3cret]\n  }\n}', ":3: a value must stand here"],
      ['{\n  "scopes": {},\n  "scopes": {}\n}', ':3: "scopes" stands twice in the same object'],
      ['{\n  "scopes": {\n    "zone/z": []\n  }\n}', ':3: scopes["zone/z"]: a scope is written zones/<id> or accounts/<id>'],
      ['{"scopes": {"zones/z": [{"name": "n"}]}}', ':1: scopes["zones/z"][0]: "destination_conf" is missing'],
      [job(',\n        "max_upload_records": 7'), ':7: scopes["zones/z"][0].max_upload_records: must be >= 1000'],
      [job(',\n        "enabled": "true"'), ':7: scopes["zones/z"][0].enabled: must be boolean'],
      [job(',\n        "filtre": null'), ':7: scopes["zones/z"][0].filtre: is not known here'],
      [job(',\n        "frequency": "often"'), ':7: scopes["zones/z"][0].frequency: must be one of "high", "low", null'],
      [job(',\n        "filter": "s3cret"'), ':7: scopes["zones/z"][0].filter: must hold a JSON object with "where"'],
      [job(',\n        "filter": {"and": []}'), ':7: scopes["zones/z"][0].filter: "where" is missing'],
      [job(',\n        "output_options": {\n          "sample_rat": 1\n        }'), ':8: scopes["zones/z"][0].output_options.sample_rat: is not known here'],
      [job("").replace("https://", ""), ':6: scopes["zones/z"][0].destination_conf: must begin with a scheme, such as https://'],
      [job("").replace("s3cret", "REDACTED"), ':6: scopes["zones/z"][0].destination_conf: REDACTED is what a read shows in place of a credential'],
      [job("").replace("    ]", '      ,{"name": "n", "destination_conf": "https://x/"}\n    ]'), ':8: scopes["zones/z"][1].name: job 0 of the list has the same name and dataset'],
    ];
    for (const [content, fault] of table) {
      const path = file(content);
      assert.throws(() => readJobsFile(join(folder, path), path), (error: unknown) => {
        assert.ok(error instanceof JobsError);
        assert.ok(error.message.split("\n").includes(`${path}${fault}`), `${path}${fault} is not in\n${error.message}`);
        assert.doesNotMatch(error.message, /s3cret/);
        return true;
      });
    }
    const path = file(job(',\n        "max_upload_records": 7,\n        "enabled": 1'));
    const { code, stdout, stderr } = await jobs(["validate", path]);
    assert.deepEqual([code, stdout], [1, ""]);
    assert.deepEqual(stderr.trim().split("\n"), [
      `${path}:7: scopes["zones/z"][0].max_upload_records: must be >= 1000`, `${path}:8: scopes["zones/z"][0].enabled: must be boolean`,
    ]);
  });

  test("that is wrong keeps apply from doing anything, and is needed", async () => {
    const zone = freshScope();
    assert.equal((await jobs(["apply", file({ scopes: { [zone]: [dns("a"), dns("b", { enabled: 1 })] } })])).code, 1);
    assert.deepEqual(await list(zone), []);
    assert.match((await jobs(["apply", "nowhere.json"])).stderr, /^nowhere\.json: can not be read \(ENOENT\)$/m);
  });

  test("is valid without a deployment, and without Rust on the machine", async () => {
    const path = file({ scopes: { "zones/z": [dns("a", { filter: ODD })], "accounts/a": [] } });
    const outcome = await jobs(["validate", path], { LOGPUSH_EDGE_URL: "", LOGPUSH_EDGE_TOKEN: "", PATH: "" }, ["with-setup.mjs", "jobs"]);
    assert.deepEqual([outcome.code, outcome.stdout], [0, `✓ ${path}: 1 jobs in 2 scopes\n`], outcome.stderr);
  });

  test("that the documentation shows is valid", () => {
    const page = readFileSync(new URL("../../docs/jobs-as-code.md", import.meta.url), "utf8");
    const example = /```json\n(.*?)```/s.exec(page)?.[1] ?? "";
    const path = file(example);
    assert.deepEqual([...readJobsFile(join(folder, path), path).scopes.values()].map((list) => list.length), [1, 0]);
  });

  test("has its destinations tried out on request", async () => {
    const path = file({ scopes: { [freshScope()]: [dns("good"), dns("bad", { destination_conf: siem.plain("no-such-key") })] } });
    const outcome = await jobs(["validate", path, "--destinations"]);
    assert.equal(outcome.code, 1);
    assert.match(outcome.stdout, /2 jobs in 1 scopes, 1 destinations fail/);
    assert.match(outcome.stderr, /"bad" \(dns_logs\): .*403/);
    assert.doesNotMatch(outcome.stderr, /"good"/);
  });
});

describe("a token", { concurrency: 4 }, () => {
  test("that is wrong ends the command with 1, and changes nothing", async () => {
    const zone = freshScope();
    const path = file({ scopes: { [zone]: [dns("a")] } });
    for (const command of [["apply", path], ["diff", path], ["pull", "--scope", zone]]) {
      const { code, stdout, stderr } = await jobs(command, { LOGPUSH_EDGE_TOKEN: "wrong" });
      assert.deepEqual([code, stdout], [1, ""]);
      assert.match(stderr, /^401: Authentication error.*\(10000\)/);
    }
    assert.deepEqual(await list(zone), []);
  });

  test("that may read is enough for diff, and not for apply and pull", async () => {
    const zone = freshScope();
    const token = { LOGPUSH_EDGE_TOKEN: SECRETS.READ_TOKEN };
    const path = file({ scopes: { [zone]: [dns("a")] } });
    assert.equal((await jobs(["diff", path], token)).code, 2);
    const refused = await jobs(["apply", path], token);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /"a" \(dns_logs\) not created: 403: .*\(1004\)/);
    assert.equal((await jobs(["apply", path])).code, 0);
    assert.equal((await jobs(["diff", path], token)).code, 0);
    const pulled = await jobs(["pull", "--scope", zone], token);
    assert.deepEqual([pulled.code, pulled.stdout], [1, ""]);
    assert.match(pulled.stderr, /pull needs API_TOKEN/);
  });

  test("is sent to nobody who is not a deployment, and never unencrypted", async () => {
    const path = file({ scopes: { [freshScope()]: [dns("a")] } });
    const table: [Record<string, string>, RegExp][] = [
      [{ LOGPUSH_EDGE_URL: "http://logs.example.com" }, /must begin with https:\/\//],
      [{ LOGPUSH_EDGE_URL: "logs.example.com" }, /must be an address such as https:\/\//],
      [{ LOGPUSH_EDGE_URL: "" }, /which deployment\? Give its address with --url or in LOGPUSH_EDGE_URL/],
      [{ LOGPUSH_EDGE_TOKEN: "" }, /give the deployment's API_TOKEN in LOGPUSH_EDGE_TOKEN/],
      [{ LOGPUSH_EDGE_URL: `http://${siem.host}` }, /answered 404, but not as a jobs API does/],
    ];
    for (const [variables, text] of table) {
      const { code, stderr } = await jobs(["apply", path], variables);
      assert.equal(code, 1);
      assert.match(stderr, text);
    }
    // A flag counts more than the environment, and the address may be that of the API.
    const flagged = await jobs(["diff", path, "--url", `${worker.url}/client/v4/`, "--token", SECRETS.API_TOKEN], { LOGPUSH_EDGE_URL: "x", LOGPUSH_EDGE_TOKEN: "x" });
    assert.equal(flagged.code, 2, flagged.stderr);
  });
});

test("a command that is none, a flag too many and a missing file are told with how it is used", async () => {
  const table: [string[], RegExp][] = [
    [[], /^Which command\?/], [["destroy"], /^destroy is no command/], [["apply"], /^apply needs a file/], [["apply", "a", "b"], /^apply takes one file/],
    [["validate", "a", "--prune"], /^validate has no --prune/], [["apply", "a", "--force"], /--force/],
  ];
  for (const [args, text] of table) {
    const { code, stderr } = await jobs(args);
    assert.equal(code, 1);
    assert.match(stderr, text);
    assert.match(stderr, /apply FILE/);
  }
  const help = await jobs(["--help"]);
  assert.deepEqual([help.code, help.stderr], [0, ""]);
  assert.match(help.stdout, /apply FILE/);
});

test("a destination is shown without its secrets, and known again from what a read shows of it", () => {
  const table: [string, string][] = [
    ["https://h.example.com/a?header_X=s3cret&tags=a:b", "https://h.example.com/a?header_X=REDACTED&tags=a:b"],
    ["https://u:s3cret@h.example.com/", "https://REDACTED@h.example.com/"],
    ["splunk://h:8088/services/collector/raw?channel=c&header_Authorization=Splunk%20${secret:T}", "splunk://h:8088/services/collector/raw?channel=c&header_Authorization=REDACTED${secret:T}"],
    ["s3://b/p?region=r&access-key-id=s3cret&endpoint=e", "s3://b/p?region=r&access-key-id=REDACTED&endpoint=e"],
    ["sumo://h.example.com/receiver/v1/http/s3cret", "sumo://REDACTED"],
    ["https://h.example.com/?s3cret", "https://h.example.com/?REDACTED"],
    ["s3cret", "REDACTED"],
  ];
  for (const [destination, expected] of table) {
    assert.equal(masked(destination), expected);
    if (!destination.startsWith("sumo") && !destination.includes("@")) assert.ok(sameDestination(expected, destination), expected);
  }
  assert.ok(!sameDestination("https://h.example.com/?a=REDACTED&b=1", "https://h.example.com/?a=x&b=2"));
  assert.ok(!sameDestination("https://h.example.com/?a=REDACTED", "https://hXexample.com/?a=x"));
  assert.ok(!sameDestination("https://h.example.com/?a=1", "https://h.example.com/?a=2"));
});
