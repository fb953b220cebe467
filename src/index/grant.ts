/** A root that lets its publishers take one more name or scope, and the checkpoint that names it, as one commit. */
import type { PrivateKey } from "../crypto/ed25519.ts";
import { meetsThreshold, signDocument } from "../crypto/documents.ts";
import { ImprintError } from "../errors.ts";
import { encodeCheckpoint } from "../format/checkpoint.ts";
import type { PackagePattern } from "../format/names.ts";
import { CHECKPOINT_PATH, rootPath } from "../format/paths.ts";
import { encodeRoot, parseRoot } from "../format/root.ts";
import { formatTimestamp } from "../format/time.ts";
import type { FileChange } from "../git/port.ts";
import { newestRoot, type TrustedState } from "./trust.ts";
import { nextNumber, signCheckpoint, type WriterKeys } from "./writer.ts";

/**
 * Grants `pattern` to the entry that the publisher key at hand belongs to.
 *
 * @returns null where the root grants it already
 * @throws ImprintError KEY_INVALID, NOT_GRANTED
 */
export function grantPattern(options: {
  readonly state: TrustedState;
  readonly pattern: PackagePattern;
  readonly rootKeys: readonly PrivateKey[];
  readonly keys: WriterKeys;
  /** Public keys of `keys.publishers`, as the root writes them. */
  readonly publisherKeys: readonly string[];
  readonly nowMs: number;
}): readonly FileChange[] | null {
  const { state, pattern, rootKeys, keys, publisherKeys, nowMs } = options;
  const before = newestRoot(state.roots);
  const { doc } = before;
  if (doc.publishers.some(({ packages }) => packages.includes(pattern))) return null;
  const mine = doc.publishers.findIndex((entry) => entry.keys.some((key) => publisherKeys.includes(key)));
  if (mine < 0) throw new ImprintError("NOT_GRANTED", `Cannot grant ${pattern}: the publisher key here stands nowhere in the index's root`);
  const publishers = doc.publishers.map((entry, i) => (i === mine ? { ...entry, packages: [...entry.packages, pattern] } : entry));
  const version = doc.version + 1;
  const bytes = signDocument(
    "root",
    encodeRoot({ ...doc, index: state.id, version, previous: before.digest, publishers }, before.signed),
    rootKeys,
  );
  const next = parseRoot(bytes);
  if (!meetsThreshold(next, doc.roles.root))
    throw new ImprintError("KEY_INVALID", "Cannot grant: the root keys here do not meet the threshold of the index's root");
  const { checkpoint } = state;
  const encoded = encodeCheckpoint(
    { ...checkpoint.doc, root: { version, digest: next.digest }, seq: nextNumber(checkpoint.doc.seq, nowMs), time: formatTimestamp(nowMs) },
    checkpoint.signed,
  );
  return [
    { path: rootPath(version), content: bytes },
    { path: CHECKPOINT_PATH, content: signCheckpoint({ roots: [...state.roots, next] }, encoded, keys) },
  ];
}
