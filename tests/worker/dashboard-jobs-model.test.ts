// What the jobs pages know without a browser: filters, destination strings, output options and jobs as forms.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import * as destinations from "../../dashboard/src/pages/jobs/model/destination.ts";
import { readFields, searchFields } from "../../dashboard/src/pages/jobs/model/fields.ts";
import * as filters from "../../dashboard/src/pages/jobs/model/filter.ts";
import { changes, copyOf, creation, draftOf, limitFaults, newDraft, placeOf, type Job } from "../../dashboard/src/pages/jobs/model/job.ts";
import * as output from "../../dashboard/src/pages/jobs/model/output.ts";
import { inPlainWords } from "../../dashboard/src/pages/jobs/model/plain-words.ts";

const { parseFilter, printFilter } = filters;

const leaf = (key: string, operator: string, value: unknown) => ({ key, operator, value });
const LOGIN = { where: { and: [leaf("ClientRequestPath", "startsWith", "/login"), { or: [leaf("EdgeResponseStatus", "geq", "400"), leaf("BotScore", "lt", 30)] }] } };

test("a filter that is read and printed is the same JSON, however deep it is", () => {
  const deep = Array.from({ length: 20 }).reduce<object>((inner, _, n) => (n % 2 === 0 ? { and: [inner, leaf("A", "eq", n)] } : { or: [inner] }), leaf("B", "!in", ["x", 2]));
  for (const filter of [LOGIN, { where: leaf("A", "!contains", "") }, { where: { and: [deep, leaf("C", "eq", 1)] } }, { where: { or: [leaf("A", "eq", true), leaf("A", "eq", 1.5)] } }]) {
    assert.equal(printFilter(parseFilter(JSON.stringify(filter))), JSON.stringify(filter));
  }
  assert.equal(printFilter(parseFilter(" ")), "");
  // A group of one node says the same as the node.
  assert.equal(printFilter(parseFilter('{"where":{"or":[{"and":[{"key":"A","operator":"eq","value":1}]}]}}')), '{"where":{"and":[{"key":"A","operator":"eq","value":1}]}}');
  assert.equal(printFilter(parseFilter(JSON.stringify(LOGIN)), 2), JSON.stringify(LOGIN, null, 2));
});

test("a filter is taken as somebody has it at hand", () => {
  const text = JSON.stringify(LOGIN);
  const inString = JSON.stringify(text);
  for (const pasted of [
    inString, // with its quotes
    inString.slice(1, -1), // the escapes alone
    JSON.stringify(inString), // as a shell script may have it
    `"filter": ${inString}`,
    `"filter": ${inString},`,
    JSON.stringify({ name: "a job", dataset: "http_requests", filter: text, destination_conf: "https://x" }),
    JSON.stringify({ success: true, errors: [], result: { id: 1, filter: text } }),
    JSON.stringify(LOGIN.where),
    JSON.stringify({ where: { where: LOGIN.where } }),
  ]) assert.equal(printFilter(parseFilter(pasted)), text, pasted);
  for (const none of ['""', '{"filter":""}', '{"filter":null}']) assert.equal(parseFilter(none).nodes.length, 0, none);
});

test("other spellings become Logpush's own", () => {
  for (const [found, printed] of [
    [leaf("A", "neq", 1), leaf("A", "!eq", 1)],
    [leaf("A", "In", "200, 201"), leaf("A", "in", ["200", "201"])],
    [leaf("A", "!StartsWith", "x"), leaf("A", "!startsWith", "x")],
    [{ where: leaf("A", "Geq", 1) }, leaf("A", "geq", 1)],
  ]) assert.equal(printFilter(parseFilter(JSON.stringify({ where: found }))), JSON.stringify({ where: printed }));
});

test("digits are never lost", () => {
  const text = '{"where":{"key":"Time","operator":"geq","value":1657233726004000001}}';
  assert.equal(printFilter(parseFilter(text)), '{"where":{"key":"Time","operator":"geq","value":"1657233726004000001"}}');
  assert.equal(filters.valueOf("1657233726004000001", "int"), "1657233726004000001");
  assert.equal(filters.valueOf("007", "int"), "007");
  assert.equal(filters.valueOf("400", "int"), 400);
  assert.equal(filters.valueOf("400", "string"), "400");
  assert.equal(filters.valueOf("true", "bool"), true);
});

test("what is wrong with a filter's JSON is said with its place", () => {
  const long = Array.from({ length: 34 }).reduce<object>((inner) => ({ and: [inner] }), leaf("A", "eq", 1));
  for (const [text, place, message] of [
    ["{", "where", /^not JSON/],
    ["hello", "where", /^not JSON/],
    ["[]", "where", /one member `where`/],
    ['{"wher":{}}', "where", /one member `where`/],
    ['{"where":{"and":[]}}', "where.and", /at least one node/],
    ['{"where":{"and":[{"key":"A","operator":"eq","value":1},3]}}', "where.and[1]", /must be an object/],
    ['{"where":{"and":[{"or":[{"key":"A","operator":"eq"}]}]}}', "where.and[0].or[0]", /`value` is missing/],
    ['{"where":{"and":[],"or":[]}}', "where", /can not stand beside `or`/],
    ['{"where":{"key":"A","operator":"like","value":1}}', "where", /unknown operator `like`; there are eq/],
    ['{"where":{"key":"A","operator":"eq","value":1,"x":2}}', "where", /unknown member `x`/],
    ['{"where":{"key":"A","operator":"in","value":[]}}', "where", /at least one value/],
    ['{"where":{"key":"A","operator":"eq","value":null}}', "where", /must be a string/],
    [JSON.stringify({ where: long }), /^where\.and/, /nested deeper/],
  ] as const) {
    assert.throws(() => parseFilter(text), (error: filters.FilterFault) => {
      if (typeof place === "string") assert.equal(error.place, place, text);
      else assert.match(error.place, place);
      assert.match(error.message, message);
      return true;
    });
  }
});

test("the form offers the operators that the Worker takes for a type", () => {
  // The table of docs/filters.md, read: the rows are operators, the columns types.
  const table = readFileSync(new URL("../../docs/filters.md", import.meta.url), "utf8").split("\n").filter((line) => line.startsWith("| `"));
  const columns: filters.FieldType[][] = [["string"], ["int", "float"], ["int or string"], ["bool"], ["array[string]", "array[int]"], ["object", "array[object]"]];
  let seen = 0;
  for (const line of table) {
    const cells = line.split("|").map((cell) => cell.trim()).slice(1, -1);
    const words = [...(cells[0] ?? "").matchAll(/`([^`]+)`/g)].map(([, word = ""]) => word);
    if (cells.length !== columns.length + 2 || !(words[0] ?? "").match(/^(eq|lt|startsWith|endsWith|contains|in)$/)) continue;
    const negation = (cells[1] ?? "").replaceAll("`", "");
    columns.forEach((types, index) => {
      const applies = cells[index + 2]?.startsWith("yes") ?? false;
      for (const type of types) for (const word of negation === "–" ? words : [...words, negation]) {
        assert.equal(filters.operatorsFor(type).includes(word), applies, `${word} for ${type}`);
        seen += 1;
      }
    });
  }
  assert.ok(seen > 80, `${seen} cells`);
  for (const operator of filters.operatorsFor(undefined)) assert.ok(operator in filters.OPERATOR_WORDS, operator);
});

test("nodes are added, changed and removed where they are, and the tree before is not touched", () => {
  const root = parseFilter(JSON.stringify(LOGIN));
  const inner = root.nodes[1] as filters.Group;
  const added = filters.addNode(root, inner.id, filters.condition("RayID", "eq", "x"));
  assert.match(printFilter(added), /"value":30},{"key":"RayID"/);
  const gone = filters.replaceNode(added, inner.id, () => undefined);
  assert.equal(printFilter(gone), JSON.stringify({ where: LOGIN.where.and[0] }));
  const either = filters.replaceNode(root, root.id, (node) => ({ ...(node as filters.Group), word: "or" }));
  assert.match(printFilter(either), /^{"where":{"or":/);
  assert.equal(printFilter(root), JSON.stringify(LOGIN));
  assert.deepEqual([filters.keysOf(root), filters.countConditions(root)], [["ClientRequestPath", "EdgeResponseStatus", "BotScore"], 3]);
  assert.equal(filters.sentence(root), "ClientRequestPath starts with /login and (EdgeResponseStatus is at least 400 or BotScore is below 30)");
});

test("another field or operator keeps what fits", () => {
  const old = filters.condition("EdgeResponseStatus", "geq", 400);
  const list = filters.withOperator(old, "in", "int");
  assert.deepEqual(list.value, [400]);
  assert.deepEqual(filters.withOperator(list, "eq", "int").value, 400);
  const text = filters.withKey(old, "ClientIP", "string");
  assert.deepEqual([text.key, text.operator, text.value], ["ClientIP", "eq", "400"]);
  assert.deepEqual(filters.withOperator(filters.condition("A", "eq", ""), "in", "string").value, []);
});

test("conditions that the Worker would refuse are told before it does", () => {
  const types = new Map<string, filters.FieldType>([["Status", "int"], ["Path", "string"], ["Cached", "bool"], ["At", "int or string"], ["Tags", "array[string]"], ["Headers", "object"]]);
  const fault = (key: string, operator: string, value: filters.Scalar | filters.Scalar[]) => [...filters.faults(filters.group("and", [filters.condition(key, operator, value)]), types).values()][0];
  for (const good of [["Status", "geq", "400"], ["Status", "in", [1, "2"]], ["Path", "eq", ""], ["Cached", "eq", "true"], ["At", "lt", "2026-07-01T00:00:00Z"], ["At", "gt", "1782900000"], ["Tags", "contains", "a"]] as const) {
    assert.equal(fault(good[0], good[1], good[2] as filters.Scalar), undefined, JSON.stringify(good));
  }
  for (const [key, operator, value, said] of [
    ["", "eq", "", "Choose a field."],
    ["Statu", "eq", 1, "The dataset has no field Statu."],
    ["Status", "geq", "", "Enter a number."],
    ["Status", "in", [1, "x"], "x is not a number."],
    ["Status", "in", [], "Enter at least one value."],
    ["Status", "startsWith", "4", "“starts with” does not apply to Status, which is of type int."],
    ["Cached", "eq", "yes", "yes is not true or false."],
    ["At", "gt", "yesterday", "yesterday is not a time: RFC 3339, or a unix time."],
    ["Headers", "eq", "x", "Headers holds objects, which a filter can not look into."],
  ] as const) assert.equal(fault(key, operator, value as filters.Scalar), said);
  assert.deepEqual([...filters.faults(filters.group("and", [filters.group("or")]), types).values()], ["An empty group: add a condition, or remove it."]);
  assert.equal(filters.faults(filters.group("and", [filters.condition("Anything", "geq", "x")]), undefined).size, 0);
});

test("a destination string that nobody edits keeps its bytes", () => {
  for (const text of [
    "https://logs.example.com/in?header_Authorization=Bearer%20${secret:LOGS_TOKEN}&tags=a,b&x",
    "https://logs.example.com/in",
    "splunk://h.splunkcloud.com:8088/services/collector/raw?channel=6b1f&insecure-skip-verify=false&sourcetype=a:b&header_Authorization=Splunk%20${secret:T}",
    "s3://logs-bucket/cloudflare/{DATE}?region=eu-west-1&sse=AES256&access-key-id=${secret:K}&secret-access-key=%24%7Bsecret%3AS%7D",
    "azure://a.blob.core.windows.net/logs?sv=2024-11-04&ss=b&srt=o&sp=w&se=2036-01-01T00:00:00Z&sig=a%2Bb%2Fc%3D",
    "http://127.0.0.1:9000/in?header_X=a+b%zz",
    "queue://LOGS",
    "sumo://REDACTED",
  ]) {
    const read = destinations.parseDestination(text);
    assert.ok(read, text);
    assert.equal(destinations.printDestination(read), text);
  }
  for (const text of ["", "logs.example.com", "ftp://x", "kinesis://stream?region=x"]) assert.equal(destinations.parseDestination(text), undefined, text);
});

test("what a form enters is percent-encoded, and secrets stay names", () => {
  const part = (scheme: string, name: string) => destinations.kindOf(scheme)?.parts.find((one) => one.name === name) as destinations.Part;
  let form = destinations.parseDestination("splunk://h.example.com/services/collector/raw") as destinations.Destination;
  form = destinations.withPart(form, part("splunk", "header_Authorization"), "${secret:HEC}");
  form = destinations.withPart(form, part("splunk", "sourcetype"), "cloudflare:json");
  form = destinations.withPart(form, part("splunk", "ack"), "true");
  assert.equal(destinations.printDestination(form), "splunk://h.example.com/services/collector/raw?header_Authorization=Splunk%20${secret:HEC}&sourcetype=cloudflare:json&ack=true");
  assert.equal(destinations.valueOfPart(form, part("splunk", "header_Authorization")), "${secret:HEC}");
  form = destinations.withPart(form, part("splunk", "ack"), "false");
  form = destinations.withPart(form, part("splunk", "sourcetype"), "");
  form = destinations.withGiven(form, "note", "a&b=c#d%e+f ü");
  assert.equal(destinations.printDestination(form), "splunk://h.example.com/services/collector/raw?header_Authorization=Splunk%20${secret:HEC}&note=a%26b%3Dc%23d%25e%2Bf%20%C3%BC");
  assert.equal(destinations.others(form)[0]?.value, "a&b=c#d%e+f ü");
  const again = destinations.parseDestination(destinations.printDestination(form)) as destinations.Destination;
  assert.equal(again.given[1]?.value, "a&b=c#d%e+f ü");
  const emptied = destinations.withValue(again, again.given[1] as destinations.Given, "");
  assert.match(destinations.printDestination(emptied), /&note=$/);
  assert.equal(destinations.others(destinations.parseDestination(destinations.printDestination(emptied)) as destinations.Destination).length, 1);
  // Header names have no case, those of parameters have.
  const lower = destinations.parseDestination("https://h/x?header_authorization=Basic%20x") as destinations.Destination;
  assert.equal(destinations.valueOfPart(lower, part("https", "header_Authorization")), "Basic x");
  assert.equal(destinations.printDestination(destinations.withPart(lower, part("https", "header_Authorization"), "Bearer y")), "https://h/x?header_authorization=Bearer%20y");
});

test("another kind keeps what both have, and nothing else", () => {
  const s3 = destinations.parseDestination("s3://b/p?region=eu-west-1&access-key-id=${secret:A}&secret-access-key=${secret:B}") as destinations.Destination;
  const r2 = destinations.withScheme(s3, "r2");
  assert.deepEqual([r2.scheme, r2.front, r2.given.map(({ name }) => name)], ["r2", "", ["access-key-id", "secret-access-key"]]);
});

test("what is missing in a destination is told by its field", () => {
  const faults = (text: string) => Object.fromEntries(destinations.destinationFaults(destinations.parseDestination(text) as destinations.Destination));
  assert.deepEqual(faults("https://"), { "": "Enter host and path." });
  assert.deepEqual(faults("https://https://x"), { "": "Leave out what stands before the host: it is chosen above." });
  assert.deepEqual(faults("datadog://h/api/v2/logs"), { "header_DD-API-KEY": "API key is required." });
  assert.deepEqual(faults("datadog://h/api/v2/logs?header_DD-API-KEY=REDACTED"), { "header_DD-API-KEY": "REDACTED is what a reader is shown. Enter the secret again." });
  assert.deepEqual(Object.keys(faults("s3://b/p")), ["region", "access-key-id", "secret-access-key"]);
  assert.match(faults("https://h/x?header_Authorization=Bearer%20${secret:lower}")["header_Authorization"] ?? "", /written \${secret:NAME}/);
  assert.deepEqual(faults("https://h/x?header_Authorization=Bearer%20${secret:A_1}"), {});
  assert.equal(destinations.isWrittenOut("Bearer ${secret:A}"), false);
  assert.equal(destinations.isWrittenOut("Bearer abc"), true);
  assert.deepEqual(destinations.secretsOf("https://h?a=${secret:A}&b=${secret:B}${secret:A}"), ["A", "B"]);
});

test("there is a form for every scheme that the Worker pushes to", () => {
  const source = readFileSync(new URL("../../src/logpush/destination_conf/schemes.rs", import.meta.url), "utf8");
  const offered = [...source.matchAll(/Scheme \{ name: "(\w+)", kind: Some/g)].map(([, name = ""]) => name);
  assert.ok(offered.length >= 11);
  assert.deepEqual([...offered].sort(), destinations.KINDS.map(({ scheme }) => scheme).sort());
});

test("fields are listed by type and found by any words of their name or description", () => {
  const fields = readFields({ BotScore: "int; Bot score 1-99", BotTags: "array[string]; Kinds of bot", At: "int or string; When", Old: "string; Gone; really (deprecated)" });
  assert.deepEqual(fields.map(({ type }) => type), ["int", "array[string]", "int or string", "string"]);
  assert.deepEqual([fields[3]?.description, fields[3]?.isDeprecated], ["Gone; really", true]);
  assert.deepEqual(searchFields(fields, "bot").map(({ name }) => name), ["BotScore", "BotTags"]);
  assert.deepEqual(searchFields(fields, "kinds BOT").map(({ name }) => name), ["BotTags"]);
  assert.equal(searchFields(fields, "").length, 4);
  const known = readdirSync(new URL("../../src/logpush/datasets", import.meta.url));
  const types = new Set(known.flatMap((name) => Object.values(JSON.parse(readFileSync(new URL(`../../src/logpush/datasets/${name}`, import.meta.url), "utf8")).fields).map((field: any) => field.type)));
  for (const type of types) assert.ok(Array.isArray(filters.operatorsFor(type as filters.FieldType)), String(type));
});

test("output options are set one by one, and what the form does not know stays", () => {
  let options = output.withOption({ merge_subrequests: true }, "sample_rate", 0.1);
  options = output.withOption(options, "field_names", ["B", "A"]);
  assert.deepEqual(options, { merge_subrequests: true, sample_rate: 0.1, field_names: ["B", "A"] });
  assert.deepEqual(output.fieldNames(options), ["B", "A"]);
  assert.equal(output.withOption({ schema: "ecs" }, "schema", undefined), null);
  for (const text of ["}\n", "a\\nb", "\t\r\\", ""]) assert.equal(output.unescaped(output.escaped(text)), text);
  assert.equal(output.unescaped("\\n\\\\n\\x"), "\n\\n\\x");
  assert.deepEqual([...output.outputFaults({ schema: "ecs", output_type: "csv", record_template: "x", sample_rate: 2 }).keys()], ["sample_rate", "output_type", "record_template"]);
  assert.deepEqual(output.fromLogpull("https://x/received?start=1&fields=RayID,ClientIP&timestamps=rfc3339&sample=0.1&CVE-2021-44228=true"), {
    field_names: ["RayID", "ClientIP"], timestamp_format: "rfc3339", sample_rate: 0.1, "CVE-2021-44228": true,
  });
});

test("only what was changed is sent, so that a stored string nobody edited is left alone", () => {
  const job = {
    id: 7, dataset: "http_requests", name: "errors", enabled: true, destination_conf: "https://h/x?header_A=REDACTED", filter: "", output_options: null,
    logpull_options: null, max_upload_bytes: null, max_upload_records: 1000, max_upload_interval_seconds: null, last_complete: null, last_error: null, error_message: null,
  } satisfies Job;
  const before = draftOf("zones/z", job);
  assert.deepEqual(changes(before, before), {});
  assert.deepEqual(changes(before, { ...before, name: "", filter: "{}", max_upload_records: "", max_upload_bytes: "5000000" }), { name: "", filter: "{}", max_upload_records: null, max_upload_bytes: 5_000_000 });
  assert.deepEqual(creation({ ...newDraft("zones/z", "dns_logs"), destination_conf: "queue://A" }), { dataset: "dns_logs", enabled: true, destination_conf: "queue://A" });
  const copy = copyOf(before);
  assert.deepEqual([copy.name, copy.enabled, copy.destination_conf], ["Copy of errors", false, before.destination_conf]);
  assert.deepEqual([...limitFaults({ ...before, max_upload_bytes: "4", max_upload_interval_seconds: "30" }).keys()], ["max_upload_bytes"]);
});

test("an error of the API belongs to the member that it names", () => {
  assert.deepEqual(placeOf("filter: where.and[1]: `lt` does not apply"), { member: "filter", text: "where.and[1]: `lt` does not apply" });
  assert.deepEqual(placeOf("destination_conf: error validating destination: no answer within 10 s").member, "destination_conf");
  assert.deepEqual(placeOf("job not found"), { member: undefined, text: "job not found" });
  assert.deepEqual(placeOf("kind: can not change").member, undefined);
});

test("a destination's refusal is told in plain words", () => {
  for (const [message, words] of [
    ["error validating destination: error 403: error pushing: error uploading to https: 403 Forbidden", /refuses the credentials/],
    ["error 401: error pushing: error uploading to splunk: 401 Unauthorized", /refuses the credentials/],
    ["error 503: error pushing: error uploading to https: 503", /fault of its own/],
    ["error validating destination: error 1108: error pushing: error uploading to queue: this Worker has no binding X", /No request could be made/],
    ["error validating destination: the secret HEC is not set", /wrangler secret put HEC/],
    ["error validating destination: no answer within 10 s", /firewall/],
    ["error pushing: error uploading to https: connection refused", /nothing listens/],
  ] as const) assert.match(inPlainWords(message) ?? "", words, message);
  assert.equal(inPlainWords("job not found"), undefined);
});
