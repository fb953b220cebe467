/**
 * isomorphic-git, loaded when it is first needed (it costs 100 ms and more), and the disk as it may see it.
 *
 * It writes files in place. A kill would then leave half an object, which git reads as damage, or half a configuration;
 * so each file that it writes appears at once, under its name, or not at all (THREATS C1).
 */
import { randomBytes } from "node:crypto";
import { lstat, mkdir, open, readdir, readFile, readlink, rename, rm, rmdir, stat, symlink, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import type * as IsomorphicGit from "isomorphic-git";

export type Library = typeof IsomorphicGit;

let loading: Promise<Library> | null = null;

export function library(): Promise<Library> {
  loading ??= import("isomorphic-git");
  return loading;
}

/**
 * Writes a whole file in `folder` (beside its place unless given; the same disk), then renames it there. `git gc`
 * clears away what begins like this and was left by a kill.
 */
export async function writeWhole(path: string, content: Uint8Array | string, mode?: number, folder = dirname(path)): Promise<void> {
  const temporary = join(folder, `tmp_obj_imprint_${String(process.pid)}_${randomBytes(6).toString("hex")}`);
  try {
    const handle = await open(temporary, "wx", mode ?? 0o644);
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } finally {
    await rm(temporary, { force: true }).catch(() => undefined);
  }
}

/** The disk for the library. */
export const libraryFs: IsomorphicGit.PromiseFsClient = {
  promises: {
    readFile,
    writeFile: (path: string, content: Uint8Array | string, options?: { readonly mode?: number }) =>
      writeWhole(path, content, options?.mode),
    unlink,
    readdir,
    mkdir,
    rmdir,
    stat,
    lstat,
    readlink,
    symlink,
  },
};
