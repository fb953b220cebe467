/** The resolver's own signing key on disk, made when it is first needed, by whichever resolver comes first. */
import { LRUCache } from "lru-cache";
import { type BridgeKey, generateBridgeKey, openBridgeKey } from "../crypto/bridge-key.ts";
import { ImprintError, isImprintError } from "../errors.ts";
import { textOf, utf8 } from "../format/bytes.ts";
import type { Files } from "../storage/files.ts";

const MAX_BYTES = 4096;
const MAX_SIGNATURES = 20_000;

/** @throws ImprintError STORAGE_FAILED */
export function bridgeKeyIn(files: Files, path: string): () => Promise<BridgeKey> {
  let opened: Promise<BridgeKey> | null = null;
  const open = async (): Promise<BridgeKey> => {
    const kept = await read(files, path);
    if (kept.key !== null) return kept.key;
    // One that is no key is of no use to anybody; nothing hangs on it, clients take the new one with the next answer.
    if (kept.exists) await files.remove(path);
    await files.createExclusive(path, utf8(generateBridgeKey()));
    const made = (await read(files, path)).key;
    if (made === null) throw new ImprintError("STORAGE_FAILED", `Cannot use ${path}: it is no key although it was just made`);
    return made;
  };
  return () =>
    (opened ??= open()
      .then(remembering)
      .catch((error: unknown) => {
        opened = null;
        throw error;
      }));
}

/** ECDSA signs differently each time: a document made again of the same content must have the same bytes, and ETag. */
function remembering(key: BridgeKey): BridgeKey {
  const made = new LRUCache<string, ReturnType<BridgeKey["sign"]>>({ max: MAX_SIGNATURES });
  return {
    listed: key.listed,
    sign(name, version, integrity) {
      const label = `${name}@${version}:${integrity}`;
      const signature = made.get(label) ?? key.sign(name, version, integrity);
      made.set(label, signature);
      return signature;
    },
  };
}

async function read(files: Files, path: string): Promise<{ readonly exists: boolean; readonly key: BridgeKey | null }> {
  const bytes = await files.read(path, MAX_BYTES, { secret: true }).catch((error: unknown) => {
    // Others may know it: worth no more than one that is no key.
    if (!isImprintError(error, "LOOSE_FILE")) throw error;
    return new Uint8Array();
  });
  return { exists: bytes !== null, key: bytes === null ? null : openBridgeKey(textOf(bytes) ?? "") };
}
