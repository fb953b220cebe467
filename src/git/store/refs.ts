/** Refs as files, read and written without git: loose ones, and `packed-refs`, which git makes of them. */
import { mkdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { errnoOf, ImprintError } from "../../errors.ts";
import type { ObjectId, RefName } from "../port.ts";
import { replaceUnderLock } from "./lock.ts";
import { storageFailed } from "./quarantine.ts";

const MAX_SYMBOLIC = 5;
const LOCK_STALE_MS = 60_000;
const ID = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/u;

async function readText(path: string): Promise<string | null> {
  return readFile(path, "utf8").catch((error: unknown) => {
    if (["ENOENT", "ENOTDIR", "EISDIR"].includes(errnoOf(error) ?? "")) return null;
    throw storageFailed(`read ${path}`, error);
  });
}

/** What `HEAD` or a ref holds, unparsed: an id, or `ref: <another>`; null where there is none. */
export async function readRefText(gitDir: string, ref: string): Promise<string | null> {
  const loose = await readText(join(gitDir, ref));
  if (loose !== null) return loose.trim();
  for (const line of ((await readText(join(gitDir, "packed-refs"))) ?? "").split("\n")) {
    const [id = "", name] = line.split(" ");
    if (name === ref && ID.test(id)) return id;
  }
  return null;
}

/** The id that a ref holds, through symbolic ones; null where it holds none. */
export async function readRef(gitDir: string, ref: string): Promise<ObjectId | null> {
  let name = ref;
  for (let hops = 0; hops <= MAX_SYMBOLIC; hops++) {
    const text = await readRefText(gitDir, name);
    if (text === null) return null;
    if (!text.startsWith("ref: ")) return ID.test(text) ? (text as ObjectId) : null;
    name = text.slice("ref: ".length).trim();
    // a repository may say anything; only a ref is followed, and none that climbs out
    if (!name.startsWith("refs/") || name.split("/").includes("..")) return null;
  }
  return null;
}

/** Points a ref at an id, at once. With `expected` (null: not there), STATE_CHANGED where it holds anything else. */
export async function writeRef(gitDir: string, ref: RefName, to: ObjectId, expected?: ObjectId | null): Promise<void> {
  const path = join(gitDir, ref);
  const what = `update ${ref} in ${gitDir}`;
  try {
    await mkdir(dirname(path), { recursive: true });
    await replaceUnderLock(path, LOCK_STALE_MS, async () => {
      const held = expected === undefined ? undefined : await readRef(gitDir, ref);
      if (held !== expected)
        throw new ImprintError("STATE_CHANGED", `Cannot ${what}: it is at ${held ?? "no commit"}, not at ${expected ?? "no commit"}`);
      return `${to}\n`;
    });
  } catch (error) {
    throw storageFailed(what, error);
  }
}
