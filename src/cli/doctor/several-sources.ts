/** Names that have several sources by imprint.json: whether those who must agree can, and what stands over upstream. */
import { agreedOffer } from "../../registry/agree.ts";
import { readBallots } from "../../registry/ballots.ts";
import type { Consumer } from "../consumer.ts";
import { few, type Finding, ok } from "./finding.ts";

/** @param nowMs Unix time in milliseconds. Asks no host for news. */
export async function checkSeveralSources({ files: { project }, indices }: Consumer, nowMs: number): Promise<readonly Finding[]> {
  const { agree, overlay = [] } = project;
  const findings: Finding[] = [];
  if (overlay.length > 0) findings.push(ok(`${few(overlay)}: an index stands over the public registry`));
  if (agree === undefined) return findings;
  const { of, threshold, names } = agree;
  const voteless = new Map<string, string>();
  const nothing: string[] = [];
  for (const name of names) {
    const ballots = await readBallots(name, agree, { project, indices });
    for (const { alias, failure } of ballots) if (failure !== null) voteless.set(alias, `${failure.message} (${failure.code})`);
    const { newest, held } = agreedOffer(name, agree, ballots, nowMs);
    if (newest === null && held.size === 0) nothing.push(name);
  }
  for (const [alias, why] of voteless)
    findings.push({
      level: "warning",
      title: `${alias} has no vote on what ${of.join(", ")} must agree on`,
      detail: why,
      fix: "imprint sync, once its host can be reached",
    });
  if (nothing.length > 0)
    findings.push({
      level: "warning",
      title: `no version of ${few(nothing)} is the same in ${threshold} of ${of.join(", ")}`,
      detail: "such names cannot be installed: agree in imprint.json comes before every claim, and the public registry is not asked",
      fix: `imprint why ${nothing[0] ?? ""} shows what each of them has`,
    });
  return voteless.size + nothing.length > 0 ? findings : [...findings, ok(`${threshold} of ${of.join(", ")} agree on ${few(names)}`)];
}
