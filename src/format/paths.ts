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
  const plain = `${scopeOf(name) ?? ""}+${baseNameOf(name)}`;
  return plain.replace(/[A-Z]/g, (letter) => `!${letter.toLowerCase()}`);
}

export function recordPath(name: PackageName): string {
  return `packages/${shardOf(name)}/${packageFolder(name)}/record.json`;
}

export function releasePath(name: PackageName, version: Version): string {
  return `packages/${shardOf(name)}/${packageFolder(name)}/${version}.json`;
}
