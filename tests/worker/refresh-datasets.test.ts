// The script that brings the catalogue up to date, on copies of it.

import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
// @ts-expect-error: a plain script, without types
import { refresh } from "../../scripts/refresh-datasets.mjs";

const source = fileURLToPath(new URL("../../src/logpush", import.meta.url));

/** A folder to refresh from, and a copy of what it refreshes. */
function folders(context: TestContext) {
  const home = mkdtempSync(join(tmpdir(), "logpush-edge-datasets-"));
  context.after(() => rmSync(home, { recursive: true }));
  const [from, to, catalogue] = [join(home, "from"), join(home, "to"), join(home, "catalogue.rs")];
  for (const folder of [from, to]) cpSync(join(source, "datasets"), folder, { recursive: true });
  cpSync(join(source, "catalogue.rs"), catalogue);
  const run = (): { ok: boolean; say: string[] } => refresh(from, to, catalogue);
  const edit = (name: string, change: (dataset: any) => void) => {
    const dataset = JSON.parse(readFileSync(join(from, name), "utf8"));
    change(dataset);
    writeFileSync(join(from, name), JSON.stringify(dataset));
  };
  const texts = () => [...readdirSync(to).map((name) => readFileSync(join(to, name), "utf8")), readFileSync(catalogue, "utf8")];
  return { from, to, catalogue, run, edit, texts };
}

test("a folder that is the same changes nothing, not a byte", (context) => {
  const { run, texts } = folders(context);
  const before = texts();
  const { ok, say } = run();
  assert.deepEqual([ok, say.length, /^0 of \d+ datasets changed$/.test(say[0] ?? "")], [true, 1, true], say.join("\n"));
  assert.deepEqual(texts(), before);
});

test("what changed is written in the usual form, listed and told", (context) => {
  const { from, to, catalogue, run, edit } = folders(context);
  edit("dns_logs.json", (dataset) => {
    dataset.fields.Answer = { type: "string", description: "What was answered" };
    dataset.fields.QueryType.type = "string";
    delete dataset.fields.EDNSSubnet;
  });
  cpSync(join(from, "nel_reports.json"), join(from, "brand_new.json"));
  edit("brand_new.json", (dataset) => void (dataset.dataset = "brand_new"));
  rmSync(join(from, "ssh_logs.json"));
  writeFileSync(join(from, "_index.json"), "[]");
  const { ok, say } = run();
  assert.equal(ok, true, say.join("\n"));
  assert.deepEqual(say.slice(0, -1), [
    "brand_new", "  new, with 7 fields",
    "dns_logs", "  + Answer (string)", "  - EDNSSubnet", '  ~ QueryType: type "int" → "string"',
    "not in from, and left as they are: ssh_logs",
  ]);
  const written = readFileSync(join(to, "dns_logs.json"), "utf8");
  assert.deepEqual(Object.keys(JSON.parse(written).fields).slice(0, 3), ["Answer", "ColoCode", "EDNSSubnetLength"]);
  assert.match(written, /^\{\n "dataset": "dns_logs",\n/);
  assert.match(readFileSync(catalogue, "utf8"), /\n {4}"biso_user_actions"\n {4}"brand_new"\n {4}"casb_findings"\n/);
});

test("a file that is not in order stops everything and names what is wrong", (context) => {
  const { from, run, edit, texts } = folders(context);
  const before = texts();
  edit("dns_logs.json", (dataset) => void (dataset.fields.QueryName.description = "Another"));
  edit("nel_reports.json", (dataset) => {
    dataset.fields.Phase.type = "text";
    dataset.fields.Type.descripton = "x";
    dataset.fields["Two words"] = { type: "int", description: "x" };
  });
  edit("ssh_logs.json", (dataset) => void (dataset.timestamp_field = "Nope"));
  edit("audit_logs.json", (dataset) => void delete dataset.source);
  edit("zaraz_events.json", (dataset) => void (dataset.dataset = "other"));
  writeFileSync(join(from, "gateway_dns.json"), "{");
  const { ok, say } = run();
  assert.equal(ok, false);
  const told = say.join("\n");
  for (const fault of [
    /^nel_reports\.json: fields\.Phase\.type must be one of string, int/m,
    /^nel_reports\.json: fields\.Type\.descripton is no member of a field$/m,
    /^nel_reports\.json: fields\.Two words: a name is letters, digits and _$/m,
    /^ssh_logs\.json: timestamp_field Nope is no field$/m,
    /^audit_logs\.json: source is missing$/m,
    /^zaraz_events\.json: is about other, so it must be called other\.json or other\.zone\.json$/m,
    /^gateway_dns\.json: /m,
    /^nothing was written$/m,
  ]) {
    assert.match(told, fault);
  }
  assert.deepEqual(texts(), before);
});
