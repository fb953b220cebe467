/**
 * Writes `index-schema/vectors/<area>/<case>.json`, from fixed keys and one fixed time: the same bytes each time.
 *
 *     npx tsx scripts/vectors.ts            writes them, removes those that no case makes any more
 *     npx tsx scripts/vectors.ts --check    changes nothing; names what differs and exits 1
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { formatPretty } from "../src/format/json.ts";
import { chainVectors } from "./vectors/chains.ts";
import { consumerVectors } from "./vectors/consumer.ts";
import { documentVectors } from "./vectors/documents.ts";
import { envelopeVectors } from "./vectors/envelopes.ts";
import { indexVectors } from "./vectors/indices.ts";
import { jsonVectors } from "./vectors/json.ts";
import type { Vector } from "./vectors/kit.ts";
import { scalarVectors } from "./vectors/scalars.ts";
import { signatureVectors } from "./vectors/signatures.ts";

export const VECTORS_FOLDER = join(dirname(fileURLToPath(import.meta.url)), "..", "index-schema", "vectors");

/** Every vector, by its path under the folder. */
export function allVectors(): ReadonlyMap<string, Uint8Array> {
  const makers: readonly (() => readonly Vector[])[] = [
    jsonVectors,
    envelopeVectors,
    documentVectors,
    scalarVectors,
    signatureVectors,
    consumerVectors,
    chainVectors,
    indexVectors,
  ];
  const files = new Map<string, Uint8Array>();
  for (const { area, name, body } of makers.flatMap((make) => make())) {
    const path = `${area}/${name}.json`;
    if (files.has(path)) throw new Error(`two vectors are called ${path}`);
    files.set(path, formatPretty(body));
  }
  return files;
}

/** Paths of vectors on disk that no case makes, and of cases that are missing or differ on disk. */
export function differingVectors(folder: string, files: ReadonlyMap<string, Uint8Array>): readonly string[] {
  const changed = [...files]
    .filter(([path, bytes]) => !existsSync(join(folder, path)) || !readFileSync(join(folder, path)).equals(bytes))
    .map(([path]) => path);
  return [...changed, ...strayVectors(folder, files)].sort();
}

function strayVectors(folder: string, files: ReadonlyMap<string, Uint8Array>): readonly string[] {
  if (!existsSync(folder)) return [];
  const areas = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return areas.flatMap(({ name }) => readdirSync(join(folder, name)).map((file) => `${name}/${file}`)).filter((path) => !files.has(path));
}

function main(): void {
  const files = allVectors();
  if (process.argv.includes("--check")) {
    const differing = differingVectors(VECTORS_FOLDER, files);
    for (const path of differing) process.stdout.write(`differs: index-schema/vectors/${path}\n`);
    process.exitCode = differing.length > 0 ? 1 : 0;
    return;
  }
  for (const path of strayVectors(VECTORS_FOLDER, files)) rmSync(join(VECTORS_FOLDER, path));
  for (const [path, bytes] of files) {
    mkdirSync(dirname(join(VECTORS_FOLDER, path)), { recursive: true });
    writeFileSync(join(VECTORS_FOLDER, path), bytes);
  }
  process.stdout.write(`${files.size} vectors\n`);
}

if (process.argv[1] !== undefined && fileURLToPath(import.meta.url) === process.argv[1]) main();
