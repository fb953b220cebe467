/** An earlier state of an index, out of a clone's git history: what is compared with now. Verified like any other state. */
import { ImprintError, isImprintError } from "../errors.ts";
import { CHECKPOINT_PATH } from "../format/paths.ts";
import { parseCheckpoint } from "../format/checkpoint.ts";
import type { IndexId } from "../format/digest.ts";
import { LIMITS } from "../format/limits.ts";
import { historyOf } from "../git/clone.ts";
import type { GitRepository, ObjectId } from "../git/port.ts";
import { commitSource, type Snapshot } from "../index/source.ts";
import { readState } from "../index/sync.ts";
import type { TrustedState } from "../index/trust.ts";
import type { Deps } from "./deps.ts";
import { commitOf } from "./revision.ts";
import { TRANSFER_LIMITS } from "./open.ts";
import { clean } from "../format/text.ts";

export type Earlier = { readonly state: TrustedState; readonly snapshot: Snapshot };
/** A commit with a checkpoint, as history has it: nothing of it is proven. */
export type Moment = { readonly commit: ObjectId; readonly rootVersion: number; readonly seq: number; readonly time: string };

/** Commits that are looked at: some years of releases. */
const MAX_COMMITS = 50_000;

/**
 * The state that `since` means: a seq (the newest state that is not newer), or a commit by any of git's names.
 *
 * @param heads where history begins
 * @throws ImprintError NOT_FOUND, and those of reading
 */
export async function earlierState(
  deps: Deps,
  clone: { readonly folder: string; readonly repository: GitRepository; readonly id: IndexId; readonly heads: readonly ObjectId[] },
  since: string,
): Promise<Earlier> {
  const commit = /^[0-9]{1,16}$/u.test(since) ? await commitOfSeq(deps, clone, Number(since)) : await commitOf(clone.folder, since, deps);
  if (commit === null)
    throw new ImprintError(
      "NOT_FOUND",
      `Cannot look back to ${clean(since)}: ${clone.folder} has no such commit; give a seq or a commit of its history`,
    );
  const snapshot = await commitSource(clone.repository, commit, TRANSFER_LIMITS).open();
  return { state: await readState(snapshot, clone.id, null), snapshot };
}

async function commitOfSeq(deps: Deps, clone: Parameters<typeof earlierState>[1], seq: number): Promise<ObjectId> {
  const past = await momentsOf(deps, clone);
  // Taking the newest one for it would compare nothing with nothing, and call it good.
  if (past.length > 0 && past.every((moment) => moment.seq < seq))
    throw new ImprintError(
      "NOT_FOUND",
      `Cannot look back to seq ${seq}: the history of ${clone.folder} ends before it, at seq ${Math.max(...past.map((moment) => moment.seq))}`,
    );
  const best = past.filter((moment) => moment.seq <= seq).toSorted((a, b) => b.seq - a.seq)[0];
  if (best !== undefined) return best.commit;
  throw new ImprintError(
    "NOT_FOUND",
    `Cannot look back to seq ${seq}: the history of ${clone.folder} begins later (${past.length} states${past.length === 0 ? "" : `, the oldest seq ${Math.min(...past.map((moment) => moment.seq))}`}); fetch more of it, or name a commit`,
  );
}

/** Every state that the history holds, newest first. */
export async function momentsOf(
  deps: Deps,
  { folder, repository, heads }: Pick<Parameters<typeof earlierState>[1], "folder" | "repository" | "heads">,
): Promise<readonly Moment[]> {
  const found: Moment[] = [];
  let before = "";
  for (const commit of await historyOf(folder, heads, MAX_COMMITS, deps.git)) {
    const files = [{ path: CHECKPOINT_PATH, maxBytes: LIMITS.checkpointBytes }];
    const [file] = await repository.readFiles({ commit, files, url: null, limits: TRANSFER_LIMITS });
    if (file?.state !== "found") continue;
    try {
      const { doc, digest } = parseCheckpoint(file.bytes);
      if (digest !== before) found.push({ commit, rootVersion: doc.root.version, seq: doc.seq, time: doc.time });
      before = digest;
    } catch (error) {
      if (!isImprintError(error)) throw error; // not every commit must be an index
    }
  }
  return found;
}
