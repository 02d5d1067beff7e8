// Asks for archived records as a client that sees what is on the wire: nothing is decompressed behind its back, and a
// connection that breaks is seen.

import { request, type IncomingMessage } from "node:http";
import { gunzipSync } from "node:zlib";
import { SECRETS } from "./worker.ts";

export interface Retrieved {
  status: number;
  headers: IncomingMessage["headers"];
  /** As it came. */
  bytes: Buffer;
  /** Its lines, inflated if they came as gzip. */
  lines: string[];
  /** The connection ended before the body did. */
  isCut: boolean;
}

export interface RetrieveOptions {
  token?: string;
  gzip?: boolean;
}

/** `path` is what stands behind `/client/v4/`, with its query. */
export async function retrieve(url: string, path: string, options: RetrieveOptions = {}): Promise<Retrieved> {
  const answer = await open(url, path, options);
  const chunks: Buffer[] = [];
  let isCut = false;
  try {
    for await (const chunk of answer) chunks.push(chunk as Buffer);
  } catch {
    isCut = true;
  }
  const bytes = Buffer.concat(chunks);
  const isGzip = answer.headers["content-encoding"] === "gzip" && !isCut;
  const lines = (isGzip ? gunzipSync(bytes) : bytes).toString().split("\n");
  const last = lines.pop();
  if (last !== "" && !isCut && answer.statusCode === 200) throw new Error(`the last line has no end: ${last}`);
  return { status: answer.statusCode ?? 0, headers: answer.headers, bytes, lines, isCut };
}

/** The answer as soon as its head is there, and nothing of its body read. */
export async function open(url: string, path: string, { token = SECRETS.READ_TOKEN, gzip = false }: RetrieveOptions = {}): Promise<IncomingMessage> {
  return await new Promise((done, failed) => {
    const headers = { Authorization: `Bearer ${token}`, "Accept-Encoding": gzip ? "gzip" : "identity" };
    request(`${url}/client/v4/${path}`, { headers, agent: false }, done).once("error", failed).end();
  });
}
