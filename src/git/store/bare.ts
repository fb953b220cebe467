/**
 * Bare repositories, made without a git binary: a few folders and files that every git since 2005 reads.
 *
 * A cached repository is made safe before each use (THREATS M2). Somebody else may have prepared the cache that CI restored, and
 * git runs programs and follows addresses that a repository's own files name: `config`, `hooks`, `commondir`, `info/alternates`.
 * So only the names that this project's own fetches make are left there, and `config` and `HEAD` are written anew.
 */
import { randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import type { Dirent } from "node:fs";
import { dirname, join } from "node:path";
import { errnoOf } from "../../errors.ts";
import { QUARANTINES, storageFailed } from "./quarantine.ts";

type ObjectFormat = "sha1" | "sha256";

/** Makes an empty bare repository, whole or not at all; one that is there already is made safe and keeps its objects and refs. */
export async function createBareRepository(dir: string, options: { readonly objectFormat?: ObjectFormat } = {}): Promise<void> {
  const quiet = "\tlogallrefupdates = false\n";
  const config = `${coreOf(options.objectFormat ?? "sha1", true)}${quiet}${extensionsOf(options.objectFormat ?? "sha1")}[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n`;
  await makeSafe(dir, config).catch((error: unknown) => {
    throw storageFailed(`make ${dir} safe`, error);
  });
  await createGitFolder(dir, { branch: "main", config });
}

const FOLDERS: ReadonlySet<string> = new Set(["objects", "refs", QUARANTINES]);
const FILES: ReadonlySet<string> = new Set(["HEAD", "config", "packed-refs", "shallow", "FETCH_HEAD"]);
/** Of processes that work there at this moment. */
const PASSING = /^(?:HEAD|config|packed-refs|shallow)\.(?:lock|new)$|^\.imprint-/u;

/** Leaves objects and refs; a repository in which one of them is a link to another place is given up as a whole. */
async function makeSafe(dir: string, config: string): Promise<void> {
  const entries = await entriesOf(dir);
  if (entries === null) return;
  for (const entry of entries) {
    const { name } = entry;
    if (FOLDERS.has(name) ? entry.isDirectory() : (FILES.has(name) || PASSING.test(name)) && entry.isFile()) continue;
    if (name === "objects" || name === "refs") return rm(dir, { recursive: true, force: true });
    await rm(join(dir, name), { recursive: true, force: true });
  }
  const objects = (await entriesOf(join(dir, "objects"))) ?? [];
  const packs = (await entriesOf(join(dir, "objects", "pack"))) ?? [];
  const refs = await readdir(join(dir, "refs"), { withFileTypes: true, recursive: true }).catch((): Dirent[] => []);
  if ([...objects, ...packs, ...refs].some((entry) => entry.isSymbolicLink())) return rm(dir, { recursive: true, force: true });
  // Alternates, and lists that git believes without reading the objects.
  for (const { name } of (await entriesOf(join(dir, "objects", "info"))) ?? [])
    await rm(join(dir, "objects", "info", name), { recursive: true, force: true });
  for (const [name, text] of [
    ["config", config],
    ["HEAD", "ref: refs/heads/main\n"],
  ] as const) {
    const file = join(dir, name);
    if ((await readFile(file, "utf8").catch(() => null)) === text) continue;
    const temporary = join(dir, `.imprint-${randomBytes(6).toString("hex")}`);
    await writeFile(temporary, text, { flag: "wx" });
    await rename(temporary, file);
  }
}

/** Null where there is no such folder. */
async function entriesOf(dir: string): Promise<readonly Dirent[] | null> {
  return readdir(dir, { withFileTypes: true }).catch((error: unknown) => {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return null;
    throw error;
  });
}

/** The git folder of an author's clone: as `git init` makes it, without sample hooks. */
export async function createCloneFolder(dir: string, options: { readonly branch: string; readonly bare: boolean }): Promise<void> {
  await createGitFolder(dir, { branch: options.branch, config: coreOf("sha1", options.bare) });
}

function coreOf(format: ObjectFormat, bare: boolean): string {
  return `[core]\n\trepositoryformatversion = ${format === "sha256" ? "1" : "0"}\n\tfilemode = true\n\tbare = ${String(bare)}\n`;
}

function extensionsOf(format: ObjectFormat): string {
  return format === "sha256" ? "[extensions]\n\tobjectformat = sha256\n" : "";
}

async function createGitFolder(dir: string, { branch, config }: { readonly branch: string; readonly config: string }): Promise<void> {
  if ((await readFile(join(dir, "HEAD")).catch(() => null)) !== null) return;
  const temporary = join(dirname(dir), `.${randomBytes(6).toString("hex")}.new`);
  try {
    await mkdir(dirname(dir), { recursive: true, mode: 0o700 });
    for (const name of ["objects/info", "objects/pack", "refs/heads"]) await mkdir(join(temporary, name), { recursive: true, mode: 0o700 });
    await writeFile(join(temporary, "config"), config);
    await writeFile(join(temporary, "HEAD"), `ref: refs/heads/${branch}\n`);
    await rename(temporary, dir).catch(async (error: unknown) => {
      // another process made it first
      if ((await readFile(join(dir, "HEAD")).catch(() => null)) === null) throw error;
    });
  } catch (error) {
    throw storageFailed(`make a repository in ${dir}`, error);
  } finally {
    await rm(temporary, { recursive: true, force: true }).catch(() => undefined);
  }
}
