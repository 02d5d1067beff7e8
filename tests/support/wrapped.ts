// The built Worker in a module of the test's own, which stands between the runtime and it.

import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { createTestHarness } from "wrangler";
import { SECRETS } from "./worker.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** A new folder with a module that imports the built Worker from `./index.js`: `index.js` and the wasm file. */
export async function bundled(module: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "logpush-edge-wrapped-"));
  cpSync(join(root, "build", "index_bg.wasm"), join(folder, "index_bg.wasm"));
  await build({
    stdin: { contents: module, resolveDir: join(root, "build") },
    outfile: join(folder, "index.js"),
    bundle: true,
    format: "esm",
    external: ["cloudflare:*", "*.wasm"],
    logLevel: "error",
  });
  return folder;
}

/**
 * Starts a module that imports the built Worker from `./index.js`; returns its address, and what ends it. `configOf` makes the
 * configuration for the file that it becomes; without, the shipped one is used.
 */
export async function startWrapped(
  module: string, vars: Record<string, string> = {}, configOf?: (main: string) => string,
): Promise<{ url: string; close: () => Promise<void> }> {
  const folder = await bundled(module);
  const configPath = configOf === undefined ? "wrangler.toml" : join(folder, "wrangler.toml");
  if (configOf !== undefined) writeFileSync(configPath, configOf(join(folder, "index.js")));
  const harness = createTestHarness({
    root,
    workers: [{ configPath, prebuiltWorkerDir: folder, secrets: { ...SECRETS, ...vars } }],
  });
  const close = async () => {
    await harness.close();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const { url } = await harness.listen();
    return { url: url.origin, close };
  } catch (error) {
    await close();
    throw error;
  }
}
