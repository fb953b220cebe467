/**
 * Lockfiles of every client: which packages a project has locked, from where, with which hash. One small reader a format,
 * all with the same answer; each reads what its client writes, to the last member, and refuses everything else.
 */
import { LIMITS } from "../../format/limits.ts";
import { ImprintError } from "../../errors.ts";
import { type LockedPackage, lockfileText, type Refuse, refuser } from "./locked.ts";

type Reader = (text: string, refuse: Refuse) => readonly LockedPackage[];

/** Larger than any that a client has written; a parser needs some ten times as much memory. */
export const LOCKFILE_MAX_BYTES = LIMITS.lockfileBytes;

/** By file name. Loaded when needed: the parsers would cost every command their loading. */
const READERS: Readonly<Record<string, () => Promise<Reader>>> = {
  "package-lock.json": async () => (await import("./npm.ts")).readNpmLock,
  "npm-shrinkwrap.json": async () => (await import("./npm.ts")).readNpmLock,
  "pnpm-lock.yaml": async () => (await import("./pnpm.ts")).readPnpmLock,
  "yarn.lock": async () => (await import("./yarn.ts")).readYarnLock,
  "bun.lock": async () => (await import("./bun.ts")).readBunLock,
  "deno.lock": async () => (await import("./deno.ts")).readDenoLock,
};

/** Lockfiles that no reader here understands: what to do instead. */
const FOREIGN: Readonly<Record<string, string>> = {
  "bun.lockb": "it is binary; bun install --save-text-lockfile --lockfile-only writes bun.lock, and then this file can go",
  "vlt-lock.json": "lockfiles of vlt are not read; imprint does not run it either",
};

export const LOCKFILES: readonly string[] = Object.keys(READERS);
const FOREIGN_LOCKFILES: readonly string[] = Object.keys(FOREIGN);

/** What npm, pnpm and bun remember of an installed tree: a later install believes it. */
const HIDDEN: Readonly<Record<string, string>> = { ".package-lock.json": "package-lock.json" };
/** With `gitBranchLockfile`, pnpm reads a lockfile a branch instead of pnpm-lock.yaml. */
const BRANCH_LOCKFILE = /^pnpm-lock\..+\.yaml$/;

/** Which of these files of a folder are lockfiles of some client, known here or not. */
export function lockfilesAmong(names: readonly string[]): readonly string[] {
  const known = [...LOCKFILES, ...FOREIGN_LOCKFILES];
  return [...known.filter((name) => names.includes(name)), ...names.filter((name) => BRANCH_LOCKFILE.test(name))];
}

function formatOf(name: string): string {
  if (BRANCH_LOCKFILE.test(name)) return "pnpm-lock.yaml";
  return Object.hasOwn(HIDDEN, name) ? (HIDDEN[name] ?? name) : name;
}

/**
 * @param name base name, which says the format: `pnpm-lock.yaml`
 * @param file how messages name it
 * @throws ImprintError CONFIG_INVALID
 */
export async function readLockfile(bytes: Uint8Array, name: string, file: string): Promise<readonly LockedPackage[]> {
  const refuse = refuser(file);
  const format = formatOf(name);
  const known = Object.hasOwn(READERS, format) ? READERS[format] : undefined;
  if (known === undefined)
    return refuse((Object.hasOwn(FOREIGN, name) ? FOREIGN[name] : undefined) ?? `its name is none of ${LOCKFILES.join(", ")}`);
  if (bytes.byteLength > LOCKFILE_MAX_BYTES) return refuse(`it is larger than ${LOCKFILE_MAX_BYTES / 1024 / 1024} MiB`);
  const text = lockfileText(bytes, refuse);
  if (/^(<{7}|={7}|>{7})( |\r?$)/m.test(text)) return refuse("it has conflict markers of git; merge it, then install again");
  const read = await known();
  try {
    return read(text, refuse);
  } catch (error) {
    if (error instanceof ImprintError) throw error;
    // A parser that gave up, as on nesting that no client writes.
    return refuse("it cannot be parsed", error);
  }
}

/** 1-based lines of entries: the first line that begins with the key, in whichever quotes. */
export function linesOf(text: string, keys: readonly string[]): ReadonlyMap<string, number> {
  const wanted = new Map(
    keys.map((key) => [key, [`${JSON.stringify(key)}:`, `'${key}':`, `${key}:`, `${JSON.stringify(key)},`, `${key},`]]),
  );
  const found = new Map<string, number>();
  for (const [i, line] of text.split("\n").entries()) {
    const start = line.trimStart();
    for (const [key, beginnings] of wanted) {
      if (!beginnings.some((beginning) => start.startsWith(beginning))) continue;
      found.set(key, i + 1);
      wanted.delete(key);
    }
    if (wanted.size === 0) break;
  }
  return found;
}
