/** One signed change of an own index, from the verified base to the host: what every command that signs has in common. */
import type { KeyFile } from "../crypto/key-file.ts";
import { ImprintError } from "../errors.ts";
import type { FileChange, RefUpdate } from "../git/port.ts";
import type { Base, Change, UploadResult } from "../index/publish.ts";
import type { WriterKeys } from "../index/writer.ts";
import { authorOf } from "./author.ts";
import type { Deps } from "./deps.ts";
import { keysFor, openKeysOf } from "./key-store.ts";
import { isPreset } from "./passphrase.ts";
import type { OwnIndex } from "./own-indices.ts";
import { hostOf, type OpenUpload, type RunOptions, runUpload } from "./upload.ts";

export type SignedFiles = { readonly files: readonly FileChange[]; readonly message: string; readonly refs?: readonly RefUpdate[] };

/** @throws ImprintError KEY_MISSING, PASSPHRASE_WRONG, PASSPHRASE_NEEDED, KEY_INVALID */
export async function dailyKeysOf(deps: Deps, own: OwnIndex): Promise<WriterKeys> {
  return writerKeysOf(await openKeysOf(deps, own, "daily", deps));
}

/**
 * The same, begun now where nobody has to be asked: a passphrase costs a tenth of a second of work, which a question to the
 * host can pass beside. Asking still waits until the answer is wanted, after all that can be refused was refused.
 */
export function dailyKeysSoon(deps: Deps, own: OwnIndex): () => Promise<WriterKeys> {
  const begun = isPreset(deps.env) ? dailyKeysOf(deps, own) : null;
  begun?.catch(() => {}); // whoever wants the keys hears of it
  return () => begun ?? dailyKeysOf(deps, own);
}

function writerKeysOf(file: KeyFile): WriterKeys {
  return { publishers: keysFor(file, "publisher"), checkpoint: keysFor(file, "checkpoint") };
}

/** A push needs somewhere to go. @throws ImprintError PUSH_FAILED */
export function requireRemote({ own, upload }: OpenUpload, push: boolean): void {
  if (push && upload.remote === null)
    throw new ImprintError(
      "PUSH_FAILED",
      `Cannot publish to ${own.name}: its clone ${own.path} has no remote; git -C '${own.path}' remote add origin <url>, or --no-push`,
    );
}

/**
 * @param first what was chosen a moment ago, when the change was planned
 * @param build makes the files anew for every attempt, on what is verified then
 * @throws ImprintError of reading, signing and pushing; nothing is published then
 */
export async function signAndUpload(
  deps: Deps,
  open: OpenUpload,
  options: RunOptions & { readonly build: (base: Base, nowMs: number) => Promise<SignedFiles> },
): Promise<UploadResult> {
  const author = await authorOf(deps);
  const build = async (base: Base): Promise<Change> => {
    const nowMs = deps.nowMs();
    const { files, message, refs = [] } = await options.build(base, nowMs);
    return { files, message, author, timeMs: nowMs, refs };
  };
  deps.terminal.progress(options.push ? `pushing to ${hostOf(open)}` : "committing");
  return runUpload(deps, open, build, options);
}

/** ` · committed 4be1c22 · pushed main`, for the end of a line of talk. */
export function uploadedText(open: OpenUpload, { commit, attempts }: UploadResult, push: boolean): string {
  const raced = attempts > 1 ? ` · ${attempts - 1} other ${attempts === 2 ? "publisher was" : "publishers were"} faster, signed again` : "";
  return `committed ${commit.slice(0, 7)}${push ? ` · pushed ${open.clone.branch ?? ""}` : ` in ${open.own.path}`}${raced}`;
}
