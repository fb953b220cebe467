/** Stale indices (T4), and ones that were never verified here or whose state is damaged. */
import { staleness } from "../../index/trust.ts";
import { timestampMs } from "../../format/time.ts";
import type { IndexFacts } from "./facts.ts";
import { type Finding, ok, quoted } from "./finding.ts";

export function checkFreshness(indices: readonly IndexFacts[], nowMs: number): readonly Finding[] {
  return indices.map((index) => freshnessOf(index, nowMs));
}

function freshnessOf({ alias, entry, state, damaged }: IndexFacts, nowMs: number): Finding {
  if (damaged !== null)
    return {
      level: "problem",
      title: `what this machine has seen of ${alias} cannot be read`,
      detail: damaged.message,
      fix: `restore ${damaged.folder} from a backup; else rm -r ${quoted(damaged.folder)} && imprint sync ${alias} (then only imprint.lock guards against older states)`,
    };
  if (state === null)
    return {
      level: "warning",
      title: `${alias} was never verified on this machine`,
      detail: "nothing of it can be served before it is",
      fix: `imprint sync ${alias}`,
    };
  // Ahead of the clock is the clock's finding.
  const why = timestampMs(state.checkpoint.doc.time) > nowMs ? null : staleness(state, nowMs, entry.maxAgeDays);
  if (why !== null) return { level: "warning", title: `${alias} is stale`, detail: why, fix: `imprint sync ${alias}` };
  return ok(`${alias} is fresh, signed ${state.checkpoint.doc.time}`);
}
