/**
 * `imprint root sign|apply <request>`: a change that several people sign, each where their key is. Signing needs no network and
 * no clone; what is signed is shown in words first, from documents that prove themselves.
 */
import { readFile } from "node:fs/promises";
import path from "node:path";
import { ImprintError } from "../../errors.ts";
import { type PublicKey, shortKey } from "../../format/keys.ts";
import { recordNews } from "../../index/news.ts";
import { chooseBase } from "../../index/publish.ts";
import { NO_KEYS, type Pending, shortfallsOf, signPending } from "../../index/root/pending.ts";
import { formatRequest, MAX_REQUEST_BYTES, parseRequest } from "../../index/root/request.ts";
import { newestRoot } from "../../index/trust.ts";
import { openAllKeys, publicKeysHere } from "../all-keys.ts";
import type { Deps } from "../deps.ts";
import { listKeyFiles } from "../key-store.ts";
import { stateStoreOf } from "../open.ts";
import { factsOf, publishPending, sayChanges, shortOf, withOwnIndex } from "../root-change.ts";
import { clean } from "../../format/text.ts";
import { packageLine } from "../views/news.ts";

export type SignedRequest = {
  readonly request: string;
  readonly index: string;
  /** In words. */
  readonly changes: readonly string[];
  /** Public keys that signed now. */
  readonly by: readonly string[];
  /** What is still missing; empty: it can be applied. */
  readonly missing: readonly { readonly what: string; readonly have: number; readonly need: number }[];
};

export type SignOptions = { readonly file: string; readonly yes: boolean };

/** @throws ImprintError REQUEST_REFUSED, KEY_MISSING, NEEDS_ANSWER */
export async function rootSign(options: SignOptions, deps: Deps): Promise<SignedRequest> {
  const { terminal } = deps;
  const file = path.resolve(deps.cwd, options.file);
  const pending = await readRequest(file);
  const index = await keyHolderOf(pending, deps);
  await requireNotOvertaken(pending, deps);
  sayRequest(pending, deps);
  const before = signers(pending);
  const keys = await publicKeysHere(deps, index);
  if (!options.yes) {
    if (!terminal.interactive)
      throw new ImprintError(
        "NEEDS_ANSWER",
        `Cannot sign ${options.file}: nobody is here to say yes; look at it, then imprint root sign --yes`,
      );
    if (!(await terminal.askYes("Sign this?")))
      return { request: file, index: pending.state.id, changes: [], by: [], missing: missingOf(pending) };
  }
  const signed = signPending(pending, await openAllKeys(deps, index));
  const by = [
    ...new Set([...signers(signed)].filter((entry) => !before.has(entry)).map((entry) => entry.slice(0, entry.indexOf(" ")) as PublicKey)),
  ];
  if (by.length === 0)
    throw new ImprintError(
      "KEY_MISSING",
      `Cannot add a signature to ${options.file}: ${keys.length === 0 ? "no key" : `none of the keys here (${keys.map(({ publicKey }) => shortKey(publicKey)).join(", ")})`} may sign it, or has not signed it yet`,
    );
  await deps.files.writeAtomic(file, formatRequest(signed));
  const missing = missingOf(signed);
  terminal.ok(clean(`${options.file} signed by ${by.map(shortKey).join(", ")}`));
  for (const { what, have, need } of missing) terminal.talk(clean(`  ${what}: ${have} of ${need}`));
  terminal.talk(
    missing.length === 0
      ? `Next, where the clone and the checkpoint key are   imprint root apply '${path.basename(file)}'`
      : `Next, where another of those keys is   imprint root sign '${path.basename(file)}'`,
  );
  return { request: file, index: pending.state.id, changes: factsOf(pending).changes, by, missing };
}

export type AppliedRequest = { readonly index: string; readonly version: number | null; readonly commit: string };

/** @throws ImprintError REQUEST_REFUSED, NEEDS_SIGNATURES, and those of pushing */
export async function rootApply(
  options: { readonly file: string; readonly index: string | undefined },
  deps: Deps,
): Promise<AppliedRequest> {
  const file = path.resolve(deps.cwd, options.file);
  const pending = await readRequest(file);
  return withOwnIndex(deps, { index: options.index }, "apply a request", async (open) => {
    const { own } = open;
    if (pending.state.id !== own.id)
      throw new ImprintError("REQUEST_REFUSED", `Cannot apply ${options.file}: it is for index ${pending.state.id}, not for ${own.name}`);
    if (shortfallsOf(pending).length > 0) throw shortOf(pending, NO_KEYS, own.name);
    const first = await chooseBase(open.upload);
    requireNotApplied(pending, newestRoot(first.base.state.roots).doc.version, options.file);
    sayChanges(deps, pending);
    const keys = await openAllKeys(deps, own, ["checkpoint"]);
    const commit = await publishPending(deps, open, {
      first,
      pending,
      keys,
      onCheckpoint: async (waiting) => {
        await deps.files.writeAtomic(file, formatRequest(waiting));
        const short = missingOf(waiting).map(({ what, have, need }) => `${what}: ${have} of ${need}`);
        throw new ImprintError(
          "NEEDS_SIGNATURES",
          `Cannot apply ${options.file} yet: ${short.join("; ")}. It now holds the checkpoint; imprint root sign it where the other checkpoint keys are, then apply it again`,
        );
      },
    });
    return { index: own.name, version: pending.root?.doc.version ?? null, commit };
  });
}

async function readRequest(file: string): Promise<Pending> {
  let bytes: Uint8Array;
  try {
    bytes = new Uint8Array(await readFile(file));
  } catch (cause) {
    throw new ImprintError("FILE_UNREADABLE", `Cannot read ${file}: it is not there, or may not be read`, { cause });
  }
  if (bytes.byteLength > MAX_REQUEST_BYTES)
    throw new ImprintError("REQUEST_REFUSED", `Cannot use ${file}: it is larger than ${MAX_REQUEST_BYTES} bytes`);
  return parseRequest(bytes);
}

/** The index of the request as this machine's key files name it: they, and not the request, say whose it is. */
async function keyHolderOf({ state }: Pending, deps: Deps) {
  const found = (await listKeyFiles(deps)).find(({ header }) => header.index === state.id);
  if (found === undefined)
    throw new ImprintError(
      "KEY_MISSING",
      `Cannot sign: the request is for index ${state.id} (it calls itself ${newestRoot(state.roots).doc.name}), and no key file here is`,
    );
  return { id: state.id, name: found.header.name };
}

/** An old request must not undo what this machine has seen since. */
async function requireNotOvertaken(pending: Pending, deps: Deps): Promise<void> {
  const seen = (await stateStoreOf(deps, pending.state.id).read())?.stored.state ?? null;
  if (seen === null) return;
  const [known, theirs] = [newestRoot(seen.roots), newestRoot(pending.state.roots)];
  requireNotApplied(pending, known.doc.version, "it");
  if (known.doc.version === theirs.doc.version && known.digest !== theirs.digest)
    throw new ImprintError("REQUEST_REFUSED", `Cannot sign: its root ${theirs.doc.version} is another one than this machine has seen`);
}

function requireNotApplied({ state, root }: Pending, newest: number, what: string): void {
  const base = newestRoot(state.roots).doc.version;
  if (newest > base)
    throw new ImprintError(
      "REQUEST_REFUSED",
      `Cannot use ${what}: it was made on root ${base}, and the index is at root ${newest}${root?.doc.version === newest ? ": it may be applied already" : ""}`,
    );
}

function sayRequest(pending: Pending, deps: Deps): void {
  const { state, records, files } = pending;
  const root = newestRoot(state.roots).doc;
  deps.terminal.talk(
    clean(`${root.name}, index ${state.id}, root ${root.version}, signed ${state.checkpoint.doc.time}: ${pending.message}`),
  );
  sayChanges(deps, pending);
  for (const { before, after } of records.values()) {
    if (before?.digest === after.digest) continue;
    const news = recordNews(before?.doc ?? null, after.doc);
    const what = news === null ? `${after.doc.name} as it was, in revision ${after.doc.revision}` : packageLine(news);
    deps.terminal.talk(clean(`  ${before === null ? "new: " : ""}${what}`));
  }
  for (const { path: where, content } of files) deps.terminal.talk(clean(`  ${content === null ? "removes" : "brings"} ${where}`));
}

function signers({ root, records, checkpoint }: Pending): ReadonlySet<string> {
  const documents = [root, checkpoint, ...[...records.values()].map(({ after }) => after)];
  return new Set(documents.flatMap((document) => document?.signatures ?? []).map(({ key, signature }) => `${key} ${signature}`));
}

function missingOf(pending: Pending): SignedRequest["missing"] {
  return shortfallsOf(pending).map(({ what, have, need }) => ({ what, have, need }));
}
