/** Some packages of an index, verified in full: records, releases, and every signature on them. What each core works on. */
import { badSignatures } from "../crypto/documents.ts";
import { isImprintError } from "../errors.ts";
import type { FileHash } from "../format/digest.ts";
import type { Signed } from "../format/envelope.ts";
import type { PublicKey } from "../format/keys.ts";
import { LIMITS } from "../format/limits.ts";
import type { PackageName } from "../format/names.ts";
import { recordPath, releasePath } from "../format/paths.ts";
import type { PackageRecord } from "../format/record.ts";
import type { Release } from "../format/release.ts";
import type { Version } from "../format/versions.ts";
import {
  judgeRelease,
  listedBytes,
  type ListedRequest,
  requireFewReleases,
  tooManyBytes,
  verifyRecordFully,
} from "../index/package-reader.ts";
import type { FileRead } from "../git/port.ts";
import type { Snapshot } from "../index/source.ts";
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

/** Files of one question to the source, all of them in memory at once. */
export const FILES_AT_ONCE = 1000;

/** @param wantsGood whether somebody goes on to their tarballs */
export async function verifyPackages(
  snapshot: Snapshot,
  state: TrustedState,
  records: readonly ListedRecord[],
  wantsGood: boolean,
): Promise<PackagesReport> {
  const found: Found = { releases: 0, signatures: 0, faults: [], listed: [], good: [] };
  const requests = recordRequests(records);
  const files = await snapshot.readFiles(requests);
  const wanted: Wanted[] = [];
  for (const [i, { name }] of records.entries()) {
    const request = requests[i] as ListedRequest;
    const { path } = request;
    found.listed.push(path);
    try {
      const [bytes] = listedBytes([request], [files[i]]);
      const { record, bad } = verifyRecordFully(state, name, bytes as Uint8Array);
      noteSignatures(found, record, bad, path, "reading 6");
      // What is more than readers take is not read here either.
      requireFewReleases(record.doc);
      wanted.push(...releaseRequests(record.doc));
      // A withdrawn release's file may stay or go.
      for (const version of record.doc.withdrawn.keys()) found.listed.push(releasePath(name, version));
    } catch (error) {
      note(found, error, path, "reading 6");
    }
  }
  const sizes = new Map<PackageName, number>();
  for (let at = 0; at < wanted.length; at += FILES_AT_ONCE) {
    const batch = wanted.slice(at, at + FILES_AT_ONCE);
    const reads = await snapshot.readFiles(batch);
    for (const [i, release] of batch.entries()) {
      verifyRelease(found, state, release, reads[i], wantsGood);
      noteSize(found, sizes, release.name, reads[i]);
    }
  }
  return found;
}

/** Once for each package that is more than readers take. */
function noteSize(found: Found, sizes: Map<PackageName, number>, name: PackageName, read: FileRead | undefined): void {
  const before = sizes.get(name) ?? 0;
  const now = before + (read?.state === "found" ? read.bytes.byteLength : 0);
  sizes.set(name, now);
  if (before <= LIMITS.packageReleasesBytes && now > LIMITS.packageReleasesBytes)
    note(found, tooManyBytes(name), recordPath(name), "reading 6");
}

type Found = { releases: number; signatures: number; faults: Fault[]; listed: string[]; good: Release[] };
type Wanted = ListedRequest & { readonly name: PackageName; readonly version: Version; readonly yanked: boolean };

export function recordRequests(records: readonly ListedRecord[]): readonly ListedRequest[] {
  return records.map(({ name, hash }) => ({ path: recordPath(name), maxBytes: LIMITS.recordBytes, hash }));
}

export function releaseRequests({ name, releases, yanked }: PackageRecord): readonly Wanted[] {
  return [...releases].map(([version, hash]) => ({
    name,
    version,
    path: releasePath(name, version),
    maxBytes: LIMITS.releaseBytes,
    hash,
    yanked: yanked.has(version),
  }));
}

function verifyRelease(found: Found, state: TrustedState, wanted: Wanted, read: FileRead | undefined, wantsGood: boolean): void {
  const { name, version, path, yanked } = wanted;
  found.listed.push(path);
  try {
    const [bytes] = listedBytes([wanted], [read]);
    const verdict = judgeRelease(state, name, version, bytes as Uint8Array, yanked);
    if ("release" in verdict) {
      // Those that judging has found good are not checked again.
      const bad = badSignatures(verdict.release, verdict.signers).map(({ key }) => key);
      noteSignatures(found, verdict.release, bad, path, "reading 7");
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

function noteSignatures(found: Found, { signatures }: Signed<unknown>, bad: readonly PublicKey[], file: string, step: string): void {
  found.signatures += signatures.length;
  for (const key of bad)
    found.faults.push({ file, step, code: "BAD_SIGNATURE", message: `${file} has a signature that is not good for ${key}` });
}

function note(found: Found, error: unknown, file: string, step: string): void {
  if (!isImprintError(error)) throw error;
  found.faults.push({ file: error.file ?? file, step: error.step ?? step, code: error.code, message: error.message });
}
