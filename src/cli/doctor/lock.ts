/** imprint.lock against imprint.json and against what this machine believes. */
import { isImprintError } from "../../errors.ts";
import type { Lock, Project } from "../../format/project.ts";
import { lockEntryOf, requireFloor } from "../../index/trust.ts";
import type { IndexFacts } from "./facts.ts";
import { type Finding, orOk } from "./finding.ts";

export function checkLock(project: Project, lock: Lock, indices: readonly IndexFacts[]): readonly Finding[] {
  const findings: Finding[] = [];
  for (const [alias, entry] of lock) {
    const pinned = project.indices.get(alias);
    if (pinned?.id === entry.id) continue;
    findings.push({
      level: "warning",
      title:
        pinned === undefined ? `imprint.lock has an entry for ${alias}, which is no index here` : `imprint.lock is for another ${alias}`,
      detail: pinned === undefined ? "it guards nothing" : `locked is ${entry.id}, imprint.json pins ${pinned.id}: nothing of it is served`,
      fix: `remove ${JSON.stringify(alias)} from imprint.lock, then imprint sync`,
    });
  }
  findings.push(...indices.flatMap(floorOf));
  return orOk(findings, "imprint.lock fits");
}

function floorOf({ alias, entry, lock, state }: IndexFacts): readonly Finding[] {
  if (lock === null)
    return [
      {
        level: "warning",
        title: `imprint.lock has no entry for ${alias}`,
        detail: "others who have these files are not guarded against older states, and --frozen refuses",
        fix: "imprint sync, and commit imprint.lock",
      },
    ];
  if (state === null || lock.id !== entry.id) return []; // said elsewhere
  try {
    requireFloor(state, lock);
  } catch (error) {
    if (!isImprintError(error)) throw error;
    const isBehind = error.code === "ROLLBACK";
    return [
      {
        level: isBehind ? "note" : "problem",
        title: isBehind ? `this machine is behind imprint.lock for ${alias}` : `imprint.lock and this machine disagree about ${alias}`,
        detail: error.message,
        fix: isBehind ? `imprint sync ${alias}` : error.hint,
      },
    ];
  }
  const now = lockEntryOf(state);
  if (now.seq === lock.seq && now.root.version === lock.root.version) return [];
  return [
    {
      level: "note",
      title: `imprint.lock is behind what this machine has seen of ${alias}`,
      detail: `locked root ${lock.root.version}, seq ${lock.seq}; seen root ${now.root.version}, seq ${now.seq}`,
      fix: "imprint sync, and commit imprint.lock",
    },
  ];
}
