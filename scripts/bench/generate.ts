/** An index of many packages, signed for real, as one fast-import stream into a bare repository. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { generatePrivateKey, type PrivateKey } from "../../src/crypto/ed25519.ts";
import { signDocument } from "../../src/crypto/documents.ts";
import { encodeCheckpoint, formatShard } from "../../src/format/checkpoint.ts";
import type { Dist } from "../../src/format/release.ts";
import { encodeRelease } from "../../src/format/release.ts";
import { encodeRecord } from "../../src/format/record.ts";
import { type FileHash, fileHashOf, type IndexId } from "../../src/format/digest.ts";
import type { DisplayName, Integrity, Shasum } from "../../src/format/decode.ts";
import { type PackageName, parsePackageName, parsePackagePattern } from "../../src/format/names.ts";
import { CHECKPOINT_PATH, recordPath, releasePath, rootPath, shardOf, type ShardName, shardPath } from "../../src/format/paths.ts";
import { parseRoot } from "../../src/format/root.ts";
import { formatTimestamp } from "../../src/format/time.ts";
import { type DistTag, parseVersion, type Version } from "../../src/format/versions.ts";
import { createIndex } from "../../src/index/create.ts";
import { createHostedRepository } from "../../test/support/git-host.ts";

export type BenchKeys = Readonly<Record<"root" | "publisher" | "checkpoint", PrivateKey>>;

const NOW_MS = Date.UTC(2026, 0, 1);

/** @returns the id of the index in `<root>/<repo>` */
export async function generateIndex(
  root: string,
  repo: string,
  size: { readonly packages: number; readonly releasesEach: number },
): Promise<{ readonly id: IndexId; readonly gitDir: string; readonly sample: PackageName; readonly keys: BenchKeys }> {
  const keys = { root: generatePrivateKey(), publisher: generatePrivateKey(), checkpoint: generatePrivateKey() };
  const { id, files } = createIndex({ name: "bench" as DisplayName, packages: [parsePackagePattern("@bench/*")], keys, nowMs: NOW_MS });
  const gitDir = createHostedRepository(root, repo);
  const git = spawn("git", [`--git-dir=${gitDir}`, "fast-import", "--quiet"], { stdio: ["pipe", "inherit", "inherit"] });
  const put = async (path: string, content: Uint8Array): Promise<void> => {
    git.stdin.write(`M 100644 inline ${path}\ndata ${content.byteLength}\n`);
    if (!git.stdin.write(content)) await once(git.stdin, "drain");
    git.stdin.write("\n");
  };
  git.stdin.write(`commit refs/heads/main\ncommitter bench <bench@localhost> ${NOW_MS / 1000} +0000\ndata 5\nbench\n`);
  const rootFile = files.find(({ path }) => path === rootPath(1))?.content ?? new Uint8Array();
  await put(rootPath(1), rootFile);
  const shards = new Map<ShardName, Map<PackageName, FileHash>>();
  for (let i = 0; i < size.packages; i++) {
    const name = parsePackageName(`@bench/package-${i}`);
    const releases = new Map<Version, FileHash>();
    for (let j = 0; j < size.releasesEach; j++) {
      const version = parseVersion(`1.${j}.0`);
      const seed = createHash("sha512").update(`${name}@${version}`).digest();
      const dist: Dist = {
        integrity: `sha512-${seed.toString("base64")}` as Integrity,
        shasum: seed.toString("hex").slice(0, 40) as Shasum,
        size: 1000 + i,
        unpackedSize: 4000,
        fileCount: 5,
      };
      const manifest = {
        dependencies: { lodash: "^4.17.0", "@bench/package-0": "^1.0.0" },
        description: `package ${i} of a benchmark`,
        hasInstallScript: false,
        hasShrinkwrap: false,
        license: "MIT",
      };
      const content = signDocument(
        "release",
        encodeRelease({ index: id, name, version, published: formatTimestamp(NOW_MS), dist, manifest }),
        [keys.publisher],
      );
      releases.set(version, fileHashOf(content));
      await put(releasePath(name, version), content);
    }
    const latest = [...releases.keys()].at(-1) as Version;
    const record = signDocument(
      "package",
      encodeRecord({
        index: id,
        name,
        revision: NOW_MS,
        releases,
        withdrawn: new Map(),
        yanked: new Map(),
        deprecated: new Map(),
        tags: new Map([["latest" as DistTag, latest]]),
      }),
      [keys.publisher],
    );
    await put(recordPath(name), record);
    const shard = shards.get(shardOf(name)) ?? new Map<PackageName, FileHash>();
    shards.set(shardOf(name), shard.set(name, fileHashOf(record)));
  }
  const hashes = new Map<ShardName, FileHash>();
  for (const [shard, entries] of shards) {
    const content = formatShard(entries);
    hashes.set(shard, fileHashOf(content));
    await put(shardPath(shard), content);
  }
  const checkpoint = encodeCheckpoint({
    index: id,
    root: { version: 1, digest: parseRoot(rootFile).digest },
    seq: NOW_MS,
    time: formatTimestamp(NOW_MS),
    shards: hashes,
  });
  await put(CHECKPOINT_PATH, signDocument("checkpoint", checkpoint, [keys.checkpoint]));
  git.stdin.end("\n");
  const [code] = (await once(git, "close")) as [number];
  if (code !== 0) throw new Error(`git fast-import ended with ${code}`);
  return { id, gitDir, keys, sample: parsePackageName(`@bench/package-${Math.floor(size.packages / 2)}`) };
}
