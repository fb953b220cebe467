/**
 * A small world for tests to tell stories in: authors with real signed indices in real git repositories on a git host,
 * hosts and thieves who rewrite them, and consumers with their own memory who read them.
 *
 * Everything honest goes through the code that the command line uses; everything hostile is a commit to the hosted
 * repository, which is all that a git host can do. `forge` and `seal` are what it can do with a stolen checkpoint key.
 */
import { createHash } from "node:crypto";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Hono } from "hono";
import { createIndex } from "../../src/index/create.ts";
import { signDocument } from "../../src/crypto/documents.ts";
import { generatePrivateKey, type PrivateKey } from "../../src/crypto/ed25519.ts";
import type { ImprintError } from "../../src/errors.ts";
import { type Checkpoint, encodeCheckpoint, formatShard, parseCheckpoint, parseShard } from "../../src/format/checkpoint.ts";
import { type DisplayName, isDisplayName } from "../../src/format/decode.ts";
import { fileHashOf, type FileHash, type IndexId } from "../../src/format/digest.ts";
import { formatEnvelope, type Signed } from "../../src/format/envelope.ts";
import { formatPublicKey } from "../../src/format/keys.ts";
import type { PackageName, PackagePattern } from "../../src/format/names.ts";
import { CHECKPOINT_PATH, recordPath, releasePath, rootPath, shardOf, type ShardName, shardPath } from "../../src/format/paths.ts";
import { formatLock, formatProject, type Lock, type LockEntry, type Project } from "../../src/format/project.ts";
import { encodeRecord, type PackageRecord, parseRecord } from "../../src/format/record.ts";
import { encodeRelease, parseRelease, type Release } from "../../src/format/release.ts";
import { encodeRoot, parseRoot, type Root } from "../../src/format/root.ts";
import type { Agreement } from "../../src/format/several-sources.ts";
import { tarballRef } from "../../src/format/tarball-source.ts";
import { formatTimestamp } from "../../src/format/time.ts";
import type { DistTag, Version } from "../../src/format/versions.ts";
import type { FileChange, GitRepository, ObjectId, TransferLimits } from "../../src/git/port.ts";
import { chooseGit } from "../../src/git/choice.ts";
import { openSystemGit } from "../../src/git/system/repository.ts";
import { parseRefName } from "../../src/git/url.ts";
import { type AppDeps, createApp } from "../../src/http/app.ts";
import { BODY_LIMITS, type BodyLimits } from "../../src/http/body.ts";
import { readPackage } from "../../src/index/package-reader.ts";
import type { IndexReader, PackageRead } from "../../src/index/reader.ts";
import { commitSource } from "../../src/index/source.ts";
import { readState, type SyncResult } from "../../src/index/sync.ts";
import { lockEntryOf, type TrustedState } from "../../src/index/trust.ts";
import type { WriterKeys } from "../../src/index/signers.ts";
import { nextNumber, type ReleaseRequest, writeReleases } from "../../src/index/writer.ts";
import { inspectTarball, type TarballFacts } from "../../src/pack/inspect.ts";
import { bridgeKeyIn } from "../../src/registry/bridge.ts";
import type { Registry } from "../../src/registry/port.ts";
import { takenPlace } from "../../src/registry/taken-places.ts";
import { createResolver } from "../../src/registry/resolver.ts";
import { openSearchStore } from "../../src/registry/search-store.ts";
import { openUpstreamClient } from "../../src/registry/upstream/client.ts";
import type { ResolveHost } from "../../src/registry/upstream/places.ts";
import { UPSTREAM_TIMES, type UpstreamTimes } from "../../src/registry/upstream/times.ts";
import { createUpstream } from "../../src/registry/upstream/upstream.ts";
import { type Files, nodeFiles } from "../../src/storage/files.ts";
import { machineSecret, sealedFiles } from "../../src/storage/sealed.ts";
import type { Spool } from "../../src/storage/spool.ts";
import { type Layout, layoutFrom } from "../../src/storage/layout.ts";
import type { Deps } from "../../src/cli/deps.ts";
import { type OpenIndex, openIndex } from "../../src/cli/open.ts";
import type { Terminal } from "../../src/cli/terminal.ts";
import { createHostedRepository, type GitHost, headOf, hostedFile, startGitHost, testGit } from "./git-host.ts";
import { makePackage } from "./tarball.ts";
import { startUpstream, type TestUpstream } from "./upstream.ts";

export const LIMITS_OF_TESTS: TransferLimits = { maxBytes: 64 * 1024 * 1024, maxObjects: 100_000, deadlineMs: 60_000 };
const MAIN = parseRefName("refs/heads/main");
const AUTHOR = { name: "Test", email: "test@example.org" };
/** Where consumers' apps believe to be listening. */
export const ORIGIN = "http://127.0.0.1:4870";

export type IndexKeys = { readonly root: PrivateKey; readonly publisher: PrivateKey; readonly checkpoint: PrivateKey };

export type PublishOptions = {
  readonly packageJson?: Readonly<Record<string, unknown>>;
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
  readonly tag?: string;
  /** Who signs; the index's own keys unless given. */
  readonly keys?: WriterKeys;
  /** An author who skips the inspection: files that it would refuse. They are in the tarball, and nobody looked at it. */
  readonly smuggled?: Readonly<Record<string, string | Uint8Array>>;
  /** Last change to the request before it is signed: an author who lies about the tarball. */
  readonly edit?: (request: ReleaseRequest) => ReleaseRequest;
};

/** An index on the host: what its author does, and what others do to it. */
export type TestIndex = {
  readonly name: DisplayName;
  readonly id: IndexId;
  readonly url: string;
  /** The files of the same branch as a static host has them: `sparse+http://…/`. */
  readonly filesUrl: string;
  readonly keys: IndexKeys;
  /** The hosted bare repository. */
  readonly gitDir: string;
  readonly repository: GitRepository;

  // The author
  /** Returns the tarball. */
  publish(name: string, version: string, options?: PublishOptions): Promise<Uint8Array>;
  /** Yank, deprecate, withdraw, …: a new record by the publisher, and a checkpoint over it. */
  amend(name: string, edit: (record: PackageRecord) => Partial<PackageRecord>, signers?: readonly PrivateKey[]): Promise<void>;
  /** The next root, and a checkpoint that names it. */
  changeRoot(
    edit: (root: Root) => Partial<Root>,
    options?: {
      readonly signers?: readonly PrivateKey[];
      readonly checkpoint?: (checkpoint: Checkpoint) => Partial<Checkpoint>;
      readonly checkpointKeys?: readonly PrivateKey[];
    },
  ): Promise<void>;
  /** The same content signed again. */
  renew(): Promise<void>;
  state(): Promise<TrustedState>;
  lockEntry(): Promise<LockEntry>;

  // What lies there
  head(): ObjectId;
  read(path: string): Promise<Uint8Array>;
  paths(): readonly string[];
  record(name: string): Promise<Signed<PackageRecord>>;
  release(name: string, version: string): Promise<Signed<Release>>;
  checkpoint(): Promise<Signed<Checkpoint>>;

  // The host
  /** Other bytes under the same path. */
  rewrite(path: string, edit: Uint8Array | ((before: Uint8Array) => Uint8Array)): Promise<void>;
  /** One bit of the file's text, in the middle of it unless `at` says where. */
  flip(path: string, at?: string): Promise<void>;
  /** Keeps the document, drops its signatures. */
  strip(path: string): Promise<void>;
  remove(...paths: readonly string[]): Promise<void>;
  /** Adds or changes files in one commit. */
  put(files: Readonly<Record<string, Uint8Array | string | null>>): Promise<void>;
  /** An older or another commit as the branch. */
  reset(commit: ObjectId): void;
  /** The same tree as a new orphan commit, all else collected. */
  squash(): void;
  /** Nobody can reach it, until `up`. */
  down(): void;
  up(): void;

  // A thief
  /**
   * Puts records (null: the package is dropped) and files in place, hashes the tree anew and signs a checkpoint over it
   * with the stolen checkpoint key.
   */
  seal(change: {
    readonly records?: Readonly<Record<string, Uint8Array | null>>;
    readonly files?: Readonly<Record<string, Uint8Array | null>>;
    readonly checkpoint?: (checkpoint: Checkpoint) => Partial<Checkpoint>;
    readonly signers?: readonly PrivateKey[];
  }): Promise<void>;
  /** A release with other content, listed by its record. Signatures stay the old ones where no `signers` are given. */
  forge(
    name: string,
    version: string,
    edit: (release: Release) => Partial<Release>,
    signers?: { readonly release?: readonly PrivateKey[]; readonly record?: readonly PrivateKey[] },
  ): Promise<void>;
};

/** The three ways to the same bytes: both gits, and plain files over HTTP. */
export const SOURCE_KINDS = ["system", "isomorphic", "sparse"] as const;
export type SourceKind = (typeof SOURCE_KINDS)[number];

export type ConsumerOptions = {
  /** Alias → index, claims (its scope unless given), addresses (its own). */
  readonly indices?: Readonly<
    Record<
      string,
      {
        readonly index: TestIndex;
        readonly packages?: readonly string[];
        readonly urls?: readonly string[];
        readonly minAgeHours?: number | undefined;
        readonly maxAgeDays?: number | undefined;
      }
    >
  >;
  readonly upstream?: {
    readonly allow?: readonly string[];
    readonly deny?: readonly string[];
    /** Another one than the world's, with a final slash. */ readonly registry?: string;
  };
  readonly agree?: { readonly names: readonly string[]; readonly of: readonly string[]; readonly threshold: number };
  readonly overlay?: readonly string[];
  /** npm's flat options, beside what tests need. */
  readonly npm?: Readonly<Record<string, unknown>>;
  readonly times?: Partial<UpstreamTimes>;
  readonly bodyLimits?: Partial<BodyLimits>;
  readonly resolveHost?: ResolveHost;
  /** Where tarballs go while they come; the real disk unless given. */
  readonly spool?: (path: string) => Promise<Spool>;
  /** 16 hex digits: who it is to other resolvers. */
  readonly instance?: string;
  /** Unix time in milliseconds by which upstream's answers age. */
  readonly nowMs?: () => number;
  readonly lock?: Readonly<Record<string, LockEntry>>;
  /** What the bytes of its indices come through; `auto` git (the system's, where there is one) unless given. */
  readonly through?: SourceKind;
  /** IMPRINT_HOME; a new one unless given. */
  readonly home?: string;
  /** The disk; the real one unless given. */
  readonly files?: Files;
  /** Beside what everybody has. */
  readonly env?: NodeJS.ProcessEnv;
  readonly syncAfterMs?: number;
  readonly syncWaitMs?: number;
  /** The wall clock that ages are counted by. */
  readonly wallMs?: () => number;
  readonly strict?: boolean;
};

type PolicyOptions = Pick<ConsumerOptions, "indices" | "upstream" | "agree" | "overlay" | "through">;

/** Tests look into answers where they expect something; what is not there fails them. */
// oxlint-disable-next-line typescript/no-explicit-any
export type LooseJson = any;
export type Answer = {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Uint8Array;
  readonly text: string;
  /** Null where it is not JSON. */ readonly json: LooseJson;
};

/** Somebody who trusts indices: a memory on disk, readers, and the whole registry over them. */
export type TestConsumer = {
  readonly home: string;
  readonly layout: Layout;
  readonly project: Project;
  readonly indices: ReadonlyMap<DisplayName, OpenIndex>;
  readonly registry: Registry;
  readonly app: Hono;
  /** What the app was made of. */
  readonly appDeps: AppDeps;
  /** Faults that did not stop an answer, and refusals, in order. */
  readonly warnings: ImprintError[];
  readonly refused: ImprintError[];
  readonly told: string[];
  reader(alias?: string): IndexReader;
  sync(alias?: string): Promise<SyncResult>;
  read(name: string, alias?: string): Promise<PackageRead>;
  /** Versions offered, as the reader judges them: version → verdict. */
  verdicts(name: string, alias?: string): Promise<Record<string, string>>;
  tarball(name: string, version: string, alias?: string): Promise<Uint8Array>;
  evidence(alias?: string): Promise<readonly string[]>;
  get(path: string, headers?: Readonly<Record<string, string>>, method?: string, body?: Uint8Array | string): Promise<Answer>;
  /** The same person on another day: what is on disk stays, what is in memory goes. */
  again(options?: Partial<ConsumerOptions>): Promise<TestConsumer>;
  close(): Promise<void>;
};

export type World = {
  readonly folder: string;
  readonly host: GitHost;
  readonly upstream: TestUpstream;
  /** Unix time in milliseconds; a second passes with every look at it. */
  readonly nowMs: () => number;
  /** Lets time go by, in milliseconds. */
  pass(ms: number): void;
  index(
    name: string,
    options?: { readonly packages?: readonly string[]; readonly root?: (root: Root, keys: IndexKeys) => Partial<Root> },
  ): Promise<TestIndex>;
  consumer(options?: ConsumerOptions): Promise<TestConsumer>;
  /** What a command of the command line is given, for this person and folder. */
  deps(options: { readonly home: string; readonly cwd: string; readonly files?: Files; readonly env?: NodeJS.ProcessEnv }): Deps;
  /** A project folder with an imprint.json for these indices. */
  projectFolder(name: string, options?: PolicyOptions & Pick<ConsumerOptions, "lock">): Promise<string>;
  close(): Promise<void>;
};

/** @param startMs when the world's clock begins: releases are that old */
export async function world({ startMs = Date.UTC(2026, 0, 1) }: { readonly startMs?: number } = {}): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), "imprint-world-"));
  const hosted = join(folder, "hosted");
  await mkdir(hosted);
  const down = new Set<string>();
  const host = await startGitHost({
    root: hosted,
    sendDate: false,
    intercept: (request, response) => {
      const [, first = "", second = "", ...rest] = (request.url ?? "").split("/");
      const repo = first === FILES ? second : first;
      if (down.has(repo)) request.socket.destroy();
      else if (first === FILES) answerFile(join(hosted, repo), decodeURIComponent(rest.join("/")), response);
      else return false;
      return true;
    },
  });
  const upstream = await startUpstream();
  const closers: (() => Promise<void>)[] = [];
  let clock = startMs;
  const nowMs = (): number => (clock += 1000);
  let homes = 0;
  return {
    folder,
    host,
    upstream,
    nowMs,
    pass: (ms) => void (clock += ms),
    async index(name, options = {}) {
      const index = await makeIndex({ name, hosted, host, down, nowMs, ...options });
      closers.push(() => index.repository.close());
      return index;
    },
    async consumer(options = {}) {
      const consumer = await openConsumer({ home: join(folder, `home-${String(++homes)}`), ...options }, upstream);
      closers.push(() => consumer.close());
      return consumer;
    },
    deps: ({ home, cwd, files = nodeFiles(), env = {} }) => testDeps(home, cwd, files, nowMs, env),
    async projectFolder(name, options = {}) {
      const at = join(folder, name);
      await mkdir(at, { recursive: true });
      await writeFile(join(at, "package.json"), '{ "name": "shop", "private": true }\n');
      await writeFile(join(at, "imprint.json"), formatProject(projectOf(options, upstream.url)));
      if (options.lock !== undefined)
        await writeFile(
          join(at, "imprint.lock"),
          formatLock(new Map(Object.entries(options.lock).map(([alias, entry]) => [alias as DisplayName, entry])) satisfies Lock),
        );
      return at;
    },
    async close() {
      for (const close of closers) await close();
      await Promise.all([host.close(), upstream.close()]);
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** Where the world's host has the files of each repository's branch, beside the repositories themselves. */
const FILES = "files";

/** A file of the branch as it is now. Links and folders are not there, as on an object store. */
function answerFile(gitDir: string, path: string, response: ServerResponse): void {
  const bytes = hostedFile(gitDir, path);
  if (bytes === null) return void response.writeHead(404).end("not here");
  response.writeHead(200, { "content-type": "application/json" }).end(bytes);
}

function digestsOf(tarball: Uint8Array): Pick<TarballFacts, "integrity" | "shasum" | "size" | "sha512Hex"> {
  const sha512 = createHash("sha512").update(tarball).digest();
  return {
    integrity: `sha512-${sha512.toString("base64")}` as TarballFacts["integrity"],
    shasum: createHash("sha1").update(tarball).digest("hex") as TarballFacts["shasum"],
    size: tarball.byteLength,
    sha512Hex: sha512.toString("hex") as TarballFacts["sha512Hex"],
  };
}

/** A key pair that nobody knows. */
export function strangerKey(): PrivateKey {
  return generatePrivateKey();
}

export function publicKeyOf(key: PrivateKey): ReturnType<typeof formatPublicKey> {
  return formatPublicKey(key.publicKey);
}

async function makeIndex(options: {
  readonly name: string;
  readonly packages?: readonly string[];
  readonly root?: (root: Root, keys: IndexKeys) => Partial<Root>;
  readonly hosted: string;
  readonly host: GitHost;
  readonly down: Set<string>;
  readonly nowMs: () => number;
}): Promise<TestIndex> {
  const { hosted, host, down, nowMs } = options;
  const name = options.name as DisplayName;
  if (!isDisplayName(name)) throw new Error(`${options.name} is no name of an index`);
  const keys: IndexKeys = { root: generatePrivateKey(), publisher: generatePrivateKey(), checkpoint: generatePrivateKey() };
  const repo = `${name}.git`;
  const gitDir = createHostedRepository(hosted, repo);
  const repository = openSystemGit({ gitDir });
  const packages = (options.packages ?? [`@${name}/*`]) as readonly PackagePattern[];

  let created = createIndex({ name, packages, keys, nowMs: nowMs() });
  if (options.root !== undefined) {
    // Another first root than `init` makes: with two publishers, say. Its id is another, so all is signed again.
    const plain = parseRoot(created.files[0]?.content as Uint8Array);
    const bytes = signDocument("root", encodeRoot({ ...plain.doc, ...options.root(plain.doc, keys) }), [keys.root]);
    const { digest } = parseRoot(bytes);
    const checkpoint: Checkpoint = {
      index: digest as IndexId,
      root: { version: 1, digest },
      seq: nextNumber(0, nowMs()),
      time: formatTimestamp(nowMs()),
      shards: new Map(),
    };
    created = {
      id: digest as IndexId,
      files: [
        { path: rootPath(1), content: bytes },
        { path: CHECKPOINT_PATH, content: signDocument("checkpoint", encodeCheckpoint(checkpoint), [keys.checkpoint]) },
      ],
    };
  }
  const { id } = created;

  const commit = (changes: readonly FileChange[], base: ObjectId | null): Promise<ObjectId> =>
    repository.commit({ base, changes, message: "test", author: AUTHOR, timeMs: nowMs(), keepAs: MAIN });
  await commit(created.files, null);
  const head = (): ObjectId => headOf(gitDir) as ObjectId;
  const source = (): ReturnType<typeof commitSource> => commitSource(repository, head(), LIMITS_OF_TESTS);
  const read = async (path: string): Promise<Uint8Array> => {
    const [file] = await (await source().open()).readFiles([{ path, maxBytes: 1 << 28 }]);
    if (file?.state !== "found") throw new Error(`${path} is not there`);
    return new Uint8Array(file.bytes);
  };
  const state = async (): Promise<TrustedState> => readState(await source().open(), id, null);
  const checkpoint = async (): Promise<Signed<Checkpoint>> => parseCheckpoint(await read(CHECKPOINT_PATH));
  const record = async (packageName: string): Promise<Signed<PackageRecord>> =>
    parseRecord(await read(recordPath(packageName as PackageName)));
  const release = async (packageName: string, version: string): Promise<Signed<Release>> =>
    parseRelease(await read(releasePath(packageName as PackageName, version as Version)));
  const put: TestIndex["put"] = async (files) => {
    await commit(
      Object.entries(files).map(([path, content]) => ({ path, content: typeof content === "string" ? Buffer.from(content) : content })),
      head(),
    );
  };

  const seal: TestIndex["seal"] = async ({ records = {}, files = {}, checkpoint: edit, signers = [keys.checkpoint] }) => {
    const before = await checkpoint();
    const shards = new Map<ShardName, FileHash>(before.doc.shards);
    const changes: Record<string, Uint8Array | null> = { ...files };
    for (const shard of new Set(Object.keys(records).map((packageName) => shardOf(packageName as PackageName)))) {
      const entries = Object.entries(records).filter(([packageName]) => shardOf(packageName as PackageName) === shard);
      const path = shardPath(shard);
      const next: Map<PackageName, FileHash> = new Map(shards.has(shard) ? parseShard(await read(path), shard) : []);
      for (const [packageName, bytes] of entries) {
        changes[recordPath(packageName as PackageName)] = bytes;
        if (bytes === null) next.delete(packageName as PackageName);
        else next.set(packageName as PackageName, fileHashOf(bytes));
      }
      const content = next.size === 0 ? null : formatShard(next);
      changes[path] = content;
      if (content === null) shards.delete(shard);
      else shards.set(shard, fileHashOf(content));
    }
    const timeMs = nowMs();
    const plain: Checkpoint = { ...before.doc, seq: nextNumber(before.doc.seq, timeMs), time: formatTimestamp(timeMs), shards };
    changes[CHECKPOINT_PATH] = signDocument("checkpoint", encodeCheckpoint({ ...plain, ...edit?.(plain) }), signers);
    await put(changes);
  };

  return {
    name,
    id,
    url: host.url(repo),
    filesUrl: `sparse+${host.url(`${FILES}/${repo}/`)}`,
    keys,
    gitDir,
    repository,
    async publish(packageName, version, { packageJson = {}, files = {}, smuggled, tag, keys: signers, edit } = {}) {
      const inspected = await makePackage({ ...packageJson, name: packageName, version }, files);
      const facts = await inspectTarball(inspected);
      const tarball =
        smuggled === undefined ? inspected : await makePackage({ ...packageJson, name: packageName, version }, { ...files, ...smuggled });
      const { integrity, shasum, size, unpackedSize, fileCount, manifest, sha512Hex } =
        smuggled === undefined ? facts : { ...facts, ...digestsOf(tarball) };
      const plain: ReleaseRequest = {
        name: packageName as PackageName,
        version: version as Version,
        dist: { integrity, shasum, size, unpackedSize, fileCount },
        manifest,
        tag: (tag ?? null) as DistTag | null,
      };
      const request = edit?.(plain) ?? plain;
      await repository.commit({
        base: null,
        changes: [{ path: "package.tgz", content: tarball }],
        message: "tarball",
        author: AUTHOR,
        timeMs: 0,
        keepAs: parseRefName(tarballRef(sha512Hex)),
      });
      const [believed, snapshot] = [await state(), await source().open()];
      const view = await readPackage(snapshot, believed, request.name);
      const changes = await writeReleases({
        state: believed,
        snapshot,
        packages: new Map([[request.name, view]]),
        requests: [request],
        keys: signers ?? { publishers: [keys.publisher], checkpoint: [keys.checkpoint] },
        nowMs: nowMs(),
      });
      await commit(changes, head());
      return tarball;
    },
    async amend(packageName, edit, signers = [keys.publisher]) {
      const before = await record(packageName);
      const revision = Math.min(Number.MAX_SAFE_INTEGER, Math.max(before.doc.revision + 1, nowMs()));
      const plain: PackageRecord = { ...before.doc, revision };
      await seal({ records: { [packageName]: signDocument("package", encodeRecord({ ...plain, ...edit(plain) }), signers) } });
    },
    async changeRoot(edit, { signers = [keys.root], checkpoint: editCheckpoint, checkpointKeys } = {}) {
      const { roots } = await state();
      const before = roots.at(-1) ?? roots[0];
      const version = before.doc.version + 1;
      const plain: Root = { ...before.doc, index: id, version, previous: before.digest };
      const bytes = signDocument("root", encodeRoot({ ...plain, ...edit(plain) }), signers);
      const { digest } = parseRoot(bytes);
      await seal({
        files: { [rootPath(version)]: bytes },
        checkpoint: (next) => ({ root: { version, digest }, ...editCheckpoint?.(next) }),
        ...(checkpointKeys === undefined ? {} : { signers: checkpointKeys }),
      });
    },
    renew: () => seal({}),
    state,
    lockEntry: async () => lockEntryOf(await state()),
    head,
    read,
    paths: () => testGit(gitDir, ["ls-tree", "-r", "--name-only", MAIN]).split("\n"),
    record,
    release,
    checkpoint,
    async rewrite(path, edit) {
      await put({ [path]: typeof edit === "function" ? edit(await read(path)) : edit });
    },
    async flip(path, at) {
      const bytes = Buffer.from(await read(path));
      const where = at === undefined ? bytes.byteLength >> 1 : bytes.indexOf(at) + at.length;
      const before = bytes[where] as number;
      // The lowest bit that leaves a letter or digit: base64 and numbers stay what they are, only others.
      const bit = [1, 2, 4, 8, 16, 32, 64].find((mask) => /[A-Za-z0-9]/.test(String.fromCharCode(before ^ mask))) ?? 1;
      bytes[where] = before ^ bit;
      await put({ [path]: bytes });
    },
    async strip(path) {
      const kind =
        path === CHECKPOINT_PATH
          ? parseCheckpoint
          : path.startsWith("trust/")
            ? parseRoot
            : path.endsWith("/record.json")
              ? parseRecord
              : parseRelease;
      await put({ [path]: formatEnvelope(kind(await read(path)).signed, []) });
    },
    async remove(...paths) {
      await put(Object.fromEntries(paths.map((path) => [path, null])));
    },
    put,
    reset(to) {
      testGit(gitDir, ["update-ref", MAIN, to]);
    },
    squash() {
      const orphan = testGit(gitDir, ["commit-tree", `${MAIN}^{tree}`, "-m", "squashed"]);
      testGit(gitDir, ["update-ref", MAIN, orphan]);
      testGit(gitDir, ["-c", "gc.reflogExpire=now", "gc", "--quiet", "--prune=now"]);
    },
    down: () => void down.add(repo),
    up: () => void down.delete(repo),
    seal,
    async forge(packageName, version, edit, signers = {}) {
      const [oldRelease, oldRecord] = [await release(packageName, version), await record(packageName)];
      const forged = encodeRelease({ ...oldRelease.doc, ...edit(oldRelease.doc) });
      const releaseBytes =
        signers.release === undefined ? formatEnvelope(forged, oldRelease.signatures) : signDocument("release", forged, signers.release);
      const listed = new Map([...oldRecord.doc.releases, [version as Version, fileHashOf(releaseBytes)]]);
      const next = encodeRecord({ ...oldRecord.doc, revision: nextNumber(oldRecord.doc.revision, nowMs()), releases: listed });
      const recordBytes =
        signers.record === undefined ? formatEnvelope(next, oldRecord.signatures) : signDocument("package", next, signers.record);
      await seal({
        records: { [packageName]: recordBytes },
        files: { [releasePath(packageName as PackageName, version as Version)]: releaseBytes },
      });
    },
  };
}

function projectOf({ indices = {}, upstream = {}, agree, overlay, through }: PolicyOptions, registry: string): Project {
  return {
    ...(agree === undefined ? {} : { agree: agree as Agreement }),
    ...(overlay === undefined ? {} : { overlay: overlay as readonly PackageName[] }),
    indices: new Map(
      Object.entries(indices).map(([alias, { index, packages, urls, minAgeHours, maxAgeDays }]) => [
        alias as DisplayName,
        {
          id: index.id,
          urls: urls ?? [through === "sparse" ? index.filesUrl : index.url],
          ref: MAIN,
          packages: (packages ?? [`@${index.name}/*`]) as readonly PackagePattern[],
          ...(minAgeHours === undefined ? {} : { minAgeHours }),
          ...(maxAgeDays === undefined ? {} : { maxAgeDays }),
        },
      ]),
    ),
    upstream: {
      allow: (upstream.allow ?? ["*"]) as readonly PackagePattern[],
      deny: (upstream.deny ?? []) as readonly PackagePattern[],
      registry,
    },
  };
}

/** What a person sets to read through this source. */
export function environmentThrough(through: SourceKind | undefined): NodeJS.ProcessEnv {
  if (through === undefined) return {};
  return through === "sparse" ? { IMPRINT_ALLOW_PRIVATE: "127.0.0.1" } : { IMPRINT_GIT: through };
}

function layoutOf(home: string): Layout {
  return layoutFrom({ IMPRINT_HOME: home }, { config: home, cache: home, data: home });
}

/** A terminal that nobody looks at. */
export function silentTerminal(told: string[] = []): Terminal {
  const say = (line: string): void => void told.push(line);
  return {
    result: say,
    talk: say,
    ok: say,
    warn: say,
    progress: () => undefined,
    style: (_, text) => text,
    interactive: false,
    askYes: async () => false,
    askSecret: async () => "",
  };
}

function testDeps(home: string, cwd: string, files: Files, nowMs: () => number, env: NodeJS.ProcessEnv, told: string[] = []): Deps {
  const whole: NodeJS.ProcessEnv = {
    PATH: process.env["PATH"],
    HOME: home,
    IMPRINT_PASSPHRASE: "",
    // A world's clock is its own.
    IMPRINT_TRUST_CLOCK: "1",
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_CONFIG_NOSYSTEM: "1",
    ...env,
  };
  const secret = machineSecret(files, layoutOf(home).machineSecret);
  return {
    terminal: silentTerminal(told),
    env: whole,
    git: chooseGit(whole, env["IMPRINT_OFFLINE"] === "1"),
    cwd,
    files,
    sealed: sealedFiles(files, layoutOf(home).cache, secret),
    secret,
    layout: layoutOf(home),
    nowMs,
    json: false,
    readInput: async () => "",
    allowFile: false,
    offline: env["IMPRINT_OFFLINE"] === "1",
    privateHosts: new Set((env["IMPRINT_ALLOW_PRIVATE"] ?? "").split(",")),
  };
}

async function openConsumer(options: ConsumerOptions & { readonly home: string }, registry: TestUpstream): Promise<TestConsumer> {
  const { home, lock = {}, files = nodeFiles(), env = {}, syncAfterMs = 0, syncWaitMs = 10_000, wallMs = Date.now } = options;
  const project = projectOf(options, registry.url);
  const told: string[] = [];
  const warnings: ImprintError[] = [];
  const refused: ImprintError[] = [];
  const deps = testDeps(home, home, files, Date.now, { ...environmentThrough(options.through), ...env }, told);
  const indices = new Map<DisplayName, OpenIndex>();
  for (const [alias, entry] of project.indices)
    indices.set(alias, await openIndex(deps, alias, entry, lock[alias] ?? null, (_, error) => warnings.push(error)));
  const instance = options.instance ?? randomBytes(8).toString("hex");
  const client = openUpstreamClient({
    settings: async () => ({
      registry: options.upstream?.registry ?? registry.url,
      options: { fetchRetries: 0, noProxy: "127.0.0.1", ...options.npm },
    }),
    instance,
    times: { ...UPSTREAM_TIMES, ...options.times },
    ...(options.resolveHost === undefined ? {} : { resolveHost: options.resolveHost }),
  });
  const resolver = createResolver({
    project,
    strict: options.strict === true,
    indices,
    upstream: createUpstream({
      client,
      files,
      sealed: deps.sealed,
      folder: deps.layout.upstream,
      nowMs: options.nowMs ?? Date.now,
      times: { ...UPSTREAM_TIMES, ...options.times },
      refuse: (name, odd) => takenPlace(project, name, odd),
      ...(options.spool === undefined ? {} : { spool: options.spool }),
    }),
    searchStore: openSearchStore(deps.sealed, (id) => deps.layout.search(id)),
    bridgeKey: bridgeKeyIn(files, deps.layout.bridgeKey),
    nowMs: () => performance.now(),
    wallMs,
    syncAfterMs,
    syncWaitMs,
    events: {
      answered: (name, what, source) => void told.push(`${source} ${what} ${name}`),
      told: () => undefined,
      refused: (_, error) => void refused.push(error),
      warned: (alias, message) => void told.push(`${alias}: ${message}`),
    },
  });
  const appDeps: AppDeps = {
    // One project, whatever the address says: test/serve has several.
    served: async () => ({ registry: resolver, observe: () => undefined }),
    bases: () => ({ list: [ORIGIN], trustProxy: false }),
    control: null,
    version: "0.0.0-test",
    instance,
    bodyLimits: { ...BODY_LIMITS, ...options.bodyLimits },
  };
  const app = createApp(appDeps);
  const open = (alias: string | undefined): OpenIndex => {
    const found = alias === undefined ? [...indices.values()][0] : indices.get(alias as DisplayName);
    if (found === undefined) throw new Error(`nobody here trusts ${alias ?? "anybody"}`);
    return found;
  };
  const days: TestConsumer[] = [];
  const consumer: TestConsumer = {
    home,
    layout: deps.layout,
    project,
    indices,
    registry: resolver,
    app,
    appDeps,
    warnings,
    refused,
    told,
    reader: (alias) => open(alias).reader,
    sync: (alias) => open(alias).reader.sync(),
    read: (name, alias) => open(alias).reader.readPackage(name as PackageName),
    async verdicts(name, alias) {
      const { view } = await consumer.read(name, alias);
      return Object.fromEntries([...(view?.versions ?? [])].map(([version, { verdict }]) => [version, verdict]));
    },
    async tarball(name, version, alias) {
      const entry = (await consumer.read(name, alias)).view?.versions.get(version as Version);
      if (entry === undefined || !("release" in entry)) throw new Error(`${name}@${version} is not to be had`);
      const { stream } = await open(alias).tarballs.open(entry.release.doc);
      return new Uint8Array(await new Response(stream).arrayBuffer());
    },
    evidence: (alias) => files.list(deps.layout.evidence(open(alias).reader.id)),
    async get(path, headers = {}, method = "GET", body) {
      const response = await app.request(path.startsWith("http") ? path : `${ORIGIN}${path}`, {
        method,
        ...(body === undefined ? {} : { body: typeof body === "string" ? body : Uint8Array.from(body) }),
        headers: { host: new URL(ORIGIN).host, ...headers },
      });
      const bytes = new Uint8Array(await response.arrayBuffer());
      const text = Buffer.from(bytes).toString("utf8");
      let json: unknown = null;
      try {
        json = JSON.parse(text);
      } catch {
        // not JSON: that is what null says
      }
      return { status: response.status, headers: response.headers, bytes, text, json };
    },
    again: async (more = {}) => {
      await consumer.close();
      const next = await openConsumer({ ...options, ...more }, registry);
      days.push(next);
      return next;
    },
    async close() {
      client.close();
      await Promise.all(days.splice(0).map((day) => day.close()));
      await Promise.all([...indices.values()].map((index) => index.close()));
    },
  };
  return consumer;
}
