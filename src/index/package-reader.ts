/**
 * One package, from the trusted checkpoint down: shard, record, releases. Steps 6 to 8 of SPEC.md, "Reading".
 *
 * Bytes that are not what the tree says fail the whole package: hiding one release must never be cheaper for a host than
 * hiding all of them. Only a release whose bytes are exactly those listed may drop out alone, because that is its
 * author's doing; it is then a verdict with a reason, not an exception.
 */
import { badSignatures, meetsThreshold, signersAmong } from "../crypto/documents.ts";
import { ImprintError, isImprintError } from "../errors.ts";
import { parseShard } from "../format/checkpoint.ts";
import { type FileHash, fileHashOf } from "../format/digest.ts";
import type { Signed } from "../format/envelope.ts";
import type { PublicKey } from "../format/keys.ts";
import { LIMITS } from "../format/limits.ts";
import type { PackageName } from "../format/names.ts";
import { recordPath, releasePath, shardOf, shardPath } from "../format/paths.ts";
import { type PackageRecord, parseRecord } from "../format/record.ts";
import { parseRelease, type Release } from "../format/release.ts";
import { type Publishers, publishersFor } from "../format/root.ts";
import type { Version } from "../format/versions.ts";
import type { FileRead } from "../git/port.ts";
import { breather } from "./breathe.ts";
import { HeavyPackage, LIGHT_BYTES, type Weight } from "./heavy.ts";
import type { FileRequest, Snapshot } from "./source.ts";
import { inFile, newestRoot, type TrustedState } from "./trust.ts";

export type Verdict =
  | Good<Signed<Release>>
  | { readonly verdict: "unsigned" | "untrusted" | "unsupported" | "invalid"; readonly reason: string };

type Good<R> = { readonly verdict: "ok" | "yanked"; readonly release: R; readonly signers: readonly PublicKey[] };

/** A verdict without the file that it was given on: a resolver keeps thousands of them. */
export type KeptVerdict = Good<Pick<Signed<Release>, "doc">> | Exclude<Verdict, Good<Signed<Release>>>;

/** A package as far as it can be believed. */
export type PackageView = {
  readonly name: PackageName;
  readonly record: Signed<PackageRecord>;
  /** Every listed version. */
  readonly versions: ReadonlyMap<Version, KeptVerdict>;
  /** Bytes of the files of all releases. */
  readonly releasesBytes: number;
};

/** With the files of the releases, for the memory. */
export type PackageFiles = PackageView & { readonly files: ReadonlyMap<FileHash, Uint8Array> };

const STEP_TREE = "reading 6";

/**
 * @returns null where the package is verified absent
 * @throws ImprintError MISSING_FILE, HASH_MISMATCH, BAD_SIGNATURE, WRONG_INDEX, INVALID_DOCUMENT, PACKAGE_TOO_LARGE, … : the package
 * fails; HeavyPackage
 */
export async function readPackage(
  snapshot: Snapshot,
  state: TrustedState,
  name: PackageName,
  weight: Weight = "any",
): Promise<PackageFiles | null> {
  const shard = shardOf(name);
  const shardHash = state.checkpoint.doc.shards.get(shard);
  if (shardHash === undefined) return null;
  const [shardBytes] = await readListed(snapshot, [{ path: shardPath(shard), maxBytes: LIMITS.shardBytes, hash: shardHash }]);
  const recordHash = inFile(shardPath(shard), STEP_TREE, () => parseShard(shardBytes as Uint8Array, shard)).get(name);
  if (recordHash === undefined) return null;
  const [recordBytes] = await readListed(snapshot, [{ path: recordPath(name), maxBytes: LIMITS.recordBytes, hash: recordHash }]);
  const record = verifyRecord(state, name, recordBytes as Uint8Array);
  requireFewReleases(record.doc);
  const files = await readReleases(snapshot, record.doc, weight === "light");
  return { ...(await viewOf(state, record, files)), files };
}

/** The first files tell how large the others may be: no more is asked for at once than is no burden before it is added up. */
const [FIRST_RELEASES, MOST_AT_ONCE, BYTES_AT_ONCE] = [2, 256, 4 * 1024 * 1024];

/** The files of all releases, proven, within the limit for a package. */
async function readReleases(
  snapshot: Snapshot,
  { name, releases }: PackageRecord,
  isLight: boolean,
): Promise<ReadonlyMap<FileHash, Uint8Array>> {
  const listed = [...releases].map(([version, hash]) => ({ path: releasePath(name, version), maxBytes: LIMITS.releaseBytes, hash }));
  const files = new Map<FileHash, Uint8Array>();
  const breathe = breather();
  let bytes = 0;
  let count = FIRST_RELEASES;
  for (let at = 0; at < listed.length;) {
    const batch = listed.slice(at, at + count);
    const reads = await snapshot.readFiles(batch);
    for (const [i, wanted] of batch.entries()) {
      const [file] = listedBytes([wanted], [reads[i]]);
      bytes += (file as Uint8Array).byteLength;
      if (bytes > LIMITS.packageReleasesBytes) throw tooManyBytes(name);
      files.set(wanted.hash, file as Uint8Array);
      await breathe();
    }
    if (isLight && bytes > LIGHT_BYTES) throw new HeavyPackage(name);
    at += batch.length;
    count = Math.max(1, Math.min(MOST_AT_ONCE, Math.floor((BYTES_AT_ONCE * at) / Math.max(1, bytes))));
  }
  return files;
}

/** @throws ImprintError PACKAGE_TOO_LARGE */
export function requireFewReleases({ name, releases }: Pick<PackageRecord, "name" | "releases">): void {
  if (releases.size > LIMITS.packageReleases)
    throw new ImprintError(
      "PACKAGE_TOO_LARGE",
      `Cannot take ${name}: ${String(releases.size)} releases, and a package has ${String(LIMITS.packageReleases)} at most`,
    );
}

export function tooManyBytes(name: PackageName): ImprintError {
  return new ImprintError(
    "PACKAGE_TOO_LARGE",
    `Cannot take ${name}: its releases are more than ${String(LIMITS.packageReleasesBytes)} bytes together`,
  );
}

/**
 * A view of files that are here already, judged under the newest root.
 *
 * @throws ImprintError where the record no longer meets it
 */
export async function viewOfFiles(
  state: TrustedState,
  name: PackageName,
  recordBytes: Uint8Array,
  files: ReadonlyMap<FileHash, Uint8Array>,
): Promise<PackageView> {
  const record = verifyRecord(state, name, recordBytes);
  for (const [version, hash] of record.doc.releases) {
    if (!files.has(hash))
      throw new ImprintError("MISSING_FILE", `Cannot read ${name}: ${releasePath(name, version)} is not remembered`, {
        file: releasePath(name, version),
        step: STEP_TREE,
      });
  }
  return viewOf(state, record, files);
}

/**
 * Step 6 for a record: right index and name, and the threshold of the one entry that the newest root has for the name.
 *
 * @throws ImprintError BAD_SIGNATURE, WRONG_INDEX, NOT_GRANTED, INVALID_DOCUMENT, …
 */
export function verifyRecord(state: TrustedState, name: PackageName, bytes: Uint8Array): Signed<PackageRecord> {
  const { record, publishers } = identifyRecord(state, name, bytes);
  if (!meetsThreshold(record, publishers)) throw unsigned(name);
  return record;
}

/** The same, with every signature on the record looked at once. */
export function verifyRecordFully(
  state: TrustedState,
  name: PackageName,
  bytes: Uint8Array,
): { readonly record: Signed<PackageRecord>; /** Keys whose signature is not good. */ readonly bad: readonly PublicKey[] } {
  const { record, publishers } = identifyRecord(state, name, bytes);
  const bad = badSignatures(record).map(({ key }) => key);
  const good = record.signatures.filter(({ key }) => publishers.keys.includes(key) && !bad.includes(key));
  if (good.length < publishers.threshold) throw unsigned(name);
  return { record, bad };
}

/** The same but for its signatures: what they are worth is still to be judged, by `publishers`. */
export function identifyRecord(
  state: TrustedState,
  name: PackageName,
  bytes: Uint8Array,
): { readonly record: Signed<PackageRecord>; readonly publishers: Publishers } {
  const file = recordPath(name);
  const record = inFile(file, STEP_TREE, () => parseRecord(bytes));
  if (record.doc.index !== state.id) throw refuse("WRONG_INDEX", name, `${file} belongs to another index`, file);
  if (record.doc.name !== name) throw refuse("WRONG_INDEX", name, `${file} is the record of ${record.doc.name}`, file);
  const publishers = publishersFor(newestRoot(state.roots).doc, name);
  if (publishers === null) throw refuse("BAD_SIGNATURE", name, `the index's root lets nobody publish it`, file);
  return { record, publishers };
}

/** Step 7: what one release is worth, given bytes that are exactly those listed. */
export function judgeRelease(state: TrustedState, name: PackageName, version: Version, bytes: Uint8Array, yanked: boolean): Verdict {
  const file = releasePath(name, version);
  let release: Signed<Release>;
  try {
    release = inFile(file, "reading 7", () => parseRelease(bytes));
  } catch (error) {
    if (!isImprintError(error)) throw error;
    return { verdict: error.code === "UNSUPPORTED_FORMAT" ? "unsupported" : "invalid", reason: error.message };
  }
  const { doc } = release;
  if (doc.index !== state.id || doc.name !== name || doc.version !== version) {
    return { verdict: "invalid", reason: `${file} says it is ${doc.name}@${doc.version} of index ${doc.index}` };
  }
  if (release.signatures.length === 0) return { verdict: "unsigned", reason: `${file} is not signed` };
  // Any root of the chain: a key that has since been rotated still signed what it signed. Whether the release counts,
  // its record says, and that answers to the newest root alone.
  const keys = new Set(state.roots.flatMap(({ doc: root }) => publishersFor(root, name)?.keys ?? []));
  const signers = signersAmong(release, keys);
  if (signers.size === 0)
    return { verdict: "untrusted", reason: `${file} has no good signature by a key that the index names for ${name}` };
  return { verdict: yanked ? "yanked" : "ok", release, signers: [...signers] };
}

async function viewOf(state: TrustedState, record: Signed<PackageRecord>, files: ReadonlyMap<FileHash, Uint8Array>): Promise<PackageView> {
  const { name, releases, yanked } = record.doc;
  const versions = new Map<Version, KeptVerdict>();
  const breathe = breather();
  for (const [version, hash] of releases) {
    const judged = judgeRelease(state, name, version, files.get(hash) as Uint8Array, yanked.has(version));
    versions.set(version, "release" in judged ? { ...judged, release: { doc: judged.release.doc } } : judged);
    await breathe();
  }
  const releasesBytes = [...files.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
  return { name, record, versions, releasesBytes };
}

/** A file that the tree lists. */
export type ListedRequest = FileRequest & { readonly hash: FileHash };

/** Files that the tree lists: there, and exactly those bytes. */
export async function readListed(snapshot: Snapshot, files: readonly ListedRequest[]): Promise<readonly Uint8Array[]> {
  return listedBytes(files, await snapshot.readFiles(files));
}

/** The same, of what was read already. */
export function listedBytes(files: readonly ListedRequest[], reads: readonly (FileRead | undefined)[]): readonly Uint8Array[] {
  return files.map(({ path, maxBytes, hash }, i) => {
    const read = reads[i];
    if (read?.state === "tooLarge")
      throw new ImprintError("TOO_LARGE", `Cannot read ${path}: larger than ${maxBytes} bytes`, { file: path, step: STEP_TREE });
    if (read?.state !== "found")
      throw new ImprintError("MISSING_FILE", `Cannot read ${path}: the index lists it, the host does not serve it`, {
        file: path,
        step: STEP_TREE,
      });
    if (fileHashOf(read.bytes) !== hash)
      throw new ImprintError("HASH_MISMATCH", `Cannot trust ${path}: its bytes are not those that were signed`, {
        file: path,
        step: STEP_TREE,
      });
    return read.bytes;
  });
}

function unsigned(name: PackageName): ImprintError {
  return refuse("BAD_SIGNATURE", name, `${recordPath(name)} lacks the signatures of its publishers`, recordPath(name));
}

function refuse(code: "WRONG_INDEX" | "BAD_SIGNATURE", name: PackageName, what: string, file: string): ImprintError {
  return new ImprintError(code, `Cannot trust ${name}: ${what}`, { file, step: STEP_TREE });
}
