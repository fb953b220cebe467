/**
 * What this machine remembers of each package that it has read: the last verified record and the releases under it.
 * Step 8 of SPEC.md, "Reading".
 *
 * It serves two ends. A stolen checkpoint key must not be able to hide a release or a yank from those who saw it; and
 * when the host breaks a package's files, the last verified ones are still served. It is local, but not believed: what
 * is read back goes through the same checks as what a host sends.
 */
import { LIMITS } from "../format/limits.ts";
import { ImprintError } from "../errors.ts";
import { textOf, utf8 } from "../format/bytes.ts";
import { type FileHash, fileHashOf } from "../format/digest.ts";
import type { Signed } from "../format/envelope.ts";
import { isJsonObject, type JsonValue } from "../format/json.ts";
import { recordPath } from "../format/paths.ts";
import type { PackageRecord } from "../format/record.ts";
import { isTimestamp, type Timestamp } from "../format/time.ts";
import { isVersion, type Version } from "../format/versions.ts";
import type { Cell } from "../storage/cell.ts";
import { breather } from "./breathe.ts";

/** Cap on the file. */
export const MEMORY_MAX_BYTES = LIMITS.memoryBytes;

/** The files of one package, self-contained: bytes as they were verified. */
export type RememberedPackage = {
  readonly record: Uint8Array;
  /** Hashed when they are asked for: most readings need the record alone. */
  readonly releases: () => Promise<ReadonlyMap<FileHash, Uint8Array>>;
  /** Of the last checkpoint under which this machine read the package: what is new after it did not exist before. */
  readonly seen: Timestamp | null;
  readonly since: Since;
};

/**
 * When a release can have appeared at the earliest, whatever it claims: the time of the last checkpoint under which this
 * machine read the package without it. Nothing for a release that was there at the first reading.
 */
export type Since = ReadonlyMap<Version, Timestamp>;

export type PackageMemory = {
  read(): Promise<{ readonly remembered: RememberedPackage; readonly generation: number } | null>;
  /** @throws ImprintError STATE_CHANGED, STORAGE_FAILED */
  write(expected: number | null, next: Omit<RememberedPackage, "releases"> & { readonly releases: Iterable<Uint8Array> }): Promise<void>;
};

const FORMAT = 2;
const PIECE_BYTES = 256 * 1024;
const MAX_HEAD_BYTES = LIMITS.recordBytes;

/**
 * A file is a line of JSON, which says how long the record and each release are, and then their bytes one after the other: a
 * package of many megabytes is written and found again without being parsed.
 */
export function openPackageMemory(cell: Cell): PackageMemory {
  return {
    async read() {
      const found = await cell.read();
      if (found === null) return null;
      const remembered = decode(found.bytes);
      if (remembered === null) throw new ImprintError("STORAGE_FAILED", "Cannot read the memory of a package: the file is damaged");
      return { remembered, generation: found.generation };
    },
    async write(expected, { record, releases, seen, since }) {
      const files = [record, ...releases];
      const sizes = files.map(({ byteLength }) => byteLength);
      const head = utf8(`${JSON.stringify({ format: FORMAT, sizes, seen, since: Object.fromEntries(since) })}\n`);
      await cell.swap(expected, pieces([head, ...files]));
    },
  };
}

/** Small ones together: a package of many megabytes is not copied, one of many releases not written one by one. */
function pieces(files: readonly Uint8Array[]): readonly Uint8Array[] {
  const all: Uint8Array[] = [];
  let [small, bytes]: [Uint8Array[], number] = [[], 0];
  for (const file of files) {
    small.push(file);
    bytes += file.byteLength;
    if (bytes < PIECE_BYTES) continue;
    all.push(small.length === 1 ? file : Buffer.concat(small));
    [small, bytes] = [[], 0];
  }
  return [...all, Buffer.concat(small)];
}

function decode(bytes: Uint8Array): RememberedPackage | null {
  const end = bytes.subarray(0, MAX_HEAD_BYTES).indexOf(0x0a);
  if (end === -1) return null;
  let head: JsonValue;
  try {
    head = JSON.parse(textOf(bytes.subarray(0, end)) ?? "") as JsonValue;
  } catch {
    return null;
  }
  const files = isJsonObject(head) && head["format"] === FORMAT ? cut(bytes.subarray(end + 1), head["sizes"]) : null;
  const [record, ...releases] = files ?? [];
  if (!isJsonObject(head) || record === undefined) return null;
  const { seen, since } = head;
  return {
    record,
    async releases() {
      const hashed = new Map<FileHash, Uint8Array>();
      const breathe = breather();
      for (const release of releases) {
        hashed.set(fileHashOf(release), release);
        await breathe();
      }
      return hashed;
    },
    seen: typeof seen === "string" && isTimestamp(seen) ? seen : null,
    since: isJsonObject(since)
      ? new Map(Object.entries(since).filter((entry): entry is [Version, Timestamp] => isSighting(entry)))
      : new Map(),
  };
}

/** Null unless the sizes are those of the bytes, to the last one. */
function cut(bytes: Uint8Array, sizes: JsonValue | undefined): readonly Uint8Array[] | null {
  if (!Array.isArray(sizes)) return null;
  const files: Uint8Array[] = [];
  let at = 0;
  for (const size of sizes as readonly JsonValue[]) {
    if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0 || at + size > bytes.byteLength) return null;
    files.push(bytes.subarray(at, at + size));
    at += size;
  }
  return at === bytes.byteLength ? files : null;
}

function isSighting([version, time]: readonly [string, JsonValue]): boolean {
  return isVersion(version) && typeof time === "string" && isTimestamp(time);
}

/** The sightings once `next` was read: what `before` did not list is as new as the reading before was old. */
export function sightings(
  before: { readonly releases: PackageRecord["releases"]; readonly seen: Timestamp | null; readonly since: Since },
  next: PackageRecord,
): Since {
  const { seen } = before;
  const since = new Map([...before.since].filter(([version]) => next.releases.has(version)));
  if (seen !== null) for (const version of next.releases.keys()) if (!before.releases.has(version)) since.set(version, seen);
  return since;
}

/**
 * Refuses a record that takes back what this machine has seen.
 *
 * @throws ImprintError RECORD_REGRESSED
 */
export function requireNoRegress(seen: Signed<PackageRecord>, next: Signed<PackageRecord>): void {
  const name = next.doc.name;
  const refuse = (what: string): never => {
    throw new ImprintError("RECORD_REGRESSED", `Cannot trust ${name}: ${what}`, { file: recordPath(name), step: "reading 8" });
  };
  if (next.digest === seen.digest) return;
  if (next.doc.revision < seen.doc.revision)
    refuse(`its record is revision ${next.doc.revision}, this machine has seen ${seen.doc.revision}`);
  if (next.doc.revision === seen.doc.revision) refuse(`two records with revision ${next.doc.revision}`);
  for (const [version, hash] of seen.doc.releases) {
    const now = next.doc.releases.get(version);
    if (now === undefined && !next.doc.withdrawn.has(version)) refuse(`release ${version} vanished`);
    if (now !== undefined && now !== hash) refuse(`release ${version} was changed`);
  }
  for (const version of seen.doc.withdrawn.keys()) {
    if (!next.doc.withdrawn.has(version)) refuse(`release ${version} was withdrawn and is back, or forgotten`);
  }
}
