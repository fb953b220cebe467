/**
 * What every reader of lockfiles makes of its format, and the rules that they share. Lockfiles are hostile until parsed:
 * a reader knows each member that its client writes, and refuses the file for any other, with the place of it. What an
 * entry says of itself (bundled, linked, soft, a workspace) is handed on as a claim that the audit has to see proved.
 */
import { ImprintError } from "../../errors.ts";
import { textOf } from "../../format/bytes.ts";
import { isPublicName, type PublicName } from "../../format/names.ts";

/** Where an entry says that its files come from. */
export type Origin =
  | { readonly kind: "registry" }
  /** Git, a tarball file, another address: there is no release that it could be compared with. */
  | { readonly kind: "elsewhere" }
  /** A folder of the project, relative to the lockfile's folder. */
  | { readonly kind: "folder"; readonly folder: string }
  /** Inside the tarball of another package: `of` is that package's `path` in the same lockfile. */
  | { readonly kind: "bundle"; readonly of: string }
  /** Changed after it was fetched, by the patch that is named. */
  | { readonly kind: "patched"; readonly patch: string };

export type LockedPackage = {
  /** Where it stands in the lockfile, as `node_modules/@alice/foo` or `@alice/foo@1.0.0`. */
  readonly path: string;
  readonly name: PublicName;
  /** What it answers to: another name than `name` where there is an npm: alias. */
  readonly installedAs: string;
  readonly version: string;
  /** SRI as the client wrote it; null where there is none. */
  readonly integrity: string | null;
  /** Hex sha1 beside it, as yarn 1 writes it behind the address; null where there is none. */
  readonly shasum: string | null;
  /** `archive`: the client's hash is of an archive of its own making, which nobody can have signed. */
  readonly hashes: "tarball" | "archive";
  readonly origin: Origin;
  /** Its tarball has an npm-shrinkwrap.json, by which npm installs below it what no lockfile of the project names. */
  readonly hasShrinkwrap?: true;
};

export const REGISTRY: Origin = { kind: "registry" };
export const ELSEWHERE: Origin = { kind: "elsewhere" };

/** Ends the reading: `Cannot read <file>: <what>`. */
export type Refuse = (what: string, cause?: unknown) => never;

const VERSION = /^[0-9]+\.[0-9]+\.[0-9]+(?:[-+][0-9A-Za-z.+-]+)?$/;

export function refuser(file: string): Refuse {
  return (what, cause) => {
    throw new ImprintError("CONFIG_INVALID", `Cannot read ${file}: ${what}`, { cause });
  };
}

/** The text of a lockfile; a byte order mark is skipped. */
export function lockfileText(bytes: Uint8Array, refuse: Refuse): string {
  const text = textOf(bytes) ?? refuse("it is not UTF-8");
  return text.startsWith("\uFEFF") ? text.slice(1) : text;
}

export function packageNameOf(text: string, at: string, refuse: Refuse): PublicName {
  return isPublicName(text) ? text : refuse(`${at}: ${shown(text)} is no package name`);
}

/** `@alice/foo@1.0.0` → name and the rest; null where there is no second part. */
export function splitSpec(spec: string): readonly [string, string] | null {
  const at = spec.indexOf("@", 1);
  return at < 0 || at === spec.length - 1 ? null : [spec.slice(0, at), spec.slice(at + 1)];
}

export function isExactVersion(text: string): boolean {
  return text.length <= 256 && VERSION.test(text);
}

/** A path that has one spelling: relative, forward slashes, `..` only at its start. `.` is the folder itself. */
export function isPlainPath(text: string): boolean {
  return (
    text === "." || (/^(\.\.\/)*(?!\.\.?(\/|$))[^/\\\0]+(\/(?!\.\.?(\/|$))[^/\\\0]+)*$|^\.\.(\/\.\.)*$/.test(text) && text.length <= 1024)
  );
}

/** A key of a lockfile in a message: short, on one line. */
export function shown(key: string): string {
  return JSON.stringify(key.length > 120 ? `${key.slice(0, 120)}…` : key);
}
