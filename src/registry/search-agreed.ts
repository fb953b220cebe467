/** What a search finds among the names that several indices agree on: only what they agree on. */
import type { DisplayName } from "../format/decode.ts";
import type { Project } from "../format/project.ts";
import type { IndexReader } from "../index/reader.ts";
import { agreedOffer } from "./agree.ts";
import { readBallots } from "./ballots.ts";
import { entryOf } from "./search-entry.ts";
import type { SearchEntry } from "./search-text.ts";

/** @param nowMs Unix time in milliseconds. Asks no host for news. */
export async function agreedEntries(
  project: Project,
  indices: ReadonlyMap<DisplayName, { readonly reader: IndexReader }>,
  nowMs: number,
): Promise<readonly SearchEntry[]> {
  const { agree } = project;
  if (agree === undefined) return [];
  const entries: SearchEntry[] = [];
  for (const name of agree.names) {
    const ballots = await readBallots(name, agree, { project, indices });
    const { source, newest } = agreedOffer(name, agree, ballots, nowMs);
    const shown = source.versions.find(({ release }) => release.version === newest?.version);
    if (shown !== undefined) entries.push(entryOf(shown.release));
  }
  return entries;
}
