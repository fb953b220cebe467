/** Claims against what indices hold: published outside them (X5), claimed and not there, introduced and not settled (X4). */
import type { ImprintError } from "../../errors.ts";
import { type PackagePattern, patternRank } from "../../format/names.ts";
import type { Project } from "../../format/project.ts";
import { newestRoot } from "../../index/trust.ts";
import { hasSay, sourceOf } from "../../registry/claims.ts";
import { addCommand, openIntroductions } from "../../registry/introductions.ts";
import { introducedLine } from "../introductions.ts";
import type { IndexFacts } from "./facts.ts";
import { few, type Finding, orOk, quoted } from "./finding.ts";

export function checkClaims(project: Project, { alias, entry, state, names, unread }: IndexFacts): readonly Finding[] {
  const findings: Finding[] = [];
  // Where it has nothing of an overlaid name, the public registry answers.
  const alone = entry.packages.filter((pattern) => !(project.overlay ?? []).some((name) => name === (pattern as string)));
  if (state !== null) {
    for (const one of openIntroductions(project, newestRoot(state.roots).doc))
      findings.push({
        level: "warning",
        title: `${alias} depends on an index that imprint.json neither trusts nor denies`,
        detail: introducedLine(alias, one),
        fix: addCommand(one) ?? `add ${one.packages.map((name) => JSON.stringify(name)).join(", ")} to upstream.deny in imprint.json`,
      });
    if (unread !== null) findings.push(...unreadFindings(alias, unread));
    const granted = newestRoot(state.roots).doc.publishers.flatMap(({ packages }) => packages);
    const beyond = alone.filter((pattern) => !granted.some((grant) => meets(grant, pattern)));
    if (beyond.length > 0)
      findings.push({
        level: "warning",
        title: `${alias} is claimed for ${beyond.join(", ")}, which its root lets nobody publish`,
        detail: "nothing can ever answer for such names, and the public registry is not asked either",
        fix: `ask its author, or remove ${beyond.map((pattern) => JSON.stringify(pattern)).join(", ")} from ${alias} in imprint.json`,
      });
  }
  if (names !== null) {
    const outside = names.filter((name) => !hasSay(sourceOf(project, name), alias));
    if (outside.length > 0)
      findings.push({
        level: "note",
        title: `${alias} publishes ${outside.length === 1 ? "a package" : `${outside.length} packages`} outside its claim`,
        detail: `${few(outside)}: ignored, as imprint.json takes ${outside.length === 1 ? "that" : "those"} from elsewhere`,
        fix: `nothing, unless you want ${outside.length === 1 ? "it" : "one"} from ${alias}: imprint add ${quoted(`${entry.urls[0] ?? ""}#${entry.id}`)} --packages ${quoted([...entry.packages, outside[0] ?? ""].join(","))}`,
      });
    const unused = alone.filter((pattern) => !names.some((name) => patternRank(pattern, name) > 0));
    if (unused.length > 0)
      findings.push({
        level: "note",
        title: `${alias} has nothing of what it claims by ${unused.join(", ")}`,
        detail: "such names exist nowhere for this project, whatever the public registry has",
        fix: `if that is not meant, remove ${unused.map((pattern) => JSON.stringify(pattern)).join(", ")} from ${alias} in imprint.json`,
      });
  }
  return orOk(findings, `${alias} and its claims fit`);
}

/** Whether some name can be of both patterns. */
function meets(grant: PackagePattern, claim: PackagePattern): boolean {
  const scopeOf = (pattern: PackagePattern): string => pattern.slice(0, pattern.indexOf("/") + 1);
  if (grant === "*" || claim === "*" || grant === claim) return true;
  return (grant.endsWith("/*") || claim.endsWith("/*")) && scopeOf(grant) !== "" && scopeOf(grant) === scopeOf(claim);
}

function unreadFindings(alias: string, { code, message, hint }: ImprintError): readonly Finding[] {
  if (code === "OFFLINE")
    return [
      {
        level: "note",
        title: `what ${alias} publishes was not looked at`,
        detail: "its list is not on this machine, and doctor asks no host unless told to",
        fix: "imprint doctor --online",
      },
    ];
  if (FLOOR.has(code)) return []; // the lock's own finding
  return [{ level: "warning", title: `what ${alias} publishes cannot be read`, detail: `${message} (${code})`, fix: hint }];
}

/** What `requireFloor` refuses with. */
const FLOOR: ReadonlySet<string> = new Set(["ROLLBACK", "EQUIVOCATION", "LOCK_MISMATCH", "WRONG_ID"]);
