/**
 * A change that waits for signatures: the next root, records, and in the end the checkpoint over them.
 *
 * Whoever holds one of the keys adds signatures without the others being there. A record is signed before the tree is made,
 * since its file, signatures and all, is what the tree hashes; so the checkpoint comes last, and ends the collecting.
 */
import { meetsThreshold, signDocument, signersAmong } from "../../crypto/documents.ts";
import type { PrivateKey } from "../../crypto/ed25519.ts";
import { ImprintError, isImprintError } from "../../errors.ts";
import { type Checkpoint, parseCheckpoint } from "../../format/checkpoint.ts";
import { type FileHash, fileHashOf } from "../../format/digest.ts";
import { formatEnvelope, type Signed } from "../../format/envelope.ts";
import type { JsonObject } from "../../format/json.ts";
import { formatPublicKey, type PublicKey } from "../../format/keys.ts";
import type { PackageName } from "../../format/names.ts";
import { CHECKPOINT_PATH, PROPOSALS, recordPath, releasePath, rootPath, type ShardName } from "../../format/paths.ts";
import { encodeRecord, type PackageRecord, parseRecord } from "../../format/record.ts";
import { encodeRoot, parseRoot, type Publishers, publishersFor, type Role, type Root } from "../../format/root.ts";
import type { FileChange } from "../../git/port.ts";
import { readPackage } from "../package-reader.ts";
import type { Accepted } from "../proposals.ts";
import type { Snapshot } from "../source.ts";
import { newestRoot, type RootChain, type TrustedState, verifyCheckpoint, verifyNextRoot } from "../trust.ts";
import { nextNumber, nextTree } from "../writer.ts";
import { type RootContent, requireSound } from "./edits.ts";
import { recordsShortOf } from "./short-records.ts";

export type PendingRecord = {
  /** As the index has it; null: it has none that is good. */
  readonly before: Signed<PackageRecord> | null;
  readonly after: Signed<PackageRecord>;
};

export type Pending = {
  /** The state that it changes. */
  readonly state: TrustedState;
  /** Null: the root stays. */
  readonly root: Signed<Root> | null;
  readonly records: ReadonlyMap<PackageName, PendingRecord>;
  /** Files beside root, records, shards and checkpoint, such as releases that come or go. */
  readonly files: readonly FileChange[];
  /** Shards that nobody can read any more, made anew from `records` alone. */
  readonly broken: ReadonlySet<ShardName>;
  /** Once it is there, only its own signatures are missing. */
  readonly checkpoint: Signed<Checkpoint> | null;
  /** Subject of the commit. */
  readonly message: string;
};

export type Keys = {
  readonly root: readonly PrivateKey[];
  readonly publishers: readonly PrivateKey[];
  readonly checkpoint: readonly PrivateKey[];
};

/** Documents that lack signatures. */
export type Shortfall = {
  /** For people: "root 4, by the root keys of root 3". */
  readonly what: string;
  readonly have: number;
  readonly need: number;
  /** Any of these may add one. */
  readonly keys: readonly PublicKey[];
};

type Base = { readonly state: TrustedState; readonly snapshot: Snapshot };

/**
 * The next root over a state, unsigned, and every record that does not meet it yet: those are signed again as they are.
 *
 * @param changes records that change with it, beside those
 * @throws ImprintError ROOT_REFUSED, and those of reading
 */
export async function pendingRoot(
  { state, snapshot }: Base,
  content: RootContent,
  more: {
    readonly message: string;
    readonly records?: ReadonlyMap<PackageName, PendingRecord>;
    readonly files?: readonly FileChange[];
    readonly broken?: ReadonlySet<ShardName>;
    readonly onProgress?: (done: number, of: number) => void;
  },
): Promise<Pending> {
  requireSound(content);
  const before = newestRoot(state.roots);
  const { records = new Map<PackageName, PendingRecord>(), files = [], broken = new Set<ShardName>(), message, onProgress } = more;
  const next: Root = {
    name: content.name,
    roles: content.roles,
    publishers: content.publishers,
    tarballs: content.tarballs,
    mirrors: content.mirrors,
    introductions: content.introductions,
    refreshDays: content.refreshDays,
    index: state.id,
    version: before.doc.version + 1,
    previous: before.digest,
  };
  const root = parseRoot(formatEnvelope(encodeRoot(next, before.signed), []));
  const short = await recordsShortOf({ state, snapshot }, root.doc, { skip: records, broken, onProgress });
  const again = [...short].map(([packageName, record]) => [packageName, { before: record, after: record }] as const);
  return { state, root, records: new Map([...records, ...again]), files, broken, checkpoint: null, message };
}

/** A record as it shall be, unsigned unless it says what it said before. */
export function pendingRecord(before: Signed<PackageRecord> | null, after: PackageRecord): PendingRecord {
  const next = parseRecord(formatEnvelope(encodeRecord(after, before?.signed ?? {}), []));
  return { before, after: before !== null && next.digest === before.digest ? before : next };
}

/** Records alone, as the root stands. Files of releases that they no longer list go. */
export function pendingRecords(
  state: TrustedState,
  changes: readonly { readonly before: Signed<PackageRecord>; readonly after: PackageRecord }[],
  { message, nowMs }: { readonly message: string; readonly nowMs: number },
): Pending {
  const records = changes.map(({ before, after }) => {
    const revision = nextNumber(before.doc.revision, nowMs);
    return [after.name, pendingRecord(before, { ...after, revision })] as const;
  });
  const gone = changes.flatMap(({ before, after }) =>
    [...before.doc.releases.keys()].filter((version) => !after.releases.has(version)).map((version) => releasePath(after.name, version)),
  );
  const files = gone.map((path) => ({ path, content: null }));
  return { state, root: null, records: new Map(records), files, broken: new Set(), checkpoint: null, message };
}

/** Proposals moved into place, byte for byte: only the checkpoint over them is to be signed. */
export function pendingSeal(state: TrustedState, accepted: readonly Accepted[], message: string): Pending {
  // The last proposal of a package lists those before it.
  const records = accepted.map(({ proposal: { name, record }, before }) => [name, { before, after: parseRecord(record) }] as const);
  const files = accepted.flatMap(({ proposal: { name, version, release, files: proposed } }): FileChange[] => [
    ...proposed.map((path) => ({ path, content: null })),
    { path: releasePath(name, version), content: release },
  ]);
  return { state, root: null, records: new Map(records), files, broken: new Set(), checkpoint: null, message };
}

/** Adds every signature that these keys may give. */
export function signPending(pending: Pending, keys: Keys): Pending {
  const { state, root, checkpoint } = pending;
  const [before, next] = [newestRoot(state.roots).doc, rootAfter(pending)];
  if (checkpoint !== null) {
    const usable = keysAmong(keys.checkpoint, next.roles.checkpoint.keys);
    return usable.length === 0 ? pending : { ...pending, checkpoint: parseCheckpoint(signed(checkpoint, usable)) };
  }
  const rootKeys = keysAmong(keys.root, [...before.roles.root.keys, ...next.roles.root.keys]);
  const records = [...pending.records].map(([name, { before: old, after }]): [PackageName, PendingRecord] => {
    const usable = keysAmong(keys.publishers, publishersFor(next, name)?.keys ?? []);
    const missing = usable.filter(({ publicKey }) => !after.signatures.some(({ key }) => key === formatPublicKey(publicKey)));
    return [name, missing.length === 0 ? { before: old, after } : { before: old, after: parseRecord(signed(after, missing)) }];
  });
  return {
    ...pending,
    root: root === null || rootKeys.length === 0 ? root : parseRoot(signed(root, rootKeys)),
    records: new Map(records),
  };
}

/** Records that were found to meet an entry: each is checked once, though it is asked about before and after the checkpoint. */
const met = new WeakMap<Signed<PackageRecord>, Publishers>();

function meets(record: Signed<PackageRecord>, entry: Publishers): boolean {
  if (met.get(record) === entry) return true;
  const isGood = meetsThreshold(record, entry);
  if (isGood) met.set(record, entry);
  return isGood;
}

/** What is still missing before it can be applied; the checkpoint only once it is there. */
export function shortfallsOf(pending: Pending): readonly Shortfall[] {
  const { state, root, checkpoint } = pending;
  const [before, next] = [newestRoot(state.roots).doc, rootAfter(pending)];
  const found: Shortfall[] = [];
  const note = (what: string, document: Signed<unknown>, { keys, threshold }: Role): void => {
    const good = signersAmong(document, keys);
    if (good.size < threshold) found.push({ what, have: good.size, need: threshold, keys: keys.filter((key) => !good.has(key)) });
  };
  if (root !== null) {
    note(`root ${next.version}, by the root keys of root ${before.version}`, root, before.roles.root);
    note(`root ${next.version}, by its own root keys`, root, next.roles.root);
  }
  const byEntry = new Map<string, { first: Shortfall; count: number }>();
  for (const [name, { after }] of pending.records) {
    const entry = publishersFor(next, name);
    if (entry === null)
      found.push({ what: `the record of ${name}, which root ${next.version} grants to nobody`, have: 0, need: 1, keys: [] });
    else if (!meets(after, entry)) {
      const good = signersAmong(after, entry.keys);
      const keys = entry.keys.filter((key) => !good.has(key));
      const id = `${entry.packages.join(" ")} ${keys.join(" ")}`;
      const first = { what: `the record of ${name}`, have: good.size, need: entry.threshold, keys };
      byEntry.set(id, { first: byEntry.get(id)?.first ?? first, count: (byEntry.get(id)?.count ?? 0) + 1 });
    }
  }
  for (const { first, count } of byEntry.values())
    found.push(count === 1 ? first : { ...first, what: `${first.what} and ${count - 1} more of the same keys` });
  if (checkpoint !== null) note("the checkpoint", checkpoint, next.roles.checkpoint);
  return found;
}

/**
 * The change as it is to be made on what the index is now: nothing that was signed may have been overtaken, and what it says that
 * a record was before must be so. A request comes from hands that may have changed what nobody signs.
 *
 * @throws ImprintError REQUEST_REFUSED
 */
export async function rebase(pending: Pending, { state, snapshot }: Base): Promise<Pending> {
  const overtaken = (what: string): ImprintError => new ImprintError("REQUEST_REFUSED", `Cannot apply: ${what} since this was made`);
  if (newestRoot(state.roots).digest !== newestRoot(pending.state.roots).digest) throw overtaken("the root was changed");
  requireListed(pending);
  const known = new Set([...pending.records].filter(([, { before }]) => before !== null).map(([name]) => name));
  const { broken, records } = pending;
  const now = await recordsShortOf({ state, snapshot }, rootAfter(pending), { all: known, skip: records, broken });
  for (const [name, { before }] of records) {
    const isSame = before === null ? !(await isReadable({ state, snapshot }, name)) : now.get(name)?.digest === before.digest;
    if (!isSame) throw overtaken(`the record of ${name} was changed`);
  }
  const late = [...now.keys()].find((name) => !records.has(name));
  if (late !== undefined) throw overtaken(`${late} was published, and must be signed again for the new root,`);
  if (state.checkpoint.digest === pending.state.checkpoint.digest) return pending;
  // What stood in the checkpoint was the older tree.
  return { ...pending, state, checkpoint: null };
}

async function isReadable({ state, snapshot }: Base, name: PackageName): Promise<boolean> {
  try {
    return (await readPackage(snapshot, state, name)) !== null;
  } catch (error) {
    if (!isImprintError(error)) throw error;
    return false; // a thief broke it: that is what this mends
  }
}

/**
 * Files that come are releases that its records list by these bytes; files that go are releases that they no longer list, or
 * proposals.
 *
 * @throws ImprintError REQUEST_REFUSED
 */
export function requireListed({ records, files }: Pick<Pending, "records" | "files">): void {
  const listed = new Map<string, FileHash>();
  for (const [name, { after }] of records) for (const [version, hash] of after.doc.releases) listed.set(releasePath(name, version), hash);
  const folders = new Set([...records.keys()].map((name) => recordPath(name).slice(0, -"record.json".length)));
  for (const { path, content } of files) {
    const isOurs = folders.has(path.slice(0, path.lastIndexOf("/") + 1));
    const isGood =
      content === null
        ? path.startsWith(`${PROPOSALS}/`) || (isOurs && !listed.has(path) && !path.endsWith("/record.json"))
        : listed.get(path) === fileHashOf(content);
    if (!isGood) throw new ImprintError("REQUEST_REFUSED", `Cannot use the request: no record of it says what it does to ${path}`);
  }
}

/**
 * The files of the commit, the checkpoint among them: signed by the keys at hand where it was not there yet.
 *
 * @returns `pending` with that checkpoint, and `files` where nothing is missing any more
 */
export async function completePending(
  pending: Pending,
  snapshot: Snapshot,
  keys: Pick<Keys, "checkpoint">,
  nowMs: number,
): Promise<{ readonly pending: Pending; readonly files: readonly FileChange[] | null }> {
  const { state, root } = pending;
  const next = rootAfter(pending);
  const records = [...pending.records].map(([name, { after }]) => {
    const counted = publishersFor(next, name)?.keys ?? [];
    // Signatures that no longer count are dropped.
    const signatures = after.signatures.filter(({ key }) => counted.includes(key));
    return { name, path: recordPath(name), content: formatEnvelope(after.signed, signatures) };
  });
  const hashes = new Map<PackageName, FileHash>(records.map(({ name, content }) => [name, fileHashOf(content)]));
  const tree = await nextTree(state, snapshot, hashes, { root, nowMs, as: pending.checkpoint?.doc ?? null, broken: pending.broken });
  const draft = pending.checkpoint ?? parseCheckpoint(formatEnvelope(tree.checkpoint, []));
  const whole = signPending({ ...pending, checkpoint: draft }, { ...NO_KEYS, ...keys });
  if (shortfallsOf(whole).length > 0 || whole.checkpoint === null) return { pending: whole, files: null };
  requireReadable(state.roots, root, whole.checkpoint);
  const files: FileChange[] = [
    ...pending.files,
    ...records.map(({ path, content }) => ({ path, content })),
    ...tree.shards,
    ...(root === null ? [] : [{ path: rootPath(next.version), content: root.bytes }]),
    { path: CHECKPOINT_PATH, content: whole.checkpoint.bytes },
  ];
  return { pending: whole, files };
}

export const NO_KEYS: Keys = { root: [], publishers: [], checkpoint: [] };

/** The root that the change leaves behind. */
export function rootAfter({ state, root }: Pick<Pending, "state" | "root">): Root {
  return root?.doc ?? newestRoot(state.roots).doc;
}

/** As any reader will: what they would refuse is not published. */
function requireReadable(roots: RootChain, root: Signed<Root> | null, checkpoint: Signed<Checkpoint>): void {
  verifyCheckpoint(checkpoint.bytes, root === null ? roots : [...roots, verifyNextRoot(roots, root.bytes)]);
}

function signed(document: Signed<unknown> & { readonly signed: JsonObject }, keys: readonly PrivateKey[]): Uint8Array {
  return signDocument(document.kind, document.signed, keys, document.signatures);
}

function keysAmong(keys: readonly PrivateKey[], named: readonly PublicKey[]): readonly PrivateKey[] {
  return keys.filter(({ publicKey }) => named.includes(formatPublicKey(publicKey)));
}
