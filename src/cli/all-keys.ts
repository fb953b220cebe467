/** Every key of this machine for one index, and how new ones come and old ones go, so that no crash in between loses one. */
import { generatePrivateKey, type PrivateKey } from "../crypto/ed25519.ts";
import type { KeyFile, KeyFileKind, KeyPurpose, StoredKey } from "../crypto/key-file.ts";
import { formatPublicKey, type PublicKey, shortKey } from "../format/keys.ts";
import { keysOfRoot } from "../index/root/edits.ts";
import type { Keys } from "../index/root/pending.ts";
import type { Root } from "../format/root.ts";
import { newestRoot, type RootChain } from "../index/trust.ts";
import type { Deps } from "./deps.ts";
import { holdingKeys } from "./key-lock.ts";
import { type FoundKeyFile, keyFileOf, keysFor, listKeyFiles, passphraseOf, saveKeyFile } from "./key-store.ts";
import type { OwnIndex } from "./own-indices.ts";
import { newPassphrase } from "./passphrase.ts";

type Index = Pick<OwnIndex, "id" | "name">;

/** What can be said of the keys here without a passphrase. */
export async function publicKeysHere(deps: Deps, index: Index): Promise<readonly { purpose: KeyPurpose; publicKey: PublicKey }[]> {
  return (await filesOf(deps, index)).flatMap(({ header }) => header.keys);
}

/**
 * All of them, opened; none where there is no key file of the index.
 *
 * @param wanted keys of other purposes stay closed
 * @throws ImprintError PASSPHRASE_WRONG, PASSPHRASE_NEEDED, KEY_INVALID
 */
export async function openAllKeys(deps: Deps, index: Index, wanted: readonly KeyPurpose[] = PURPOSES): Promise<Keys> {
  const opened: KeyFile[] = [];
  for (const found of await filesOf(deps, index))
    if (found.header.keys.some(({ purpose }) => wanted.includes(purpose))) opened.push((await keyFileOf(deps, found, deps)).file);
  const of = (purpose: KeyPurpose): readonly PrivateKey[] => opened.flatMap((file) => keysFor(file, purpose));
  return { root: of("root"), publishers: of("publisher"), checkpoint: of("checkpoint") };
}

const PURPOSES: readonly KeyPurpose[] = ["root", "publisher", "checkpoint"];

/**
 * New keys, kept on disk before anything names them. One that an interrupted run made, and that no root ever named, is taken
 * again: one that a root named once may be the very key that was stolen.
 *
 * @returns public keys, in the order of `purposes`
 */
export async function makeKeys(deps: Deps, index: Index, roots: RootChain, purposes: readonly KeyPurpose[]): Promise<readonly PublicKey[]> {
  const [used, passphrases] = [everNamed(roots), await passphrasesFor(deps, index, purposes)];
  const made = new Map<number, PublicKey>();
  await holdingKeys(deps, async () => {
    for (const [kind, passphrase] of passphrases) {
      const found = (await filesOf(deps, index)).find(({ header }) => header.kind === kind);
      const fresh: StoredKey[] = [];
      for (const [i, purpose] of purposes.entries()) {
        if (kindOf(purpose) !== kind) continue;
        const isFree = (entry: { purpose: KeyPurpose; publicKey: PublicKey }): boolean =>
          entry.purpose === purpose && !used.has(entry.publicKey) && ![...made.values()].includes(entry.publicKey);
        const unused = found?.header.keys.find(isFree);
        const key = unused === undefined ? generatePrivateKey() : null;
        if (key !== null) fresh.push({ purpose, key });
        made.set(i, unused?.publicKey ?? formatPublicKey((key as PrivateKey).publicKey));
      }
      if (fresh.length === 0) continue;
      const file: KeyFile =
        found === undefined ? { kind, name: index.name, index: index.id, keys: [] } : (await keyFileOf(deps, found, deps)).file;
      await saveKeyFile(deps, { ...file, keys: [...file.keys, ...fresh] }, passphrase);
    }
  });
  return purposes.map((_, i) => made.get(i) as PublicKey);
}

/** Of the files that keys go into; whoever has to be asked is asked before the lock. */
async function passphrasesFor(deps: Deps, index: Index, purposes: readonly KeyPurpose[]): Promise<ReadonlyMap<KeyFileKind, string>> {
  const [files, passphrases] = [await filesOf(deps, index), new Map<KeyFileKind, string>()];
  for (const kind of new Set(purposes.map(kindOf))) {
    const found = files.find(({ header }) => header.kind === kind);
    passphrases.set(kind, await (found === undefined ? newPassphrase(index.name, deps) : passphraseOf(found, deps)));
  }
  return passphrases;
}

/** Drops the keys that a root named and `after` does not: whoever steals the file later gets none that ever counted. */
export async function dropOldKeys(deps: Deps, index: Index, roots: RootChain, after: Root = newestRoot(roots).doc): Promise<void> {
  const [used, now] = [everNamed(roots), keysOfRoot(after)];
  const isOld = (key: PublicKey): boolean => used.has(key) && !now.has(key);
  const hasOld = ({ header }: FoundKeyFile): boolean => header.keys.some(({ publicKey }) => isOld(publicKey));
  const stale = (await filesOf(deps, index)).filter(hasOld);
  for (const found of stale) await passphraseOf(found, deps);
  if (stale.length > 0)
    await holdingKeys(deps, async () => {
      for (const found of (await filesOf(deps, index)).filter(hasOld)) {
        const { file, passphrase } = await keyFileOf(deps, found, deps);
        const keys = file.keys.filter(({ key }) => !isOld(formatPublicKey(key.publicKey)));
        if (keys.length === 0) await deps.files.remove(found.path);
        else await saveKeyFile(deps, { ...file, keys }, passphrase);
        const gone = found.header.keys.filter(({ publicKey }) => isOld(publicKey)).map(({ publicKey }) => shortKey(publicKey));
        deps.terminal.talk(`${found.path}   without ${gone.join(", ")} from now on; copies of it elsewhere sign nothing any more`);
      }
    });
}

function everNamed(roots: RootChain): ReadonlySet<PublicKey> {
  return new Set(roots.flatMap(({ doc }) => [...keysOfRoot(doc)]));
}

function kindOf(purpose: KeyPurpose): KeyFileKind {
  return purpose === "root" ? "root" : "daily";
}

async function filesOf(deps: Deps, { id }: Index): Promise<readonly FoundKeyFile[]> {
  return (await listKeyFiles(deps)).filter(({ header }) => header.index === id);
}
