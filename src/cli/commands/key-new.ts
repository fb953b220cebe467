/** `imprint key new`: a key of one's own for somebody's index. Its public half is what the owner adds to the root. */
import { generatePrivateKey } from "../../crypto/ed25519.ts";
import type { KeyFile, KeyFileKind, KeyPurpose } from "../../crypto/key-file.ts";
import { formatPublicKey } from "../../format/keys.ts";
import type { Deps } from "../deps.ts";
import { holdingKeys } from "../key-lock.ts";
import { keyFileOf, listKeyFiles, passphraseOf, saveKeyFile } from "../key-store.ts";
import { newPassphrase } from "../passphrase.ts";
import { indexNamed } from "./key.ts";

export type NewKey = { readonly path: string; readonly purpose: KeyPurpose; readonly publicKey: string };

export async function keyNew(
  options: { readonly index: string | undefined; readonly name: string | undefined; readonly purpose: KeyPurpose },
  deps: Deps,
): Promise<NewKey> {
  const { purpose } = options;
  const target = await indexNamed(options.index, options.name, "make a key", deps);
  const kind: KeyFileKind = purpose === "root" ? "root" : "daily";
  const findFile = async () => (await listKeyFiles(deps)).find(({ header }) => header.index === target.id && header.kind === kind);
  const found = await findFile();
  const passphrase = found === undefined ? await newPassphrase(target.name, deps) : await passphraseOf(found, deps);
  const key = generatePrivateKey();
  const path = await holdingKeys(deps, async () => {
    const now = await findFile();
    const before = now === undefined ? null : (await keyFileOf(deps, now, deps)).file;
    const file: KeyFile = before ?? { kind, name: target.name, index: target.id, keys: [] };
    return saveKeyFile(deps, { ...file, keys: [...file.keys, { purpose, key }] }, passphrase);
  });
  const publicKey = formatPublicKey(key.publicKey);
  deps.terminal.ok(`${path}   a new ${purpose} key`);
  deps.terminal.talk(`It counts once the index's owner adds it   imprint root add-key ${publicKey} --role ${purpose}`);
  return { path, purpose, publicKey };
}
