/** A new, empty repository, made without a git binary: a few folders and files that every git since 2005 reads. */
import { randomBytes } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { storageFailed } from "./quarantine.ts";

/** Makes an empty bare repository, whole or not at all; one that is there already is left as it is. */
export async function createBareRepository(dir: string, options: { readonly objectFormat?: "sha1" | "sha256" } = {}): Promise<void> {
  if ((await readFile(join(dir, "HEAD")).catch(() => null)) !== null) return;
  const format =
    options.objectFormat === "sha256"
      ? { version: 1, extensions: "[extensions]\n\tobjectformat = sha256\n" }
      : { version: 0, extensions: "" };
  const config = `[core]\n\trepositoryformatversion = ${String(format.version)}\n\tfilemode = true\n\tbare = true\n\tlogallrefupdates = false\n${format.extensions}[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n`;
  const temporary = join(dirname(dir), `.${randomBytes(6).toString("hex")}.new`);
  try {
    await mkdir(dirname(dir), { recursive: true, mode: 0o700 });
    for (const name of ["objects/info", "objects/pack", "refs/heads"]) await mkdir(join(temporary, name), { recursive: true, mode: 0o700 });
    await writeFile(join(temporary, "config"), config);
    await writeFile(join(temporary, "HEAD"), "ref: refs/heads/main\n");
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
