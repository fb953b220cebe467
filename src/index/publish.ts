/**
 * Publishing into a shared index: read as a stranger would, build, push with the old head expected, and when somebody
 * else was faster, drop everything that was signed and begin again. SPEC.md, "Writing" 1 to 3.
 *
 * An author's clone is only a store of objects here: what counts is the order of verified checkpoints, not git history,
 * so a squashed or rewritten host branch changes nothing.
 */
import { ImprintError, isImprintError } from "../errors.ts";
import type { IndexId } from "../format/digest.ts";
import type { FileChange, GitRepository, GitUrl, ObjectId, RefName, RefUpdate, TransferLimits } from "../git/port.ts";
import { commitSource, gitSource, type Snapshot } from "./source.ts";
import type { StateStore } from "./state.ts";
import { readState, syncIndex } from "./sync.ts";
import { compareStates, type TrustedState } from "./trust.ts";

export type Upload = {
  readonly repository: GitRepository;
  readonly id: IndexId;
  readonly branch: RefName;
  /** Null: nothing to push to; the commit stays in the clone. */
  readonly remote: { readonly fetchUrl: GitUrl; readonly pushUrl: GitUrl; readonly trackingRef: RefName } | null;
  /** The author's own trusted state. */
  readonly store: StateStore;
  readonly keepEvidence: (checkpoints: readonly Uint8Array[]) => Promise<void>;
  readonly limits: TransferLimits;
};

/** Where the next commit goes: a verified state and the commit that holds it. */
export type Base = { readonly state: TrustedState; readonly snapshot: Snapshot; readonly commit: ObjectId };

export type Change = {
  readonly files: readonly FileChange[];
  readonly message: string;
  readonly author: { readonly name: string; readonly email: string };
  readonly timeMs: number;
  /** Other refs that go in the same push, such as tarballs. */
  readonly refs: readonly RefUpdate[];
};

export type UploadResult = { readonly commit: ObjectId; readonly localHead: ObjectId | null; readonly attempts: number };

/** Last commit that the host was seen to hold; shared with nobody. */
export const REMOTE_SEEN = "refs/imprint/remote" as RefName;
export const PENDING = "refs/imprint/pending" as RefName;
const MAX_ATTEMPTS = 8;

/**
 * Builds a change on the newest verified state and pushes it; once again from the start for each lost race.
 *
 * @param build makes the files for a base; called anew for every attempt
 * @param push false: commit only, and leave the push to `git push`
 * @throws ImprintError LOST_RACE, DIVERGED, PUSH_FAILED, and those of reading
 */
export async function uploadChange(upload: Upload, build: (base: Base) => Promise<Change>, push: boolean): Promise<UploadResult> {
  const { repository, branch, remote, limits } = upload;
  for (let attempt = 1; ; attempt++) {
    const { base, remoteHead } = await chooseBase(upload);
    const change = await build(base);
    const { files: changes, message, author, timeMs } = change;
    const commit = await repository.commit({ base: base.commit, changes, message, author, timeMs, keepAs: PENDING });
    const localHead = await repository.head(branch);
    if (!push || remote === null) return { commit, localHead, attempts: attempt };
    try {
      await repository.push({ url: remote.pushUrl, updates: [...change.refs, { ref: branch, expected: remoteHead, to: commit }], limits });
      return { commit, localHead, attempts: attempt };
    } catch (error) {
      if (!isImprintError(error, "LOST_RACE") || attempt === MAX_ATTEMPTS) throw error;
    }
  }
}

/** The newest verified state of host and clone. */
export async function chooseBase(upload: Upload): Promise<{ readonly base: Base; readonly remoteHead: ObjectId | null }> {
  const { repository, id, branch, store, limits } = upload;
  const seenBefore = upload.remote === null ? [] : [await repository.head(REMOTE_SEEN), await repository.head(upload.remote.trackingRef)];
  const host = await readHost(upload);
  const localHead = await repository.head(branch);
  if (localHead === null || localHead === host?.commit) {
    if (host === null) throw new ImprintError("NOT_AN_INDEX", `Cannot publish: neither the clone nor its host has ${branch}`);
    return { base: host, remoteHead: host.commit };
  }
  const snapshot = await commitSource(repository, localHead, limits).open();
  const trusted = host?.state ?? (await store.read())?.stored.state ?? null;
  const local: Base = { state: await readLocal(snapshot, id, trusted), snapshot, commit: localHead };
  if (host === null) return { base: local, remoteHead: null };
  if (local.state.checkpoint.digest === host.state.checkpoint.digest) return { base: host, remoteHead: host.commit };
  if (compareStates(local.state, host.state) > 0) return { base: local, remoteHead: host.commit };
  if (seenBefore.includes(localHead)) return { base: host, remoteHead: host.commit };
  throw new ImprintError("DIVERGED", "Cannot publish: the clone has commits that its host does not have, and the host has moved on");
}

/** A clone may be behind what its host has shown: its roots are then a part of those, not a rollback. */
async function readLocal(snapshot: Snapshot, id: IndexId, trusted: TrustedState | null): Promise<TrustedState> {
  try {
    return await readState(snapshot, id, trusted);
  } catch (error) {
    if (!isImprintError(error, "ROLLBACK", "WRONG_INDEX")) throw error;
    return readState(snapshot, id, null);
  }
}

async function readHost(upload: Upload): Promise<Base | null> {
  const { repository, id, branch, remote, store, keepEvidence, limits } = upload;
  if (remote === null) return null;
  const source = gitSource({ repository, url: remote.fetchUrl, ref: branch, keepAs: REMOTE_SEEN, limits, wholeClone: true });
  const before = await store.read();
  const empty = before === null && (await repository.fetch({ url: remote.fetchUrl, ref: branch, keepAs: REMOTE_SEEN, blobs: true, limits })) === null;
  if (empty) return null; // a host that nobody has pushed to yet
  const { stored } = await syncIndex({ id, source, store, lock: null, keepEvidence });
  const snapshot = source.reopen(stored.at);
  return { state: stored.state, snapshot, commit: stored.at as ObjectId };
}

/** After a push: what the host now serves becomes what this machine trusts. */
export async function confirmUpload(upload: Upload): Promise<void> {
  await readHost(upload);
}
