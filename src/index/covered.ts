/**
 * What a clone holds that its host does not. Git history can't tell (a squash has none), and what was seen before is forgotten by
 * the run that read the host and then failed.
 */
import { isImprintError } from "../errors.ts";
import { equalBytes } from "../format/bytes.ts";
import type { FileHash } from "../format/digest.ts";
import type { Signed } from "../format/envelope.ts";
import { LIMITS } from "../format/limits.ts";
import type { PackageName } from "../format/names.ts";
import { CHECKPOINT_PATH, recordPath } from "../format/paths.ts";
import { type PackageRecord, parseRecord } from "../format/record.ts";
import type { GitRepository, ObjectId, TransferLimits } from "../git/port.ts";
import { requireNoRegress } from "./memory.ts";
import { readListed } from "./package-reader.ts";
import type { Snapshot } from "./source.ts";
import type { TrustedState } from "./trust.ts";
import { readShard } from "./writer.ts";

type Side = { readonly state: TrustedState; readonly snapshot: Snapshot };

/** Of files that are not signed, such as a README or workflows: more of them, or larger ones, are not compared. */
const [MAX_OTHER_FILES, MAX_OTHER_BYTES] = [1000, 1024 * 1024];

/**
 * The first that `host` lacks of what `clone` holds, in words; null: the clone is only behind, and nothing of the author's is
 * lost by building on the host. Costs a look at what differs.
 */
export async function missingFrom(host: Side, clone: Side): Promise<string | null> {
  const other = clone.state.roots.find(({ digest }, i) => host.state.roots[i]?.digest !== digest);
  if (other !== undefined) return `root ${other.doc.version}`;
  for (const [shard, hash] of clone.state.checkpoint.doc.shards) {
    if (host.state.checkpoint.doc.shards.get(shard) === hash) continue;
    const [mine, theirs] = await Promise.all([readShard(clone.snapshot, clone.state, shard), readShard(host.snapshot, host.state, shard)]);
    for (const [name, record] of mine) {
      const held = theirs.get(name);
      if (held === record) continue;
      if (held === undefined) return name;
      const [before, after] = await Promise.all([readRecord(clone, name, record), readRecord(host, name, held)]);
      if (!continues(before, after)) return labelOf(before, after);
    }
  }
  return null;
}

function labelOf({ doc: before }: Signed<PackageRecord>, { doc: after }: Signed<PackageRecord>): string {
  const version = [...before.releases.keys()].find((one) => !after.releases.has(one) && !after.withdrawn.has(one));
  return version === undefined ? `changes of ${before.name}` : `${before.name}@${version}`;
}

async function readRecord({ snapshot }: Side, name: PackageName, hash: FileHash): Promise<Signed<PackageRecord>> {
  const [bytes] = await readListed(snapshot, [{ path: recordPath(name), maxBytes: LIMITS.recordBytes, hash }]);
  return parseRecord(bytes as Uint8Array);
}

function continues(before: Signed<PackageRecord>, after: Signed<PackageRecord>): boolean {
  try {
    requireNoRegress(before, after);
  } catch (error) {
    if (!isImprintError(error, "RECORD_REGRESSED")) throw error;
    return false;
  }
  // A yank that was never pushed must not get lost either.
  return (["yanked", "deprecated"] as const).every((list) =>
    [...before.doc[list].keys()].every((version) => after.doc[list].has(version) || after.doc.withdrawn.has(version)),
  );
}

/** Whether a commit holds every file of another that is not the index's own, with the same bytes. */
export async function holdsOtherFiles(
  repository: GitRepository,
  host: ObjectId,
  clone: ObjectId,
  limits: TransferLimits,
): Promise<boolean> {
  const [theirs, mine] = [await otherFiles(repository, host), await otherFiles(repository, clone)];
  if (mine.size > MAX_OTHER_FILES || [...mine].some(([path, mode]) => theirs.get(path) !== mode)) return false;
  const files = [...mine.keys()].map((path) => ({ path, maxBytes: MAX_OTHER_BYTES }));
  const [held, had] = [
    await repository.readFiles({ commit: host, files, url: null, limits }),
    await repository.readFiles({ commit: clone, files, url: null, limits }),
  ];
  return had.every((file, i) => {
    const other = held[i];
    return file.state === "found" && other?.state === "found" && equalBytes(file.bytes, other.bytes);
  });
}

async function otherFiles(repository: GitRepository, commit: ObjectId): Promise<ReadonlyMap<string, string>> {
  const files = await repository.listFiles(commit);
  return new Map(
    files.filter(({ path }) => path !== CHECKPOINT_PATH && !/^(?:trust|packages)\//u.test(path)).map(({ path, mode }) => [path, mode]),
  );
}
