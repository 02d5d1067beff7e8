// The shipped Worker, byte for byte, with a bucket that takes everything and keeps nothing: what R2 costs locally is a
// simulation's, and not what a deployed Worker pays. The Durable Objects are the real ones.

import { WorkerEntrypoint } from "cloudflare:workers";
import Shipped from "../../build/index.js";

export { Ledger, Outbox, Registry } from "../../build/index.js";

const BLOCK_BYTES = 128 * 1024;

/** Named as the runtime names its own, because the SDK looks at the name. */
class R2Bucket {
  async put(key, value) {
    if (!(value instanceof ReadableStream)) return { key, size: value?.byteLength ?? 0 };
    const reader = value.getReader({ mode: "byob" });
    let size = 0;
    let block = new Uint8Array(BLOCK_BYTES);
    for (;;) {
      const { value: taken, done } = await reader.read(block, { min: BLOCK_BYTES });
      size += taken?.length ?? 0;
      if (done) return { key, size };
      block = new Uint8Array(taken.buffer);
    }
  }

  async head() {
    return null;
  }

  async delete() {}
}

export default class extends WorkerEntrypoint {
  fetch(request) {
    const shipped = new Shipped(this.ctx, { ...this.env, ARCHIVE: new R2Bucket() });
    return shipped.fetch(request);
  }
}
