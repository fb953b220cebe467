/**
 * Verifies a whole index: every document, every signature, every link of the hash tree, and that nothing lies under
 * `trust/` and `packages/` that no document lists. What a reader skips (a bad signature beside a full threshold, an
 * unlisted file) fails here: an author wants to know.
 *
 * Faults are collected, not thrown: one broken file must not hide the others.
 */
import { type Fault, type ListedRecord, type PackagesReport, verifyPackages } from "./verify-packages.ts";
import { POOL, type Pool, verifyOnAllCores } from "./verify-pool.ts";
import { badSignatures } from "../crypto/documents.ts";
import { ImprintError, isImprintError } from "../errors.ts";
import { parseShard } from "../format/checkpoint.ts";
import { type IndexId, indexIdOf } from "../format/digest.ts";
import type { Signed } from "../format/envelope.ts";
import { LIMITS } from "../format/limits.ts";
import { CHECKPOINT_PATH, rootPath, shardPath } from "../format/paths.ts";
import type { Release } from "../format/release.ts";
import type { Root } from "../format/root.ts";
import type { Snapshot } from "../index/source.ts";
import { readListed } from "../index/package-reader.ts";
import { inFile, readCheckpoint, type TrustedState, verifyCheckpoint, verifyFirstRoot, verifyNextRoot } from "../index/trust.ts";

/** An index with all of its files at hand. */
export type WholeIndex = {
  readonly snapshot: Snapshot;
  /** Every file below the index's folder, with git's mode. */
  listFiles(): Promise<readonly { readonly path: string; readonly mode: string }[]>;
};

export type VerifyReport = {
  readonly id: IndexId | null;
  readonly roots: number;
  readonly packages: number;
  readonly releases: number;
  readonly signatures: number;
  readonly faults: readonly Fault[];
  /** Releases that are good, for whoever goes on to their tarballs; empty unless wanted. */
  readonly good: readonly Release[];
  readonly state: TrustedState | null;
};

type Progress = (done: { readonly packages: number; readonly of: number; readonly releases: number }) => void;

/** Packages of one step on one core: between them progress is shown. */
const BATCH = 500;
const REGULAR = new Set(["100644", "100755"]);

/**
 * @param pinned the id that the index must have; null: the one that it has
 * @param options `wantsGood`: whether somebody goes on to the releases, which keeps it on one core; `pool`: when to use more
 */
export async function verifyIndex(
  index: WholeIndex,
  pinned: IndexId | null,
  onProgress: Progress,
  { wantsGood = true, pool = POOL }: { readonly wantsGood?: boolean; readonly pool?: Pool } = {},
): Promise<VerifyReport> {
  const faults: Fault[] = [];
  const listed = new Set<string>([CHECKPOINT_PATH]);
  const count = { packages: 0, releases: 0, signatures: 0 };
  const good: Release[] = [];
  const noteSignatures = (document: Signed<unknown>, file: string, step: string): void => {
    count.signatures += document.signatures.length;
    for (const { key } of badSignatures(document))
      faults.push({ file, step, code: "BAD_SIGNATURE", message: `${file} has a signature that is not good for ${key}` });
  };
  const note = (error: unknown, file: string, step: string): void => {
    if (!isImprintError(error)) throw error;
    faults.push({ file: error.file ?? file, step: error.step ?? step, code: error.code, message: error.message });
  };

  const state = await verifyTrust(index.snapshot, pinned, note);
  if (state !== null) {
    for (const root of state.roots) {
      listed.add(rootPath(root.doc.version));
      noteSignatures(root, rootPath(root.doc.version), "reading 2");
    }
    noteSignatures(state.checkpoint, CHECKPOINT_PATH, "reading 3");
    const records = await verifyShards(index.snapshot, state, listed, note);
    const take = (report: PackagesReport, packages: number): void => {
      count.packages += packages;
      count.releases += report.releases;
      count.signatures += report.signatures;
      // One by one: a spread of a hundred thousand is a hundred thousand arguments.
      for (const path of report.listed) listed.add(path);
      for (const fault of report.faults) faults.push(fault);
      for (const release of report.good) good.push(release);
      onProgress({ packages: count.packages, of: records.length, releases: count.releases });
    };
    if (!wantsGood && records.length >= pool.atLeast && pool.workers > 1)
      await verifyOnAllCores(index.snapshot, state, records, pool.workers, take);
    else
      for (let at = 0; at < records.length; at += BATCH) {
        const batch = records.slice(at, at + BATCH);
        take(await verifyPackages(index.snapshot, state, batch, wantsGood), batch.length);
      }
    // In the order of files, however the cores took turns.
    faults.sort((one, other) => (one.file < other.file ? -1 : one.file > other.file ? 1 : 0));
  }
  faults.push(...(await unlistedFiles(index, listed, state !== null)));
  return { id: state?.id ?? null, roots: state?.roots.length ?? 0, ...count, faults, good, state };
}

type Note = (error: unknown, file: string, step: string) => void;

async function verifyTrust(snapshot: Snapshot, pinned: IndexId | null, note: Note): Promise<TrustedState | null> {
  const read = async (path: string, maxBytes: number): Promise<Uint8Array> => {
    const [file] = await snapshot.readFiles([{ path, maxBytes }]);
    if (file?.state === "found") return file.bytes;
    const [code, what] =
      file?.state === "tooLarge"
        ? (["TOO_LARGE", `larger than ${maxBytes} bytes`] as const)
        : ([path === CHECKPOINT_PATH ? "NOT_AN_INDEX" : "MISSING_FILE", "it is not there"] as const);
    throw new ImprintError(code, `Cannot read ${path}: ${what}`, { file: path, step: "reading 2" });
  };
  try {
    const checkpoint = await read(CHECKPOINT_PATH, LIMITS.checkpointBytes);
    const { version } = readCheckpoint(checkpoint).doc.root;
    const roots: [Signed<Root>, ...Signed<Root>[]] = [verifyFirstRoot(await read(rootPath(1), LIMITS.rootBytes), pinned)];
    for (let next = 2; next <= version; next++) roots.push(verifyNextRoot(roots, await read(rootPath(next), LIMITS.rootBytes)));
    return { id: indexIdOf(roots[0].digest), roots, checkpoint: verifyCheckpoint(checkpoint, roots) };
  } catch (error) {
    // Nothing below can be judged without the keys that this would have proven.
    note(error, CHECKPOINT_PATH, "reading 2");
    return null;
  }
}

async function verifyShards(snapshot: Snapshot, state: TrustedState, listed: Set<string>, note: Note): Promise<readonly ListedRecord[]> {
  const records: ListedRecord[] = [];
  for (const [shard, hash] of state.checkpoint.doc.shards) {
    const path = shardPath(shard);
    listed.add(path);
    try {
      const [bytes] = await readListed(snapshot, [{ path, maxBytes: LIMITS.shardBytes, hash }]);
      for (const [name, record] of inFile(path, "reading 6", () => parseShard(bytes as Uint8Array, shard)))
        records.push({ name, hash: record });
    } catch (error) {
      note(error, path, "reading 6");
    }
  }
  return records;
}

/** Files under `trust/` and `packages/` that nothing lists, and listed ones that are no regular files. */
async function unlistedFiles(index: WholeIndex, listed: ReadonlySet<string>, treeKnown: boolean): Promise<readonly Fault[]> {
  const faults: Fault[] = [];
  for (const { path, mode } of await index.listFiles()) {
    if (!/^(trust|packages)(\/|$)/.test(path) && path !== CHECKPOINT_PATH) continue;
    if (!REGULAR.has(mode)) faults.push({ file: path, step: "reading 6", code: "INVALID_DOCUMENT", message: `${path} is no regular file` });
    else if (treeKnown && !listed.has(path))
      faults.push({ file: path, step: "writing 4", code: "INVALID_DOCUMENT", message: `${path} is listed by no document of the index` });
  }
  return faults;
}
