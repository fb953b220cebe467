/**
 * Publishing into a shared index: read as a stranger would, build, push with the old head expected, and when somebody
 * else was faster, drop everything that was signed and begin again. SPEC.md, "Writing" 1 to 3.
 *
 * An author's clone is only a store of objects here: what counts is the order of verified checkpoints, not git history,
 * so a squashed or rewritten host branch changes nothing.
 */
import { setTimeout as delay } from "node:timers/promises";
import { CATALOGUE, ImprintError, isImprintError } from "../errors.ts";
import type { IndexId } from "../format/digest.ts";
import type { FileChange, GitRepository, GitUrl, ObjectId, RefName, RefUpdate, TransferLimits } from "../git/port.ts";
import { holdsOtherFiles, missingFrom } from "./covered.ts";
import { commitSource, gitSource, type Snapshot } from "./source.ts";
import type { StateStore } from "./state.ts";
import { syncIndex } from "./sources.ts";
import { readState } from "./sync.ts";
import { compareStates, type TrustedState } from "./trust.ts";

export type Upload = {
  readonly repository: GitRepository;
  readonly id: IndexId;
  readonly branch: RefName;
  /** Null: nothing to push to; the commit stays in the clone. */
  readonly remote: { readonly fetchUrl: GitUrl; readonly pushUrl: GitUrl; readonly trackingRef: RefName } | null;
  /** Whether `commit` has `ancestor` in its git history: says whether the author's own commits would be lost, no more. */
  /** One process at a time in this clone: what is done in it is done inside. Never one inside another. */
  readonly alone: <T>(work: () => Promise<T>) => Promise<T>;
  /** What more is known where the host has no such branch, though it had one. */
  readonly explain: () => Promise<ImprintError | null>;
  readonly buildsOn: (commit: ObjectId, ancestor: ObjectId) => Promise<boolean>;
  /** The author's own trusted state. */
  readonly store: StateStore;
  readonly keepEvidence: (checkpoints: readonly Uint8Array[]) => Promise<void>;
  readonly limits: TransferLimits;
  /** After a theft: what the host has is built upon, whatever the thief took away from what the clone holds. */
  readonly isRecovery?: boolean;
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

export type UploadResult = {
  readonly commit: ObjectId;
  readonly localHead: ObjectId | null;
  /** Whether the clone's branch may be moved off its head: nothing on it that the host was not seen to hold. */
  readonly isLocalKnown: boolean;
  readonly attempts: number;
};

/** Last commit that the host was seen to hold; shared with nobody. */
export const REMOTE_SEEN = "refs/imprint/remote" as RefName;
export const PENDING = "refs/imprint/pending" as RefName;
const PUSHED = "refs/imprint/pushed" as RefName;
/** Each that is lost is somebody else's release: as many as may release at once. */
const MAX_ATTEMPTS = 100;
/** Lost to nobody: the host says so and shows the same state. */
const MAX_UNMOVED = 4;
const MAX_PAUSE_MS = 2000;
/** Refs of one push: git takes them on its command line, which has an end (1 MB on macOS, 2 MB on Linux). */
const REFS_A_PUSH = 2000;

export type UploadOptions = {
  /** False: commit only, and leave the push to `git push`. */
  readonly push: boolean;
  /** What `chooseBase` gave a moment ago, to save asking the host twice. */
  readonly first?: ChosenBase | null;
  /** With more other refs than that, the first ones go ahead: tarballs that nothing lists publish nothing. */
  readonly refsAPush?: number;
};
const LOOK_MS = 30_000;

/**
 * Builds a change on the newest verified state and pushes it; once again from the start for each lost race. Done in the clone's
 * `alone`.
 *
 * @param build makes the files for a base; called anew for every attempt
 * @throws ImprintError LOST_RACE, DIVERGED, PUSH_FAILED, and those of reading
 */
export async function uploadChange(
  upload: Upload,
  build: (base: Base) => Promise<Change>,
  { push, first = null, refsAPush = REFS_A_PUSH }: UploadOptions,
): Promise<UploadResult> {
  const { repository, branch, remote, limits } = upload;
  const ready = first !== null && (await refsOf(upload)) === first.refs ? first : null;
  let [last, unmoved]: [string, number] = ["", 0];
  for (let attempt = 1; ; attempt++) {
    // One that is not the newest any more loses the race, and the next attempt reads again.
    const { base, remoteHead, isLocalKnown } = (attempt === 1 ? ready : null) ?? (await choose(upload));
    const { digest } = base.state.checkpoint;
    unmoved = digest === last ? unmoved + 1 : 0;
    last = digest;
    const change = await build(base).catch(async (error: unknown) => {
      // What was refused by a root, or for a release, that somebody has replaced meanwhile is built again.
      if (attempt === MAX_ATTEMPTS || !isImprintError(error) || (await newestCommit(upload, base)) === base.commit) throw error;
      return null;
    });
    if (change === null) continue;
    const { files: changes, message, author, timeMs } = change;
    const commit = await repository.commit({ base: base.commit, changes, message, author, timeMs, keepAs: PENDING });
    const localHead = await repository.head(branch);
    if (!push || remote === null) return { commit, localHead, isLocalKnown, attempts: attempt };
    try {
      const url = remote.pushUrl;
      let { refs } = change;
      for (; refs.length > refsAPush; refs = refs.slice(refsAPush))
        await repository.push({ url, updates: refs.slice(0, refsAPush), limits });
      await repository.push({ url, updates: [...refs, { ref: branch, expected: remoteHead, to: commit }], limits });
      return { commit, localHead, isLocalKnown, attempts: attempt };
    } catch (error) {
      if (!isImprintError(error, "LOST_RACE", "PUSH_FAILED", "UNREACHABLE", "TIMED_OUT")) throw error;
      const held = error.code === "LOST_RACE" ? remoteHead : await headAfter(upload, remoteHead);
      // The host took it, and its answer was lost or said otherwise.
      if (held === commit && (await holdsRefs(upload, change.refs))) return { commit, localHead, isLocalKnown, attempts: attempt };
      if (held === commit)
        throw new ImprintError(
          "PUSH_FAILED",
          `${error.message}; it took the branch all the same, so the release is listed and cannot be installed: its tarballs must follow`,
          { cause: error },
        );
      const isRace = error.code === "LOST_RACE" || (error.code === "PUSH_FAILED" && held !== remoteHead);
      if (attempt === MAX_ATTEMPTS || unmoved === MAX_UNMOVED || !isRace) throw error;
      // The more have been faster, the more there are: not all of them try again at once.
      await delay(Math.random() * Math.min(MAX_PAUSE_MS, 100 * attempt));
    }
  }
}

/** As far as it can be asked. */
async function newestCommit(upload: Upload, known: Base): Promise<ObjectId> {
  return choose(upload).then(
    ({ base }) => base.commit,
    () => known.commit,
  );
}

/** Hosts have many words for a race lost in the last moment; what the branch is now, they all show. */
async function headAfter({ repository, branch, remote, limits }: Upload, expected: ObjectId | null): Promise<ObjectId | null> {
  if (remote === null) return expected;
  const look = { url: remote.fetchUrl, ref: branch, keepAs: REMOTE_SEEN, blobs: true, limits: lookLimits(limits) };
  return repository.fetch(look).catch(() => expected);
}

async function holdsRefs({ repository, remote, limits }: Upload, refs: readonly RefUpdate[]): Promise<boolean> {
  for (const { ref, to } of refs) {
    if (remote === null) return false;
    const look = { url: remote.fetchUrl, ref, keepAs: PUSHED, blobs: true, limits: lookLimits(limits) };
    if ((await repository.fetch(look).catch(() => null)) !== to) return false;
  }
  return true;
}

/** A host that has just failed is not waited for as long again. */
function lookLimits(limits: TransferLimits): TransferLimits {
  return { ...limits, deadlineMs: Math.min(limits.deadlineMs, LOOK_MS) };
}

export type ChosenBase = {
  readonly base: Base;
  readonly remoteHead: ObjectId | null;
  readonly isLocalKnown: boolean;
  /** The clone's refs as they were then: another process may move them on. */
  readonly refs: string;
};

type Choice = Omit<ChosenBase, "refs">;

/**
 * The newest verified state of host and clone. What is on neither side's newest state, or a commit of the author's own
 * that the host does not have, is never built over: that is DIVERGED.
 */
export async function chooseBase(upload: Upload): Promise<ChosenBase> {
  return upload.alone(async () => ({ ...(await choose(upload)), refs: await refsOf(upload) }));
}

async function refsOf({ repository, branch }: Upload): Promise<string> {
  return JSON.stringify([await repository.head(REMOTE_SEEN), await repository.head(branch)]);
}

async function choose(upload: Upload): Promise<Choice> {
  const { repository, id, branch, store, limits, buildsOn } = upload;
  if (upload.isRecovery === true) return chooseAfterTheft(upload);
  const known = upload.remote === null ? [] : [await repository.head(REMOTE_SEEN), await repository.head(upload.remote.trackingRef)];
  const host = await look(upload);
  const localHead = await repository.head(branch);
  if (localHead === null || localHead === host?.commit) {
    if (host === null) throw new ImprintError("NOT_AN_INDEX", `Cannot publish: neither the clone nor its host has ${branch}`);
    return { base: host, remoteHead: host.commit, isLocalKnown: true };
  }
  const snapshot = await commitSource(repository, localHead, limits).open();
  const trusted = host?.state ?? (await store.read())?.stored.state ?? null;
  const local: Base = { state: await readLocal(snapshot, id, trusted), snapshot, commit: localHead };
  if (host === null) return { base: local, remoteHead: null, isLocalKnown: false };
  const isSame = local.state.checkpoint.digest === host.state.checkpoint.digest;
  // Our own last commit is on the host in content where the checkpoints agree; else it may never have been pushed.
  const isLocalKnown = known.includes(localHead) || (isSame && localHead === (await repository.head(PENDING)));
  const onHost: Choice = { base: host, remoteHead: host.commit, isLocalKnown };
  const onLocal: Choice = { base: local, remoteHead: host.commit, isLocalKnown: false };
  if (isSame && onHost.isLocalKnown) return onHost;
  const isAhead = compareStates(local.state, host.state) > 0;
  if (isSame || isAhead) {
    if ((await buildsOn(localHead, host.commit)) && (isSame || (await missingFrom(local, host)) === null)) return onLocal;
    if (isSame && (await buildsOn(host.commit, localHead))) return onHost;
  } else if (onHost.isLocalKnown) return onHost;
  const missing = await missingFrom(host, local);
  // Only behind, after a squash, say: all of it is published already.
  if (!isAhead && missing === null) return { ...onHost, isLocalKnown: await holdsOtherFiles(repository, host.commit, localHead, limits) };
  if (!isAhead && !isSame && (await continuesPending(upload, local, host))) return onHost;
  throw new ImprintError(
    "DIVERGED",
    `Cannot publish: the clone has commits that its host does not have (${missing ?? "its files"}), and the host has moved on`,
  );
}

/**
 * Whether the host holds what this clone's last run signed, or what that run had chosen to build upon: a run that was killed
 * behind its push leaves the branch where it was, and `missingFrom` takes its own unyank for a loss. What the host added to
 * that is held against it, so a thief's commit on top is none of ours.
 */
async function continuesPending({ repository, id, store, limits, buildsOn }: Upload, local: Base, host: Base): Promise<boolean> {
  const pending = await repository.head(PENDING);
  if (pending === null || !(await buildsOn(pending, local.commit))) return false;
  if (await buildsOn(pending, host.commit)) return true;
  if (!(await buildsOn(host.commit, pending))) return false;
  const snapshot = await commitSource(repository, pending, limits).open();
  const trusted = (await store.read())?.stored.state ?? null;
  return (await missingFrom(host, { state: await readLocal(snapshot, id, trusted), snapshot })) === null;
}

/**
 * The host's state, however little of the clone's is left in it: what was taken away, the recovery brings back. Where the host
 * shows no state that may be believed (the thief rolled it back, or signed another with the same number), the clone's, and the
 * push replaces whatever is there.
 */
async function chooseAfterTheft(upload: Upload): Promise<Choice> {
  const { repository, id, branch, store, limits, buildsOn } = upload;
  const localHead = await repository.head(branch);
  try {
    const host = await look(upload);
    if (host !== null) {
      const isLocalKnown = localHead === null || (await buildsOn(host.commit, localHead));
      return { base: host, remoteHead: host.commit, isLocalKnown };
    }
  } catch (error) {
    if (!isImprintError(error) || CATALOGUE[error.code].exit !== 4) throw error;
  }
  if (localHead === null)
    throw new ImprintError("NOT_AN_INDEX", `Cannot recover: neither the clone nor its host has a ${branch} that may be believed`);
  const snapshot = await commitSource(repository, localHead, limits).open();
  const trusted = (await store.read())?.stored.state ?? null;
  const base: Base = { state: await readLocal(snapshot, id, trusted), snapshot, commit: localHead };
  return { base, remoteHead: upload.remote === null ? null : await repository.head(REMOTE_SEEN), isLocalKnown: true };
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

/** The host's newest state, verified and trusted from now on; null where it has no branch yet. */
export async function readHost(upload: Upload): Promise<Base | null> {
  return upload.alone(() => look(upload));
}

async function look(upload: Upload): Promise<Base | null> {
  const { repository, id, branch, remote, store, keepEvidence, limits, explain } = upload;
  if (remote === null) return null;
  const source = gitSource({ repository, url: remote.fetchUrl, ref: branch, keepAs: REMOTE_SEEN, limits, wholeClone: true, explain });
  const wasSeen =
    (await store.read()) !== null || (await repository.head(REMOTE_SEEN)) !== null || (await repository.head(remote.trackingRef)) !== null;
  const ask = { url: remote.fetchUrl, ref: branch, keepAs: REMOTE_SEEN, blobs: true, limits };
  if (!wasSeen && (await repository.fetch(ask)) === null) return null; // a host that nobody has pushed to yet
  const { stored } = await syncIndex({ id, source, store, lock: null, keepEvidence });
  const snapshot = source.reopen(stored.at);
  return { state: stored.state, snapshot, commit: stored.at as ObjectId };
}

/** After a push: what was pushed, verified as if it came from anybody, is what this machine trusts from now on. */
export async function confirmUpload({ repository, id, store, keepEvidence, limits }: Upload, commit: ObjectId): Promise<void> {
  await syncIndex({ id, source: commitSource(repository, commit, limits), store, lock: null, keepEvidence });
}
