/** Where the files of a believed state are read, when an index has several sources. */
import { ImprintError, isImprintError } from "../errors.ts";
import { type FileHash, fileHashOf } from "../format/digest.ts";
import type { FileRead } from "../git/port.ts";
import type { FileRequest, IndexSource, Snapshot } from "./source.ts";
import type { SourcesRequest } from "./sources.ts";

/** The place of a state that came from `source`, among several. The first is understood: it was once the only one. */
export function placeAmong(sources: readonly IndexSource[]): SourcesRequest["locate"] {
  return ({ at }, source) => (source === sources[0] ? at : `${at} ${source.url}`);
}

/**
 * The files of a state at its place, from the source that gave it; what that one lacks, or has with other bytes than the
 * tree says, from the others.
 *
 * @param report a file that another source had to supply
 */
export function snapshotAmong(
  sources: readonly [IndexSource, ...IndexSource[]],
  place: string,
  report: (error: ImprintError, source: string) => void,
): Snapshot {
  // The place of a folder is its path, which may hold spaces.
  const space = sources.some((source) => source.owns(place)) ? -1 : place.indexOf(" ");
  const [at, url] = space < 0 ? [place, null] : [place.slice(0, space), place.slice(space + 1)];
  const giver = (url === null ? sources[0] : sources.find((source) => source.url === url)) ?? sources[0];
  const owner = giver.owns(at) ? giver : sources.find((source) => source.owns(at));
  return {
    at: place,
    async readFiles(files) {
      const reads = await readFrom(owner?.reopen(at) ?? null, files);
      if (sources.length === 1 && owner !== undefined) return unwrap(reads);
      for (const source of sources) {
        const lacking = files.flatMap((file, i) => (file.hash !== undefined && !fits(reads[i], file.hash) ? [i] : []));
        if (lacking.length === 0) break;
        if (source === owner) continue;
        const more = await readFrom(
          await source.lastSeen(),
          lacking.map((i) => files[i] as FileRequest),
        );
        for (const [j, i] of lacking.entries()) {
          if (!fits(more[j], files[i]?.hash)) continue;
          const path = files[i]?.path ?? "";
          report(faultOf(reads[i], path, source.url), owner?.url ?? giver.url);
          reads[i] = more[j] as FileRead;
        }
      }
      return unwrap(reads);
    },
  };
}

/** A file, or why its source could not be asked. */
type Tried = FileRead | ImprintError;

async function readFrom(snapshot: Snapshot | null, files: readonly FileRequest[]): Promise<Tried[]> {
  if (snapshot === null) return files.map(() => ({ state: "unavailable" }));
  try {
    return [...(await snapshot.readFiles(files))];
  } catch (error) {
    if (!isImprintError(error)) throw error;
    return files.map(() => error);
  }
}

function fits(read: Tried | undefined, hash: FileHash | undefined): boolean {
  return read !== undefined && !(read instanceof ImprintError) && read.state === "found" && fileHashOf(read.bytes) === hash;
}

function unwrap(reads: readonly Tried[]): readonly FileRead[] {
  return reads.map((read) => {
    if (read instanceof ImprintError) throw read;
    return read;
  });
}

function faultOf(read: Tried | undefined, path: string, from: string): ImprintError {
  const known = read instanceof ImprintError ? read : null;
  const code = known?.code ?? (read !== undefined && "state" in read && read.state === "found" ? "HASH_MISMATCH" : "MISSING_FILE");
  return new ImprintError(code, `Cannot use its ${path}: ${known?.message ?? "missing or changed"}; taken from ${from}`, { file: path });
}
