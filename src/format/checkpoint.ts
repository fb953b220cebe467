/** Checkpoint and shard files: one signature over the whole index, and the first level of the hash tree under it. */
import { type Decoder, digest, fail, fileHash, indexId, integer, map, member, object, packageName, text, timestamp } from "./decode.ts";
import type { Digest, FileHash, IndexId } from "./digest.ts";
import { FORMAT_VERSION, parseEnvelope, type Signed } from "./envelope.ts";
import { formatPretty, type JsonObject, jsonObject, parseExact } from "./json.ts";
import { LIMITS } from "./limits.ts";
import type { PackageName } from "./names.ts";
import { shardOf, type ShardName } from "./paths.ts";
import type { Timestamp } from "./time.ts";

export type RootPointer = { readonly version: number; readonly digest: Digest };

export type Checkpoint = {
  readonly index: IndexId;
  readonly root: RootPointer;
  /** Grows with every checkpoint under one root; max(previous + 1, Unix time in ms). */
  readonly seq: number;
  readonly time: Timestamp;
  readonly shards: ReadonlyMap<ShardName, FileHash>;
};

export type Shard = ReadonlyMap<PackageName, FileHash>;

/** @throws ImprintError TOO_LARGE, INVALID_DOCUMENT, UNSUPPORTED_FORMAT */
export function parseCheckpoint(bytes: Uint8Array): Signed<Checkpoint> {
  return parseEnvelope("checkpoint", bytes, (signed) => ({
    index: member(signed, "index", "", indexId),
    root: member(signed, "root", "", rootPointer),
    seq: member(signed, "seq", "", integer(0)),
    time: member(signed, "time", "", timestamp),
    shards: member(signed, "shards", "", map(shardName, fileHash)),
  }));
}

export function encodeCheckpoint(checkpoint: Checkpoint, kept: JsonObject = {}): JsonObject {
  return jsonObject([
    ...Object.entries(kept),
    ["format", FORMAT_VERSION],
    ["type", "imprint.checkpoint"],
    ["index", checkpoint.index],
    [
      "root",
      jsonObject([
        ["version", checkpoint.root.version],
        ["digest", checkpoint.root.digest],
      ]),
    ],
    ["seq", checkpoint.seq],
    ["time", checkpoint.time],
    ["shards", jsonObject(checkpoint.shards)],
  ]);
}

/**
 * A shard file; unsigned, because the checkpoint names its hash.
 *
 * @throws ImprintError TOO_LARGE, INVALID_DOCUMENT
 */
export function parseShard(bytes: Uint8Array, shard: ShardName): Shard {
  const entries = map(packageName, fileHash)(parseExact(bytes, LIMITS.shardBytes), "");
  if (entries.size === 0) fail("", "a shard: it is empty");
  for (const name of entries.keys()) if (shardOf(name) !== shard) fail(name, `in its place: it belongs to shard ${shardOf(name)}`);
  return entries;
}

export function formatShard(shard: Shard): Uint8Array {
  return formatPretty(jsonObject(shard));
}

export const rootPointer: Decoder<RootPointer> = (value, at) => {
  const from = object(value, at);
  return { version: member(from, "version", at, integer(1, LIMITS.roots)), digest: member(from, "digest", at, digest) };
};

export const shardName: Decoder<ShardName> = (value, at) => {
  const raw = text(value, at);
  return /^[0-9a-f]{2}$/.test(raw) ? (raw as ShardName) : fail(at, "two hex digits");
};
