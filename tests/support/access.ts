// A team of Cloudflare Access: keys that it publishes on loopback, and tokens that it signs.

import { createHmac, createPublicKey, createSign, generateKeyPairSync, type KeyObject } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

export const AUDIENCE = "4714c1358e65fe4b408ad6d432a5f878f08194bdb4752441fd56faefa9b2b6f2";

interface Key {
  kid: string;
  privateKey: KeyObject;
}

export class AccessTeam {
  /** What the Worker has as ACCESS_TEAM_DOMAIN, and tokens as `iss`. */
  readonly url: string;
  /** How often the keys were asked for. */
  reads = 0;
  /** Answers this instead of the keys. */
  broken: number | undefined;
  readonly #server: Server;
  readonly #keys: Key[] = [];

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    this.rotate();
    server.on("request", (request, response) => {
      // The team is a job's destination in a test.
      if (request.url?.startsWith("/in")) return void request.resume().on("end", () => response.writeHead(200).end());
      if (request.url !== "/cdn-cgi/access/certs") return void response.writeHead(404).end();
      this.reads += 1;
      if (this.broken !== undefined) return void response.writeHead(this.broken).end("broken");
      const keys = this.#keys.map(({ kid, privateKey }) => ({ kid, alg: "RS256", use: "sig", ...createPublicKey(privateKey).export({ format: "jwk" }) }));
      response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify({ keys }));
    });
  }

  static async start(): Promise<AccessTeam> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new AccessTeam(server);
  }

  /** A new key signs; the one before stays published, and older ones go. */
  rotate(): void {
    this.#keys.unshift(newKey());
    this.#keys.length = Math.min(this.#keys.length, 2);
  }

  /** What a person's token says, who signed in just now. */
  claims(change: Record<string, unknown> = {}): Record<string, unknown> {
    const now = Math.floor(Date.now() / 1000);
    return { aud: [AUDIENCE], email: "anna@example.com", exp: now + 3_600, iat: now, nbf: now, iss: this.url, type: "app", sub: "7335d417", ...change };
  }

  /** A token as Access makes them, or with another header or signed by another key. */
  token(change: Record<string, unknown> = {}, header: Record<string, unknown> = {}, key: KeyObject = this.#signing.privateKey): string {
    const signed = this.#signed(change, header);
    return `${signed}.${createSign("RSA-SHA256").update(signed).sign(key, "base64url")}`;
  }

  /** The oldest trick: signed by HMAC, with the public key as its secret. */
  confused(): string {
    const signed = this.#signed({}, { alg: "HS256" });
    const secret = createPublicKey(this.#signing.privateKey).export({ type: "spki", format: "pem" });
    return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  get #signing(): Key {
    const [key] = this.#keys;
    if (key === undefined) throw new Error("there is no key");
    return key;
  }

  #signed(change: Record<string, unknown>, header: Record<string, unknown>): string {
    const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
    return `${encode({ alg: "RS256", kid: this.#signing.kid, typ: "JWT", ...header })}.${encode(this.claims(change))}`;
  }
}

let keys = 0;

export function newKey(): Key {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return { kid: `key-${(keys += 1)}`, privateKey };
}
