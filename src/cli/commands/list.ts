/** `imprint list`: the indices of a project, what they claim, and how fresh they are. No network. */
import { timestampMs } from "../../format/time.ts";
import { newestRoot, staleness } from "../../index/trust.ts";
import type { Deps } from "../deps.ts";
import { openConsumer } from "../consumer.ts";
import { spanText } from "../terminal.ts";

export type ListedIndex = {
  readonly alias: string;
  readonly id: string;
  readonly urls: readonly string[];
  readonly packages: readonly string[];
  readonly root: number | null;
  readonly seq: number | null;
  readonly signed: string | null;
  /** Why it is stale; null where it is not, or was never synced. */
  readonly stale: string | null;
};

export async function list(deps: Deps): Promise<readonly ListedIndex[]> {
  const consumer = await openConsumer(deps);
  try {
    return await Promise.all(
      [...consumer.indices].map(async ([alias, { entry, reader }]) => {
        const state = await reader.current();
        return {
          alias,
          id: entry.id,
          urls: entry.urls,
          packages: entry.packages,
          root: state === null ? null : newestRoot(state.roots).doc.version,
          seq: state?.checkpoint.doc.seq ?? null,
          signed: state?.checkpoint.doc.time ?? null,
          stale: state === null ? null : staleness(state, deps.nowMs(), entry.maxAgeDays),
        };
      }),
    );
  } finally {
    await consumer.close();
  }
}

/** One line an index. */
export function listLines(indices: readonly ListedIndex[], nowMs: number): readonly string[] {
  if (indices.length === 0) return ["no indices: all packages come from the public registry"];
  return indices.map(({ alias, id, packages, signed, root, stale }) => {
    const age =
      signed === null
        ? "never synced: imprint sync"
        : `signed ${spanText(Math.max(0, nowMs - timestampMs(signed as Parameters<typeof timestampMs>[0])))} ago, root ${root ?? "?"}${stale === null ? "" : `, stale: ${stale}`}`;
    return `${alias}  ${packages.join(" ")}  ${age}  ${id.slice(0, 8)}…${id.slice(-4)}`;
  });
}
