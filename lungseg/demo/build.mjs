// Bundles the page's sources with their libraries and puts all into one HTML file, the model's places left open:
//     npm ci --omit=dev --ignore-scripts && node build.mjs shell.html
// lungseg/demo/__init__.py, which calls this, fills in the model. The same sources give the same bytes.

import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const modules = join(here, "node_modules");
const read = (...names) => readFileSync(join(...names), "utf8");

const bundle = await build({
  entryPoints: [join(here, "src", "page.js")],
  bundle: true, minify: true, write: false, format: "esm", platform: "browser", target: "es2022", charset: "utf8",
  legalComments: "inline",
  logLevel: "error",
});

const wasm = readFileSync(join(modules, "onnxruntime-web", "dist", "ort-wasm-simd-threaded.wasm"));
const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
const licences = [
  read(here, "NOTICES.txt"),
  ...["fast-png", "fflate", "iobuffer", "dicom-parser"].map((name) => {
    const { version } = JSON.parse(read(modules, name, "package.json"));
    return `${name} ${version}\n\n${read(modules, name, "LICENSE")}`;
  }),
].join("\n\n");

const parts = {
  licences: escaped(licences),
  wasm: gzipSync(wasm, { level: 9 }).toString("base64"),
  script: bundle.outputFiles[0].text,
};
let page = read(here, "page.html");
for (const [name, text] of Object.entries(parts)) page = page.replace(`<!-- ${name} -->`, () => text);
writeFileSync(process.argv[2], page);
