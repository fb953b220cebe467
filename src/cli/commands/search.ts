/** `imprint search <text>`: what the indices that a project trusts publish; with `--public`, the public registry's results beside them. */
import { ImprintError, isImprintError } from "../../errors.ts";
import { type PublicHit, publicHits, reasonNotToAsk } from "../../registry/public-search.ts";
import { createSearch, type SearchHit } from "../../registry/search.ts";
import { openSearchStore } from "../../registry/search-store.ts";
import { freshen, openConsumer } from "../consumer.ts";
import type { Deps } from "../deps.ts";
import { openPublicRegistry } from "../public-registry.ts";
import { clean } from "../../format/text.ts";

export type SearchResult = {
  readonly text: string;
  readonly hits: readonly SearchHit[];
  readonly total: number;
  /** Null: not asked. */
  readonly public: { readonly hits: readonly PublicHit[]; readonly total: number | null } | null;
};

export type SearchOptions = { readonly text: string; readonly size: number; readonly from: number; readonly isPublic: boolean };

const MAX_SIZE = 250;
const MAX_DESCRIPTION_CHARS = 100;

/** @throws ImprintError USAGE, CONFIG_MISSING, CONFIG_INVALID */
export async function search({ text, size, from, isPublic }: SearchOptions, deps: Deps): Promise<SearchResult> {
  if (text.trim() === "") throw new ImprintError("USAGE", "Cannot search: say what for");
  if (!Number.isSafeInteger(size) || size < 1 || size > MAX_SIZE || !Number.isSafeInteger(from) || from < 0)
    throw new ImprintError("USAGE", `Cannot search: --size is a number from 1 to ${MAX_SIZE}, --from one from 0`);
  const { terminal, layout } = deps;
  const consumer = await openConsumer(deps);
  const { project } = consumer.files;
  try {
    for (const index of consumer.indices.values()) await freshen(index, deps);
    const searchIn = createSearch({
      project,
      indices: consumer.indices,
      store: openSearchStore(deps.sealed, (id) => layout.search(id)),
      wallMs: deps.nowMs,
      events: {
        progress: (alias, done, total) => terminal.progress(`reading ${alias}: ${done} of ${total} packages`),
        warned: (alias, message) => terminal.warn(clean(`${alias}: ${message}`)),
      },
    });
    const { hits, total } = await searchIn(text, { from, size });
    return { text, hits, total, public: isPublic ? await searchPublic(text, size, consumer.files.project, deps) : null };
  } finally {
    await consumer.close();
  }
}

async function searchPublic(
  text: string,
  size: number,
  project: Parameters<typeof reasonNotToAsk>[0],
  deps: Deps,
): Promise<SearchResult["public"]> {
  const reason = reasonNotToAsk(project, text);
  if (reason !== null) {
    deps.terminal.warn(clean(`the public registry is not asked for that: ${reason}`));
    return null;
  }
  const { upstream, close } = openPublicRegistry(deps, project);
  try {
    deps.terminal.progress("asking the public registry");
    return publicHits(project, await upstream.search(text, size));
  } catch (error) {
    if (!isImprintError(error)) throw error;
    deps.terminal.warn(clean(`no public results: ${error.message} (${error.code})`));
    return null;
  } finally {
    close();
  }
}

/** A line a package: name and version, where it comes from, what it says of itself. */
export function searchLines({ hits, total, public: found }: SearchResult): readonly string[] {
  const line = (source: string, { name, version, description }: PublicHit): string =>
    clean(`${name}@${version}  ${source}  ${description.slice(0, MAX_DESCRIPTION_CHARS)}`).trimEnd();
  const own = hits.map((hit) => line(hit.source, hit));
  const more = total > hits.length ? [`${hits.length} of ${total}; --size and --from show others`] : [];
  const others = (found?.hits ?? []).map((hit) => line("public registry", hit));
  const lines = [...own, ...more, ...others];
  return lines.length === 0 ? ["nothing found"] : lines;
}
