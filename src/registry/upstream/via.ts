/**
 * Whom a request has passed already. Two resolvers that stand behind each other would ask in circles, each holding the
 * other's requests open: every request upstream says who sends it, and whoever reads its own name stops.
 */
import { LIMITS } from "../../format/limits.ts";

/** Names of the resolvers that a request has passed, nearest last. */
export type Via = readonly string[];

/** More resolvers in a row than anybody means to have. */
export const MAX_RESOLVERS = LIMITS.resolvers;

const ENTRY = /^1\.[01] imprint-([0-9a-f]{16})$/;
const MAX_HEADER_CHARS = LIMITS.viaChars;

/** Only what resolvers wrote: other proxies put themselves there, too. */
export function parseVia(header: string | null | undefined): Via {
  if (header === null || header === undefined) return [];
  return header
    .slice(0, MAX_HEADER_CHARS)
    .split(",")
    .flatMap((part) => ENTRY.exec(part.trim())?.[1] ?? []);
}

export function formatVia(via: Via): string {
  return via.map((instance) => `1.1 imprint-${instance}`).join(", ");
}
