/**
 * An index of very many releases, made in seconds: root, checkpoint, shards, and one package are signed for real. All
 * other records and releases are documents as they should be, rightly hashed into the tree, under a signature that is
 * none: an opened index never looks at them, which is what the counting tests are about.
 *
 * Files are made when they are asked for; only hashes are kept.
 */
import { hash } from "node:crypto";
import { signDocument } from "../../src/crypto/documents.ts";
import { generatePrivateKey } from "../../src/crypto/ed25519.ts";
import { encodeCheckpoint, formatShard } from "../../src/format/checkpoint.ts";
import type { DisplayName, Integrity, Shasum } from "../../src/format/decode.ts";
import { type FileHash, fileHashOf, type IndexId } from "../../src/format/digest.ts";
import { formatEnvelope } from "../../src/format/envelope.ts";
import { type PackageName, parsePackageName, parsePackagePattern } from "../../src/format/names.ts";
import { CHECKPOINT_PATH, recordPath, releasePath, rootPath, shardOf, type ShardName, shardPath } from "../../src/format/paths.ts";
import { encodeRecord, type PackageRecord } from "../../src/format/record.ts";
import { encodeRelease, parseRelease, type Release } from "../../src/format/release.ts";
import { parseRoot } from "../../src/format/root.ts";
import { formatTimestamp } from "../../src/format/time.ts";
import { type DistTag, parseVersion, type Version } from "../../src/format/versions.ts";
import { createIndex } from "../../src/index/create.ts";

const NOW_MS = Date.UTC(2026, 0, 1);

export type LargeIndex = {
  readonly id: IndexId;
  /** The package that is signed for real. */
  readonly sample: PackageName;
  readonly releases: number;
  /** A file of the index, or undefined. */
  get(path: string): Uint8Array | undefined;
  /** Every file, one after the other, the checkpoint last. */
  files(): Iterable<readonly [path: string, bytes: Uint8Array]>;
};

export function makeLargeIndex({ packages, releasesEach }: { readonly packages: number; readonly releasesEach: number }): LargeIndex {
  const keys = { root: generatePrivateKey(), publisher: generatePrivateKey(), checkpoint: generatePrivateKey() };
  const { id, files: first } = createIndex({
    name: "large" as DisplayName,
    packages: [parsePackagePattern("@large/*")],
    keys,
    nowMs: NOW_MS,
  });
  const root = first.find(({ path }) => path === rootPath(1))?.content as Uint8Array;
  const nameOf = (at: number): PackageName => parsePackageName(`@large/p${String(at)}`);
  const sampleAt = packages >> 1;
  const versions = Array.from({ length: releasesEach }, (_, at) => parseVersion(`1.${String(at)}.0`));

  const release = (name: PackageName, version: Version): Release => ({
    index: id,
    name,
    version,
    published: formatTimestamp(NOW_MS),
    dist: {
      integrity: `sha512-${Buffer.alloc(64, 7).toString("base64")}` as Integrity,
      shasum: "7".repeat(40) as Shasum,
      size: 1000,
      unpackedSize: 4000,
      fileCount: 5,
    },
    manifest: { dependencies: { lodash: "^4.17.0" }, hasInstallScript: false, hasShrinkwrap: false, license: "MIT" },
  });
  const model = signDocument("release", encodeRelease(release(nameOf(0), versions[0] as Version)), [keys.publisher]);
  const borrowed = parseRelease(model).signatures;
  // The text around name and version is the same in all of them.
  const [before = "", between = "", after = ""] = Buffer.from(model)
    .toString()
    .split(/@large\/p0|1\.0\.0(?=")/u);
  const releaseText = (name: PackageName, version: Version): string => `${before}${name}${between}${version}${after}`;
  const releaseBytes = (at: number, version: Version): Uint8Array =>
    at === sampleAt
      ? signDocument("release", encodeRelease(release(nameOf(at), version)), [keys.publisher])
      : Buffer.from(releaseText(nameOf(at), version));
  const recordBytes = (at: number): Uint8Array => {
    const name = nameOf(at);
    const hashOf = (version: Version): FileHash =>
      at === sampleAt ? fileHashOf(releaseBytes(at, version)) : (hash("sha256", releaseText(name, version)) as FileHash);
    const record: PackageRecord = {
      index: id,
      name,
      revision: NOW_MS,
      releases: new Map(versions.map((version) => [version, hashOf(version)])),
      withdrawn: new Map(),
      yanked: new Map(),
      deprecated: new Map(),
      tags: new Map([["latest" as DistTag, versions.at(-1) as Version]]),
    };
    return at === sampleAt
      ? signDocument("package", encodeRecord(record), [keys.publisher])
      : formatEnvelope(encodeRecord(record), borrowed);
  };

  const byShard = new Map<ShardName, Map<PackageName, FileHash>>();
  for (let at = 0; at < packages; at++) {
    const name = nameOf(at);
    const entries = byShard.get(shardOf(name)) ?? new Map<PackageName, FileHash>();
    byShard.set(shardOf(name), entries.set(name, fileHashOf(recordBytes(at))));
  }
  const shards = new Map([...byShard].map(([shard, entries]) => [shardPath(shard), formatShard(entries)]));
  const checkpoint = encodeCheckpoint({
    index: id,
    root: { version: 1, digest: parseRoot(root).digest },
    seq: NOW_MS,
    time: formatTimestamp(NOW_MS),
    shards: new Map([...byShard.keys()].map((shard) => [shard, fileHashOf(shards.get(shardPath(shard)) as Uint8Array)])),
  });
  const head = signDocument("checkpoint", checkpoint, [keys.checkpoint]);
  return {
    id,
    sample: nameOf(sampleAt),
    releases: packages * releasesEach,
    get(path) {
      if (path === rootPath(1)) return root;
      if (path === CHECKPOINT_PATH) return head;
      const [, digits, file] = /\/@large\+p(\d+)\/(.+)\.json$/u.exec(path) ?? [];
      if (digits === undefined || file === undefined) return shards.get(path);
      return file === "record" ? recordBytes(Number(digits)) : releaseBytes(Number(digits), parseVersion(file));
    },
    *files() {
      yield [rootPath(1), root];
      for (let at = 0; at < packages; at++) {
        for (const version of versions) yield [releasePath(nameOf(at), version), releaseBytes(at, version)];
        yield [recordPath(nameOf(at)), recordBytes(at)];
      }
      yield* shards;
      yield [CHECKPOINT_PATH, head];
    },
  };
}
