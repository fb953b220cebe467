/** The user's key files, found by the index that they are for. */
import { LIMITS } from "../format/limits.ts";
import { randomBytes } from "node:crypto";
import path from "node:path";
import type { PrivateKey } from "../crypto/ed25519.ts";
import {
  type KeyFile,
  type KeyFileHeader,
  type KeyFileKind,
  type KeyPurpose,
  openKeyFile,
  readKeyFileHeader,
  sealKeyFile,
} from "../crypto/key-file.ts";
import { ImprintError } from "../errors.ts";
import type { IndexId } from "../format/digest.ts";
import type { Files } from "../storage/files.ts";
import type { Layout } from "../storage/layout.ts";
import { passphraseFor, type Sources } from "./passphrase.ts";

type Stores = { readonly files: Files; readonly layout: Layout };
export type FoundKeyFile = { readonly path: string; readonly header: KeyFileHeader };

const MAX_BYTES = LIMITS.keyFileBytes;

export async function listKeyFiles({ files, layout }: Stores): Promise<readonly FoundKeyFile[]> {
  const folder = layout.keys;
  const found: FoundKeyFile[] = [];
  for (const name of (await files.list(folder)).filter((entry) => entry.endsWith(".json")).toSorted()) {
    const file = path.join(folder, name);
    const bytes = await files.read(file, MAX_BYTES);
    if (bytes !== null) found.push({ path: file, header: readKeyFileHeader(bytes) });
  }
  return found;
}

/** @returns the path written @throws ImprintError NAME_TAKEN where the file of that name is of another index: keys never go unsaid */
export async function saveKeyFile({ files, layout }: Stores, keyFile: KeyFile, passphrase: string): Promise<string> {
  const file = layout.keyFile(keyFile.name, keyFile.kind);
  const present = await files.read(file, MAX_BYTES);
  if (present !== null && readKeyFileHeader(present).index !== keyFile.index)
    throw new ImprintError("NAME_TAKEN", `Cannot write ${file}: it holds keys of another index; choose another --name`);
  await files.writeAtomic(file, await sealKeyFile(keyFile, passphrase, (count) => new Uint8Array(randomBytes(count))), { mode: 0o600 });
  return file;
}

/**
 * Opens the key file of an index; asks for the passphrase only where there is one.
 *
 * @throws ImprintError KEY_MISSING, PASSPHRASE_WRONG, PASSPHRASE_NEEDED, KEY_INVALID
 */
export async function openKeysOf(
  stores: Stores,
  index: { readonly id: IndexId; readonly name: string },
  kind: KeyFileKind,
  asking: Sources,
): Promise<KeyFile> {
  return (await keyFileOf(stores, await keyFileFor(stores, index, kind), asking)).file;
}

/** The key file of an index, closed. @throws ImprintError KEY_MISSING */
export async function keyFileFor(
  stores: Stores,
  index: { readonly id: IndexId; readonly name: string },
  kind: KeyFileKind,
): Promise<FoundKeyFile> {
  const found = (await listKeyFiles(stores)).find(({ header }) => header.index === index.id && header.kind === kind);
  if (found === undefined)
    throw new ImprintError("KEY_MISSING", `Cannot sign for ${index.name}: no ${kind} key file of its index in ${stores.layout.keys}`);
  return found;
}

/** A key file, opened, and the passphrase that opened it. @throws ImprintError as openKeysOf */
export async function keyFileOf(
  { files }: Stores,
  found: FoundKeyFile,
  asking: Sources,
): Promise<{ readonly file: KeyFile; readonly passphrase: string }> {
  const bytes = await files.read(found.path, MAX_BYTES, { secret: true });
  if (bytes === null) throw new ImprintError("KEY_MISSING", `Cannot open ${found.path}: it is gone`);
  const passphrase = await passphraseOf(found, asking);
  return { file: await openKeyFile(bytes, passphrase), passphrase };
}

/** Asks, where nobody knows it yet: one command asks once. */
export async function passphraseOf({ path: file, header }: FoundKeyFile, asking: Sources): Promise<string> {
  return header.protected ? passphraseFor(path.basename(file), asking) : "";
}

export function keysFor(file: KeyFile, purpose: KeyPurpose): readonly PrivateKey[] {
  return file.keys.filter((entry) => entry.purpose === purpose).map(({ key }) => key);
}
