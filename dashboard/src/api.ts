// The documented API of the Worker that serves this page, and nothing else. See docs/api.md.
// The token is added here; no other module has it.

import { endSession, token } from "./session.ts";

/** What went wrong, as a text that says what to do next. */
export class ApiFailure extends Error {
  /** HTTP status; 0 when there was no answer. */
  readonly status: number;
  /** The code of docs/errors.md, as text. */
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export interface CallOptions {
  method?: "GET" | "POST" | "PUT" | "DELETE";
  /** Sent as JSON. */
  body?: unknown;
  signal?: AbortSignal | undefined;
  /** Another token than the session's; null: none. */
  token?: string | null;
}

/** The `result` of a call of `/client/v4/`; `path` is what follows that, as `zones/{id}/logpush/jobs`. */
export async function api<T>(path: string, options: CallOptions = {}): Promise<T> {
  const { body } = await call(`/client/v4/${path}`, options);
  return (body as { result: T }).result;
}

/** Both `result` and `result_info` of a call that answers by pages. */
export async function apiPage<T, I>(path: string, options: CallOptions = {}): Promise<{ result: T; result_info: I }> {
  return (await call(`/client/v4/${path}`, options)).body as { result: T; result_info: I };
}

/** An answer that is JSON without an envelope, as `/stats`. */
export async function plain<T>(path: string, options: CallOptions = {}): Promise<T> {
  return (await call(path, options)).body as T;
}

/** `data` of a GraphQL query. */
export async function graphql<T>(query: string, variables: object, options: CallOptions = {}): Promise<T> {
  const { body } = await call("/client/v4/graphql", { ...options, method: "POST", body: { query, variables } });
  return (body as { data: T }).data;
}

async function call(path: string, options: CallOptions): Promise<{ body: unknown }> {
  const { method = "GET", body, signal } = options;
  const bearer = options.token === undefined ? token() : options.token;
  const headers = new Headers({ Accept: "application/json" });
  if (bearer !== null) headers.set("Authorization", `Bearer ${bearer}`);
  if (body !== undefined) headers.set("Content-Type", "application/json");
  let answer: Response;
  try {
    answer = await fetch(path, {
      method, headers, signal: signal ?? null, cache: "no-store", redirect: "manual",
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiFailure(0, "no_answer", "The Worker did not answer. Check your connection; this page tries again by itself.");
  }
  if (answer.type === "opaqueredirect") {
    throw new ApiFailure(0, "redirected", "Something in front of the Worker wants you to sign in again. Load this page anew.");
  }
  const text = await answer.text();
  const read = parsed(text);
  const said = failure(read);
  if (answer.ok && read !== undefined && said === undefined) return { body: read };
  // Only a session that had been good can end; the sign-in form handles its own 401.
  if (answer.status === 401 && options.token === undefined) endSession("The Worker does not take this token any more. Sign in again.");
  throw new ApiFailure(answer.status, said?.code ?? String(answer.status), said?.message ?? unreadable(answer.status));
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** An error in any of the three forms in which the Worker tells one: envelope, GraphQL, plain. */
function failure(body: unknown): { code: string; message: string } | undefined {
  const { errors, error } = (body ?? {}) as { errors?: { code?: number; message?: string }[]; error?: { code?: string; message?: string } };
  const first = error ?? errors?.[0];
  if (first === undefined) return undefined;
  const message = errors !== undefined && errors.length > 1 ? errors.map((one) => one.message).join("; ") : first.message;
  return { code: String(first.code ?? "error"), message: message ?? "The Worker did not say why." };
}

function unreadable(status: number): string {
  if (status >= 500) return `The Worker answered ${status}. Try again in a moment; its log says more (wrangler tail).`;
  return `The Worker answered ${status} with something that is no JSON: is there another service at this address?`;
}

/** Any error as a text for the reader. */
export const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
