/** A repository's own configuration file, by the library's parser, written under git's lock and at once. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { takeLock } from "../store/lock.ts";
import { storageFailed } from "../store/quarantine.ts";
import { library, libraryFs } from "./library.ts";

const LOCK_STALE_MS = 10 * 60_000;

export type Config = {
  /** The last value of a key, or null. */
  get(key: string): Promise<string | null>;
  /** Exactly these values for a key, in this order; nothing is written where they stand there already. */
  set(key: string, values: readonly string[]): Promise<void>;
  /** Names of all remotes. */
  remotes(): Promise<readonly string[]>;
};

/** A value that a parser would cut or unquote, in quotes. */
function quoted(value: string): string {
  return /[#;"\\]|^\s|\s$/u.test(value) ? `"${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"` : value;
}

export async function configOf(gitDir: string): Promise<Config> {
  const git = await library();
  const place = { fs: libraryFs, gitdir: gitDir };
  const all = async (path: string): Promise<readonly string[]> => {
    const values: readonly unknown[] = await git.getConfigAll({ ...place, path });
    return values.filter((value) => value !== undefined).map(String);
  };
  const change = async (path: string, values: readonly string[]): Promise<void> => {
    const lock = await takeLock(join(gitDir, "config.lock"), LOCK_STALE_MS);
    try {
      await lock.file.close();
      for (let left = (await all(path)).length; left > 0; left--) await git.setConfig({ ...place, path, value: undefined });
      for (const value of values) await git.setConfig({ ...place, path, value: quoted(value), append: true });
    } finally {
      await rm(join(gitDir, "config.lock"), { force: true });
      await lock.forget();
    }
  };
  return {
    get: async (key) => (await all(key)).at(-1) ?? null,
    async set(key, values) {
      if ((await all(key)).join("\n") === values.join("\n")) return;
      await change(key, values).catch((error: unknown) => {
        throw storageFailed(`set ${key} in ${gitDir}`, error);
      });
    },
    remotes: async () => (await git.listRemotes(place)).map(({ remote }) => remote),
  };
}
