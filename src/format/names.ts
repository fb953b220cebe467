/** Package names and the patterns that claim them. */
import { ImprintError } from "../errors.ts";
import { LIMITS } from "./limits.ts";

declare const brand: unique symbol;
/**
 * A name that the public registry may have: what npm ever let through, `@_x/y` and `@~3/y` too. Safe in paths and addresses as
 * it stands; nothing of it is published here.
 */
export type PublicName = string & { readonly [publicBrand]: true };
declare const publicBrand: unique symbol;
/** A name that an index may publish. */
export type PackageName = PublicName & { readonly [brand]: "PackageName" };
/** An exact name, `@scope/*` or `*`. */
export type PackagePattern = string & { readonly [brand]: "PackagePattern" };

const NAME = /^(@[A-Za-z0-9][A-Za-z0-9._-]*\/)?[A-Za-z0-9_-]([A-Za-z0-9._-]*[A-Za-z0-9_-])?$/;
const UNSCOPED_START = /^[A-Za-z0-9]/;
const SCOPE_PATTERN = /^@[A-Za-z0-9][A-Za-z0-9._-]*\/\*$/;
const NOT_NAMES: ReadonlySet<string> = new Set(["node_modules", "favicon.ico"]);

export function isPackageName(text: string): text is PackageName {
  if (text.length > LIMITS.nameChars || !NAME.test(text)) return false;
  return text.startsWith("@") || (UNSCOPED_START.test(text) && !NOT_NAMES.has(text));
}

/** npm's rules for names that exist: each part is what URLs leave as it is, and begins with no dot. */
const PUBLIC_NAME = /^(?:@[A-Za-z0-9_~!*'()-][A-Za-z0-9._~!*'()-]*\/)?[A-Za-z0-9_~!*'()-][A-Za-z0-9._~!*'()-]*$/;

export function isPublicName(text: string): text is PublicName {
  return text.length <= LIMITS.nameChars && PUBLIC_NAME.test(text) && !NOT_NAMES.has(text);
}

/** @throws ImprintError INVALID_NAME */
export function parsePublicName(text: string): PublicName {
  if (!isPublicName(text)) throw new ImprintError("INVALID_NAME", `Cannot use ${quote(text)}: not a package name`);
  return text;
}

export function isPackagePattern(text: string): text is PackagePattern {
  return text === "*" || isPackageName(text) || (SCOPE_PATTERN.test(text) && text.length <= LIMITS.nameChars);
}

/** @throws ImprintError INVALID_NAME */
export function parsePackageName(text: string): PackageName {
  if (!isPackageName(text)) throw new ImprintError("INVALID_NAME", `Cannot use ${quote(text)}: not a package name`);
  return text;
}

/**
 * A name for a package that does not exist yet: lower case only. Upper case is for re-issuing old public packages.
 *
 * @throws ImprintError INVALID_NAME
 */
export function parseNewPackageName(text: string): PackageName {
  const name = parsePackageName(text);
  if (name !== name.toLowerCase()) {
    throw new ImprintError("INVALID_NAME", `Cannot use ${quote(text)}: new names are lower case (as npm's are)`);
  }
  return name;
}

/** @throws ImprintError INVALID_NAME */
export function parsePackagePattern(text: string): PackagePattern {
  if (!isPackagePattern(text)) {
    throw new ImprintError("INVALID_NAME", `Cannot use ${quote(text)}: write a package name, '@scope/*' or '*'`);
  }
  return text;
}

/** `@alice` of `@alice/foo`, or null. */
export function scopeOf(name: PublicName): string | null {
  return name.startsWith("@") ? name.slice(0, name.indexOf("/")) : null;
}

/** `foo` of `@alice/foo` and of `foo`. */
export function baseNameOf(name: PublicName): string {
  return name.slice(name.indexOf("/") + 1);
}

/** How closely a pattern names a package: 3 exact, 2 its scope, 1 `*`, 0 not at all. The closest decides alone. */
export function patternRank(pattern: PackagePattern, name: PublicName): 0 | 1 | 2 | 3 {
  if (pattern === "*") return 1;
  if ((pattern as string) === name) return 3;
  const scope = scopeOf(name);
  return scope !== null && pattern === `${scope}/*` ? 2 : 0;
}

function quote(text: string): string {
  const short = text.length > 80 ? `${text.slice(0, 80)}…` : text;
  return JSON.stringify(short);
}
