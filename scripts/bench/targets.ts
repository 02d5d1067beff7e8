// The Workers under measurement, each in a runtime process of its own so that its CPU time can be told from the others'.

import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { WorkerProcess } from "../../tests/support/process.ts";
import { PLAIN_PATH, Siem } from "../../tests/support/siem.ts";
import { Client, SECRETS, eventually } from "../../tests/support/worker.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Longer than any run: after its first refusal a queue keeps quiet, and delivery is in no figure. */
const RETRY_AFTER_SECS = 3_600;

/** The first five keep their bucket in another process (`bucketElsewhere`), the others in the runtime's own simulation. */
export const CONFIGS = {
  ours: "benches/elsewhere/ours.toml",
  "JavaScript, stream": "benches/elsewhere/stream.toml",
  "JavaScript, text": "benches/elsewhere/text.toml",
  "JavaScript, best": "benches/elsewhere/best.toml",
  stage: "benches/elsewhere/stages.toml",
  "local R2: ours": "wrangler.toml",
  "local R2: JavaScript, stream": "benches/peers/stream.toml",
  "local R2: JavaScript, best": "benches/peers/best.toml",
} as const;

export type TargetName = keyof typeof CONFIGS;

export class Target {
  readonly name: TargetName;
  readonly worker: WorkerProcess;
  readonly client: Client;
  readonly #persistDir: string;

  private constructor(name: TargetName, worker: WorkerProcess, persistDir: string) {
    this.name = name;
    this.worker = worker;
    this.client = new Client(worker.url);
    this.#persistDir = persistDir;
  }

  static async start(name: TargetName, bucketUrl = ""): Promise<Target> {
    const persistDir = mkdtempSync(join(tmpdir(), "logpush-edge-bench-"));
    try {
      const vars = { ...SECRETS, ALLOW_PRIVATE_DESTINATIONS: "true", BUCKET_URL: bucketUrl };
      const worker = await WorkerProcess.start({ persistDir, vars, configPath: join(root, CONFIGS[name]) });
      return new Target(name, worker, persistDir);
    } catch (error) {
      rmSync(persistDir, { recursive: true, force: true });
      throw error;
    }
  }

  /** Sends one batch; the answer's JSON. */
  async push(path: string, body: Buffer): Promise<any> {
    const answer = await this.client.push(path, body);
    if (answer.status !== 200) throw new Error(`${this.name}: ${answer.status} ${answer.text.slice(0, 300)}`);
    return { ...answer.json, millis: answer.millis };
  }

  /** User and system time of the runtime process so far. */
  cpuMillis(): number {
    const millis = this.worker.cpuMillis();
    if (millis === undefined) throw new Error("the bench needs /proc to read the CPU time of a process");
    return millis;
  }

  async stop(): Promise<void> {
    await this.worker.kill9();
    rmSync(this.#persistDir, { recursive: true, force: true });
  }
}

/** A bucket for `benches/elsewhere`: counts the bytes of each object and keeps none. */
export async function bucketElsewhere(): Promise<{ url: string; close(): Promise<void> }> {
  const server = createServer((request, response) => {
    let size = 0;
    request.on("data", (piece: Buffer) => void (size += piece.length));
    request.on("end", () => response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify({ size })));
  });
  await new Promise<void>((done, fail) => server.once("error", fail).listen(0, "127.0.0.1", done));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      server.closeAllConnections();
      await new Promise<void>((done) => server.close(() => done()));
    },
  };
}

/** A destination that takes test messages and refuses every push for the length of a run. */
export async function refusingSiem(): Promise<Siem> {
  const siem = await Siem.start({ intakeKeys: ["bench"], keepLines: false });
  siem.fail({ times: Infinity, status: 503, headers: { "Retry-After": String(RETRY_AFTER_SECS) } });
  return siem;
}

/** Creates jobs with these filters; the ids. */
export async function createJobs(target: Target, siem: Siem, scope: string, dataset: string, filters: string[], output_options: object | null = null): Promise<number[]> {
  const ids: number[] = [];
  for (const [n, filter] of filters.entries()) {
    const destination_conf = `http://${siem.host}${PLAIN_PATH}?header_X-SEKOIAIO-INTAKE-KEY=bench`;
    ids.push((await target.client.createJob(scope, { name: `job-${n}`, dataset, filter, output_options, destination_conf })).id);
  }
  return ids;
}

/** Waits until every queue that holds something has been refused once. */
export async function quiet(target: Target, scope: string): Promise<void> {
  await eventually(
    "the first refusal of every queue",
    async () => (await target.client.stats(`scope=${scope}`)).jobs.every((job: any) => job.waiting.records === 0 || job.last_error !== null),
    60_000,
  );
}
