/**
 * A change of an own index's root, from the newest verified state to the host: judged, signed with every key that is here,
 * and made in one commit; or, where other people hold the other keys, written to a file that goes round (`--out`).
 */
import { existsSync } from "node:fs";
import path from "node:path";
import { ImprintError } from "../errors.ts";
import { type PublicKey, shortKey } from "../format/keys.ts";
import type { PackageRecord } from "../format/record.ts";
import { rootChanges } from "../index/news.ts";
import type { PackageView } from "../index/package-reader.ts";
import { type Base, chooseBase, type ChosenBase } from "../index/publish.ts";
import { type RootContent, sameContent } from "../index/root/edits.ts";
import {
  completePending,
  type Keys,
  type Pending,
  pendingRecords,
  pendingRoot,
  rebase,
  rootAfter,
  shortfallsOf,
  signPending,
} from "../index/root/pending.ts";
import { formatRequest } from "../index/root/request.ts";
import { newestRoot, type RootChain, type TrustedState } from "../index/trust.ts";
import { dropOldKeys, openAllKeys } from "./all-keys.ts";
import type { Deps } from "./deps.ts";
import { theOwnIndex } from "./own-indices.ts";
import { requireRemote, signAndUpload, uploadedText } from "./sign.ts";
import { clean } from "../format/text.ts";
import { type OpenUpload, openUpload } from "./upload.ts";
import { shortKeys } from "./views/news.ts";

export type RootOptions = {
  readonly index: string | undefined;
  /** File for a request, where other people must sign too. */
  readonly out?: string | undefined;
};

export type ChangedRoot = {
  readonly index: string;
  /** Of the next root; null: it says so already. */
  readonly version: number | null;
  /** In words. */
  readonly changes: readonly string[];
  /** Records that were signed again. */
  readonly records: number;
  readonly commit: string | null;
  /** Absolute path of the request; null where none was written. */
  readonly request: string | null;
  readonly before: TrustedState;
};

/** How a command makes the change on a state; null: there is nothing to change. */
export type Draft = (base: Base) => Promise<Pending | null>;

/**
 * @param edit what the next root says, or null where it says so already; called anew after a lost race
 * @throws ImprintError NO_OWN_INDEX, ROOT_REFUSED, KEY_MISSING, NEEDS_SIGNATURES, …; nothing is signed where the first look refuses
 */
export async function changeOwnRoot(
  deps: Deps,
  options: RootOptions & {
    /** For messages: "grant". */
    readonly verb: string;
    /** Subject of the commit. */
    readonly message: string;
    readonly edit: (root: RootContent, open: OpenUpload, roots: RootChain) => Promise<RootContent | null> | RootContent | null;
  },
): Promise<ChangedRoot> {
  const { verb, message, edit } = options;
  return withOwnIndex(deps, options, verb, (open) =>
    changeByDraft(deps, open, options, async (base) => {
      const before = newestRoot(base.state.roots).doc;
      const content = await edit(before, open, base.state.roots);
      if (content === null || sameContent(before, content)) return null;
      return pendingRoot(base, content, { message, onProgress: progressOf(deps) });
    }),
  );
}

export function progressOf({ terminal }: Deps): (done: number, of: number) => void {
  return (done, of) => terminal.progress(`reading ${done} of ${of} records`);
}

export async function withOwnIndex<T>(
  deps: Deps,
  { index, out }: RootOptions,
  verb: string,
  work: (open: OpenUpload) => Promise<T>,
): Promise<T> {
  requireFree(deps, out);
  const open = await openUpload(deps, await theOwnIndex(deps, index, deps.cwd, verb));
  try {
    return await work(open);
  } finally {
    await open.repository.close();
  }
}

/** Signs, then commits and pushes, or writes the request. */
export async function changeByDraft(deps: Deps, open: OpenUpload, { out }: RootOptions, draft: Draft): Promise<ChangedRoot> {
  const { own, upload } = open;
  const sign = async (base: Base): Promise<Signed | null> => {
    const drafted = await draft(base);
    if (drafted === null) return null;
    const keys = await openAllKeys(deps, own);
    return { pending: signPending(drafted, keys), keys };
  };
  const signOn = async (first: ChosenBase): Promise<{ readonly first: ChosenBase; readonly signed: Signed | null }> => {
    const signed = await sign(first.base);
    if (signed !== null && out === undefined) requireSigned(signed.pending, signed.keys, own.name);
    return { first, signed };
  };
  const newest = await chooseBase(upload);
  const { first, signed } = await signOn(newest).catch(async (error: unknown) => {
    // Another command of this machine may have changed the root, and the keys here, between the two.
    const again = await chooseBase(upload);
    if (again.base.commit === newest.base.commit) throw error;
    return signOn(again);
  });
  const before = first.base.state;
  const nothing = { index: own.name, version: null, changes: [], records: 0, commit: null, request: null, before };
  if (signed === null) return nothing;
  const { pending } = signed;
  const facts = { ...nothing, ...factsOf(pending) };
  sayChanges(deps, pending);
  if (out !== undefined) return { ...facts, request: await writeRequest(deps, pending, out) };
  // Anew on what is there then.
  const commit = await publishPending(deps, open, { first, ...signed, redo: sign });
  return { ...facts, commit };
}

type Signed = { readonly pending: Pending; readonly keys: Keys };

/**
 * Makes the commit and pushes it.
 *
 * @param redo the change on a newer state, after a lost race; undefined: it is moved over as it was signed
 * @returns the commit
 * @throws ImprintError NEEDS_SIGNATURES where the checkpoint keys here are too few, STATE_CHANGED, and those of pushing
 */
export async function publishPending(
  deps: Deps,
  open: OpenUpload,
  options: {
    readonly first: ChosenBase;
    readonly pending: Pending;
    readonly keys: Keys;
    readonly redo?: (base: Base) => Promise<Signed | null>;
    /** What is to be done with a request that only lacks checkpoint keys. */
    readonly onCheckpoint?: (pending: Pending) => Promise<never>;
  },
): Promise<string> {
  const { first, redo, onCheckpoint } = options;
  const push = open.upload.remote !== null;
  requireRemote(open, push);
  let { pending: done, keys } = options;
  const uploaded = await signAndUpload(deps, open, {
    push,
    first,
    build: async (base, nowMs) => {
      const isMoved = base.state.checkpoint.digest !== done.state.checkpoint.digest;
      const again = redo !== undefined && isMoved ? await redo(base) : { pending: done, keys };
      const next = redo === undefined ? await rebase(options.pending, base) : (again?.pending ?? null);
      keys = again?.keys ?? keys;
      if (next === null) throw new ImprintError("STATE_CHANGED", "Cannot change the root: somebody else did it meanwhile");
      const complete = await completePending(next, base.snapshot, keys, nowMs);
      if (complete.files === null) {
        if (onCheckpoint !== undefined) return onCheckpoint(complete.pending);
        throw shortOf(complete.pending, keys, open.own.name);
      }
      done = next;
      return { files: complete.files, message: next.message };
    },
  });
  deps.terminal.ok(uploadedText(open, uploaded, push));
  if (done.root !== null) await dropOldKeys(deps, open.own, done.state.roots, done.root.doc);
  return uploaded.commit;
}

export function factsOf(pending: Pending): Pick<ChangedRoot, "version" | "changes" | "records"> {
  const { state, root, records } = pending;
  return {
    version: root?.doc.version ?? null,
    changes: root === null ? [] : rootChanges(newestRoot(state.roots).doc, root.doc),
    records: records.size,
  };
}

export function sayChanges({ terminal }: Deps, pending: Pending): void {
  const { version, changes } = factsOf(pending);
  for (const change of changes) terminal.talk(clean(`  root ${version ?? ""}: ${shortKeys(change)}`));
  const again = [...pending.records.values()].filter(({ before, after }) => before?.digest === after.digest).length;
  if (again > 0) terminal.talk(`  ${again} ${again === 1 ? "record is" : "records are"} signed again; no release file changes`);
}

/**
 * A request for changed records, where more publishers must sign than are here.
 *
 * @returns the file
 * @throws ImprintError KEY_MISSING, NAME_TAKEN
 */
export async function requestForRecords(
  deps: Deps,
  { own }: OpenUpload,
  { state }: Base,
  request: {
    readonly records: readonly { readonly before: PackageView; readonly after: PackageRecord }[];
    readonly message: string;
    readonly out: string;
  },
): Promise<string> {
  requireFree(deps, request.out);
  const changes = request.records.map(({ before, after }) => ({ before: before.record, after }));
  const pending = pendingRecords(state, changes, { message: request.message, nowMs: deps.nowMs() });
  const keys = await openAllKeys(deps, own, ["publisher"]);
  if (keys.publishers.length === 0)
    throw new ImprintError("KEY_MISSING", `Cannot sign for ${own.name}: no publisher key of its index is here`);
  return writeRequest(deps, signPending(pending, keys), request.out);
}

/** @throws ImprintError NAME_TAKEN */
export function requireFree({ cwd }: Deps, out: string | undefined): void {
  if (out !== undefined && existsSync(path.resolve(cwd, out)))
    throw new ImprintError("NAME_TAKEN", `Cannot write ${out}: it is there already`);
}

export async function writeRequest(deps: Deps, pending: Pending, out: string): Promise<string> {
  const file = path.resolve(deps.cwd, out);
  await deps.files.writeAtomic(file, formatRequest(pending));
  const short = shortfallsOf(pending);
  deps.terminal.ok(`${file}   ${short.length === 0 ? "nothing but the checkpoint is missing" : "waits for signatures"}`);
  for (const { what, have, need, keys } of short) deps.terminal.talk(clean(`  ${what}: ${have} of ${need}, by ${keysText(keys)}`));
  deps.terminal.talk(
    short.length === 0
      ? `Next, where the clone and the checkpoint key are   imprint root apply '${file}'`
      : `Next, where those keys are   imprint root sign '${path.basename(file)}'`,
  );
  return file;
}

/** @throws ImprintError KEY_MISSING, NEEDS_SIGNATURES */
function requireSigned(pending: Pending, keys: Keys, name: string): void {
  const before = newestRoot(pending.state.roots).doc;
  if (pending.root !== null && keys.root.length === 0)
    throw new ImprintError(
      "KEY_MISSING",
      `Cannot change the root of ${name}: none of its root keys is here (${keysText(before.roles.root.keys)}). Publishing goes on without them. Bring the key file, or hand out a request with --out; if they are lost for good, keys and names of this index can never change again: make a new one, and tell people to pin its id`,
    );
  if (shortfallsOf(pending).length > 0) throw shortOf(pending, keys, name);
}

/** Which signatures are missing, and whose. */
export function shortOf(pending: Pending, keys: Keys, name: string): ImprintError {
  const short = shortfallsOf(pending);
  const missing = short.map(({ what, have, need, keys: others }) => `${what}: ${have} of ${need} (missing: ${keysText(others)})`);
  const none = keys.checkpoint.length === 0 && missing.length === 0;
  const { checkpoint } = rootAfter(pending).roles;
  return new ImprintError(
    "NEEDS_SIGNATURES",
    clean(
      `Cannot change ${name} alone: ${none ? `${checkpoint.threshold} of its checkpoint keys must sign, none is here` : missing.join("; ")}`,
    ),
  );
}

function keysText(keys: readonly PublicKey[]): string {
  return keys.length === 0 ? "nobody" : keys.map(shortKey).join(", ");
}
