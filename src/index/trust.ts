/**
 * The trust rules of one index, as pure functions. Step numbers are those of SPEC.md, "Reading".
 *
 * Whoever serves the bytes may lie about all of them. What may be believed grows from one pinned id: roots are walked
 * from it one by one, the checkpoint is proven by the newest root that it names, and the order of states is compared
 * with what this machine, and the project's lock, have seen before.
 */
import { isAcceptableKey } from "../crypto/ed25519.ts";
import { meetsThreshold } from "../crypto/documents.ts";
import { ImprintError } from "../errors.ts";
import { type Checkpoint, parseCheckpoint } from "../format/checkpoint.ts";
import { type IndexId, indexIdOf } from "../format/digest.ts";
import type { Signed } from "../format/envelope.ts";
import { publicKeyBytes } from "../format/keys.ts";
import { CHECKPOINT_PATH, rootPath } from "../format/paths.ts";
import type { LockEntry } from "../format/project.ts";
import { parseRoot, type Root } from "../format/root.ts";
import { timestampMs } from "../format/time.ts";

/** From root 1 on, each signed by the one before it and by itself. */
export type RootChain = readonly [Signed<Root>, ...Signed<Root>[]];

/** What this machine believes of one index: every root from 1 on, and the newest checkpoint proven by the last. */
export type TrustedState = {
  readonly id: IndexId;
  readonly roots: RootChain;
  readonly checkpoint: Signed<Checkpoint>;
};

export function newestRoot(roots: RootChain): Signed<Root> {
  return roots.at(-1) ?? roots[0];
}

/**
 * Step 2, the first root: it is what was pinned, and signed by its own threshold.
 *
 * @throws ImprintError WRONG_ID, BAD_SIGNATURE, INVALID_DOCUMENT, …
 */
export function verifyFirstRoot(bytes: Uint8Array, pinned: IndexId | null): Signed<Root> {
  const file = rootPath(1);
  const root = inFile(file, "reading 2", () => parseRoot(bytes));
  if (pinned !== null && indexIdOf(root.digest) !== pinned) {
    throw new ImprintError("WRONG_ID", `Cannot trust index: its id is ${root.digest}, pinned is ${pinned}`, { file, step: "reading 2" });
  }
  if (root.doc.version !== 1) throw refuse("WRONG_INDEX", `${file} says it is version ${root.doc.version}`, file, "reading 2");
  requireAcceptableKeys(root, file);
  requireThreshold(root, root, file, "its own root keys");
  return root;
}

/**
 * Step 2, each further root: signed by the thresholds of its predecessor and of itself.
 *
 * @throws ImprintError BAD_SIGNATURE, WRONG_INDEX, INVALID_DOCUMENT, …
 */
export function verifyNextRoot(roots: RootChain, bytes: Uint8Array): Signed<Root> {
  const before = newestRoot(roots);
  const expected = before.doc.version + 1;
  const file = rootPath(expected);
  const root = inFile(file, "reading 2", () => parseRoot(bytes));
  if (root.doc.version !== expected) throw refuse("WRONG_INDEX", `${file} says it is version ${root.doc.version}`, file, "reading 2");
  if (root.doc.index !== indexIdOf(roots[0].digest)) throw refuse("WRONG_INDEX", `${file} belongs to another index`, file, "reading 2");
  if (root.doc.previous !== before.digest) throw refuse("WRONG_INDEX", `${file} does not follow the root before it`, file, "reading 2");
  requireAcceptableKeys(root, file);
  requireThreshold(root, before, file, `the root keys of ${rootPath(before.doc.version)}`);
  requireThreshold(root, root, file, "its own root keys");
  return root;
}

/**
 * Step 3: the checkpoint belongs to this index, names the root just reached, and carries that root's threshold.
 *
 * @throws ImprintError WRONG_INDEX, BAD_SIGNATURE, INVALID_DOCUMENT, …
 */
export function verifyCheckpoint(bytes: Uint8Array, roots: RootChain): Signed<Checkpoint> {
  const checkpoint = readCheckpoint(bytes);
  const root = newestRoot(roots);
  const step = "reading 3";
  if (checkpoint.doc.index !== indexIdOf(roots[0].digest))
    throw refuse("WRONG_INDEX", "the checkpoint belongs to another index", CHECKPOINT_PATH, step);
  if (checkpoint.doc.root.version !== root.doc.version || checkpoint.doc.root.digest !== root.digest) {
    throw refuse("WRONG_INDEX", `the checkpoint names another root than ${rootPath(root.doc.version)}`, CHECKPOINT_PATH, step);
  }
  if (!meetsThreshold(checkpoint, root.doc.roles.checkpoint)) {
    throw refuse("BAD_SIGNATURE", "the checkpoint lacks the signatures of the index's checkpoint keys", CHECKPOINT_PATH, step);
  }
  return checkpoint;
}

/** The checkpoint before anything is proven of it: only its root version may be used. */
export function readCheckpoint(bytes: Uint8Array): Signed<Checkpoint> {
  return inFile(CHECKPOINT_PATH, "reading 2", () => parseCheckpoint(bytes));
}

type Position = { readonly rootVersion: number; readonly seq: number };

function positionOf({ checkpoint }: Pick<TrustedState, "checkpoint">): Position {
  return { rootVersion: checkpoint.doc.root.version, seq: checkpoint.doc.seq };
}

/** By root version, then seq: under a new root seq may start anywhere, which undoes a thief's jump to 2^53−1. */
export function compareStates(a: Pick<TrustedState, "checkpoint">, b: Pick<TrustedState, "checkpoint">): number {
  const [left, right] = [positionOf(a), positionOf(b)];
  return left.rootVersion - right.rootVersion || left.seq - right.seq;
}

/**
 * Step 4 against what this machine believes already.
 *
 * @returns whether `candidate` is newer; false: it is the same
 * @throws ImprintError ROLLBACK, EQUIVOCATION
 */
export function requireOrder(trusted: TrustedState, candidate: TrustedState): boolean {
  const order = compareStates(candidate, trusted);
  if (order < 0) {
    throw refuse(
      "ROLLBACK",
      `the host serves ${describe(candidate)}, this machine has seen ${describe(trusted)}`,
      CHECKPOINT_PATH,
      "reading 4",
    );
  }
  if (order === 0 && candidate.checkpoint.digest !== trusted.checkpoint.digest) {
    throw refuse(
      "EQUIVOCATION",
      `the host serves another signed checkpoint with the same ${describe(candidate)}`,
      CHECKPOINT_PATH,
      "reading 4",
    );
  }
  return order > 0;
}

/**
 * Step 4 against the project's lock: a floor, not a pin.
 *
 * @throws ImprintError WRONG_ID, LOCK_MISMATCH, ROLLBACK, EQUIVOCATION
 */
export function requireFloor(state: TrustedState, lock: LockEntry): void {
  const step = "reading 4";
  if (lock.id !== state.id) throw refuse("WRONG_ID", `imprint.lock is for ${lock.id}, the index is ${state.id}`, CHECKPOINT_PATH, step);
  const locked = state.roots[lock.root.version - 1];
  const [version, seq] = [state.checkpoint.doc.root.version, state.checkpoint.doc.seq];
  const order = version - lock.root.version || seq - lock.seq;
  const floor = `root ${lock.root.version}, seq ${lock.seq}`;
  if (order < 0) throw refuse("ROLLBACK", `the newest state is ${describe(state)}, imprint.lock has seen ${floor}`, CHECKPOINT_PATH, step);
  if (locked?.digest !== lock.root.digest) {
    throw refuse("LOCK_MISMATCH", `root ${lock.root.version} is not the one in imprint.lock`, rootPath(lock.root.version), step);
  }
  if (order === 0 && state.checkpoint.digest !== lock.checkpoint) {
    throw refuse("EQUIVOCATION", `${floor} is another checkpoint than the one in imprint.lock`, CHECKPOINT_PATH, step);
  }
}

const DAY_MS = 86_400_000;

/**
 * Why a state is stale, or null: older than the consumer's `maxAgeDays` (else the owner's promise), or signed more than a
 * day in the future. Nothing expires by itself: this is for a warning.
 */
export function staleness(state: TrustedState, nowMs: number, maxAgeDays: number | undefined): string | null {
  const signedMs = timestampMs(state.checkpoint.doc.time);
  const days = maxAgeDays ?? newestRoot(state.roots).doc.refreshDays;
  if (signedMs - nowMs > DAY_MS) return `signed ${state.checkpoint.doc.time}, which is more than a day ahead of this machine's clock`;
  if (days > 0 && nowMs - signedMs > days * DAY_MS)
    return `signed ${state.checkpoint.doc.time}, more than ${days} days ago: its author may be gone, or its host may be holding news back`;
  return null;
}

export function lockEntryOf(state: TrustedState): LockEntry {
  const { root, seq } = state.checkpoint.doc;
  return { id: state.id, root, seq, checkpoint: state.checkpoint.digest };
}

/** `root 1, seq 42`, for messages. */
export function describe(state: Pick<TrustedState, "checkpoint">): string {
  const { rootVersion, seq } = positionOf(state);
  return `root ${rootVersion}, seq ${seq}`;
}

/** Runs a parser and puts file and step on what it throws. */
export function inFile<T>(file: string, step: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof ImprintError)) throw error;
    throw new ImprintError(error.code, error.message.replace("document:", `${file}:`), { cause: error, file, step });
  }
}

function requireAcceptableKeys(root: Signed<Root>, file: string): void {
  const { roles, publishers } = root.doc;
  const keys = new Set([...roles.root.keys, ...roles.checkpoint.keys, ...publishers.flatMap((entry) => entry.keys)]);
  for (const key of keys) {
    // One bad key refuses the root: a key of small order would "sign" anything.
    if (!isAcceptableKey(publicKeyBytes(key)))
      throw refuse("INVALID_DOCUMENT", `${file} names a key that is no safe Ed25519 key`, file, "reading 2");
  }
}

function requireThreshold(root: Signed<Root>, by: Signed<Root>, file: string, whose: string): void {
  if (!meetsThreshold(root, by.doc.roles.root))
    throw refuse("BAD_SIGNATURE", `${file} lacks the signatures of ${whose}`, file, "reading 2");
}

function refuse(
  code: "WRONG_ID" | "WRONG_INDEX" | "BAD_SIGNATURE" | "INVALID_DOCUMENT" | "ROLLBACK" | "EQUIVOCATION" | "LOCK_MISMATCH",
  what: string,
  file: string,
  step: string,
): ImprintError {
  return new ImprintError(code, `Cannot trust index: ${what}`, { file, step });
}
