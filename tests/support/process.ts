// The real Worker in the real local runtime: `wrangler dev` as a child process, and the workerd under it,
// whose CPU time and memory the operating system tells, and which a test may kill as a crash would.

import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
/** The kernel counts CPU time in these, on every Linux that Node runs on. */
const MILLIS_PER_TICK = 10;

/** wrangler's own traces would be written in the runtime's process, and a deployed Worker has none of them. */
const QUIET = {
  WRANGLER_SEND_METRICS: "false",
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
  X_LOCAL_OBSERVABILITY: "false",
  X_LOCAL_EXPLORER: "false",
  NO_COLOR: "1",
  FORCE_COLOR: "0",
};

export interface WorkerOptions {
  /** Where R2 and the Durable Objects live; give the same one again to start after a crash. */
  persistDir: string;
  /** Secrets and variables of the Worker. */
  vars: Record<string, string>;
  configPath?: string;
  deadlineMillis?: number;
  /** The path that answers 200 when the Worker is up. */
  readyPath?: string;
  /** Gives up starting, and ends what was started. */
  signal?: AbortSignal;
}

export class WorkerProcess {
  readonly url: string;
  readonly persistDir: string;
  /** Everything that wrangler and the Worker have printed. */
  logs = "";
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  readonly #varsDir: string;
  readonly #onExit = () => {
    this.#signalGroup("SIGKILL");
    rmSync(this.#varsDir, { recursive: true, force: true });
  };

  private constructor(child: ChildProcess, port: number, persistDir: string, varsDir: string) {
    this.#child = child;
    this.url = `http://127.0.0.1:${port}`;
    this.persistDir = persistDir;
    this.#varsDir = varsDir;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => void (this.logs += text));
    }
    this.#ended = new Promise((done) => {
      child.once("close", () => done());
      child.once("error", (error) => {
        this.logs += `${error.message}\n`;
        done();
      });
    });
    process.once("exit", this.#onExit);
  }

  static async start(options: WorkerOptions): Promise<WorkerProcess> {
    const { persistDir, vars, configPath = join(root, "wrangler.toml"), deadlineMillis = 120_000 } = options;
    const port = await freePort();
    const varsDir = mkdtempSync(join(tmpdir(), "logpush-edge-vars-"));
    const envFile = join(varsDir, "vars");
    writeFileSync(envFile, Object.entries(vars).map(envLine).join(""), { mode: 0o600 });
    // `--env-file` keeps secrets off the command line, and a developer's own .dev.vars out of the test.
    const args = [
      join(root, "node_modules", "wrangler", "bin", "wrangler.js"), "dev", "--config", configPath,
      "--ip", "127.0.0.1", "--port", String(port), "--inspector-port", "0", "--persist-to", persistDir,
      "--env-file", envFile, "--show-interactive-dev-session=false",
    ];
    const child = spawn(process.execPath, args, {
      cwd: root,
      // A group of its own: what is signalled later is exactly what was started here.
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...QUIET },
    });
    const worker = new WorkerProcess(child, port, resolve(persistDir), varsDir);
    try {
      await worker.#untilReady(options.readyPath ?? "/healthz", deadlineMillis, options.signal);
    } catch (error) {
      await worker.kill9();
      throw error;
    }
    return worker;
  }

  async #untilReady(path: string, deadlineMillis: number, signal?: AbortSignal): Promise<void> {
    const deadline = performance.now() + deadlineMillis;
    let last = "no answer";
    while (performance.now() < deadline && this.#alive && !signal?.aborted) {
      // Nothing announces readiness across processes, so it is asked for; wrangler's own "Ready" comes too early.
      try {
        const answer = await fetch(this.url + path, { signal: AbortSignal.timeout(5_000) });
        const text = await answer.text();
        if (answer.ok) return;
        last = `${answer.status} ${text.slice(0, 300)}`;
      } catch (error) {
        last = String((error as Error).cause ?? error);
      }
      await Promise.race([delay(50), this.#ended]);
    }
    signal?.throwIfAborted();
    const why = this.#alive ? `${path} did not answer in ${deadlineMillis} ms (${last})` : "wrangler dev ended";
    throw new Error(`${why}\n${this.logs}`);
  }

  get #alive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null && this.#child.pid !== undefined;
  }

  /** Process ids of every workerd that this wrangler started. */
  workerdPids(): number[] {
    return descendants(this.#child.pid).filter((pid) => exeOf(pid) === "workerd");
  }

  /**
   * The workerd that runs our code. wrangler starts a second one as a proxy in front, which a deployed Worker does not
   * have; only the first holds files under the persistence directory.
   */
  workerPid(): number | undefined {
    return this.workerdPids().find((pid) => openFiles(pid).some((file) => file.startsWith(this.persistDir)));
  }

  /** User and system time of the workerd that runs our code, its local R2 and SQLite included; undefined without /proc. */
  cpuMillis(): number | undefined {
    const pid = this.workerPid();
    return pid === undefined ? undefined : cpuMillisOf(pid);
  }

  /** The largest resident memory so far of the workerd that runs our code; undefined without /proc. */
  peakRssBytes(): number | undefined {
    const pid = this.workerPid();
    if (pid === undefined) return undefined;
    const kilobytes = /VmHWM:\s+(\d+) kB/.exec(text(`/proc/${pid}/status`))?.[1];
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
  }

  /** Ends everything at once, as a power failure would: nothing gets a chance to write. */
  async kill9(): Promise<void> {
    for (const pid of this.workerdPids()) signal(pid, "SIGKILL");
    this.#signalGroup("SIGKILL");
    await this.#finish();
  }

  /** Asks wrangler to end, and insists after a while. */
  async stop(): Promise<void> {
    if (this.#alive && this.#child.pid !== undefined) signal(this.#child.pid, "SIGTERM");
    const patience = new AbortController();
    await Promise.race([this.#ended, delay(5_000, undefined, { signal: patience.signal }).catch(() => {})]);
    patience.abort();
    this.#signalGroup("SIGKILL");
    await this.#finish();
  }

  #signalGroup(name: NodeJS.Signals): void {
    if (this.#child.pid !== undefined) signal(-this.#child.pid, name);
  }

  async #finish(): Promise<void> {
    await this.#ended;
    process.off("exit", this.#onExit);
    rmSync(this.#varsDir, { recursive: true, force: true });
  }
}

/** Quoting rules of env files differ from reader to reader, so values that would need any are not taken. */
function envLine([name, value]: [string, string]): string {
  if (/['"`$\\\n#]/.test(value)) throw new Error(`${name}: quotes, $, #, \\ and line breaks are not supported`);
  return `${name}="${value}"\n`;
}

/** A port that nobody listened on a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done, fail) => server.once("error", fail).listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((done) => server.close(() => done()));
  return port;
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function descendants(ancestor: number | undefined): number[] {
  if (ancestor === undefined || !existsSync("/proc/self/stat")) return [];
  const children = new Map<number, number[]>();
  for (const name of readdirSync("/proc")) {
    const stat = /^\d+$/.test(name) ? statOf(Number(name)) : undefined;
    if (stat) children.set(stat.parent, [...(children.get(stat.parent) ?? []), Number(name)]);
  }
  const found: number[] = [];
  for (const queue = [ancestor]; queue.length > 0; ) {
    const below = children.get(queue.shift() as number) ?? [];
    found.push(...below);
    queue.push(...below);
  }
  return found;
}

function statOf(pid: number): { parent: number; cpuMillis: number } | undefined {
  // The name, in parentheses, may hold anything; the fields after it are numbers.
  const fields = text(`/proc/${pid}/stat`).split(") ").at(-1)?.split(" ");
  if (!fields || fields.length < 13) return undefined;
  return { parent: Number(fields[1]), cpuMillis: (Number(fields[11]) + Number(fields[12])) * MILLIS_PER_TICK };
}

function cpuMillisOf(pid: number): number | undefined {
  return statOf(pid)?.cpuMillis;
}

function exeOf(pid: number): string {
  try {
    return basename(readlinkSync(`/proc/${pid}/exe`));
  } catch {
    return "";
  }
}

function openFiles(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((fd) => linkOf(`/proc/${pid}/fd/${fd}`));
  } catch {
    return [];
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

/** A file of /proc, or nothing when its process is gone. */
function text(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
