// Object storage as its users meet it: a way to a real S3 server that loses answers and says what it is told to, and
// stand-ins for Azure Blob Storage and for Google, which refuse what the real ones refuse.

import { createPublicKey, createVerify, generateKeyPairSync, type KeyObject } from "node:crypto";
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";

async function bodyOf(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

const xmlError = (code: string) =>
  `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>The AWS Access Key AKIDEXAMPLE is not welcome</Message></Error>`;

/** Something that happens to requests of storage, by the step that they make. */
export interface Fault {
  step: Step;
  /** How many; until `mend()` when left out. */
  times?: number;
  /** The answer, instead of asking the server … */
  status?: number;
  code?: string;
  /** … or the server is asked and its answer lost … */
  lose?: true;
  /** … or nothing ever comes … */
  hang?: true;
  /** … or it is asked as if our clock were this much ahead. */
  aheadMillis?: number;
}

export type Step = "put" | "begin" | "part" | "complete" | "abort";

function stepOf({ method, url = "" }: IncomingMessage): Step {
  const { searchParams } = new URL(url, "http://x");
  if (method === "DELETE") return "abort";
  if (searchParams.has("uploads")) return "begin";
  if (searchParams.has("partNumber") || searchParams.get("comp") === "block") return "part";
  if (searchParams.has("uploadId") || searchParams.get("comp") === "blocklist") return "complete";
  return "put";
}

/** A server on loopback, with what happens to its requests. */
abstract class StandIn {
  /** `127.0.0.1:port`, once it listens. */
  host = "";
  /** What was asked for, in order. */
  steps: Step[] = [];
  readonly #server: Server = createServer((message, response) => void this.answer(message, response).catch(() => response.destroy()));
  #faults: (Fault & { left: number })[] = [];

  abstract answer(message: IncomingMessage, response: ServerResponse): Promise<void>;

  async listen(): Promise<this> {
    await new Promise<void>((done) => this.#server.listen(0, "127.0.0.1", done));
    this.host = `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    return this;
  }

  async close(): Promise<void> {
    const closed = new Promise((done) => this.#server.close(done));
    this.#server.closeAllConnections();
    await closed;
  }

  fail(fault: Fault): void {
    this.#faults.push({ ...fault, left: fault.times ?? Infinity });
  }

  mend(): void {
    this.#faults = [];
  }

  protected next(message: IncomingMessage): Fault | undefined {
    const step = stepOf(message);
    this.steps.push(step);
    const fault = this.#faults.find((fault) => fault.step === step && fault.left > 0);
    if (fault) fault.left -= 1;
    return fault;
  }
}

/** Answers for a fault; false when the request has to be worked on. */
function isAnswered(fault: Fault | undefined, response: ServerResponse): boolean {
  if (fault?.hang) return true;
  if (fault?.status === undefined) return false;
  response.writeHead(fault.status, { "content-type": "application/xml" }).end(fault.code === undefined ? "" : xmlError(fault.code));
  return true;
}

/** Passes requests on to an S3 server, under the name that they were signed for. */
export class S3Way extends StandIn {
  /** Headers of the last put or begin. */
  described: IncomingMessage["headers"] = {};
  /** Pieces that came without a length; S3 takes none. */
  withoutLength = 0;
  readonly #target: string;

  constructor(target: string) {
    super();
    this.#target = target;
  }

  async answer(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await bodyOf(message);
    const step = stepOf(message);
    if ((step === "put" || step === "part") && message.headers["content-length"] === undefined) this.withoutLength += 1;
    if (step === "put" || step === "begin") this.described = message.headers;
    const fault = this.next(message);
    if (isAnswered(fault, response)) return;
    const [host, port] = this.#target.split(":");
    const path = (message.url ?? "").replace(/X-Amz-Date=(\d{4})(\d\d)(\d\dT\d\d)(\d\d)(\d\d)Z/, (stamp, year, month, hour, minute, second) => {
      if (fault?.aheadMillis === undefined) return stamp;
      const shifted = Date.parse(`${year}-${month}-${hour}:${minute}:${second}Z`) + fault.aheadMillis;
      return `X-Amz-Date=${new Date(shifted).toISOString().replace(/[-:]|\.\d+/g, "")}`;
    });
    // `Host` as it came: it is signed.
    const passed = request({ host, port, method: message.method, path, headers: message.headers }, (answer) => {
      void bodyOf(answer).then((text) => {
        if (fault?.lose) return void response.destroy();
        response.writeHead(answer.statusCode ?? 502, answer.headers).end(text);
      });
    });
    passed.on("error", () => response.destroy());
    passed.end(body);
  }
}

/** What lies in a store. */
export interface StoredBlob {
  bytes: Buffer;
  contentType: string | undefined;
  contentEncoding: string | undefined;
}

/** Blob Storage, as far as a write-only SAS reaches: one account, one container. */
export class Azure extends StandIn {
  readonly blobs = new Map<string, StoredBlob>();
  /** The signature that is taken; the real one computes it from the account's key. */
  signature = "c2lnbmF0dXJl+/==";
  readonly #blocks = new Map<string, Map<string, Buffer>>();

  /** The destination string of a path in the container `logs`. */
  conf(path: string, sas: Record<string, string> = {}): string {
    const whole = { sv: "2024-11-04", ss: "b", srt: "o", sp: "w", se: "2036-01-01T00:00:00Z", sig: this.signature, ...sas };
    return `azure://${this.host}/${path}?${new URLSearchParams(whole)}`;
  }

  async answer(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await bodyOf(message);
    const fault = this.next(message);
    if (isAnswered(fault, response)) return;
    const refuse = (status: number, code: string) => response.writeHead(status, { "x-ms-error-code": code }).end(xmlError(code));
    const { pathname, searchParams } = new URL(message.url ?? "", "http://x");
    const [, container, ...rest] = pathname.split("/").map(decodeURIComponent);
    const name = rest.join("/");
    const sas = (name: string) => searchParams.get(name) ?? "";
    if (sas("sig") !== this.signature || Date.parse(sas("se")) < Date.now()) return void refuse(403, "AuthenticationFailed");
    if (!sas("sp").includes("w")) return void refuse(403, "AuthorizationPermissionMismatch");
    if (container !== "logs") return void refuse(404, "ContainerNotFound");
    if (message.method !== "PUT") return void refuse(405, "UnsupportedHttpVerb");
    if (message.headers["content-length"] === undefined) return void refuse(411, "MissingContentLengthHeader");
    const described = (bytes: Buffer): StoredBlob => ({
      bytes,
      contentType: message.headers["x-ms-blob-content-type"] as string | undefined,
      contentEncoding: message.headers["x-ms-blob-content-encoding"] as string | undefined,
    });
    const blocks = this.#blocks.get(name) ?? new Map<string, Buffer>();
    if (searchParams.get("comp") === "block") {
      const id = searchParams.get("blockid") ?? "";
      const lengths = new Set([id, ...blocks.keys()].map((id) => id.length));
      if (id === "" || lengths.size > 1) return void refuse(400, "InvalidBlobOrBlock");
      this.#blocks.set(name, blocks.set(id, body));
    } else if (searchParams.get("comp") === "blocklist") {
      const listed = [...body.toString().matchAll(/<Latest>([^<]+)<\/Latest>/g)].map(([, id]) => blocks.get(id as string));
      if (listed.length === 0 || listed.includes(undefined)) return void refuse(400, "InvalidBlockList");
      this.blobs.set(name, described(Buffer.concat(listed as Buffer[])));
      this.#blocks.delete(name);
    } else if (message.headers["x-ms-blob-type"] === "BlockBlob") {
      this.blobs.set(name, described(body));
    } else {
      return void refuse(400, "MissingRequiredHeader");
    }
    if (fault?.lose) return void response.destroy();
    response.writeHead(201).end();
  }
}

/** Google's token endpoint and the XML API of a bucket `my_logs`, for one service account. */
export class Google extends StandIn {
  readonly objects = new Map<string, StoredBlob>();
  /** Tokens given out. */
  tokens = 0;
  /** The token endpoint's refusal, when there is one. */
  refusesTokens: { status: number; error: string } | undefined = undefined;
  /** Seconds that tokens are good for. */
  expiresIn = 3_599;
  readonly #email = "logs@project.iam.gserviceaccount.com";
  readonly #key: KeyObject = generateKeyPairSync("rsa", { modulusLength: 2_048 }).privateKey;
  readonly #good = new Set<string>();
  readonly #uploads = new Map<string, Map<number, Buffer>>();
  #described: Omit<StoredBlob, "bytes"> = { contentType: undefined, contentEncoding: undefined };

  /** The key file of the account, or of one that Google does not know. */
  keyFile(known = true): string {
    const key = known ? this.#key : generateKeyPairSync("rsa", { modulusLength: 2_048 }).privateKey;
    return JSON.stringify({
      type: "service_account",
      client_email: this.#email,
      private_key_id: "key-1",
      private_key: key.export({ type: "pkcs8", format: "pem" }),
      token_uri: `http://${this.host}/token`,
    });
  }

  /** From now on no token that was given out is good. */
  revoke(): void {
    this.#good.clear();
  }

  async answer(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await bodyOf(message);
    if (message.url === "/token") return this.#token(body.toString(), response);
    const fault = this.next(message);
    if (isAnswered(fault, response)) return;
    const refuse = (status: number, code: string) => response.writeHead(status).end(xmlError(code));
    const { pathname, searchParams } = new URL(message.url ?? "", "http://x");
    const [, bucket, ...rest] = pathname.split("/").map(decodeURIComponent);
    const name = rest.join("/");
    if (!this.#good.has(message.headers.authorization ?? "")) return void refuse(401, "AuthenticationRequired");
    if (bucket !== "my_logs") return void refuse(404, "NoSuchBucket");
    const length = message.headers["content-length"];
    if (message.method === "PUT" && length === undefined) return void refuse(411, "MissingContentLength");
    const upload = searchParams.get("uploadId") ?? "";
    const described = { contentType: message.headers["content-type"], contentEncoding: message.headers["content-encoding"] };
    const parts = this.#uploads.get(upload);
    switch (stepOf(message)) {
      case "put":
        this.objects.set(name, { bytes: body, ...described });
        response.writeHead(200).end();
        return;
      case "begin":
        this.#uploads.set("upload/1", new Map());
        this.#described = described;
        response.writeHead(200).end("<InitiateMultipartUploadResult><UploadId>upload/1</UploadId></InitiateMultipartUploadResult>");
        return;
      case "part":
        if (parts === undefined) return void refuse(404, "NoSuchUpload");
        parts.set(Number(searchParams.get("partNumber")), body);
        response.writeHead(200, { etag: `"part-${searchParams.get("partNumber")}"` }).end();
        return;
      case "complete": {
        const listed = [...body.toString().matchAll(/<PartNumber>(\d+)<\/PartNumber><ETag>([^<]+)<\/ETag>/g)];
        const pieces = listed.map(([, number, etag]) => (etag === `"part-${number}"` ? parts?.get(Number(number)) : undefined));
        if (pieces.length === 0 || pieces.includes(undefined)) return void refuse(400, "InvalidPart");
        this.objects.set(name, { bytes: Buffer.concat(pieces as Buffer[]), ...this.#described });
        response.writeHead(200).end("\n<CompleteMultipartUploadResult/>");
        return;
      }
      case "abort":
        this.#uploads.delete(upload);
        response.writeHead(204).end();
    }
  }

  #token(body: string, response: ServerResponse): void {
    const refuse = (status: number, error: string) =>
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify({ error, error_description: `Invalid JWT of ${this.#email}` }));
    if (this.refusesTokens) return void refuse(this.refusesTokens.status, this.refusesTokens.error);
    const form = new URLSearchParams(body);
    const assertion = form.get("assertion") ?? "";
    const [header = "", claims = "", signature = ""] = assertion.split(".");
    const read = (text: string) => JSON.parse(Buffer.from(text, "base64url").toString());
    const { iss, aud, scope, iat, exp } = read(claims);
    const now = Date.now() / 1000;
    const isRight =
      form.get("grant_type") === "urn:ietf:params:oauth:grant-type:jwt-bearer" &&
      read(header).alg === "RS256" &&
      iss === this.#email &&
      aud === `http://${this.host}/token` &&
      scope === "https://www.googleapis.com/auth/devstorage.read_write" &&
      Math.abs(now - iat) < 300 && exp > now && exp - iat <= 3_600 &&
      createVerify("RSA-SHA256").update(`${header}.${claims}`).verify(createPublicKey(this.#key), Buffer.from(signature, "base64url"));
    if (!isRight) return void refuse(400, "invalid_grant");
    this.tokens += 1;
    const token = `ya29.token-${this.tokens}`;
    this.#good.add(`Bearer ${token}`);
    response
      .writeHead(200, { "content-type": "application/json" })
      .end(JSON.stringify({ access_token: token, expires_in: this.expiresIn, token_type: "Bearer" }));
  }
}

/** Records of an object, whether or not it is whole gzip. */
export const linesOf = (bytes: Buffer): string[] => gunzipSync(bytes).toString().trimEnd().split("\n");
