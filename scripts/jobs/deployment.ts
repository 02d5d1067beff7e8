// The API of a deployment, as far as jobs as code and the live tail need it.

import { JobsError } from "./file.ts";
import { normalJob, type Difference, type Job, type StoredJob } from "./job.ts";
import type { Json } from "./json.ts";

/** Creating a job waits until its destination has answered a test message. */
const DEADLINE_MILLIS = 60_000;

interface Envelope {
  success: boolean;
  errors: { code: number; message: string }[] | null;
  result: unknown;
}

/** A session of Instant Logs, as far as a viewer needs it. */
export interface TailSession {
  id: number;
  /** Whoever knows it sees the records. */
  destination_conf: string;
  created_at: string;
  ends_at: string;
}

export class Deployment {
  readonly #base: string;
  readonly #token: string;

  constructor(url: string, token: string) {
    this.#base = `${origin(url)}/client/v4`;
    this.#token = token;
  }

  async jobs(scope: string): Promise<StoredJob[]> {
    const jobs = (await this.#call("GET", `${scope}/logpush/jobs`)) as Record<string, Json>[];
    return jobs.map((job) => ({ ...normalJob(job), id: Number(job["id"]) }));
  }

  async create(scope: string, job: Job): Promise<number> {
    // What is unset is left out, so that its default is the deployment's to choose.
    const members = Object.entries(job).filter(([, value]) => value !== null && value !== "");
    const { id } = (await this.#call("POST", `${scope}/logpush/jobs`, Object.fromEntries(members))) as { id: number };
    return id;
  }

  /** Sends what differs and nothing else: a destination that stays is not tried out again. */
  async change(scope: string, id: number, differences: Difference[]): Promise<void> {
    await this.#call("PUT", `${scope}/logpush/jobs/${id}`, Object.fromEntries(differences.map(({ member, after }) => [member, after])));
  }

  async remove(scope: string, id: number): Promise<void> {
    await this.#call("DELETE", `${scope}/logpush/jobs/${id}`);
  }

  /** Has a test message sent; returns what is wrong with the destination, or undefined. */
  async destinationFault(scope: string, destination_conf: string): Promise<string | undefined> {
    const { valid, message } = (await this.#call("POST", `${scope}/logpush/validate/destination`, { destination_conf })) as {
      valid: boolean;
      message: string;
    };
    return valid ? undefined : message || "the destination refused the test message";
  }

  /** Opens a session of Instant Logs; docs/tail.md says what it takes. */
  async openSession(scope: string, session: object): Promise<TailSession> {
    return (await this.#call("POST", `${scope}/logpush/edge/jobs`, session)) as TailSession;
  }

  async endSession(scope: string, id: number): Promise<void> {
    await this.#call("DELETE", `${scope}/logpush/edge/jobs/${id}`);
  }

  async #call(method: string, path: string, body?: object): Promise<unknown> {
    let answer: Response;
    let text: string;
    try {
      answer = await fetch(`${this.#base}/${path}`, {
        method,
        headers: { Authorization: `Bearer ${this.#token}`, ...(body ? { "Content-Type": "application/json" } : {}) },
        ...(body ? { body: JSON.stringify(body) } : {}),
        redirect: "manual",
        signal: AbortSignal.timeout(DEADLINE_MILLIS),
      });
      text = await answer.text();
    } catch (error) {
      const { message, cause } = error as Error & { cause?: { code?: string } };
      throw new JobsError(`${this.#base} can not be reached: ${cause?.code ?? message}`);
    }
    const envelope = envelopeOf(text);
    if (!envelope) throw new JobsError(`${this.#base} answered ${answer.status}, but not as a jobs API does: is the address right?`);
    if (envelope.success) return envelope.result;
    const errors = (envelope.errors ?? []).map(({ code, message }) => `${message} (${code})`);
    throw new JobsError(`${answer.status}: ${errors.join("; ")}`);
  }
}

function envelopeOf(text: string): Envelope | undefined {
  try {
    const value = JSON.parse(text) as Envelope | null;
    return typeof value?.success === "boolean" ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The address of the Worker; the path of its API may be given as well. */
export function origin(text: string): string {
  let url;
  try {
    url = new URL(text);
  } catch {
    throw new JobsError("--url (or LOGPUSH_EDGE_URL) must be an address such as https://logpush-edge.example.workers.dev");
  }
  const loopback = ["localhost", "127.0.0.1", "[::1]"].includes(url.hostname);
  if (url.protocol !== "https:" && !(url.protocol === "http:" && loopback)) {
    throw new JobsError("--url (or LOGPUSH_EDGE_URL) must begin with https://, or the token would travel unencrypted");
  }
  return url.origin + url.pathname.replace(/\/+$/, "").replace(/\/client\/v4$/, "");
}
