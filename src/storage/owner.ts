/**
 * Whose files Imprint believes: this user's and root's, and under `sudo` those of the user who called it. Git has the same rule.
 *
 * Imprint looks for imprint.json and for clients' settings in folders above a project. Another user may have put a file there,
 * for example `/tmp/.npmrc`, and it would decide which registry answers and where a token goes. Such a file is an error, never
 * skipped: the client would read it all the same.
 */
import path from "node:path";

/** Whether this process believes what a user's file says. `uid`: the file's owner, as `stat` has it. */
export type Trusts = (file: string, uid: number) => boolean | Promise<boolean>;

export type OwnerOptions = {
  readonly env: NodeJS.ProcessEnv;
  /** The process's effective user; undefined where the system has none (Windows), which believes every file. */
  readonly uid: number | undefined;
  /** Folders whose files are believed whoever owns them, `*` for all: git's `safe.directory`. Asked only for a foreign file. */
  readonly safeFolders: () => Promise<readonly string[]>;
};

export function trustsOf({ env, uid, safeFolders }: OwnerOptions): Trusts {
  const own = ownUsers({ env, uid });
  if (own === null) return () => true;
  let safe: Promise<readonly string[]> | null = null;
  return async (file, owner) => {
    if (own.has(owner)) return true;
    safe ??= safeFolders();
    return (await safe).some((folder) => isSafe(folder, path.resolve(file)));
  };
}

/** `*`, a folder, or `folder/*`, which is everything below it: as git reads them. */
function isSafe(setting: string, file: string): boolean {
  if (setting === "*") return true;
  const folder = setting.replace(/\/\*$/, "").replace(/\/+$/, "");
  return path.isAbsolute(folder) && file.startsWith(`${folder}${path.sep}`);
}

/** This user and root, and under `sudo` the user who called it; null where the system has no user numbers (Windows). */
export function ownUsers({ env, uid }: Pick<OwnerOptions, "env" | "uid">): ReadonlySet<number> | null {
  if (uid === undefined) return null;
  const caller = uid === 0 ? /^[0-9]{1,10}$/.exec(env["SUDO_UID"] ?? "")?.[0] : undefined;
  return new Set([0, uid, ...(caller === undefined ? [] : [Number(caller)])]);
}
