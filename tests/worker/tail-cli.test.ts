// `npm run tail` against the Worker: records on stdout, everything else on stderr, and it ends when it should.

import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { after, before, describe, test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { eventually, freshScope, SECRETS, TestWorker } from "../support/worker.ts";

const script = fileURLToPath(new URL("../../scripts/tail.ts", import.meta.url));

let worker: TestWorker;
let brief: TestWorker;
before(async () => {
  [worker, brief] = await Promise.all([TestWorker.start(), TestWorker.start({ TAIL_SESSION_SECONDS: "4" })]);
});
after(async () => {
  await worker?.close();
  await brief?.close();
});

class Run {
  stdout = "";
  stderr = "";
  code: number | null | undefined;
  readonly child: ChildProcess;
  readonly of: TestWorker;

  constructor(context: TestContext, args: string[], of: TestWorker = worker, token: string = SECRETS.READ_TOKEN) {
    this.of = of;
    this.child = spawn(process.execPath, [script, ...args], {
      env: { ...process.env, LOGPUSH_EDGE_URL: of.url, LOGPUSH_EDGE_TOKEN: token },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => void (this.stdout += text));
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => void (this.stderr += text));
    this.child.once("close", (code) => void (this.code = code));
    context.after(() => void this.child.kill("SIGKILL"));
  }

  get records(): any[] {
    return this.stdout.split("\n").filter(Boolean).map((line) => JSON.parse(line));
  }

  async watching(times = 1): Promise<void> {
    await eventually("it to watch", () => this.stderr.split("· watching").length > times || this.code !== undefined);
    assert.equal(this.code, undefined, this.stderr);
  }

  async ended(): Promise<number | null> {
    const code = await eventually("it to end", () => (this.code === undefined ? undefined : { code: this.code }));
    assert.ok(!this.stderr.includes(SECRETS.READ_TOKEN));
    assert.doesNotMatch(this.stderr, /sessions\/[0-9a-f]{32}/);
    return code.code;
  }
}

/** A way to the Worker that can be cut. */
class Between {
  readonly url: string;
  readonly #open = new Set<Socket>();

  private constructor(server: Server) {
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  static async start(context: TestContext, port: number): Promise<Between> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const between = new Between(server);
    server.on("connection", (near) => {
      const far = connect(port, "127.0.0.1");
      for (const socket of [near, far]) {
        between.#open.add(socket);
        socket.on("error", () => {}).on("close", () => between.#open.delete(socket));
      }
      near.pipe(far).pipe(near);
    });
    context.after(() => {
      between.cut();
      server.close();
    });
    return between;
  }

  /** Breaks every connection; new ones go through. */
  cut(): void {
    for (const socket of this.#open) socket.destroy();
  }
}

const sessions = async (scope: string, of: TestWorker = worker): Promise<any[]> => (await of.api("GET", `${scope}/logpush/edge/jobs`)).json.result;

let batches = 0;
async function push(scope: string, count: number, of: TestWorker = worker, pad = 1): Promise<void> {
  batches += 1;
  const lines = Array.from({ length: count }, (_, n) => JSON.stringify({ RayID: `r${batches}-${n}`, EdgeResponseStatus: 200 + n, UserAgent: "x".repeat(pad) }));
  const answer = await of.push(`${scope}/http_requests`, gzipSync(`${lines.join("\n")}\n`));
  assert.equal(answer.status, 200, answer.text);
}

describe("npm run tail", { concurrency: 3 }, () => {
  test("prints what was asked for, and ends with Ctrl-C and its session with it", async (context) => {
    const scope = freshScope();
    const filter = JSON.stringify({ where: { key: "EdgeResponseStatus", operator: "geq", value: 202 } });
    const run = new Run(context, ["http_requests", "--scope", scope, "--filter", filter, "--fields", "EdgeResponseStatus"]);
    await run.watching();
    assert.equal((await sessions(scope)).length, 1);
    await push(scope, 4);
    await eventually("two records", () => run.records.length >= 2);
    assert.equal(run.stdout, '{"EdgeResponseStatus":202,"sampleInterval":1}\n{"EdgeResponseStatus":203,"sampleInterval":1}\n');
    run.child.kill("SIGINT");
    assert.equal(await run.ended(), 0, run.stderr);
    assert.deepEqual(await sessions(scope), []);
  });

  test("--lines: prints so many and ends", async (context) => {
    const scope = freshScope("accounts");
    const run = new Run(context, ["http_requests", "--scope", scope, "--lines", "3"]);
    await run.watching();
    await push(scope, 10);
    assert.equal(await run.ended(), 0, run.stderr);
    assert.deepEqual(run.records.map(({ EdgeResponseStatus }) => EdgeResponseStatus), [200, 201, 202]);
    assert.deepEqual(await sessions(scope), []);
  });

  test("--for: ends after so long, whether something came or not", async (context) => {
    const scope = freshScope();
    const run = new Run(context, ["dns_logs", "--scope", scope, "--for", "1s"]);
    assert.equal(await run.ended(), 0, run.stderr);
    assert.equal(run.stdout, "");
    assert.deepEqual(await sessions(scope), []);
  });

  test("ends when nobody reads its output any more", async (context) => {
    const scope = freshScope();
    const run = new Run(context, ["http_requests", "--scope", scope]);
    await run.watching();
    run.child.stdout?.destroy();
    await eventually("it to notice", async () => {
      if (run.code === undefined) await push(scope, 1);
      return run.code !== undefined;
    });
    assert.equal(await run.ended(), 0, run.stderr);
    assert.deepEqual(await sessions(scope), []);
  });

  test("says how many records are missing, and why", async (context) => {
    const scope = freshScope();
    const run = new Run(context, ["http_requests", "--scope", scope]);
    await run.watching();
    await push(scope, 500, worker, 1_000);
    await eventually("a notice", () => run.stderr.includes("missing"));
    const missing = Number(/· (\d+) records are missing here: \1 did not fit/.exec(run.stderr)?.[1]);
    await eventually("the others", () => run.records.length + missing === 500);
    run.child.kill("SIGTERM");
    assert.equal(await run.ended(), 0);
  });

  test("goes on with another session when the time of one is over, unless told not to", async (context) => {
    const scope = freshScope();
    const run = new Run(context, ["http_requests", "--scope", scope], brief);
    const other = new Run(context, ["http_requests", "--scope", scope, "--no-renew"], brief);
    await Promise.all([run.watching(), other.watching()]);
    assert.equal(await other.ended(), 0, other.stderr);
    assert.match(other.stderr, /time is over/);
    await run.watching(2);
    await push(scope, 2, brief);
    await eventually("what comes in the second one", () => run.records.length === 2);
    run.child.kill("SIGINT");
    assert.equal(await run.ended(), 0, run.stderr);
  });

  test("goes on when the object of its session was out of memory", async (context) => {
    const scope = freshScope();
    const run = new Run(context, ["http_requests", "--scope", scope]);
    await run.watching();
    await worker.evict("Tail");
    await push(scope, 2);
    await eventually("what came", () => run.records.length === 2);
    run.child.kill("SIGINT");
    assert.equal(await run.ended(), 0, run.stderr);
  });

  test("connects again when the connection breaks, and says that it did", async (context) => {
    const scope = freshScope();
    const between = await Between.start(context, Number(new URL(worker.url).port));
    const run = new Run(context, ["http_requests", "--scope", scope, "--url", between.url]);
    await run.watching();
    between.cut();
    await run.watching(2);
    assert.match(run.stderr, /· the connection broke \(1006.*connecting again/);
    assert.equal((await sessions(scope)).length, 1);
    await push(scope, 2);
    await eventually("what came", () => run.records.length === 2);
    run.child.kill("SIGINT");
    assert.equal(await run.ended(), 0, run.stderr);
  });

  test("says what is wrong with what was typed, and ends with 1", async (context) => {
    const scope = freshScope();
    const table: [string[], RegExp][] = [
      [[], /Which dataset\?/],
      [["a", "b", "--scope", scope], /One dataset at a time/],
      [["dns_logs"], /--scope zones\/<id>/],
      [["dns_logs", "--scope", "zone/1"], /--scope is written/],
      [["dns_logs", "--scope", scope, "--for", "10"], /--for takes a time/],
      [["dns_logs", "--scope", scope, "--lines", "0"], /--lines takes/],
      [["dns_logs", "--scope", scope, "--sample", "x"], /--sample takes/],
      [["dns_logs", "--scope", scope, "--speed"], /Unknown option '--speed'/],
      [["dns_logs", "--scope", scope, "--fields", "Nope"], /dns_logs has no field `Nope`/],
      [["dns_logs", "--scope", scope, "--filter", "{"], /400: filter: /],
    ];
    const runs = table.map(([args]) => new Run(context, args));
    for (const [index, run] of runs.entries()) {
      assert.equal(await run.ended(), 1, run.stderr);
      assert.match(run.stderr, table[index]?.[1] ?? /^$/);
      assert.equal(run.stdout, "");
    }
    const unknown = new Run(context, ["dns_logs", "--scope", scope], worker, "wrong");
    assert.equal(await unknown.ended(), 1);
    assert.match(unknown.stderr, /401: Authentication error/);
  });
});
