/** Where indices are: addresses that differ from what their owner names, and with `--online` whether they answer. */
import { redactUrl } from "../../git/url.ts";
import { newestRoot } from "../../index/trust.ts";
import { isUsableAddress } from "../../registry/introductions.ts";
import type { IndexFacts, Reached } from "./facts.ts";
import { few, type Finding, ok, quoted } from "./finding.ts";

/** Without network: what the root itself says. */
export function checkMoved({ alias, entry, state }: Pick<IndexFacts, "alias" | "entry" | "state">): readonly Finding[] {
  const mirrors = state === null ? [] : newestRoot(state.roots).doc.mirrors.filter(isUsableAddress);
  if (mirrors.length === 0 || entry.urls.some((url) => mirrors.includes(url))) return [ok(`${alias} is where its owner says`)];
  return [
    {
      level: "note",
      title: `${alias} names other addresses than imprint.json does`,
      detail: `its root names ${few(mirrors.map(redactUrl))}; imprint.json has ${few(entry.urls.map(redactUrl))}`,
      fix: `imprint set-url ${alias} ${[...entry.urls, ...mirrors].map(quoted).join(" ")}`,
    },
  ];
}

export function checkReached(alias: string, reached: readonly Reached[]): readonly Finding[] {
  const answering = reached.filter(({ error }) => error === null).map(({ url }) => url);
  const own = reached.filter(({ isMirror }) => !isMirror);
  return reached.flatMap(({ url, isMirror, error, branch }): readonly Finding[] => {
    if (error === null) return [ok(`${redactUrl(url)} answers for ${alias}`)];
    const isLost = answering.length === 0;
    const isMoved = own.every((one) => one.error !== null) && !isLost;
    return [
      {
        level: isLost && !isMirror ? "problem" : isMirror ? "note" : "warning",
        title: `${redactUrl(url)} does not answer for ${alias}`,
        detail: isMoved ? `${error}; it may have moved: ${few(answering.map(redactUrl))} answers` : error,
        fix:
          branch !== undefined
            ? `imprint set-url ${alias} ${own.map((one) => quoted(one.url)).join(" ")} --ref ${branch}`
            : isLost
              ? `ask its owner where it is now, then imprint set-url ${alias} <url>`
              : `imprint set-url ${alias} ${answering.map(quoted).join(" ")}`,
      },
    ];
  });
}
