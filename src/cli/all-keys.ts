/** Every key of this machine for one index, and how new ones come and old ones go, so that no crash in between loses one. */
import { generatePrivateKey, type PrivateKey } from "../crypto/ed25519.ts";
import type { KeyFile, KeyFileKind, KeyPurpose } from "../crypto/key-file.ts";
import { formatPublicKey, type PublicKey, shortKey } from "../format/keys.ts";
import { keysOfRoot } from "../index/root/edits.ts";
import type { Keys } from "../index/root/pending.ts";
import type { Root } from "../format/root.ts";
import type { Deps } from "./deps.ts";
import { type FoundKeyFile, keyFileOf, keysFor, listKeyFiles, saveKeyFile } from "./key-store.ts";
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
 * New keys, kept on disk before anything names them. One that an interrupted run made, and that `root` does not name, is
 * taken again.
 *
 * @returns public keys, in the order of `purposes`
 */
export async function makeKeys(deps: Deps, index: Index, root: Root, purposes: readonly KeyPurpose[]): Promise<readonly PublicKey[]> {
  const named = keysOfRoot(root);
  const made: PublicKey[] = [];
  for (const purpose of purposes) {
    const kind: KeyFileKind = purpose === "root" ? "root" : "daily";
    const found = (await filesOf(deps, index)).find(({ header }) => header.kind === kind);
    const unused = found?.header.keys.find(
      (entry) => entry.purpose === purpose && !named.has(entry.publicKey) && !made.includes(entry.publicKey),
    );
    if (unused !== undefined) {
      made.push(unused.publicKey);
      continue;
    }
    const key = generatePrivateKey();
    const before = found === undefined ? null : await keyFileOf(deps, found, deps);
    const passphrase = before === null ? await newPassphrase(index.name, deps) : before.passphrase;
    const file: KeyFile = before?.file ?? { kind, name: index.name, index: index.id, keys: [] };
    await saveKeyFile(deps, { ...file, keys: [...file.keys, { purpose, key }] }, passphrase);
    made.push(formatPublicKey(key.publicKey));
  }
  return made;
}

/** Drops the keys that `before` named and `after` does not: whoever steals the file later gets none that ever counted. */
export async function dropOldKeys(deps: Deps, index: Index, before: Root, after: Root): Promise<void> {
  const [old, now] = [keysOfRoot(before), keysOfRoot(after)];
  const isOld = (key: PublicKey): boolean => old.has(key) && !now.has(key);
  for (const found of await filesOf(deps, index)) {
    if (!found.header.keys.some(({ publicKey }) => isOld(publicKey))) continue;
    const { file, passphrase } = await keyFileOf(deps, found, deps);
    const keys = file.keys.filter(({ key }) => !isOld(formatPublicKey(key.publicKey)));
    if (keys.length === 0) await deps.files.remove(found.path);
    else await saveKeyFile(deps, { ...file, keys }, passphrase);
    const gone = found.header.keys.filter(({ publicKey }) => isOld(publicKey)).map(({ publicKey }) => shortKey(publicKey));
    deps.terminal.talk(`${found.path}   without ${gone.join(", ")} from now on; copies of it elsewhere sign nothing any more`);
  }
}

async function filesOf(deps: Deps, { id }: Index): Promise<readonly FoundKeyFile[]> {
  return (await listKeyFiles(deps)).filter(({ header }) => header.index === id);
}
