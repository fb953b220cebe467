/** What every reader of lockfiles makes of its format, and the rules that they share. Lockfiles are hostile until parsed. */
import { LIMITS } from "../../format/limits.ts";
import { ImprintError, isImprintError } from "../../errors.ts";
import { textOf } from "../../format/bytes.ts";
import { isJsonObject, type JsonObject, type JsonValue, requireDepth } from "../../format/json.ts";
import { isPackageName, type PackageName } from "../../format/names.ts";

export type LockedPackage = {
  /** Where it stands in the lockfile, as `node_modules/@alice/foo` or `@alice/foo@1.0.0`. */
  readonly path: string;
  readonly name: PackageName;
  /** What it answers to: another name than `name` where there is an npm: alias. */
  readonly installedAs: string;
  readonly version: string;
  /** SRI as the client wrote it; null where there is none. */
  readonly integrity: string | null;
  /** Hex sha1 beside it, as yarn 1 writes it behind the address; null where there is none. */
  readonly shasum: string | null;
  /** `archive`: the client's hash is of an archive of its own making, which nobody can have signed. */
  readonly hashes: "tarball" | "archive";
  /** False for git, file and remote-tarball dependencies. */
  readonly fromRegistry: boolean;
};

/** Ends the reading: `Cannot read <file>: <what>`. */
export type Refuse = (what: string, cause?: unknown) => never;

const MAX_DEPTH = LIMITS.lockfileDepth;
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

export function jsonOf(text: string, refuse: Refuse): JsonObject {
  let value: JsonValue;
  try {
    requireDepth(text, MAX_DEPTH);
    value = JSON.parse(text) as JsonValue;
  } catch (error) {
    return refuse(isImprintError(error) ? `it is nested deeper than ${MAX_DEPTH} levels` : "it is not JSON", error);
  }
  return isJsonObject(value) ? value : refuse("it is not a JSON object");
}

export function packageNameOf(text: string, at: string, refuse: Refuse): PackageName {
  return isPackageName(text) ? text : refuse(`${shown(at)} is no package name`);
}

/** `@alice/foo@1.0.0` → name and the rest; null where there is no second part. */
export function splitSpec(spec: string): readonly [string, string] | null {
  const at = spec.indexOf("@", 1);
  return at < 0 ? null : [spec.slice(0, at), spec.slice(at + 1)];
}

export function isExactVersion(text: string): boolean {
  return text.length <= 256 && VERSION.test(text);
}

/** `…/<name>/-/<file>.tgz`: how every npm registry names its tarballs; anything else came past the resolver. */
export function isRegistryTarball(address: unknown, name: PackageName): boolean {
  if (typeof address !== "string" || !/^https?:\/\//.test(address)) return false;
  try {
    return decodeURIComponent(new URL(address).pathname).includes(`/${name}/-/`);
  } catch {
    return false;
  }
}

/** A key of a lockfile in a message: short, on one line. */
export function shown(key: string): string {
  return JSON.stringify(key.length > 120 ? `${key.slice(0, 120)}…` : key);
}
