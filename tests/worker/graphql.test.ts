// GraphQL as Cloudflare's clients ask for it: real client libraries, and figures held against the log they are made of.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import {
  buildClientSchema,
  getIntrospectionQuery,
  NoUndefinedVariablesRule,
  parse,
  specifiedRules,
  validate,
  type GraphQLSchema,
} from "graphql";
import { ClientError, gql, GraphQLClient } from "graphql-request";
import { ndjson } from "../support/lines.ts";
import { Random } from "../support/random.ts";
import { Siem } from "../support/siem.ts";
import { freshScope, SECRETS, TestWorker } from "../support/worker.ts";

/** Both queries of Cloudflare's announcement of Logpush's health data, as they are printed. */
const NOT_ACCEPTED = `query
{
  viewer
  {
    zones(filter: { zoneTag: $zoneTag})
    {
      logpushHealthAdaptiveGroups(filter: {
        datetime_gt:"2022-08-15T00:00:00Z",
        destinationType:"s3",
        status_neq:200
      }, 
      limit:10)
      {
        count,
        dimensions {
          jobId,
          status,
          destinationType
        }
      }
    }
  }
}`;
const ACCEPTED = `query
{
  viewer
  {
    zones(filter: { zoneTag: $zoneTag})
    {
      logpushHealthAdaptiveGroups(filter: {
        datetime_gt:"2022-08-15T00:00:00Z",
        destinationType:"s3",
        status:200
      }, 
      limit:10)
      {
        sum {
          bytes,
          bytesCompressed,
          records
        }
      }
    }
  }
}`;

const scope = freshScope();
const zoneTag = scope.slice("zones/".length);
let worker: TestWorker;
let siem: Siem;
/** The jobs, with what each has delivered. */
const jobs: { id: number; key: string; failures: number }[] = [];

/** Three jobs whose pushes fail some times, in different ways, before they are accepted. */
before(async () => {
  siem = await Siem.start({ intakeKeys: ["one", "two"], splunkTokens: ["three"], keepLines: false });
  worker = await TestWorker.start({ ALLOW_PRIVATE_DESTINATIONS: "true", RETRY_MAX_SECONDS: "1" });
  for (const [at, key] of ["one", "two", "three"].entries()) {
    const dataset = ["dns_logs", "http_requests", "firewall_events"][at] as string;
    const destination_conf = key === "three" ? siem.splunk(key) : siem.plain(key);
    const { id } = await worker.createJob(scope, { name: key, dataset, destination_conf, max_upload_records: 1_000 });
    jobs.push({ id, key, failures: at });
    for (let failure = 0; failure < at; failure += 1) siem.fail({ status: failure === 0 ? 503 : 500 });
    const records = Array.from({ length: 2_500 + 10 * at }, (_, n) => ({ Timestamp: "2026-07-01T00:00:00Z", n, at }));
    const answer = await worker.push(`${scope}/${dataset}`, gzipSync(ndjson(records)));
    assert.equal(answer.status, 200, answer.text);
    await worker.settled(scope, id);
  }
  const bad = await worker.push(`${scope}/dns_logs`, gzipSync('{"n":1}\nnothing\n[]\n'));
  assert.equal(bad.status, 200, bad.text);
  await worker.settled(scope, jobs[0]!.id);
});
after(async () => {
  await worker?.close();
  await siem?.close();
});

/** Announcement's queries, about the destinations that there are here. */
const about = (query: string, destinationType: string) => query.replace('destinationType:"s3"', `destinationType:"${destinationType}"`);

describe("npm graphql", () => {
  let schema: GraphQLSchema;
  before(async () => {
    schema = buildClientSchema(await worker.graphql(getIntrospectionQuery({ inputValueDeprecation: true, specifiedByUrl: true })));
  });

  test("makes a schema of the introspection, and finds Cloudflare's names in it", () => {
    const zone = schema.getType("Zone");
    assert.ok(zone && "getFields" in zone);
    for (const name of ["logpushHealthAdaptiveGroups", "logpushUsageAdaptiveGroups", "logpushIngestAdaptiveGroups", "settings", "zoneTag"]) {
      assert.ok(name in zone.getFields(), name);
    }
    for (const name of ["Time", "Date", "string", "uint64", "AccountLogpushHealthAdaptiveGroupsFilter_InputObject"]) {
      assert.ok(schema.getType(name), name);
    }
  });

  test("finds nothing wrong with the announcement's queries but the variable that they do not declare", () => {
    const others = specifiedRules.filter((rule) => rule !== NoUndefinedVariablesRule);
    for (const query of [NOT_ACCEPTED, ACCEPTED]) {
      assert.deepEqual(validate(schema, parse(query), others), []);
      assert.deepEqual(validate(schema, parse(query)).map(({ message }) => message), ['Variable "$zoneTag" is not defined.']);
      assert.deepEqual(validate(schema, parse(query.replace("query", "query ($zoneTag: string)"))), []);
    }
  });

  test("finds wrong what is wrong", () => {
    const faults = (node: string) => validate(schema, parse(`{ viewer { zones(filter: {zoneTag: "z"}) { ${node} } } }`)).length;
    assert.equal(faults("logpushHealthAdaptiveGroups(limit: 1) { count }"), 0);
    assert.equal(faults("logpushHealthAdaptiveGroups(limit: 1) { counts }"), 1);
    assert.equal(faults("logpushHealthAdaptiveGroups(filter: {status_like: 5}) { count }"), 1);
    assert.equal(faults("logpushHealthAdaptiveGroups(orderBy: [count_UP]) { count }"), 1);
  });
});

describe("graphql-request", () => {
  const client = (token = SECRETS.READ_TOKEN) =>
    new GraphQLClient(`${worker.url}/client/v4/graphql`, { headers: { Authorization: `Bearer ${token}` } });

  test("runs the announcement's queries to the letter, where there is no S3 and so no group", async () => {
    for (const query of [NOT_ACCEPTED, ACCEPTED]) {
      const answer = await client().request<any>(query, { zoneTag });
      assert.deepEqual(answer, { viewer: { zones: [{ logpushHealthAdaptiveGroups: [] }] } });
    }
  });

  test("gets what was not accepted, and what was, of the destinations that there are", async () => {
    const failed = await client(SECRETS.API_TOKEN).request<any>(about(NOT_ACCEPTED, "splunk"), { zoneTag });
    const of = (status: number) => ({ count: 1, dimensions: { jobId: jobs[2]!.id, status, destinationType: "splunk" } });
    assert.deepEqual(failed.viewer.zones[0].logpushHealthAdaptiveGroups, [of(500), of(503)]);
    const [group] = (await client().request<any>(about(ACCEPTED, "splunk"), { zoneTag })).viewer.zones[0].logpushHealthAdaptiveGroups;
    const taken = siem.intake("three");
    assert.deepEqual([group.sum.records, group.sum.bytes], [taken.records, taken.bytes]);
    assert.ok(group.sum.bytesCompressed > 0 && group.sum.bytesCompressed < group.sum.bytes);
  });

  test("sends variables of any declared type, aliases, fragments and several nodes", async () => {
    const query = gql`
      query Health($zones: [String!], $since: Time!, $limit: Int!, $order: [ZoneLogpushHealthAdaptiveGroupsOrderBy!]) {
        viewer {
          zones(filter: { zoneTag_in: $zones }) {
            zoneTag
            byJob: logpushHealthAdaptiveGroups(filter: { datetime_geq: $since }, limit: $limit, orderBy: $order) {
              ...figures
              dimensions { jobId }
            }
            final: logpushHealthAdaptiveGroups(filter: { datetime_geq: $since, final: 1 }, limit: $limit) { ...figures }
            usage: logpushUsageAdaptiveGroups(filter: { date_geq: "2026-01-01" }, limit: $limit) { sum { billableBytes } }
            settings { logpushHealthAdaptiveGroups { maxPageSize } }
          }
        }
      }
      fragment figures on ZoneLogpushHealthAdaptiveGroups { count sum { records uploads } avg { sampleInterval uploadDurationMs } }
    `;
    const since = new Date(Date.now() - 3_600_000).toISOString();
    const { viewer } = await client().request<any>(query, { zones: [zoneTag], since, limit: 100, order: ["count_DESC"] });
    const [zone] = viewer.zones;
    assert.equal(zone.zoneTag, zoneTag);
    assert.deepEqual(zone.byJob.map((group: any) => [group.dimensions.jobId, group.count]).sort(), jobs.map(({ id, failures, key }) => [id, 3 + failures + (key === "one" ? 1 : 0)]));
    assert.deepEqual(zone.byJob.map((group: any) => group.count), zone.byJob.map((group: any) => group.count).sort((a: number, b: number) => b - a));
    const taken = ["one", "two", "three"].map((key) => siem.intake(key));
    const sum = (of: (one: { records: number; bytes: number }) => number) => taken.reduce((all, one) => all + of(one), 0);
    assert.equal(zone.final[0].sum.records, sum((one) => one.records));
    assert.equal(zone.usage[0].sum.billableBytes, sum((one) => one.bytes));
    assert.deepEqual([zone.final[0].avg.sampleInterval, zone.final[0].avg.uploadDurationMs > 0], [1, true]);
    assert.equal(zone.settings.logpushHealthAdaptiveGroups.maxPageSize, 10_000);
  });

  test("throws what is wrong, with its text, its path and a time", async () => {
    const call = client().request(`{ viewer { zones(filter: {zoneTag: "z"}) { logpushHealthAdaptiveGroups(limit: 0) { count } } } }`);
    await assert.rejects(call, (error: unknown) => {
      assert.ok(error instanceof ClientError);
      assert.deepEqual([error.response.status, error.response.data], [400, null]);
      const [first] = error.response.errors as any[];
      assert.equal(first.message, "limit must be positive number and not greater than 10000");
      assert.deepEqual(first.path, ["viewer", "zones", "0", "logpushHealthAdaptiveGroups"]);
      assert.ok(Math.abs(Date.parse(first.extensions.timestamp) - Date.now()) < 60_000);
      return true;
    });
  });
});

describe("POST /client/v4/graphql", () => {
  const ask = async (body: string, token?: string, method = "POST") => await worker.call(method, "/client/v4/graphql", method === "POST" ? body : undefined, token);

  test("wants a token that may read, and says what else is wrong by its status", async () => {
    const body = JSON.stringify({ query: "{viewer{zones{zoneTag}}}" });
    for (const token of [undefined, "wrong", SECRETS.INGEST_SECRET]) {
      const { status, json } = await ask(body, token);
      assert.deepEqual([status, json.data], [401, null]);
      assert.match(json.errors[0].message, /^Unauthorized/);
    }
    for (const [text, status, message] of [
      ["{", 400, /the body must be JSON/],
      [JSON.stringify([{ query: "{viewer{zones{zoneTag}}}" }]), 400, /the body must be JSON/],
      [JSON.stringify({ query: "mutation{a}" }), 400, /only queries/],
      [JSON.stringify({ query: `{${" ".repeat(70_000)}}` }), 413, /at most 65536 bytes/],
    ] as const) {
      const { status: answered, json } = await ask(text, SECRETS.READ_TOKEN);
      assert.deepEqual([answered, json.data], [status, null], text.slice(0, 50));
      assert.match(json.errors[0].message, message);
    }
    const get = await ask("", SECRETS.READ_TOKEN, "GET");
    assert.deepEqual([get.status, get.headers.get("Allow")], [405, "POST"]);
    assert.match(get.json.errors[0].message, /send queries by POST/);
  });

  test("leaves errors out when there is none", async () => {
    const { status, json } = await ask(JSON.stringify({ query: "{__typename}", variables: null, operationName: null }), SECRETS.READ_TOKEN);
    assert.deepEqual([status, json], [200, { data: { __typename: "Query" } }]);
  });

  test("tells what came in by dataset and reason", async () => {
    const { viewer } = await worker.graphql(
      `{ viewer { zones(filter: {zoneTag: $tag}) {
        all: logpushIngestAdaptiveGroups(limit: 10) { count sum { batches records invalid } dimensions { dataset } }
        reasons: logpushIngestAdaptiveGroups(filter: {dataset_like: "dns%", reason_neq: ""}, limit: 10) { sum { invalid } dimensions { reason } }
      } } }`,
      { tag: zoneTag },
    );
    const [{ all, reasons }] = viewer.zones;
    const stats = await worker.stats(`scope=${scope}`);
    const expected = stats.datasets.map((one: any) => [one.dataset, one.batches, one.records, one.invalid_lines]);
    assert.deepEqual(all.map((one: any) => [one.dimensions.dataset, one.count, one.sum.records, one.sum.invalid]), expected);
    const { invalid } = stats.datasets.find((one: any) => one.dataset === "dns_logs");
    assert.deepEqual(Object.fromEntries(reasons.map((one: any) => [one.dimensions.reason, one.sum.invalid])), invalid);
    assert.ok(Object.keys(invalid).length > 0);
  });
});

interface Row {
  count: number;
  dimensions: Record<string, string | number>;
  sum: { bytes: number; bytesCompressed: number; records: number; uploads: number };
}

const SUMS = ["bytes", "bytesCompressed", "records", "uploads"] as const;
const DIMENSIONS = ["date", "datetime", "datetimeMinute", "datetimeFiveMinutes", "datetimeFifteenMinutes", "datetimeHour", "destinationType", "final", "jobId", "status"];

test("random queries agree with a naive evaluation over the same push log", async () => {
  const seed = Number(process.env["GRAPHQL_QUERIES_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
  const random = new Random(seed);
  const pick = <T>(list: readonly T[]): T => list[random.below(list.length)] as T;
  const since = new Date(Date.now() - 3_600_000).toISOString();
  const node = (filter: string, dimensions: readonly string[]) => `logpushHealthAdaptiveGroups(filter: ${filter}, limit: 10000) {
    count sum { ${SUMS.join(" ")} } ${dimensions.length > 0 ? `dimensions { ${dimensions.join(" ")} }` : ""} }`;
  const ask = async (nodes: string) => (await worker.graphql(`{ viewer { zones(filter: {zoneTag: "${zoneTag}"}) { ${nodes} } } }`)).viewer.zones[0];
  // Every attempt: no two have the same second, job and result here, or they are one row of both sides.
  const { log } = (await ask(`log: ${node(`{datetime_geq: "${since}"}`, DIMENSIONS)}`)) as { log: Row[] };
  assert.ok(log.length >= 6, JSON.stringify(log));

  const literal = (value: string | number) => JSON.stringify(value);
  const filter = (depth: number): { text: string; holds: (row: Row) => boolean } => {
    const texts: string[] = [];
    const parts: ((row: Row) => boolean)[] = [];
    for (const name of new Set([pick(DIMENSIONS), pick(DIMENSIONS)])) {
      const value = pick(log).dimensions[name] as string | number;
      const other = pick(log).dimensions[name] as string | number;
      const [operator, holds] = pick<[string, (found: string | number) => boolean]>([
        ["", (found) => found === value], ["_neq", (found) => found !== value], ["_gt", (found) => found > value], ["_lt", (found) => found < value],
        ["_geq", (found) => found >= value], ["_leq", (found) => found <= value],
        ["_in", (found) => found === value || found === other], ["_notin", (found) => found !== value && found !== other],
      ]);
      texts.push(`${name}${operator}: ${operator.endsWith("in") ? `[${literal(value)}, ${literal(other)}]` : literal(value)}`);
      parts.push((row) => holds(row.dimensions[name] as string | number));
    }
    if (depth > 0) {
      const kind = pick(["AND", "OR"]);
      const inner = [filter(depth - 1), filter(depth - 1)];
      texts.push(`${kind}: [${inner.map(({ text }) => text).join(", ")}]`);
      parts.push((row) => (kind === "AND" ? inner.every((one) => one.holds(row)) : inner.some((one) => one.holds(row))));
    }
    return { text: `{${texts.join(", ")}}`, holds: (row) => parts.every((part) => part(row)) };
  };
  const compare = (one: readonly (string | number)[], other: readonly (string | number)[]) => {
    for (const [at, cell] of one.entries()) {
      if (cell !== other[at]) return cell < (other[at] as string | number) ? -1 : 1;
    }
    return 0;
  };

  for (let round = 0; round < 20; round += 1) {
    const queries = Array.from({ length: 5 }, () => ({
      dimensions: DIMENSIONS.filter(() => random.below(4) === 0),
      ...filter(random.below(3)),
    }));
    const nodes = queries.map(({ text, dimensions }, at) => `q${at}: ${node(`{datetime_geq: "${since}", AND: [${text}]}`, dimensions)}`);
    const answers = await ask(nodes.join("\n"));
    for (const [at, { text, dimensions, holds }] of queries.entries()) {
      const groups = new Map<string, [(string | number)[], number[]]>();
      for (const row of log.filter(holds)) {
        const key = dimensions.map((name) => row.dimensions[name] as string | number);
        const found = groups.get(JSON.stringify(key)) ?? [key, [0, 0, 0, 0, 0]];
        groups.set(JSON.stringify(key), found);
        for (const [at, value] of [row.count, ...SUMS.map((name) => row.sum[name])].entries()) found[1][at]! += value;
      }
      const expected = [...groups.values()].sort(([one], [other]) => compare(one, other));
      const found = (answers[`q${at}`] as Row[]).map((group) => [
        dimensions.map((name) => group.dimensions[name]),
        [group.count, ...SUMS.map((name) => group.sum[name])],
      ]);
      assert.deepEqual(found, expected, `GRAPHQL_QUERIES_SEED=${seed}: ${text} by ${dimensions}`);
    }
  }
});

test("a deleted job's pushes still count", async () => {
  const { id } = jobs[1]!;
  await worker.deleteJob(scope, id);
  const { viewer } = await worker.graphql(
    `{ viewer { zones(filter: {zoneTag: "${zoneTag}"}) { logpushHealthAdaptiveGroups(filter: {jobId: ${id}}, limit: 1) { count } } } }`,
  );
  assert.equal(viewer.zones[0].logpushHealthAdaptiveGroups[0].count, 4);
});
