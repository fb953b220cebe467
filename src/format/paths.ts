/**
 * Every path of an index, in one place.
 *
 * Readers open only paths that they computed here. Names are reversible, safe on Windows (`con` is `+con`), without
 * leading dots, and distinct on file systems that ignore case: each upper-case letter is `!` and its lower case.
 */
import { utf8 } from "./bytes.ts";
import { fileHashOf } from "./digest.ts";
import { baseNameOf, type PackageName, scopeOf } from "./names.ts";
import type { Version } from "./versions.ts";

declare const brand: unique symbol;
/** First byte, in hex, of sha256(package name). */
export type ShardName = string & { readonly [brand]: "ShardName" };

export const CHECKPOINT_PATH = "checkpoint.json";

export function rootPath(version: number): string {
  return `trust/${version}.json`;
}

export function shardOf(name: PackageName): ShardName {
  return fileHashOf(utf8(name)).slice(0, 2) as ShardName;
}

export function shardPath(shard: ShardName): string {
  return `packages/${shard}/shard.json`;
}

/** `@alice+foo` of `@alice/foo`, `+left-pad` of `left-pad`, `+!j!s!o!n!stream` of `JSONStream`. */
export function packageFolder(name: PackageName): string {
  return withoutUpperCase(`${scopeOf(name) ?? ""}+${baseNameOf(name)}`);
}

export function recordPath(name: PackageName): string {
  return `${folderPath(name)}/record.json`;
}

export function releasePath(name: PackageName, version: Version): string {
  return `${folderPath(name)}/${version}.json`;
}

/** Mostly asked for all releases of a package, one after the other. */
let last: { readonly name: PackageName; readonly path: string } | null = null;

function folderPath(name: PackageName): string {
  if (last?.name !== name) last = { name, path: `packages/${shardOf(name)}/${packageFolder(name)}` };
  return last.path;
}

/** Proposals, which no reader opens: what `seal` moves into place. */
export const PROPOSALS = "proposals";

/** Two versions that differ only by case may both be proposed, though only one can be released. */
export function proposalPath(name: PackageName, version: Version, file: "release.json" | "record.json"): string {
  return `${PROPOSALS}/${packageFolder(name)}/${withoutUpperCase(version)}/${file}`;
}

function withoutUpperCase(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => `!${letter.toLowerCase()}`);
}
