// Bundles the page from dashboard/ into dist/, which wrangler.toml serves as static assets. It takes a tenth of a second,
// so it is done anew each time, and only what changed is written: `wrangler dev` watches the folder.

import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { limits } from "./cost/limits.mjs";
import { Advice, root } from "./shell.mjs";

export const PAGE = join(root, "dist");

/** Browsers from 2023 on: what the page uses beyond that is none. */
const TARGET = ["es2022", "chrome115", "firefox117", "safari16.4"];

/** Resolves to the number of files that were written. */
export async function buildPage(folder = PAGE) {
  const { build } = await import("esbuild");
  const from = join(root, "dashboard");
  let result;
  try {
    result = await build({
      absWorkingDir: root, entryPoints: [join(from, "src", "main.tsx")], tsconfig: join(from, "tsconfig.json"),
      bundle: true, splitting: true, format: "esm", minify: true, target: TARGET, charset: "utf8", legalComments: "none",
      define: { WORKER_LIMITS: JSON.stringify(limits()) },
      jsx: "automatic", jsxImportSource: "preact", write: false, metafile: true, logLevel: "warning",
      outdir: join(folder, "page"), entryNames: "[name]-[hash]", chunkNames: "[name]-[hash]", assetNames: "[name]-[hash]",
    });
  } catch (error) {
    if (error.errors === undefined) throw error;
    throw new Advice("✗ The page could not be bundled; what is wrong stands above.");
  }
  const files = new Map(result.outputFiles.map(({ path, contents }) => [relative(folder, path), Buffer.from(contents)]));
  const [script, { cssBundle }] = Object.entries(result.metafile.outputs).find(([, output]) => output.entryPoint?.endsWith("main.tsx"));
  const address = (output) => `/${relative(folder, join(root, output))}`;
  const index = readFileSync(join(from, "index.html"), "utf8").replace("{{script}}", address(script)).replace("{{style}}", address(cssBundle));
  for (const name of ["favicon.svg", "_headers"]) files.set(name, readFileSync(join(from, name)));
  files.set("index.html", Buffer.from(index)); // last: it names the others
  return replace(folder, files);
}

/** The folder has these files afterwards and no others; those that are right already are left alone. */
function replace(folder, files) {
  let written = 0;
  for (const [name, bytes] of files) {
    const path = join(folder, name);
    if (existsSync(path) && readFileSync(path).equals(bytes)) continue;
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
    written += 1;
  }
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath ?? entry.path, entry.name);
    if (entry.isFile() && !files.has(relative(folder, path))) rmSync(path);
  }
  return written;
}
