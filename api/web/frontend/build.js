// Builds the console's bundle into ../static/dist: one script, one style sheet, one icon sprite
// and the fonts, all with hashed names, and manifest.json that maps plain names to hashed ones.
// Every text file also gets a .gz sibling, so that serving needs no compression at run time.
import { createHash } from "node:crypto";
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import esbuild from "esbuild";
import { icons } from "./icons.js";
import { tokens } from "./tokens.js";

const here = path.dirname(fileURLToPath(import.meta.url));
const out = path.resolve(here, "../static/dist");

/** The colour tokens are computed, not written by hand: `@import "tokens"` yields them. */
const tokensPlugin = {
  name: "tokens",
  setup(build) {
    build.onResolve({ filter: /^tokens$/ }, () => ({ path: "tokens", namespace: "tokens" }));
    build.onLoad({ filter: /.*/, namespace: "tokens" }, () => ({
      contents: tokens(),
      loader: "css",
    }));
  },
};

async function bundle() {
  const result = await esbuild.build({
    absWorkingDir: here,
    entryPoints: ["src/console.ts", "src/console.css", "src/evidence.ts", "src/editor.ts"],
    outdir: out,
    bundle: true,
    minify: true,
    metafile: true,
    format: "esm",
    target: ["chrome123", "firefox120", "safari17.5"],
    entryNames: "[name]-[hash]",
    assetNames: "[name]-[hash]",
    loader: { ".woff2": "file" },
    plugins: [tokensPlugin],
    logLevel: "warning",
  });
  const entries = Object.entries(result.metafile.outputs).filter(([, made]) => made.entryPoint);
  return entries.map(([file, made]) => [
    path.basename(made.entryPoint).replace(/\.ts$/, ".js"),
    path.basename(file),
  ]);
}

async function sprite() {
  const folder = path.join(here, "node_modules/lucide-static/icons");
  const symbols = await Promise.all(
    icons.map(async (name) => {
      const svg = await readFile(path.join(folder, `${name}.svg`), "utf8");
      const shapes = svg.slice(svg.indexOf(">", svg.indexOf("<svg")) + 1, svg.lastIndexOf("</svg>"));
      return `<symbol id="${name}" viewBox="0 0 24 24">${shapes.replace(/\s*\n\s*/g, "")}</symbol>`;
    }),
  );
  const text = `<svg xmlns="http://www.w3.org/2000/svg">${symbols.join("")}</svg>\n`;
  const hash = createHash("sha256").update(text).digest("hex").slice(0, 8);
  await writeFile(path.join(out, `icons-${hash}.svg`), text);
  return ["icons.svg", `icons-${hash}.svg`];
}

async function compress() {
  for (const name of await readdir(out)) {
    if (!/\.(js|css|svg)$/.test(name)) continue;
    const file = path.join(out, name);
    await writeFile(`${file}.gz`, gzipSync(await readFile(file), { level: 9 }));
  }
}

await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });
const manifest = Object.fromEntries([...(await bundle()), await sprite()].sort());
await writeFile(path.join(out, "manifest.json"), `${JSON.stringify(manifest, null, 2)}\n`);
await compress();
