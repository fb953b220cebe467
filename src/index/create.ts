/** A new index: its first root, its first checkpoint, and the files beside them. */
import type { PrivateKey } from "../crypto/ed25519.ts";
import { signDocument } from "../crypto/documents.ts";
import { encodeCheckpoint } from "../format/checkpoint.ts";
import type { DisplayName } from "../format/decode.ts";
import { type IndexId, indexIdOf } from "../format/digest.ts";
import { formatPublicKey } from "../format/keys.ts";
import type { PackagePattern } from "../format/names.ts";
import { CHECKPOINT_PATH, rootPath } from "../format/paths.ts";
import { encodeRoot, parseRoot, type Root } from "../format/root.ts";
import { formatTimestamp } from "../format/time.ts";
import type { FileChange } from "../git/port.ts";
import { signCheckpoint } from "./signers.ts";
import { nextNumber } from "./writer.ts";

export type NewIndex = { readonly id: IndexId; readonly files: readonly FileChange[] };

export function createIndex(options: {
  readonly name: DisplayName;
  readonly packages: readonly PackagePattern[];
  /** Where tarballs are; default `git`, beside the branch. */
  readonly tarballs?: readonly string[];
  readonly keys: { readonly root: PrivateKey; readonly publisher: PrivateKey; readonly checkpoint: PrivateKey };
  readonly nowMs: number;
}): NewIndex {
  const { name, packages, tarballs = ["git"], keys, nowMs } = options;
  const role = (key: PrivateKey): { keys: [ReturnType<typeof formatPublicKey>]; threshold: number } => ({
    keys: [formatPublicKey(key.publicKey)],
    threshold: 1,
  });
  const root: Root = {
    index: null,
    version: 1,
    previous: null,
    name,
    roles: { root: role(keys.root), checkpoint: role(keys.checkpoint) },
    publishers: [{ packages, ...role(keys.publisher) }],
    tarballs,
    mirrors: [],
    introductions: [],
    refreshDays: 0,
  };
  const bytes = signDocument("root", encodeRoot(root), [keys.root]);
  const signed = parseRoot(bytes);
  const id = indexIdOf(signed.digest);
  const checkpoint = encodeCheckpoint({
    index: id,
    root: { version: 1, digest: signed.digest },
    seq: nextNumber(0, nowMs),
    time: formatTimestamp(nowMs),
    shards: new Map(),
  });
  return {
    id,
    files: [
      { path: rootPath(1), content: bytes },
      {
        path: CHECKPOINT_PATH,
        content: signCheckpoint({ roots: [signed] }, checkpoint, { checkpoint: [keys.checkpoint] }),
      },
    ],
  };
}
