/** Some packages of an index, verified in full: records, releases, and every signature on them. What each core works on. */
import { badSignatures } from "../crypto/documents.ts";
import { isImprintError } from "../errors.ts";
import type { FileHash } from "../format/digest.ts";
import type { Signed } from "../format/envelope.ts";
import { LIMITS } from "../format/limits.ts";
import type { PackageName } from "../format/names.ts";
import { recordPath, releasePath } from "../format/paths.ts";
import type { PackageRecord } from "../format/record.ts";
import type { Release } from "../format/release.ts";
import type { Version } from "../format/versions.ts";
import { judgeRelease, readListed, verifyRecord } from "../index/package-reader.ts";
import type { FileRequest, Snapshot } from "../index/source.ts";
import type { TrustedState } from "../index/trust.ts";

export type Fault = { readonly file: string; readonly step: string; readonly code: string; readonly message: string };

export type ListedRecord = { readonly name: PackageName; readonly hash: FileHash };

export type PackagesReport = {
  readonly releases: number;
  readonly signatures: number;
  readonly faults: readonly Fault[];
  /** Paths that the records list. */
  readonly listed: readonly string[];
  /** Releases that are good; empty unless wanted. */
  readonly good: readonly Release[];
};

/** Files of one question to the source. */
const BATCH = 5000;

/** @param wantsGood whether somebody goes on to their tarballs */
export async function verifyPackages(
  snapshot: Snapshot,
  state: TrustedState,
  records: readonly ListedRecord[],
  wantsGood: boolean,
): Promise<PackagesReport> {
  const found: Found = { releases: 0, signatures: 0, faults: [], listed: [], good: [] };
  const files = await snapshot.readFiles(records.map(({ name, hash }) => ({ path: recordPath(name), maxBytes: LIMITS.recordBytes, hash })));
  const wanted: Wanted[] = [];
  for (const [i, { name, hash }] of records.entries()) {
    const path = recordPath(name);
    found.listed.push(path);
    try {
      const [bytes] = await readListed(only(files[i]), [{ path, maxBytes: LIMITS.recordBytes, hash }]);
      const record = verifyRecord(state, name, bytes as Uint8Array);
      noteSignatures(found, record, path, "reading 6");
      wanted.push(...releasesOf(record.doc));
      // A withdrawn release's file may stay or go.
      for (const version of record.doc.withdrawn.keys()) found.listed.push(releasePath(name, version));
    } catch (error) {
      note(found, error, path, "reading 6");
    }
  }
  for (let at = 0; at < wanted.length; at += BATCH) {
    const batch = wanted.slice(at, at + BATCH);
    const reads = await snapshot.readFiles(batch);
    for (const [i, release] of batch.entries()) await verifyRelease(found, state, release, reads[i], wantsGood);
  }
  return found;
}

type Found = { releases: number; signatures: number; faults: Fault[]; listed: string[]; good: Release[] };
type Wanted = FileRequest & { readonly name: PackageName; readonly version: Version; readonly hash: FileHash; readonly yanked: boolean };
type Read = Awaited<ReturnType<Snapshot["readFiles"]>>[number] | undefined;

function releasesOf({ name, releases, yanked }: PackageRecord): readonly Wanted[] {
  return [...releases].map(([version, hash]) => ({
    name,
    version,
    path: releasePath(name, version),
    maxBytes: LIMITS.releaseBytes,
    hash,
    yanked: yanked.has(version),
  }));
}

async function verifyRelease(found: Found, state: TrustedState, wanted: Wanted, read: Read, wantsGood: boolean): Promise<void> {
  const { name, version, path, yanked } = wanted;
  found.listed.push(path);
  try {
    const [bytes] = await readListed(only(read), [wanted]);
    const verdict = judgeRelease(state, name, version, bytes as Uint8Array, yanked);
    if ("release" in verdict) {
      // Those that judging has found good are not checked again.
      noteSignatures(found, verdict.release, path, "reading 7", verdict.signers);
      if (wantsGood) found.good.push(verdict.release.doc);
    } else
      found.faults.push({
        file: path,
        step: "reading 7",
        code: "RELEASE_REFUSED",
        message: `${path} is ${verdict.verdict}: ${verdict.reason}`,
      });
    found.releases++;
  } catch (error) {
    note(found, error, path, "reading 6");
  }
}

function noteSignatures(found: Found, document: Signed<unknown>, file: string, step: string, good: readonly string[] = []): void {
  found.signatures += document.signatures.length;
  for (const { key } of badSignatures(document, good))
    found.faults.push({ file, step, code: "BAD_SIGNATURE", message: `${file} has a signature that is not good for ${key}` });
}

function note(found: Found, error: unknown, file: string, step: string): void {
  if (!isImprintError(error)) throw error;
  found.faults.push({ file: error.file ?? file, step: error.step ?? step, code: error.code, message: error.message });
}

/** A file that was read already, as a source of its own. */
function only(read: Read): Snapshot {
  return { at: "", readFiles: async () => [read ?? { state: "missing" }] };
}
