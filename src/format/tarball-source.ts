/** Where a root says that tarballs are: `git`, `git+<url>`, or an https template. Syntax only: nothing is contacted. */
import { baseNameOf, type PackageName, scopeOf } from "./names.ts";
import type { Version } from "./versions.ts";

const PLACEHOLDER = "\\{(?:scope|name|version|file|sha512)\\}";
const HTTPS_TEMPLATE = new RegExp(`^https://[A-Za-z0-9.-]+(?::[0-9]{1,5})?/(?:[A-Za-z0-9._~!$&'()*+,;=:@%/?-]|${PLACEHOLDER})*$`);
const GIT_URL = /^git\+[A-Za-z][!-~]{1,2047}$/;

export function isTarballSource(text: string): boolean {
  if (text.length > 2048) return false;
  return text === "git" || GIT_URL.test(text) || (HTTPS_TEMPLATE.test(text) && new RegExp(PLACEHOLDER).test(text));
}

export type TarballSource = { readonly kind: "git"; readonly url: string | null } | { readonly kind: "https"; readonly template: string };

/** @param text what `isTarballSource` let through */
export function readTarballSource(text: string): TarballSource {
  if (text === "git") return { kind: "git", url: null };
  return text.startsWith("git+") ? { kind: "git", url: text.slice(4) } : { kind: "https", template: text };
}

export type TarballKey = { readonly name: PackageName; readonly version: Version; /** 128 hex digits */ readonly sha512: string };

/** File name as `npm pack` gives it: `alice-foo-1.0.0.tgz` of `@alice/foo`. */
export function packFileName(name: PackageName, version: Version): string {
  return `${name.replace(/^@/, "").replace("/", "-")}-${version}.tgz`;
}

/** The address of one tarball, every value percent-encoded: object stores read `+` as a space. */
export function fillTemplate(template: string, key: TarballKey): string {
  const values = {
    scope: scopeOf(key.name) ?? "",
    name: baseNameOf(key.name),
    version: key.version,
    file: packFileName(key.name, key.version),
    sha512: key.sha512,
  };
  return template.replace(new RegExp(PLACEHOLDER, "g"), (placeholder) =>
    percentEncode(values[placeholder.slice(1, -1) as keyof typeof values]),
  );
}

/** Percent-encodes all but `A-Za-z0-9._-`. */
export function percentEncode(segment: string): string {
  return encodeURIComponent(segment).replace(/[!'()*~]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** The ref that holds a tarball in a git host: named by content, so no two packages can fight over it. */
export function tarballRef(sha512: string): string {
  return `refs/tarballs/${sha512.slice(0, 64)}`;
}
