/**
 * Dependencies of a manifest that are more than a range: aliases (`npm:other@1`), git and tarball addresses, paths. Clients
 * install each of them in a folder of the dependency's name, and hoist it to where everybody else looks for that name.
 */
import validRange from "semver/ranges/valid.js";
import { isJsonObject, type JsonValue } from "./json.ts";

export type OddDependency = { readonly name: string; /** As it stands there. */ readonly spec: string };

const KINDS = ["dependencies", "optionalDependencies", "peerDependencies", "acceptDependencies"] as const;
/** A dist-tag; whatever has a colon or a slash in it leads elsewhere. */
const TAG = /^[A-Za-z0-9._~!*'()-]*$/;

export function oddDependencies(manifest: JsonValue | undefined): readonly OddDependency[] {
  if (!isJsonObject(manifest)) return [];
  return KINDS.flatMap((kind) => {
    const list = manifest[kind];
    if (!isJsonObject(list)) return [];
    return Object.entries(list).flatMap(([name, spec]) =>
      typeof spec === "string" && !isPlain(spec) ? [{ name: name.trim(), spec }] : [],
    );
  });
}

/** The name that an alias stands for, null where its spec leads past every registry. */
export function aliasTarget({ name, spec }: OddDependency): string | null {
  const [, rest] = /^\s*npm:(.*?)\s*$/is.exec(spec) ?? [];
  if (rest === undefined) return null;
  // yarn writes `npm:^1.0.0` for a range of the same name; a word alone is a name to npm, and what is in doubt is one here.
  if (validRange(rest, true) !== null) return name;
  const at = rest.indexOf("@", 1);
  return at < 0 ? rest : rest.slice(0, at);
}

function isPlain(spec: string): boolean {
  const text = spec.trim();
  return TAG.test(text) || (!/[:/]/.test(text) && validRange(text, true) !== null);
}
