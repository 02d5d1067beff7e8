// No request of ours, whatever it is for, goes to an address that is not public unless the operator allows it, or follows
// a redirect.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test, type TestContext } from "node:test";
import { DATASET, Delivery, placesOf, recordLines } from "../support/delivery.ts";
import { WorkerProcess } from "../support/process.ts";
import { Client, freshScope, SECRETS, TestWorker } from "../support/worker.ts";

const TOKEN = "a-token-that-nobody-may-see";
const KEYS = "access-key-id=a&secret-access-key=b";

/** A server that answers everything alike and counts who came. */
class Place {
  connections = 0;
  status: number;
  headers: Record<string, string> = {};
  readonly #server: Server;

  private constructor(status: number) {
    this.status = status;
    this.#server = createServer((request, response) => void request.resume().on("end", () => {
      response.writeHead(this.status, this.headers).end(`<a href="${this.headers["Location"]}">moved</a>`);
    }));
    this.#server.on("connection", () => (this.connections += 1));
    this.#server.on("upgrade", (_, socket) => {
      const lines = Object.entries(this.headers).map(([name, value]) => `${name}: ${value}\r\n`).join("");
      socket.end(`HTTP/1.1 ${this.status} No\r\n${lines}Content-Length: 0\r\nConnection: close\r\n\r\n`);
    });
  }

  static async start(status: number): Promise<Place> {
    const place = new Place(status);
    await new Promise<void>((done) => void place.#server.listen(0, "127.0.0.1", done));
    return place;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((done) => this.#server.close(() => done()));
  }
}

/** Each kind of destination that leads to a host. */
const STRINGS: Record<string, (host: string) => string> = {
  https: (host) => `https://${host}/in?header_Authorization=${TOKEN}`,
  splunk: (host) => `splunk://${host}/services/collector/raw?header_Authorization=Splunk%20${TOKEN}`,
  wss: (host) => `wss://${host}/in?header_Authorization=${TOKEN}`,
};

/** A job that was stored without a test message: it was good then. */
async function stored(worker: TestWorker, scope: string, destination_conf: string): Promise<Delivery> {
  const [, zone] = scope.split("/");
  const job = { id: 0, scope: { kind: "zone", id: zone }, dataset: DATASET, name: "x", enabled: true, destination_conf };
  const { id } = await worker.callObject("REGISTRY", "registry", "create", job);
  // A SIEM is what the class speaks of; there is none here.
  return new Delivery(worker, undefined as never, scope, id);
}

describe("an address that is not public", () => {
  let worker: TestWorker;
  let place: Place;
  before(async () => {
    place = await Place.start(200);
    worker = await TestWorker.start({ RETRY_MAX_SECONDS: "1" });
  });
  after(async () => {
    await worker?.close();
    await place?.close();
  });

  for (const [scheme, destination] of Object.entries(STRINGS)) {
    test(`${scheme}: is refused when a job is stored, and asked for nothing`, async () => {
      for (const host of ["127.0.0.1", "2130706433", "0x7f.1", "127.0.0.1.", "[::ffff:127.0.0.1]", "localhost.", "%6cocalhost"]) {
        const destination_conf = destination(`${host}:${place.port}`);
        const scope = freshScope();
        const created = await worker.api("POST", `${scope}/logpush/jobs`, { name: "x", dataset: DATASET, enabled: true, destination_conf });
        assert.equal(created.status, 400, host);
        assert.match(created.json.errors[0].message, /the host is private, local or reserved/);
        const checked = await worker.api("POST", `${scope}/logpush/validate/destination`, { destination_conf });
        assert.equal(checked.json.result?.valid ?? false, false, JSON.stringify(checked.json));
        assert.ok(!JSON.stringify([created.json, checked.json]).includes(TOKEN));
      }
      assert.equal(place.connections, 0);
    });

    test(`${scheme}: parks the queue of a job that was stored while it was allowed`, async () => {
      const scope = freshScope();
      const delivery = await stored(worker, scope, destination(`127.0.0.1:${place.port}`));
      await delivery.push(recordLines(0, 3));
      const parked = await delivery.untilJob("the queue to park", (job) => job.parked.records === 3);
      assert.match(parked.error_message, /^error 1108: error pushing: destination_conf: the host is private/);
      assert.deepEqual(placesOf(parked), { waiting: 0, parked: 3, dead: 0, delivered: 0 });
      assert.equal(place.connections, 0);
    });
  }

  test("is refused for webhooks and for ownership files", async () => {
    for (const host of ["127.0.0.1", "2130706433", "[::ffff:127.0.0.1]", "localhost."]) {
      const hook = await worker.api("POST", "accounts/a/alerting/v3/destinations/webhooks", { name: "x", url: `https://${host}/hook`, secret: TOKEN });
      assert.deepEqual([hook.status, hook.json.success], [400, false], host);
      assert.match(hook.json.errors[0].message, /the host is private/);
      const destination_conf = `s3://logs/x?region=auto&${KEYS}&endpoint=${host}:${place.port}`;
      const owned = await worker.api("POST", `${freshScope()}/logpush/ownership`, { destination_conf });
      assert.equal(owned.json.result?.valid ?? false, false, JSON.stringify(owned.json));
    }
    assert.equal(place.connections, 0);
  });
});

// In a process of its own: the harness would stand between, and follow redirects itself.
describe("a redirect", () => {
  const persistDir = mkdtempSync(join(tmpdir(), "logpush-edge-redirect-"));
  let running: WorkerProcess;
  let worker: Client;
  let target: Place;
  before(async () => {
    target = await Place.start(200);
    const vars = { ...SECRETS, RETRY_MAX_SECONDS: "1", ALLOW_PRIVATE_DESTINATIONS: "true" };
    running = await WorkerProcess.start({ persistDir, vars });
    worker = new Client(running.url);
  });
  after(async () => {
    await running?.kill9();
    await target?.close();
    rmSync(persistDir, { recursive: true, force: true });
  });
  const redirect = async (context: TestContext, status: number): Promise<Place> => {
    const place = await Place.start(status);
    context.after(async () => await place.close());
    place.headers = { Location: `http://127.0.0.1:${target.port}/elsewhere?token=${TOKEN}` };
    return place;
  };
  const plain = (scheme: string, place: Place) => STRINGS[scheme]?.(`127.0.0.1:${place.port}`).replace("https://", "http://").replace("wss://", "ws://");
  const hides = (answer: unknown) => {
    const text = JSON.stringify(answer);
    assert.ok(!text.includes(TOKEN) && !text.includes("elsewhere"), text);
    assert.equal(target.connections, 0);
  };

  for (const scheme of Object.keys(STRINGS)) {
    test(`${scheme}: is not followed by a test message, and what to do is said without where it leads`, async (context) => {
      const source = await redirect(context, 307);
      const body = { name: "x", dataset: DATASET, enabled: true, destination_conf: plain(scheme, source) };
      const { status, json } = await worker.api("POST", `${freshScope()}/logpush/jobs`, body);
      assert.equal(status, 400);
      assert.match(json.errors[0].message, new RegExp(`error 307: error pushing: error uploading to ${scheme}: 307 a redirect, which is not followed: write the address`));
      assert.ok(source.connections > 0);
      hides(json);
    });
  }

  for (const scheme of ["https", "splunk"]) {
    test(`${scheme}: is not followed by a push, and parks the queue`, async (context) => {
      const source = await redirect(context, 200);
      const scope = freshScope();
      const { id } = await worker.createJob(scope, { name: "x", dataset: DATASET, destination_conf: plain(scheme, source) });
      source.status = 308;
      const delivery = new Delivery(worker, undefined as never, scope, id);
      await delivery.push(recordLines(0, 3));
      const parked = await delivery.untilJob("the queue to park", (job) => job.parked.records === 3);
      assert.match(parked.error_message, /^error 308: .*: 308 a redirect, which is not followed/);
      hides(parked.error_message);
    });
  }

  test("is not followed for a webhook or for an ownership file", async (context) => {
    const source = await redirect(context, 302);
    const hook = await worker.api("POST", "accounts/a/alerting/v3/destinations/webhooks", { name: "x", url: `http://127.0.0.1:${source.port}/hook` });
    assert.match(hook.json.errors[0].message, /error 302: a redirect, which is not followed/);
    const destination_conf = `s3://logs/x?region=auto&${KEYS}&endpoint=127.0.0.1:${source.port}`;
    const owned = await worker.api("POST", `${freshScope()}/logpush/ownership`, { destination_conf });
    assert.match(JSON.stringify(owned.json), /error 302/);
    assert.equal(owned.json.result?.valid ?? false, false);
    hides([hook.json, owned.json]);
  });
});
