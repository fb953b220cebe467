/** `imprint list`: the indices of a project, what they claim, and how fresh they are. No network. */
import type { Agreement } from "../../format/several-sources.ts";
import { timestampMs } from "../../format/time.ts";
import { newestRoot, staleness } from "../../index/trust.ts";
import type { Deps } from "../deps.ts";
import { openConsumer } from "../consumer.ts";
import { spanText } from "../../format/text.ts";

export type ListedIndex = {
  readonly alias: string;
  readonly id: string;
  readonly urls: readonly string[];
  readonly packages: readonly string[];
  /** Those of them that stand over the public registry. */
  readonly overlay: readonly string[];
  /** Names on which it has a vote, and how many of whom must agree on them; null: none. */
  readonly agree: Agreement | null;
  readonly root: number | null;
  readonly seq: number | null;
  readonly signed: string | null;
  /** Why it is stale; null where it is not, or was never synced. */
  readonly stale: string | null;
};

export async function list(deps: Deps): Promise<readonly ListedIndex[]> {
  const consumer = await openConsumer(deps);
  const { agree, overlay = [] } = consumer.files.project;
  try {
    return await Promise.all(
      [...consumer.indices].map(async ([alias, { entry, reader }]) => {
        const state = await reader.current();
        return {
          alias,
          id: entry.id,
          urls: entry.urls,
          packages: entry.packages,
          overlay: entry.packages.filter((pattern) => overlay.some((name) => name === (pattern as string))),
          agree: agree?.of.includes(alias) === true ? agree : null,
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

/** One line an index, and one for what several of them must agree on. */
export function listLines(indices: readonly ListedIndex[], nowMs: number): readonly string[] {
  if (indices.length === 0) return ["no indices: all packages come from the public registry"];
  const agree = indices.find((index) => index.agree !== null)?.agree ?? null;
  const agreed = agree === null ? [] : [`${agree.names.join(" ")}  where ${agree.threshold} of ${agree.of.join(", ")} agree`];
  const lines = indices.map(({ alias, id, packages, overlay, signed, root, stale }) => {
    const age =
      signed === null
        ? "never synced: imprint sync"
        : `signed ${spanText(Math.max(0, nowMs - timestampMs(signed as Parameters<typeof timestampMs>[0])))} ago, root ${root ?? "?"}${stale === null ? "" : `, stale: ${stale}`}`;
    const over = overlay.length === 0 ? "" : `  over the public registry: ${overlay.join(" ")}`;
    return `${alias}  ${packages.join(" ")}${over}  ${age}  ${id.slice(0, 8)}…${id.slice(-4)}`;
  });
  return [...lines, ...agreed];
}
