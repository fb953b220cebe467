/** This machine's clock, against what was signed elsewhere and what it wrote itself. */
import { timestampMs } from "../../format/time.ts";
import type { IndexFacts } from "./facts.ts";
import { type Finding, orOk } from "./finding.ts";

const DAY_MS = 86_400_000;
const FIX = "set the clock by the network (timedatectl set-ntp true), then imprint doctor";

/** @param newestFileMs when the newest of our own files was written, by this machine's clock then; null: there is none */
export function checkClock({
  indices,
  newestFileMs,
  nowMs,
}: {
  readonly indices: readonly Pick<IndexFacts, "alias" | "state">[];
  readonly newestFileMs: number | null;
  readonly nowMs: number;
}): readonly Finding[] {
  const findings: Finding[] = [];
  for (const { alias, state } of indices) {
    if (state === null || timestampMs(state.checkpoint.doc.time) - nowMs <= DAY_MS) continue;
    findings.push({
      level: "warning",
      title: `${alias} is signed more than a day ahead of this machine's clock`,
      detail: `signed ${state.checkpoint.doc.time}, it is ${new Date(nowMs).toISOString()} here: this clock is slow, or its author's is fast`,
      fix: FIX,
    });
  }
  if (newestFileMs !== null && newestFileMs - nowMs > DAY_MS)
    findings.push({
      level: "warning",
      title: "this machine wrote files that its clock says are of the future",
      detail: `written ${new Date(newestFileMs).toISOString()}, it is ${new Date(nowMs).toISOString()}: the clock was set back`,
      fix: FIX,
    });
  return orOk(findings, "the clock fits what was signed and written");
}
