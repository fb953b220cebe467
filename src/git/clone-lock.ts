/**
 * One imprint at a time in one clone: several would move the same refs and the same work tree under each other, and lose to each
 * other at the host what they could have done in turn.
 */
import { join } from "node:path";
import { errnoOf, ImprintError } from "../errors.ts";
import { underLock } from "./store/lock.ts";
import { storageFailed } from "./store/quarantine.ts";

/** As long as a few slow pushes take. */
const WAIT_MS = 10 * 60_000;
const STALE_MS = 30 * 60_000;

/**
 * @param onWait called again and again while another one is at it
 * @throws ImprintError STORAGE_FAILED, and what `work` throws
 */
export async function aloneInClone<T>(gitDir: string, onWait: () => void, work: () => Promise<T>): Promise<T> {
  const path = join(gitDir, "imprint.lock");
  let isTaken = false;
  try {
    return await underLock(path, { staleMs: STALE_MS, waitMs: WAIT_MS, onWait }, () => {
      isTaken = true;
      return work();
    });
  } catch (error) {
    if (isTaken) throw error;
    if (errnoOf(error) === "EEXIST")
      throw new ImprintError("STORAGE_FAILED", `Cannot use ${gitDir}: another imprint is at it; if none runs, remove ${path}`);
    throw storageFailed(`use ${gitDir}`, error);
  }
}
