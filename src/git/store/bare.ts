/** A new, empty repository, made without a git binary: a few folders and files that every git since 2005 reads. */
import { randomBytes } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { storageFailed } from "./quarantine.ts";

type ObjectFormat = "sha1" | "sha256";

/** Makes an empty bare repository, whole or not at all; one that is there already is left as it is. */
export async function createBareRepository(dir: string, options: { readonly objectFormat?: ObjectFormat } = {}): Promise<void> {
  const quiet = "\tlogallrefupdates = false\n";
  await createGitFolder(dir, {
    branch: "main",
    config: `${coreOf(options.objectFormat ?? "sha1", true)}${quiet}${extensionsOf(options.objectFormat ?? "sha1")}[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n`,
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
