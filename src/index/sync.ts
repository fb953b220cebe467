/**
 * Sync: from a source that may lie to a state that may be believed. Steps 1 to 5 of SPEC.md, "Reading".
 *
 * It costs one fetch and the checking of what is new in `trust/` and `checkpoint.json`; nothing walks the index. On any
 * error the stored state stays as it is and goes on serving.
 */
import { ImprintError, isImprintError } from "../errors.ts";
import { type IndexId, indexIdOf } from "../format/digest.ts";
import type { Signed } from "../format/envelope.ts";
import { LIMITS } from "../format/limits.ts";
import { CHECKPOINT_PATH, rootPath } from "../format/paths.ts";
import type { LockEntry } from "../format/project.ts";
import type { Root } from "../format/root.ts";
import type { IndexSource, Snapshot } from "./source.ts";
import type { StateStore, StoredState } from "./state.ts";
import { newestRoot, readCheckpoint, type TrustedState, verifyCheckpoint, verifyFirstRoot, verifyNextRoot } from "./trust.ts";

export type SyncRequest = {
  readonly id: IndexId;
  readonly source: IndexSource;
  readonly store: StateStore;
  readonly lock: LockEntry | null;
  /** Keeps both checkpoints of an equivocation. Called before the error is thrown. */
  readonly keepEvidence: (checkpoints: readonly Uint8Array[]) => Promise<void>;
};

export type SyncResult = {
  readonly stored: StoredState;
  /** What was believed before; null the first time. */
  readonly before: TrustedState | null;
  /** `at` of the snapshot that it was read from. */
  readonly beforeAt: string | null;
  /** Whether the checkpoint is newer than before. */
  readonly changed: boolean;
};

/**
 * Step 9 for steps 2 and 3: a source that may have moved while it was read is read once more, past all caches.
 *
 * @throws ImprintError of steps 1 to 3
 */
export async function readSource(
  source: IndexSource,
  id: IndexId,
  trusted: TrustedState | null,
  fresh: boolean,
): Promise<{ readonly snapshot: Snapshot; readonly state: TrustedState }> {
  try {
    const snapshot = await source.open({ fresh });
    return { snapshot, state: await readState(snapshot, id, trusted) };
  } catch (error) {
    if (!source.moves || !isImprintError(error) || isImprintError(error, "UNREACHABLE", "TIMED_OUT", "OFFLINE")) throw error;
    const snapshot = await source.open({ fresh: true });
    return { snapshot, state: await readState(snapshot, id, trusted) };
  }
}

/** The id that a snapshot's own first root gives it: for who has none to compare with. @throws ImprintError NOT_AN_INDEX */
export async function readIndexId(snapshot: Snapshot): Promise<IndexId> {
  const bytes = await readOne(snapshot, rootPath(1), LIMITS.rootBytes);
  if (bytes === null)
    throw new ImprintError("NOT_AN_INDEX", `Cannot read index: it has no ${rootPath(1)}`, { file: rootPath(1), step: "reading 2" });
  return indexIdOf(verifyFirstRoot(bytes, null).digest);
}

/** Steps 2 and 3 for a snapshot, on top of the roots that are believed already. */
export async function readState(snapshot: Snapshot, id: IndexId, trusted: TrustedState | null): Promise<TrustedState> {
  const checkpointBytes = await readOne(snapshot, CHECKPOINT_PATH, LIMITS.checkpointBytes);
  if (checkpointBytes === null)
    throw new ImprintError("NOT_AN_INDEX", `Cannot read index: it has no ${CHECKPOINT_PATH}`, { file: CHECKPOINT_PATH, step: "reading 2" });
  const version = readCheckpoint(checkpointBytes).doc.root.version;
  const known = trusted?.roots ?? [verifyFirstRoot(await requireRoot(snapshot, 1), id)];
  const roots = await walkRoots(snapshot, [...known] as [Signed<Root>, ...Signed<Root>[]], version);
  return { id, roots, checkpoint: verifyCheckpoint(checkpointBytes, roots) };
}

async function walkRoots(snapshot: Snapshot, roots: [Signed<Root>, ...Signed<Root>[]], version: number): Promise<TrustedState["roots"]> {
  const have = newestRoot(roots).doc.version;
  if (version < have) {
    throw new ImprintError("ROLLBACK", `Cannot trust index: the host serves root ${version}, this machine has seen root ${have}`, {
      file: CHECKPOINT_PATH,
      step: "reading 2",
    });
  }
  // Exactly to the version that the checkpoint names; later files are not looked at, and nothing is probed for.
  for (let next = have + 1; next <= version; next++) roots.push(verifyNextRoot(roots, await requireRoot(snapshot, next)));
  return roots;
}

async function requireRoot(snapshot: Snapshot, version: number): Promise<Uint8Array> {
  const file = rootPath(version);
  const bytes = await readOne(snapshot, file, LIMITS.rootBytes);
  if (bytes === null)
    throw new ImprintError("MISSING_FILE", `Cannot read index: the host does not serve ${file}`, { file, step: "reading 2" });
  return bytes;
}

async function readOne(snapshot: Snapshot, path: string, maxBytes: number): Promise<Uint8Array | null> {
  const [read] = await snapshot.readFiles([{ path, maxBytes }]);
  if (read?.state === "tooLarge")
    throw new ImprintError("TOO_LARGE", `Cannot read index: ${path} is larger than ${maxBytes} bytes`, { file: path, step: "reading 2" });
  return read?.state === "found" ? read.bytes : null;
}
