// The shipped build, byte for byte, with its bucket in another process. The Durable Objects are the real ones.

import { WorkerEntrypoint } from "cloudflare:workers";
import Shipped from "../../build/index.js";
import { elsewhere } from "./bucket.js";

export { Ledger, Outbox, Registry } from "../../build/index.js";

export default class extends WorkerEntrypoint {
  fetch(request) {
    return new Shipped(this.ctx, elsewhere(this.env)).fetch(request);
  }
}
