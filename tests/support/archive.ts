// Reads the local R2 bucket from outside the Worker, from the state that `wrangler dev --persist-to` leaves on disk.

import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getPlatformProxy } from "wrangler";

export interface ArchivedObject {
  key: string;
  bytes: number;
  sha256: string;
}

interface Bucket {
  list(options: { cursor?: string }): Promise<{
    objects: { key: string; size: number }[];
    truncated: boolean;
    cursor?: string;
  }>;
  get(key: string): Promise<{ arrayBuffer(): Promise<ArrayBuffer> } | null>;
}

/** Every object of the bucket, whatever its prefix. The Worker must not be running. */
export async function archivedObjects(persistDir: string): Promise<ArchivedObject[]> {
  return await withBucket(persistDir, async (bucket) => {
    const objects: ArchivedObject[] = [];
    let cursor: string | undefined;
    do {
      const page = await bucket.list({ cursor });
      for (const { key, size } of page.objects) {
        const content = await (await bucket.get(key))?.arrayBuffer();
        const sha256 = createHash("sha256").update(Buffer.from(content ?? new ArrayBuffer(0))).digest("hex");
        objects.push({ key, bytes: size, sha256 });
      }
      cursor = page.truncated ? page.cursor : undefined;
    } while (cursor !== undefined);
    return objects;
  });
}

async function withBucket<T>(persistDir: string, work: (bucket: Bucket) => Promise<T>): Promise<T> {
  const dir = mkdtempSync(join(tmpdir(), "logpush-edge-bucket-"));
  // A configuration with the bucket alone: with the Worker's own, the runtime would look for its Durable Objects.
  const configPath = join(dir, "wrangler.json");
  const name = /bucket_name\s*=\s*"([^"]+)"/.exec(
    readFileSync(new URL("../../wrangler.toml", import.meta.url), "utf8"),
  )?.[1];
  writeFileSync(
    configPath,
    JSON.stringify({
      name: "archive-reader",
      compatibility_date: "2026-07-01",
      r2_buckets: [{ binding: "ARCHIVE", bucket_name: name }],
    }),
  );
  const proxy = await getPlatformProxy<{ ARCHIVE: Bucket }>({ configPath, persist: { path: join(persistDir, "v3") } });
  try {
    return await work(proxy.env.ARCHIVE);
  } finally {
    await proxy.dispose();
    rmSync(dir, { recursive: true, force: true });
  }
}
