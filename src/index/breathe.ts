/**
 * Long work on the main thread, in slices: a package of thousands of releases must not hold up the requests for others (THREATS R1).
 */
import { setImmediate, setTimeout } from "node:timers/promises";

const SLICE_MS = 4;
/** A step that takes longer than this cannot be cut: twice its time is left to others after it. */
const STEP_MS = 6;
const MAX_PAUSE_MS = 30;

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
    const took = performance.now() - began;
    if (took < SLICE_MS) return;
    await (took < STEP_MS ? setImmediate() : setTimeout(Math.min(2 * took, MAX_PAUSE_MS)));
    began = performance.now();
  };
}
