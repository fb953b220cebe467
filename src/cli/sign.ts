/** One signed change of an own index, from the verified base to the host: what every command that signs has in common. */
import type { KeyFile, KeyPurpose } from "../crypto/key-file.ts";
import { ImprintError } from "../errors.ts";
import { formatPublicKey, type PublicKey } from "../format/keys.ts";
import type { PackageName } from "../format/names.ts";
import type { FileChange, RefUpdate } from "../git/port.ts";
import { type Base, type Change, chooseBase, type ChosenBase, type UploadResult } from "../index/publish.ts";
import { requireSigners, type WriterKeys } from "../index/signers.ts";
import type { TrustedState } from "../index/trust.ts";
import { authorOf } from "./author.ts";
import { requireClock } from "./clock.ts";
import type { Deps } from "./deps.ts";
import { keyFileFor, keysFor, openKeysOf } from "./key-store.ts";
import { isPreset } from "./passphrase.ts";
import type { OwnIndex } from "./own-indices.ts";
import { hostOf, type OpenUpload, type RunOptions, runUpload } from "./upload.ts";

export type SignedFiles = { readonly files: readonly FileChange[]; readonly message: string; readonly refs?: readonly RefUpdate[] };

/**
 * The daily keys of an own index: asks for the passphrase when it is first called, after all that can be refused was refused.
 *
 * @throws ImprintError KEY_MISSING, PASSPHRASE_WRONG, PASSPHRASE_NEEDED, KEY_INVALID
 */
export type Signer = () => Promise<WriterKeys>;

/**
 * Opened at once where nobody has to be asked: a passphrase costs a quarter of a second, which a question to the host can pass
 * beside. Opened again where the file has other keys by now: another command of this machine has rotated them.
 */
export function signerOf(deps: Deps, own: OwnIndex): Signer {
  const open = (): Promise<KeyFile> => openKeysOf(deps, own, "daily", deps);
  let opened = isPreset(deps.env) ? open() : null;
  opened?.catch(() => {}); // whoever wants the keys hears of it
  return async () => {
    const known = (await (opened ??= open())).keys.map(({ key }) => formatPublicKey(key.publicKey));
    const { header } = await keyFileFor(deps, own, "daily");
    if (header.keys.some(({ publicKey }) => !known.includes(publicKey))) opened = open();
    const file = await opened;
    return { publishers: keysFor(file, "publisher"), checkpoint: keysFor(file, "checkpoint") };
  };
}

/**
 * What can be said without a passphrase, before minutes of packing.
 *
 * @throws ImprintError KEY_MISSING, NOT_GRANTED, KEY_REPLACED, KEY_INVALID
 */
export async function requireKeysFor(
  deps: Deps,
  own: OwnIndex,
  state: TrustedState,
  names: readonly PackageName[],
  isProposal: boolean,
): Promise<void> {
  const { header } = await keyFileFor(deps, own, "daily");
  const of = (wanted: KeyPurpose): readonly PublicKey[] =>
    header.keys.filter(({ purpose }) => purpose === wanted).map(({ publicKey }) => publicKey);
  requireSigners(state, names, { publishers: of("publisher"), checkpoint: of("checkpoint") }, isProposal);
}

/**
 * The newest state, and keys at hand that can sign the next one.
 *
 * @throws ImprintError of reading, and as requireKeysFor
 */
export async function chooseSignable(deps: Deps, { own, upload, host }: OpenUpload, names: readonly PackageName[]): Promise<ChosenBase> {
  const chosen = await chooseBase(upload);
  await requireClock(deps, host, chosen.base.state);
  try {
    await requireKeysFor(deps, own, chosen.base.state, names, false);
    return chosen;
  } catch (error) {
    // A rotation on this machine may have come between the two.
    const again = await chooseBase(upload);
    if (again.base.commit === chosen.base.commit) throw error;
    await requireKeysFor(deps, own, again.base.state, names, false);
    return again;
  }
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
