/**
 * Imports go down, never up or sideways: the table of rooms, held against every import in src.
 * Run by `npm run check`; exits 1 and names each import that climbs.
 */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const SRC = fileURLToPath(new URL("../src", import.meta.url));

/** Room → rooms that it may import from, besides itself and `errors.ts`. */
const TABLE: Readonly<Record<string, readonly string[]>> = {
  format: [],
  crypto: ["format"],
  git: ["format"],
  storage: ["format"],
  pack: ["format"],
  index: ["git", "crypto", "storage", "format"],
  registry: ["index", "git", "crypto", "storage", "format"],
  clients: ["storage", "format"],
  project: ["clients", "registry", "index", "git", "crypto", "storage", "format"],
  audit: ["project", "clients", "registry", "index", "pack", "git", "crypto", "storage", "format"],
  http: ["audit", "registry", "index", "format"],
  serve: ["http", "audit", "project", "clients", "registry", "index", "git", "crypto", "storage", "format"],
  cli: ["serve", "http", "audit", "project", "clients", "registry", "index", "pack", "git", "crypto", "storage", "format"],
};

const climbs: string[] = [];
let imports = 0;
for (const file of readdirSync(SRC, { recursive: true, encoding: "utf8" }).filter((name) => /\.tsx?$/.test(name))) {
  const room = file.split(path.sep)[0] ?? "";
  const allowed = TABLE[room];
  const text = readFileSync(path.join(SRC, file), "utf8");
  for (const [, specifier = ""] of text.matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)"/g)) {
    imports++;
    const target = path.relative(SRC, path.resolve(SRC, path.dirname(file), specifier)).split(path.sep);
    const isFile = target.length === 1;
    if (
      isFile
        ? target[0] === "errors.ts" || allowed === undefined
        : allowed === undefined || target[0] === room || allowed.includes(target[0] ?? "")
    )
      continue;
    climbs.push(`${file} imports ${target.join("/")}`);
  }
}
if (imports === 0) climbs.push("no import was found at all: the check is broken");
for (const climb of climbs) console.error(`✗ ${climb}`);
console.log(climbs.length === 0 ? `✓ rooms: ${imports} imports, all down` : `${climbs.length} imports climb`);
process.exitCode = climbs.length === 0 ? 0 : 1;
