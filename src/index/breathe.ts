/**
 * Long work on the main thread, in slices: a package of thousands of releases must not hold up the requests for others (THREATS R1).
 */
import { setImmediate } from "node:timers/promises";

const SLICE_MS = 4;

/**
 * A function to call after each step: it waits for a turn of the event loop whenever a slice of time is used up.
 *
 *     const breathe = breather();
 *     for (const release of releases) {
 *       judge(release);
 *       await breathe();
 *     }
 */
export function breather(): () => Promise<void> {
  let began = performance.now();
  return async () => {
    if (performance.now() - began < SLICE_MS) return;
    await setImmediate();
    began = performance.now();
  };
}
