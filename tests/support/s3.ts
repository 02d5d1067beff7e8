// A real S3 server on loopback, which checks signatures: s3s-fs, whose buckets are folders.

import { spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { freePort } from "./process.ts";
import { eventually } from "./worker.ts";

export class S3Server {
  readonly accessKeyId = "AKIDEXAMPLE";
  readonly secretAccessKey = "secret/with+signs";
  readonly host: string;
  readonly #folder: string;
  readonly #child: ChildProcess;

  private constructor(host: string, folder: string, child: ChildProcess) {
    this.host = host;
    this.#folder = folder;
    this.#child = child;
  }

  /** `binary` is what the npm scripts have installed. */
  static async start(binary: string, buckets: readonly string[]): Promise<S3Server> {
    const folder = mkdtempSync(join(tmpdir(), "logpush-edge-s3-"));
    for (const bucket of buckets) mkdirSync(join(folder, bucket));
    const port = await freePort();
    const keys = ["--access-key", "AKIDEXAMPLE", "--secret-key", "secret/with+signs"];
    const child = spawn(binary, ["--host", "127.0.0.1", "--port", String(port), ...keys, folder], { stdio: "ignore" });
    const server = new S3Server(`127.0.0.1:${port}`, folder, child);
    process.once("exit", () => child.kill("SIGKILL"));
    await eventually("the S3 server to answer", async () => {
      if (child.exitCode !== null) throw new Error(`the S3 server ended with ${child.exitCode}`);
      return await fetch(`http://${server.host}/`).then(() => true, () => false);
    });
    return server;
  }

  /** What lies in a bucket, read past the server. */
  object(bucket: string, key: string): Buffer {
    return readFileSync(join(this.#folder, bucket, key));
  }

  /** Keys in a bucket; what the server keeps beside the objects has names of its own. */
  keys(bucket: string): string[] {
    const entries = readdirSync(join(this.#folder, bucket), { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile() && !entry.name.startsWith("."));
    return files.map((entry) => relative(join(this.#folder, bucket), join(entry.parentPath, entry.name))).sort();
  }

  /** Parts of uploads that are neither complete nor given up. */
  parts(): string[] {
    return (readdirSync(this.#folder, { recursive: true }) as string[]).filter((name) => name.includes(".part-"));
  }

  async close(): Promise<void> {
    const ended = new Promise<void>((done) => this.#child.once("close", () => done()));
    this.#child.kill("SIGKILL");
    await ended;
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
