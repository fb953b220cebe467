/** `imprint trust …` for people. */
import type { Role } from "../../format/root.ts";
import type { Place, ShownTrust, TrustHistory, TrustNews } from "../commands/trust.ts";
import { clean } from "../../format/text.ts";
import { newsLines, shortKeys } from "./news.ts";

export function trustLines(shown: readonly ShownTrust[]): readonly string[] {
  return shown
    .flatMap(({ alias, id, urls, packages, root, now, locked, accepted, stale }) => [
      `${alias}   ${packages.join(" ")}   id ${id}`,
      `  at ${urls.join(", ")}`,
      ...(root === null || now === null
        ? ["  never verified on this machine: imprint sync"]
        : [
            `  ${placeText(now)}${stale === null ? "" : `, stale: ${stale}`}`,
            `  root         ${role(root.roles.root)}`,
            `  checkpoints  ${role(root.roles.checkpoint)}`,
            ...root.publishers.map((entry) => `  releases     ${role(entry)} · ${entry.packages.join(" ")}`),
            ...root.introductions.map((entry) => `  introduces   ${entry.packages.join(" ")} at ${entry.url}`),
          ]),
      `  imprint.lock ${locked === null ? "holds nothing" : `holds root ${locked.root}, seq ${locked.seq}`}; you ${accepted === null ? "accepted nothing yet" : `accepted ${placeText(accepted)}`}`,
    ])
    .map(clean);
}

export function historyLines(history: readonly TrustHistory[]): readonly string[] {
  return history
    .flatMap(({ alias, roots, evidence }) => [
      `${alias}${roots.length === 0 ? "   never verified on this machine: imprint sync" : ""}`,
      ...roots.map(
        ({ version, changes, accepted }) =>
          `  root ${version}${accepted ? "" : " (not accepted yet)"}: ${changes.map(shortKeys).join(", ")}`,
      ),
      ...evidence.map((file) => `  evidence that two histories were signed: ${file}`),
    ])
    .map(clean);
}

export function trustNewsLines(news: readonly TrustNews[]): readonly string[] {
  return news
    .flatMap(({ alias, accepted, now, news: found }) => {
      if (accepted === null)
        return [`${alias}   you accepted nothing yet: imprint trust show ${alias}, then imprint trust accept ${alias}`];
      if (now === null) return [`${alias}   never verified on this machine: imprint sync`];
      if (found === null) return [`${alias}   nothing changed since ${placeText(accepted)}`];
      const lines = newsLines(found);
      return [
        `${alias}   since ${placeText(accepted)}, now ${placeText(now)}`,
        ...(lines.length === 0 ? ["  nothing that you use"] : lines.map((line) => `  ${line}`)),
      ];
    })
    .map(clean);
}

function placeText({ root, seq, signed }: Place): string {
  return `root ${root}, seq ${seq}, signed ${signed}`;
}

function role({ keys, threshold }: Role): string {
  return `${threshold} of ${keys.length}: ${keys.map((key) => shortKeys(key)).join(", ")}`;
}
