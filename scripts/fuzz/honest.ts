/**
 * What is mutated: one index in three states (a root and a publisher's key between the first two), with packages of one, two and another
 * publisher's signatures, real tarballs, and a second index that the same keys signed. The same bytes each time.
 */
import { fileHashOf, type IndexId } from "../../src/format/digest.ts";
import { canonicalize, formatPretty, type JsonObject, type JsonValue } from "../../src/format/json.ts";
import { type PackageName, parsePackageName } from "../../src/format/names.ts";
import { recordPath, releasePath, shardOf, shardPath } from "../../src/format/paths.ts";
import { parseRecord } from "../../src/format/record.ts";
import type { Release } from "../../src/format/release.ts";
import { parseVersion } from "../../src/format/versions.ts";
import { type PackageView, readPackage } from "../../src/index/package-reader.ts";
import type { Snapshot } from "../../src/index/source.ts";
import { readState } from "../../src/index/sync.ts";
import type { TrustedState } from "../../src/index/trust.ts";
import { inspectTarball } from "../../src/pack/inspect.ts";
import { makePackage } from "../../test/support/tarball.ts";
import { CHECKPOINT, data, digest, edit, type Edit, file, nextRoot, publishers, RECORD, RELEASE, ROOT_1, TIME_MS } from "../vectors/kit.ts";

/** Path → bytes. */
export type FileMap = ReadonlyMap<string, Uint8Array>;
export type HonestState = {
  readonly files: FileMap;
  readonly state: TrustedState;
  /** Name → version → verdict and what it is of. */
  readonly packages: ReadonlyMap<PackageName, ReadonlyMap<string, string>>;
};
export type Honest = {
  readonly id: IndexId;
  /** Oldest first: under root 1, under root 2, and under root 2 again. */
  readonly states: readonly [HonestState, HonestState, HonestState];
  /** Another index, of the same keys and names. */
  readonly other: FileMap;
  /** Names of the packages of the newest state. */
  readonly names: readonly PackageName[];
  readonly absent: PackageName;
  /** Digests of all roots that were ever signed. */
  readonly roots: ReadonlySet<string>;
  /** Digests of all records that were ever signed, each behind its name. */
  readonly records: ReadonlySet<string>;
  /** What may ever be believed of a release: `name@version`, integrity and manifest. */
  readonly releases: ReadonlySet<string>;
  readonly tarballs: readonly { readonly bytes: Uint8Array; readonly release: Release }[];
};

type Plan = Readonly<
  Record<string, { readonly versions: readonly string[]; readonly signers: readonly string[]; readonly edits?: readonly Edit[] }>
>;

/** What a release comes down to for whoever installs it. */
export function essenceOf({ name, version, dist, manifest }: Release): string {
  return `${name}@${version} ${dist.integrity} ${Buffer.from(canonicalize(manifest)).toString()}`;
}

/** A view as version → verdict and essence. */
export function judgementsOf(view: PackageView): ReadonlyMap<string, string> {
  return new Map(
    [...view.versions].map(([version, verdict]) => [
      version,
      "release" in verdict ? `${verdict.verdict} ${essenceOf(verdict.release.doc)}` : verdict.verdict,
    ]),
  );
}

/** Files in memory, read as a source gives them. */
export function snapshotOf(files: FileMap): Snapshot {
  return {
    at: "memory",
    readFiles: async (requests) =>
      requests.map(({ path, maxBytes }) => {
        const bytes = files.get(path);
        if (bytes === undefined) return { state: "missing" };
        return bytes.byteLength > maxBytes ? { state: "tooLarge", bytes: null } : { state: "found", bytes };
      }),
  };
}

export async function makeHonest(): Promise<Honest> {
  const first = edit(ROOT_1, [
    "publishers",
    [
      publishers(["@alice/*"], 1, "publisher"),
      publishers(["@alice/core"], 2, "publisher b", "publisher c"),
      publishers(["Legacy.js"], 1, "legacy"),
    ],
  ]);
  const id = digest(first) as IndexId;
  // A rotated key: records are signed again, releases stay as they are.
  const second = nextRoot(first, id, ["publishers/0", publishers(["@alice/*"], 1, "publisher new")], ["refreshDays", 30]);
  const rootFiles = [file("root", first, "root"), file("root", second, "root")];

  const tarballs: { bytes: Uint8Array; release: Release }[] = [];
  const releaseOf = async (index: string, name: string, version: string, signer: string): Promise<string> => {
    const bytes = await makePackage({
      name,
      version,
      description: `${name} “${version}” of ${index.slice(0, 8)}`,
      dependencies: { "@alice/core": "^1.0.0" },
    });
    const { integrity, shasum, size, unpackedSize, fileCount, manifest } = await inspectTarball(bytes);
    const dist = data({ integrity, shasum, size, unpackedSize, fileCount });
    const signed = edit(RELEASE, ["index", index], ["name", name], ["version", version], ["dist", dist], ["manifest", manifest]);
    tarballs.push({ bytes, release: { ...(signed as unknown as Release) } });
    return file("release", signed, signer);
  };
  const made = new Map<string, string>();
  const treeOf = async (index: string, root: JsonObject, roots: readonly string[], plan: Plan, number: number): Promise<FileMap> => {
    const files = new Map<string, string>(roots.map((text, at) => [`trust/${String(at + 1)}.json`, text]));
    const shards = new Map<string, Map<string, string>>();
    for (const [text, { versions, signers, edits = [] }] of Object.entries(plan)) {
      const name = parsePackageName(text);
      const releases: [string, string][] = [];
      for (const version of versions) {
        const key = `${index} ${name} ${version}`;
        const release =
          made.get(key) ?? (await releaseOf(index, name, version, name === "@alice/hello" ? "publisher" : (signers[0] as string)));
        made.set(key, release);
        files.set(releasePath(name, parseVersion(version)), release);
        releases.push([version, fileHashOf(Buffer.from(release))]);
      }
      const latest = data({ latest: versions.at(-1) as string });
      const plain = edit(
        RECORD,
        ["index", index],
        ["name", name],
        ["revision", TIME_MS + number],
        ["releases", data(Object.fromEntries(releases))],
        ["tags", latest],
      );
      const record = file("package", edit(plain, ...edits), ...signers);
      files.set(recordPath(name), record);
      const names = shards.get(shardOf(name)) ?? new Map<string, string>();
      shards.set(shardOf(name), names.set(name, fileHashOf(Buffer.from(record))));
    }
    const hashes: [string, string][] = [];
    for (const [shard, names] of shards) {
      const text = Buffer.from(formatPretty(data(Object.fromEntries(names))));
      files.set(shardPath(shard as never), text.toString());
      hashes.push([shard, fileHashOf(text)]);
    }
    const checkpoint = edit(
      CHECKPOINT,
      ["index", index],
      ["root", data({ version: roots.length, digest: digest(root) })],
      ["seq", TIME_MS + number],
      ["shards", data(Object.fromEntries(hashes))],
    );
    files.set("checkpoint.json", file("checkpoint", checkpoint, "checkpoint"));
    return new Map([...files].map(([path, text]) => [path, new Uint8Array(Buffer.from(text))]));
  };

  const reason = (version: string, text: JsonValue): Edit => [["yanked", version], text];
  const older: Plan = {
    "@alice/hello": { versions: ["1.0.0", "1.1.0"], signers: ["publisher"] },
    "@alice/core": { versions: ["1.0.0"], signers: ["publisher b", "publisher c"] },
    "Legacy.js": { versions: ["0.1.0"], signers: ["legacy"] },
  };
  const newer: Plan = {
    "@alice/hello": {
      versions: ["1.0.0", "1.1.0", "1.2.0"],
      signers: ["publisher new"],
      edits: [reason("1.1.0", "broken"), [["withdrawn", "0.9.0"], "secrets"]],
    },
    "@alice/core": { versions: ["1.0.0", "2.0.0"], signers: ["publisher b", "publisher c"] },
    "Legacy.js": { versions: ["0.1.0"], signers: ["legacy"] },
    "@alice/new": { versions: ["1.0.0-beta.1"], signers: ["publisher new"] },
  };
  const newest: Plan = { ...newer, "@alice/core": { versions: ["1.0.0", "2.0.0", "2.0.1"], signers: ["publisher b", "publisher c"] } };
  const bob = edit(first, ["name", "bob"]);
  const states = [
    await judged(id, await treeOf(id, first, rootFiles.slice(0, 1), older, 0), older),
    await judged(id, await treeOf(id, second, rootFiles, newer, 1), newer),
    await judged(id, await treeOf(id, second, rootFiles, newest, 2), newest),
  ] as const;
  const own = tarballs.filter(({ release }) => release.index === id);
  return {
    id,
    states,
    other: await treeOf(digest(bob), bob, [file("root", bob, "root")], older, 3),
    names: Object.keys(newest).map(parsePackageName),
    absent: parsePackageName("@alice/absent"),
    roots: new Set(states[2].state.roots.map((root) => root.digest)),
    records: new Set(
      states.flatMap(({ packages, files }) =>
        [...packages.keys()].map((name) => recordKey(name, parseRecord(files.get(recordPath(name)) as Uint8Array))),
      ),
    ),
    releases: new Set(own.map(({ release }) => essenceOf(release))),
    tarballs: own,
  };
}

export function recordKey(name: PackageName, record: PackageView["record"]): string {
  return `${name} ${record.digest}`;
}

async function judged(id: IndexId, files: FileMap, plan: Plan): Promise<HonestState> {
  const state = await readState(snapshotOf(files), id, null);
  const packages = new Map<PackageName, ReadonlyMap<string, string>>();
  for (const [text, { versions }] of Object.entries(plan)) {
    const name = parsePackageName(text);
    const view = await readPackage(snapshotOf(files), state, name);
    const judgements = view === null ? new Map<string, string>() : judgementsOf(view);
    if (judgements.size !== versions.length || ![...judgements.values()].every((verdict) => /^(ok|yanked) /u.test(verdict)))
      throw new Error(`the honest ${name} is not honest`);
    packages.set(name, judgements);
  }
  return { files, state, packages };
}
