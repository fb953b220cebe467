/**
 * Where a fetch lands before it is believed to be whole: a bare repository of its own, inside the git folder it is for
 * (one file system, so that moving is renaming), which sees that repository's objects as alternates.
 *
 * Whatever a host sends, too much of it, the wrong thing, or half of it before a kill -9, stays here and is deleted.
 * Only a fetch that ended well is absorbed, in an order in which every prefix leaves a good repository: packs (an
 * index last, git looks at nothing before it), the list of shallow commits, and then, by the caller, the ref.
 */
import { randomBytes } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf, ImprintError } from "../../errors.ts";
import type { ObjectId, RefName, TransferLimits } from "../port.ts";
import { hostMark, isAlive, replaceUnderLock } from "./lock.ts";

/** Folder of a repository in which fetches land. */
export const QUARANTINES = "imprint-quarantine";
const STALE_MS = 60 * 60 * 1000;
/** Whoever holds the list of boundaries for longer was killed: the work under that lock takes a millisecond. */
const LOCK_STALE_MS = 10_000;
/** Older boundaries belong to commits that nothing reads any more; each costs a line in every request. */
const MAX_SHALLOW = 256;

/** Ref under which a fetch puts what it got. */
export const INCOMING = "refs/imprint/incoming" as RefName;

export type Quarantine = { readonly gitDir: string; readonly remove: () => Promise<void> };

/** A filesystem failure as STORAGE_FAILED; others as they are. */
export function storageFailed(what: string, cause: unknown): unknown {
  const errno = errnoOf(cause);
  if (cause instanceof ImprintError || errno === undefined || !/^E[A-Z0-9]+$/u.test(errno)) return cause;
  return new ImprintError("STORAGE_FAILED", `Cannot ${what}: ${errno}`, { cause });
}

/** Removes quarantines that a killed process left: its pid is gone (on this host), or an hour passed. */
export async function sweep(gitDir: string, nowMs: number): Promise<void> {
  const folder = join(gitDir, QUARANTINES);
  for (const name of await readdir(folder).catch((): string[] => [])) {
    const [host, pid] = name.split("-");
    const isDead = host === hostMark() && pid !== undefined && /^\d+$/u.test(pid) && !isAlive(Number(pid));
    const info = await stat(join(folder, name)).catch(() => null);
    if (isDead || (info !== null && nowMs - info.mtimeMs > STALE_MS))
      await rm(join(folder, name), { recursive: true, force: true }).catch(() => undefined);
  }
}

/** Lines of a repository's `shallow` file: commits whose parents it doesn't have. */
export async function readShallow(gitDir: string): Promise<ObjectId[]> {
  const text = await readFile(join(gitDir, "shallow"), "utf8").catch((error: unknown) => {
    if (errnoOf(error) === "ENOENT") return "";
    throw error;
  });
  return text.split("\n").filter((line) => /^[0-9a-f]{40,64}$/u.test(line)) as ObjectId[];
}

function quoteConfig(value: string): string {
  return `"${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}

/** Makes a quarantine for `gitDir`. `kept`: a commit to tell the remote of; `inherit`: take the author's own settings. */
export async function openQuarantine(
  gitDir: string,
  options: { readonly kept: ObjectId | null; readonly shallow: readonly ObjectId[]; readonly inherit: boolean },
): Promise<Quarantine> {
  const dir = join(gitDir, QUARANTINES, `${hostMark()}-${String(process.pid)}-${randomBytes(6).toString("hex")}`);
  const remove = (): Promise<void> => rm(dir, { recursive: true, force: true, maxRetries: 3 });
  try {
    const format = await readFile(join(gitDir, "config"), "utf8").catch(() => "");
    const isSha256 = /^\s*objectformat\s*=\s*sha256\s*$/imu.test(format);
    await Promise.all(
      ["objects/info", "objects/pack", "refs/imprint"].map((name) => mkdir(join(dir, name), { recursive: true, mode: 0o700 })),
    );
    // an author's clone may hold its own deploy key, proxy or CI token in its configuration
    const include = options.inherit ? `[include]\n\tpath = ${quoteConfig(join(gitDir, "config"))}\n` : "";
    const version = isSha256
      ? "\trepositoryformatversion = 1\n[extensions]\n\tobjectformat = sha256\n[core]\n"
      : "\trepositoryformatversion = 0\n";
    await Promise.all([
      writeFile(join(dir, "HEAD"), "ref: refs/heads/main\n"),
      writeFile(join(dir, "config"), `${include}[core]\n${version}\tbare = true\n\tlogallrefupdates = false\n`),
      writeFile(join(dir, "objects", "info", "alternates"), `${quoteAlternate(join(gitDir, "objects"))}\n`),
      ...(options.kept === null ? [] : [writeFile(join(dir, "refs", "imprint", "kept"), `${options.kept}\n`)]),
      ...(options.shallow.length === 0 ? [] : [writeFile(join(dir, "shallow"), options.shallow.map((id) => `${id}\n`).join(""))]),
    ]);
    return { gitDir: dir, remove };
  } catch (error) {
    await remove().catch(() => undefined);
    throw storageFailed(`make a quarantine in ${gitDir}`, error);
  }
}

/** A path in `info/alternates` is a line, `#` starts a comment, and a leading quote means C quoting. */
function quoteAlternate(path: string): string {
  return /^[#"]|[\n\r]/u.test(path)
    ? `"${path.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n").replaceAll("\r", "\\r")}"`
    : path;
}

async function packFiles(gitDir: string): Promise<string[]> {
  return readdir(join(gitDir, "objects", "pack")).catch(() => []);
}

async function countAt(path: string, offset: number): Promise<number> {
  const handle = await open(path, "r").catch(() => null);
  if (handle === null) return 0;
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(4), 0, 4, offset);
    return bytesRead === 4 ? buffer.readUInt32BE(0) : 0;
  } finally {
    await handle.close();
  }
}

/** Looks at a quarantine, also while git fills it: TOO_LARGE as soon as bytes or announced objects pass the limits. */
export async function measure(gitDir: string, what: string, limits: TransferLimits): Promise<ImprintError | null> {
  let bytes = 0;
  let objects = 0;
  for (const name of await packFiles(gitDir)) {
    const path = join(gitDir, "objects", "pack", name);
    bytes += (await stat(path).catch(() => null))?.size ?? 0;
    // a pack's header says how many objects follow: no need to wait for them
    if (name.startsWith("tmp_pack_") || name.endsWith(".pack")) objects += await countAt(path, 8);
  }
  if (bytes > limits.maxBytes) return new ImprintError("TOO_LARGE", `Cannot ${what}: more than ${String(limits.maxBytes)} bytes`);
  if (objects > limits.maxObjects) return new ImprintError("TOO_LARGE", `Cannot ${what}: more than ${String(limits.maxObjects)} objects`);
  return null;
}

async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null)) !== null;
}

/** Moves packs and shallow boundaries into the repository. Its refs don't change. */
export async function absorb(quarantine: Quarantine, gitDir: string, keepAllShallow: boolean): Promise<void> {
  const from = join(quarantine.gitDir, "objects", "pack");
  const to = join(gitDir, "objects", "pack");
  try {
    await mkdir(to, { recursive: true });
    for (const index of (await packFiles(quarantine.gitDir)).filter((name) => name.endsWith(".idx"))) {
      const stem = index.slice(0, -".idx".length);
      if ((await countAt(join(from, `${stem}.pack`), 8)) === 0) continue;
      // the name is the hash of the content; replacing a pack that a reader has open fails on Windows
      if (await isThere(join(to, index))) continue;
      for (const extension of [".pack", ".rev", ".promisor", ".idx"]) {
        await rename(join(from, stem + extension), join(to, stem + extension)).catch((error: unknown) => {
          if (errnoOf(error) !== "ENOENT" || extension === ".pack" || extension === ".idx") throw error;
        });
      }
    }
    await mergeShallow(gitDir, await readShallow(quarantine.gitDir), keepAllShallow);
  } catch (error) {
    throw storageFailed(`store fetched objects in ${gitDir}`, error);
  }
}

/** Adds lines to `shallow` under git's own lock file, newest last. */
async function mergeShallow(gitDir: string, added: readonly ObjectId[], keepAll: boolean): Promise<void> {
  const path = join(gitDir, "shallow");
  const isNew = async (): Promise<boolean> => {
    const known = new Set(await readShallow(gitDir));
    return added.some((id) => !known.has(id));
  };
  if (!(await isNew())) return;
  await replaceUnderLock(path, LOCK_STALE_MS, async () => {
    const known = await readShallow(gitDir);
    const lines = [...known.filter((id) => !added.includes(id)), ...added];
    return (keepAll ? lines : lines.slice(-MAX_SHALLOW)).map((id) => `${id}\n`).join("");
  });
}
