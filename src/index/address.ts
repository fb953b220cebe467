/**
 * Addresses of an index: git's own, and `sparse+https://host/path/`, plain files on any web server.
 *
 * Both come from imprint.json and the command line, and from a root's `mirrors`, which are its owner's text: those may
 * lead to no machine that only we can reach, unless the user allows it, and to no ssh, which would use the user's keys.
 */
import { ImprintError, isImprintError } from "../errors.ts";
import { LIMITS } from "../format/limits.ts";
import { CHECKPOINT_PATH } from "../format/paths.ts";
import type { GitUrl } from "../git/port.ts";
import { parseGitUrl, redactUrl } from "../git/url.ts";

declare const brand: unique symbol;
/** `sparse+https://host/path/`, with its final slash and without credentials; `sparse+http` to this machine only. */
export type SparseUrl = string & { readonly [brand]: "SparseUrl" };

export type IndexAddress = { readonly kind: "git"; readonly url: GitUrl } | { readonly kind: "sparse"; readonly url: SparseUrl };

const SPARSE = "sparse+";

/** @throws ImprintError INVALID_URL, whose message shows no credentials */
export function parseIndexAddress(text: string, options: { readonly allowFile: boolean }): IndexAddress {
  if (!text.toLowerCase().startsWith(SPARSE)) return { kind: "git", url: parseGitUrl(text, options) };
  const rest = text.slice(SPARSE.length);
  const refuse = (state: string, cause?: unknown): ImprintError =>
    new ImprintError("INVALID_URL", `Cannot use index address "${redactUrl(text).slice(0, 200)}": ${state}`, { cause });
  if (!/^https?:/iu.test(rest)) throw refuse("sparse+https://host/path/ is the only kind of sparse address");
  try {
    // Judged as the first file that will be asked for: an index may lie at the very top of its host.
    const first = parseGitUrl(`${rest}${rest.endsWith("/") ? "" : "/"}${CHECKPOINT_PATH}`, { allowFile: false });
    return { kind: "sparse", url: `${SPARSE}${first.slice(0, -CHECKPOINT_PATH.length)}` as SparseUrl };
  } catch (error) {
    if (!isImprintError(error)) throw error;
    throw refuse(error.message.replace(/^Cannot use git address ".*": /u, ""), error);
  }
}

/** The plain address below which a sparse index's files are. */
export function sparseBase(url: SparseUrl): URL {
  return new URL(url.slice(SPARSE.length));
}

/** A root's mirror, or null where it is none that may be asked: only https, and http where `mayBePrivate` says so. */
export function parseMirror(text: string, mayBePrivate: (host: string) => boolean): IndexAddress | null {
  const judged = judgeMirror(text, mayBePrivate);
  return typeof judged === "string" ? null : judged;
}

/** The mirrors of a root that are never asked, and why, in their order. */
export function skippedMirrors(
  mirrors: readonly string[],
  mayBePrivate: (host: string) => boolean,
): readonly { readonly url: string; readonly reason: string }[] {
  return mirrors.flatMap((text, i) => {
    const judged = i < LIMITS.mirrors ? judgeMirror(text, mayBePrivate) : `it is one of more than ${LIMITS.mirrors}`;
    return typeof judged === "string" ? [{ url: redactUrl(text), reason: judged }] : [];
  });
}

/** @returns the address, or why it is not asked */
function judgeMirror(text: string, mayBePrivate: (host: string) => boolean): IndexAddress | string {
  try {
    const address = parseIndexAddress(text, { allowFile: false });
    const plain = address.kind === "git" ? address.url : address.url.slice(SPARSE.length);
    if (!/^https?:/u.test(plain)) return "a mirror is asked by https only";
    const { protocol, hostname } = new URL(plain);
    const host = hostname.replace(/^\[|\]$/gu, "");
    return protocol === "https:" || mayBePrivate(host) ? address : `it is not https (IMPRINT_ALLOW_PRIVATE=${host} allows it)`;
  } catch (error) {
    if (isImprintError(error, "INVALID_URL")) return error.message.replace(/^Cannot use (?:git|index) address ".*": /u, "");
    throw error;
  }
}
