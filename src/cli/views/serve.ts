/** What `imprint serve` says when it answers: the lines that clients need. */
import { DEFAULT_PORT, parseResolverAddress } from "../../clients/resolver-address.ts";
import type { Policy } from "../../format/policy.ts";

export function handOut(about: {
  /** Without final slashes, the policy included. */ readonly bases: readonly string[];
  /** Whether another process of this user listens. */ readonly isJoined: boolean;
  readonly isShared: boolean;
  readonly policy: Policy;
}): readonly string[] {
  const { bases, isJoined, isShared } = about;
  const [first = ""] = bases;
  const who = isJoined ? "the resolver that runs already answers for this project, too; this one follows it" : "serving";
  if (!isShared) {
    const port = parseResolverAddress(`${first}/`)?.port;
    const lines = [`${who}: npm, pnpm, yarn and bun ask here where imprint add or imprint sync wrote ${first}/ into their settings`];
    if (port !== DEFAULT_PORT) lines.push(`those settings name port ${DEFAULT_PORT}; here the registry is ${first}/`);
    return lines;
  }
  return [
    `${who} for a team, under ${bases.map((base) => `${base}/`).join(" and ")}`,
    ...publicLast(bases).flatMap((base) => [
      `npm and yarn 1: registry=${base}/ and ${base.replace(/^https?:/, "")}/:_authToken=<token> in .npmrc`,
      `  or for one command: npm ci --registry=${base}/`,
    ]),
  ];
}

/** The address to hand out is the one that a reverse proxy gives, where there is one. */
function publicLast(bases: readonly string[]): readonly string[] {
  const last = bases.at(-1);
  return last === undefined ? [] : [last];
}
