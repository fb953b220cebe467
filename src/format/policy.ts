/**
 * A policy: what of imprint.json decides which source answers for a name. Its digest stands in the address that clients
 * are given, so that a resolver can tell one project's question from another's, and today's from yesterday's.
 *
 * Ids, claims, the rules of the public registry, agreements and overlays count. Addresses of indices, ages and locks do
 * not: they decide where bytes are fetched and which are fresh enough, never whose they are.
 */
import { fileHashOf } from "./digest.ts";
import { canonicalize, jsonObject } from "./json.ts";
import type { Project } from "./project.ts";

declare const brand: unique symbol;
/** 20 lower-case hex digits. */
export type Policy = string & { readonly [brand]: "Policy" };

const HEX_DIGITS = 20;

export function isPolicy(text: string): text is Policy {
  return text.length === HEX_DIGITS && /^[0-9a-f]+$/.test(text);
}

/** Equal for two projects exactly if each name has the same source in both. Aliases are each project's own words. */
export function policyOf({ indices, upstream, agree, overlay = [] }: Project): Policy {
  const idOf = (alias: string): string => [...indices].find(([known]) => known === alias)?.[1].id ?? alias;
  const claims = [...indices.values()]
    .map(({ id, packages }) =>
      jsonObject([
        ["id", id],
        ["packages", packages.toSorted()],
      ] as const),
    )
    .toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  const document = jsonObject([
    // The order of `of` counts: tags are those of the first.
    [
      "agree",
      agree === undefined
        ? null
        : jsonObject([
            ["names", agree.names.toSorted()],
            ["of", agree.of.map(idOf)],
            ["threshold", agree.threshold],
          ] as const),
    ],
    ["indices", claims],
    ["overlay", overlay.toSorted()],
    [
      "upstream",
      jsonObject([
        ["allow", upstream.allow.toSorted()],
        ["deny", upstream.deny.toSorted()],
        ["registry", upstream.registry ?? null],
      ] as const),
    ],
  ]);
  return fileHashOf(canonicalize(document)).slice(0, HEX_DIGITS) as Policy;
}
