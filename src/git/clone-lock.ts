/**
 * One imprint at a time in one clone: several would move the same refs and the same work tree under each other, and lose to each
 * other at the host what they could have done in turn.
 */
import { join } from "node:path";
import { underLock } from "./store/lock.ts";

/** As long as a few slow pushes take. */
const WAIT_MS = 10 * 60_000;
const STALE_MS = 30 * 60_000;

/**
 * @param onWait called again and again while another one is at it
 * @throws ImprintError STORAGE_FAILED, and what `work` throws
 */
export function aloneInClone<T>(gitDir: string, onWait: () => void, work: () => Promise<T>): Promise<T> {
  return underLock(join(gitDir, "imprint.lock"), { what: gitDir, staleMs: STALE_MS, waitMs: WAIT_MS, onWait }, work);
}
