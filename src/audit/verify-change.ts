/**
 * Verifies what a push would change in an index: for hooks, so that a bad push ends where it is made or where it arrives.
 *
 * The state before is believed; what comes after must follow from it by the rules that every reader has, and nothing may
 * change beside what the new checkpoint says. Costs what the change costs, unless a root changed: then every record may
 * count otherwise, and the whole index is verified.
 */
import { badSignatures } from "../crypto/documents.ts";
import { isImprintError } from "../errors.ts";
import type { FileHash, IndexId } from "../format/digest.ts";
import type { Signed } from "../format/envelope.ts";
import { LIMITS } from "../format/limits.ts";
import type { PackageName } from "../format/names.ts";
import { CHECKPOINT_PATH, recordPath, releasePath, rootPath, shardPath } from "../format/paths.ts";
import type { PackageRecord } from "../format/record.ts";
import type { Release } from "../format/release.ts";
import { requireNoRegress } from "../index/memory.ts";
import { changedShards } from "../index/catalogue.ts";
import { judgeRelease, readListed, verifyRecord } from "../index/package-reader.ts";
import type { Snapshot } from "../index/source.ts";
import { readState } from "../index/sync.ts";
import { requireOrder, type TrustedState } from "../index/trust.ts";
import { readShard } from "../index/writer.ts";
import { verifyIndex, type WholeIndex } from "./verify-index.ts";
import type { Fault } from "./verify-packages.ts";

export type Change = {
  /** What is there now, verified when it came; null: nothing yet. */
  readonly before: { readonly state: TrustedState; readonly snapshot: Snapshot } | null;
  readonly after: WholeIndex;
  /** Paths that differ between the two; not looked at where there is nothing before. */
  readonly changedPaths: readonly string[];
  /** The whole of what comes after is verified otherwise: only what leads there is judged. */
  readonly isWholeVerified?: boolean;
  /** The id that the index must have; null: the one of `before`, else the one that it has. */
  readonly pinned: IndexId | null;
};

export type ChangeReport = {
  readonly faults: readonly Fault[];
  /** Releases that come in with it, for whoever goes on to their tarballs. */
  readonly added: readonly Release[];
  readonly state: TrustedState | null;
};

export async function verifyChange(change: Change): Promise<ChangeReport> {
  const { before, after, pinned } = change;
  if (before === null) return whole(after, pinned);
  const found = new Faults();
  const state = await found.during(CHECKPOINT_PATH, "reading 2", () => readState(after.snapshot, pinned ?? before.state.id, before.state));
  if (state === null) return { faults: found.list, added: [], state: null };
  await found.during(CHECKPOINT_PATH, "reading 4", async () => requireOrder(before.state, state));
  found.signatures(state.checkpoint, CHECKPOINT_PATH, "reading 3");
  const listed = new Set<string>([CHECKPOINT_PATH]);
  for (const root of state.roots.slice(before.state.roots.length)) {
    listed.add(rootPath(root.doc.version));
    found.signatures(root, rootPath(root.doc.version), "reading 2");
  }
  const added: Release[] = [];
  for (const shard of changedShards(before.state, state)) {
    listed.add(shardPath(shard));
    await found.during(shardPath(shard), "reading 6", async () => {
      const old = (await orNull(() => readShard(before.snapshot, before.state, shard))) ?? new Map<PackageName, FileHash>();
      const next = await readShard(after.snapshot, state, shard);
      for (const name of new Set([...old.keys(), ...next.keys()])) {
        const [from, to] = [old.get(name), next.get(name)];
        if (from === to) continue;
        listed.add(recordPath(name));
        await found.during(recordPath(name), "reading 6", async () => {
          const seen = from === undefined ? null : await orNull(() => recordOf(before.snapshot, state, name, from));
          const now = to === undefined ? null : await recordOf(after.snapshot, state, name, to);
          added.push(...(await changedPackage({ name, seen, now, after, state, listed, found })));
        });
      }
    });
  }
  for (const file of change.changedPaths)
    if (/^(trust|packages)\//.test(file) && !listed.has(file))
      found.add(file, "writing 4", "INVALID_DOCUMENT", `${file} was changed, though no document of the index lists that`);
  if (change.isWholeVerified !== true && state.roots.length > before.state.roots.length)
    found.list.push(...(await whole(after, state.id)).faults);
  return { faults: found.list, added, state };
}

async function whole(after: WholeIndex, pinned: IndexId | null): Promise<ChangeReport> {
  const { faults, good, state } = await verifyIndex(after, pinned, () => {});
  return { faults, added: good, state };
}

async function recordOf(snapshot: Snapshot, state: TrustedState, name: PackageName, hash: FileHash): Promise<Signed<PackageRecord>> {
  const [bytes] = await readListed(snapshot, [{ path: recordPath(name), maxBytes: LIMITS.recordBytes, hash }]);
  return verifyRecord(state, name, bytes as Uint8Array);
}

/**
 * What was there before, as far as it still counts: a record whose key was revoked binds nobody (step 8), and a file that
 * was broken on the host must not stop the push that mends it.
 */
async function orNull<T>(read: () => Promise<T>): Promise<T | null> {
  try {
    return await read();
  } catch (error) {
    if (!isImprintError(error)) throw error;
    return null;
  }
}

/** @returns the releases that come in; marks every path that the new record lists as changed rightly */
async function changedPackage(change: {
  readonly name: PackageName;
  readonly seen: Signed<PackageRecord> | null;
  readonly now: Signed<PackageRecord> | null;
  readonly after: WholeIndex;
  readonly state: TrustedState;
  readonly listed: Set<string>;
  readonly found: Faults;
}): Promise<readonly Release[]> {
  const { name, seen, now, after, state, listed, found } = change;
  if (now === null) {
    found.add(recordPath(name), "reading 8", "RECORD_REGRESSED", `package ${name} vanished`);
    return [];
  }
  found.signatures(now, recordPath(name), "reading 6");
  if (seen !== null) requireNoRegress(seen, now);
  for (const version of now.doc.withdrawn.keys()) listed.add(releasePath(name, version));
  const added: Release[] = [];
  for (const [version, hash] of now.doc.releases) {
    if (seen?.doc.releases.has(version) === true) continue;
    const path = releasePath(name, version);
    listed.add(path);
    await found.during(path, "reading 6", async () => {
      const [bytes] = await readListed(after.snapshot, [{ path, maxBytes: LIMITS.releaseBytes, hash }]);
      const verdict = judgeRelease(state, name, version, bytes as Uint8Array, now.doc.yanked.has(version));
      if (!("release" in verdict))
        return found.add(path, "reading 7", "RELEASE_REFUSED", `${path} is ${verdict.verdict}: ${verdict.reason}`);
      found.signatures(verdict.release, path, "reading 7");
      added.push(verdict.release.doc);
    });
  }
  return added;
}

/** Collected, not thrown: one bad file must not hide the others. */
class Faults {
  readonly list: Fault[] = [];

  add(file: string, step: string, code: string, message: string): void {
    this.list.push({ file, step, code, message });
  }

  signatures(document: Signed<unknown>, file: string, step: string): void {
    for (const { key } of badSignatures(document))
      this.add(file, step, "BAD_SIGNATURE", `${file} has a signature that is not good for ${key}`);
  }

  async during<T>(file: string, step: string, work: () => Promise<T>): Promise<T | null> {
    try {
      return await work();
    } catch (error) {
      if (!isImprintError(error)) throw error;
      this.add(error.file ?? file, error.step ?? step, error.code, error.message);
      return null;
    }
  }
}
