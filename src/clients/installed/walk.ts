/**
 * Everything that stands where a name would be found, in every node_modules of a project: folders, links and lone files
 * (Node.js takes `node_modules/@alice/a.js` for `@alice/a` before the folder). npm, yarn and bun nest node_modules; pnpm,
 * deno, bun's isolated and yarn's pnpm installs keep each package in a store below node_modules, and link to it.
 */
import { lstat, opendir, realpath } from "node:fs/promises";
import path from "node:path";
import { ImprintError, errnoOf } from "../../errors.ts";
import { isPublicName, type PublicName } from "../../format/names.ts";

export type InstalledPlace = {
  /** Relative to the project, with forward slashes. */
  readonly path: string;
  /** What `require` would find it by. */
  readonly placedAs: PublicName;
  /** `file`: a module in the package's place. `broken`: a link to nothing. */
  readonly kind: "folder" | "file" | "broken";
  /** Absolute, links followed. */
  readonly folder: string;
  readonly isLink: boolean;
};

/** Stores of packages: below each name in one, `node_modules` or `package` holds the package. */
const STORES: ReadonlySet<string> = new Set([".pnpm", ".deno", ".bun", ".store"]);
const MODULE_FILE = /\.(?:js|json|node|cjs|mjs)$/;
/** Entries of all folders together. */
const MAX_ENTRIES = 2_000_000;
const MAX_DEPTH = 64;

/** @param folders that may have a node_modules: the project and its workspaces, absolute */
export async function findInstalled(root: string, folders: readonly string[]): Promise<readonly InstalledPlace[]> {
  const found: InstalledPlace[] = [];
  const seen = new Set<string>();
  const budget = { left: MAX_ENTRIES };
  const shown = (at: string): string => path.relative(root, at).split(path.sep).join("/");

  const modules = async (at: string, depth: number): Promise<void> => {
    const real = await realOf(at);
    if (real === null || seen.has(real)) return;
    if (depth > MAX_DEPTH) throw tooMuch(shown(at), `is nested deeper than ${MAX_DEPTH} levels`);
    seen.add(real);
    for (const name of await namesIn(real, budget)) {
      const inner = path.join(real, name);
      if (STORES.has(name)) await store(inner, depth + 1);
      else if (name.startsWith("@")) {
        for (const base of await namesIn(inner, budget)) await place(path.join(inner, base), `${name}/${base}`, depth);
      } else if (!name.startsWith(".")) await place(inner, name, depth);
    }
  };
  const store = async (at: string, depth: number): Promise<void> => {
    for (const name of await namesIn(at, budget)) {
      const inner = path.join(at, name);
      if (name === "node_modules") await modules(inner, depth);
      else await modules(path.join(inner, "node_modules"), depth);
    }
  };
  const place = async (at: string, name: string, depth: number): Promise<void> => {
    const info = await lstat(at).catch(() => null);
    if (info === null) return;
    const isLink = info.isSymbolicLink();
    const real = isLink ? await realOf(at) : at;
    if (real === null) {
      if (isPublicName(name)) found.push({ path: shown(at), placedAs: name, kind: "broken", folder: at, isLink });
      return;
    }
    const target = isLink ? await lstat(real) : info;
    if (!target.isDirectory()) {
      for (const one of new Set([name, name.replace(MODULE_FILE, "")]))
        if (isPublicName(one)) found.push({ path: shown(at), placedAs: one, kind: "file", folder: real, isLink });
      return;
    }
    if (isPublicName(name)) found.push({ path: shown(at), placedAs: name, kind: "folder", folder: real, isLink });
    // Behind a link stands what is walked where it stands, or a folder of the project, whose dependencies are its own.
    if (!isLink) await modules(path.join(at, "node_modules"), depth + 1);
  };

  // What yarn's PnP cannot leave in an archive.
  await store(path.join(root, ".yarn", "unplugged"), 0);
  for (const folder of folders) await modules(path.join(folder, "node_modules"), 0);
  return found;
}

export type DiskEntry = {
  /** Relative to the package, with forward slashes. */ readonly path: string;
  readonly kind: "file" | "link" | "other";
};

/** The files of one package's folder, without what is nested in its node_modules. */
export async function filesOfPackage(folder: string, inModules: (path: string) => boolean): Promise<readonly DiskEntry[]> {
  const found: DiskEntry[] = [];
  const budget = { left: MAX_ENTRIES };
  const walk = async (at: string, prefix: string, depth: number): Promise<void> => {
    if (depth > MAX_DEPTH * 4) throw tooMuch(at, "is nested too deeply");
    for (const name of await namesIn(at, budget)) {
      const inner = prefix === "" ? name : `${prefix}/${name}`;
      const info = await lstat(path.join(at, name)).catch(() => null);
      if (info === null) continue;
      const isModules = inner === "node_modules" || inner.startsWith("node_modules/");
      if (isModules && !inModules(inner)) continue;
      if (info.isDirectory()) await walk(path.join(at, name), inner, depth + 1);
      else found.push({ path: inner, kind: info.isFile() ? "file" : info.isSymbolicLink() ? "link" : "other" });
    }
  };
  await walk(folder, "", 0);
  return found;
}

async function realOf(at: string): Promise<string | null> {
  try {
    return await realpath(at);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ENOTDIR" || errno === "ELOOP") return null;
    throw new ImprintError("STORAGE_FAILED", `Cannot read ${at}: ${errno ?? "unknown"}`, { cause: error });
  }
}

async function namesIn(at: string, budget: { left: number }): Promise<readonly string[]> {
  const names: string[] = [];
  try {
    for await (const { name } of await opendir(at)) {
      if (--budget.left < 0) throw tooMuch(at, `and what is around it have more than ${MAX_ENTRIES} entries`);
      names.push(name);
    }
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ENOTDIR") return [];
    if (errno === undefined) throw error;
    throw new ImprintError("STORAGE_FAILED", `Cannot read ${at}: ${errno}`, { cause: error });
  }
  return names.toSorted();
}

function tooMuch(at: string, what: string): ImprintError {
  return new ImprintError("TOO_LARGE", `Cannot compare what is installed: ${at} ${what}`);
}
