/** A next root and the checkpoint that names it: what every change of an own index's root has in common. */
import type { PrivateKey } from "../crypto/ed25519.ts";
import { meetsThreshold, signDocument } from "../crypto/documents.ts";
import { ImprintError } from "../errors.ts";
import { encodeCheckpoint } from "../format/checkpoint.ts";
import { CHECKPOINT_PATH, rootPath } from "../format/paths.ts";
import { encodeRoot, parseRoot, type Root } from "../format/root.ts";
import { formatTimestamp } from "../format/time.ts";
import type { FileChange } from "../git/port.ts";
import { newestRoot, type TrustedState } from "./trust.ts";
import { nextNumber, signCheckpoint, type WriterKeys } from "./writer.ts";

/** What a root says beside its place in the chain. */
export type RootContent = Omit<Root, "index" | "version" | "previous">;

/** @throws ImprintError KEY_INVALID where the root keys at hand are too few */
export function changeRoot(options: {
  readonly state: TrustedState;
  readonly content: RootContent;
  readonly rootKeys: readonly PrivateKey[];
  readonly keys: WriterKeys;
  readonly nowMs: number;
}): readonly FileChange[] {
  const { state, content, rootKeys, keys, nowMs } = options;
  const before = newestRoot(state.roots);
  const version = before.doc.version + 1;
  const bytes = signDocument(
    "root",
    encodeRoot({ ...content, index: state.id, version, previous: before.digest }, before.signed),
    rootKeys,
  );
  const next = parseRoot(bytes);
  if (!meetsThreshold(next, before.doc.roles.root))
    throw new ImprintError("KEY_INVALID", "Cannot change the root: the root keys here do not meet the threshold of the index's root");
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
