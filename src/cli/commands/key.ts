/** `imprint key list|export|import`: key files as things that people carry between machines. */
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { type KeyFile, type KeyFileKind, type KeyPurpose, openKeyFile, readKeyFileHeader, sealKeyFile } from "../../crypto/key-file.ts";
import { isOpenSshKey, readOpenSshKey } from "../../crypto/openssh.ts";
import { ImprintError } from "../../errors.ts";
import { type DisplayName, isDisplayName } from "../../format/decode.ts";
import { type IndexId, isIndexId } from "../../format/digest.ts";
import { formatPublicKey, shortKey } from "../../format/keys.ts";
import { newestRoot } from "../../index/trust.ts";
import type { Deps } from "../deps.ts";
import { holdingKeys } from "../key-lock.ts";
import { type FoundKeyFile, keyFileOf, listKeyFiles, passphraseOf, saveKeyFile } from "../key-store.ts";
import { cloneState, type OwnIndex, readOwnIndices } from "../own-indices.ts";
import { newPassphrase, passphraseFor } from "../passphrase.ts";

export type ListedKeyFile = {
  readonly name: string;
  readonly kind: KeyFileKind;
  readonly index: string;
  readonly keys: readonly { readonly purpose: KeyPurpose; readonly publicKey: string }[];
  readonly protected: boolean;
  readonly path: string;
};

export async function keyList(deps: Deps): Promise<readonly ListedKeyFile[]> {
  return (await listKeyFiles(deps)).map(listed);
}

export function keyLines(files: readonly ListedKeyFile[]): readonly string[] {
  return files.map(
    ({ name, kind, index, keys, protected: isProtected }) =>
      `${name} ${kind} · ${keys.map(({ purpose, publicKey }) => `${purpose} ${publicKey}`).join(" · ")} · index ${index.slice(0, 8)}… · ${isProtected ? "passphrase" : "no passphrase: whoever copies it can sign"}`,
  );
}

export type ExportOptions = {
  /** Display name of the key file. */
  readonly name: string;
  readonly kind: KeyFileKind;
  /** Only the keys for this: then the file is sealed anew, with a passphrase of its own. */
  readonly only: KeyPurpose | undefined;
  readonly out: string | undefined;
};

/** @returns the bytes of a key file; written to `out` where that is given */
export async function keyExport({ name, kind, only, out }: ExportOptions, deps: Deps): Promise<Uint8Array> {
  const found = (await listKeyFiles(deps)).find(({ header }) => header.name === name && header.kind === kind);
  const bytes = found === undefined ? null : await deps.files.read(found.path, 65_536);
  if (found === undefined || bytes === null)
    throw new ImprintError("KEY_MISSING", `Cannot export: there is no ${kind} key file named ${name} in ${deps.layout.keys}`);
  const exported = only === undefined ? bytes : await reseal(bytes, found, only, deps);
  if (out !== undefined) {
    const target = path.resolve(deps.cwd, out);
    if (existsSync(target)) throw new ImprintError("NAME_TAKEN", `Cannot export to ${target}: it is there already`);
    await deps.files.writeAtomic(target, exported, { mode: 0o600 });
    deps.terminal.ok(`${target}; whoever has it and its passphrase signs as ${name}`);
  }
  return exported;
}

async function reseal(bytes: Uint8Array, { path: file, header }: FoundKeyFile, only: KeyPurpose, deps: Deps): Promise<Uint8Array> {
  if (!header.keys.some(({ purpose }) => purpose === only))
    throw new ImprintError("KEY_MISSING", `Cannot export: ${path.basename(file)} holds no ${only} key`);
  const opened = await openKeyFile(bytes, header.protected ? await passphraseFor(path.basename(file), deps) : "");
  const passphrase = await newPassphrase(`the exported ${only}`, deps);
  const keys = opened.keys.filter(({ purpose }) => purpose === only);
  return sealKeyFile({ ...opened, keys }, passphrase, (count) => new Uint8Array(randomBytes(count)));
}

export type ImportOptions = {
  readonly file: string;
  /** Of an OpenSSH key: the index that it shall sign for, as name, clone or id. */
  readonly index: string | undefined;
  readonly name: string | undefined;
  readonly purpose: KeyPurpose;
};

/** @returns what is in the keys folder then */
export async function keyImport(options: ImportOptions, deps: Deps): Promise<ListedKeyFile> {
  const { terminal, cwd } = deps;
  const file = path.resolve(cwd, options.file);
  const bytes = new Uint8Array(
    await readFile(file).catch((cause: unknown) => {
      throw new ImprintError("FILE_UNREADABLE", `Cannot import ${file}: it cannot be read`, { cause });
    }),
  );
  const written = isOpenSshKey(bytes) ? await importOpenSsh(bytes, options, deps) : await importOwn(bytes, deps);
  const [made] = (await listKeyFiles(deps)).filter((entry) => entry.path === written);
  if (made === undefined) throw new ImprintError("STORAGE_FAILED", `Cannot import ${file}: ${written} is not there`);
  const { header } = made;
  terminal.ok(
    `${path.basename(written)}   ${header.keys.map(({ purpose, publicKey }) => `${purpose} ${shortKey(publicKey)}`).join(" · ")}, for index ${header.index.slice(0, 8)}…`,
  );
  const own = (await readOwnIndices(deps)).find(({ id }) => id === header.index);
  if (own === undefined) terminal.talk("Next, with a clone of that index   imprint publish --index <clone>");
  else await warnIfUnnamed(own, made, deps);
  return listed(made);
}

/**
 * A file of ours, as it is: what is in it proves itself when it is opened. It takes the place of the one of the same index and
 * kind, as after a rotation on another machine; the file that was here is kept under another name.
 */
async function importOwn(bytes: Uint8Array, { files, layout, terminal, nowMs }: Deps): Promise<string> {
  const { name, kind, index, keys } = readKeyFileHeader(bytes);
  const target = layout.keyFile(name, kind);
  return holdingKeys({ layout }, async () => {
    const present = await files.read(target, 65_536);
    if (present !== null && Buffer.compare(present, bytes) === 0) return target;
    if (present !== null) {
      const before = readKeyFileHeader(present);
      if (before.index !== index) throw new ImprintError("NAME_TAKEN", `Cannot import: ${target} holds keys of another index`);
      const lost = before.keys.find(({ purpose }) => !keys.some((key) => key.purpose === purpose));
      if (lost !== undefined)
        throw new ImprintError("NAME_TAKEN", `Cannot import: ${target} holds a ${lost.purpose} key, and the file to import holds none`);
      const kept = `${target}.before-${String(nowMs())}`;
      await files.writeAtomic(kept, present, { mode: 0o600 });
      terminal.talk(`what was there before is kept as ${path.basename(kept)}`);
    }
    await files.writeAtomic(target, bytes, { mode: 0o600 });
    return target;
  });
}

async function importOpenSsh(bytes: Uint8Array, { file, index, name, purpose }: ImportOptions, deps: Deps): Promise<string> {
  const target = await indexNamed(index, name, "import an OpenSSH key", deps);
  const kind: KeyFileKind = purpose === "root" ? "root" : "daily";
  const key = await readOpenSshKey(bytes, () => sshPassphrase(file, deps));
  const present = (await listKeyFiles(deps)).find(({ header }) => header.index === target.id && header.kind === kind);
  if (present === undefined) {
    if (existsSync(deps.layout.keyFile(target.name, kind)))
      throw new ImprintError("NAME_TAKEN", `Cannot import: the key file ${target.name} is of another index; choose another --name`);
    const passphrase = await newPassphrase(target.name, deps);
    return saveKeyFile(deps, { kind, name: target.name, index: target.id, keys: [{ purpose, key }] }, passphrase);
  }
  await passphraseOf(present, deps);
  return holdingKeys(deps, async () => {
    // One file an index: commands then find every key that may sign.
    const { file: before, passphrase } = await keyFileOf(deps, present, deps);
    const isThere = before.keys.some((entry) => formatPublicKey(entry.key.publicKey) === formatPublicKey(key.publicKey));
    if (isThere) return present.path;
    const keys: KeyFile["keys"] = [...before.keys, { purpose, key }];
    return saveKeyFile(deps, { ...before, keys }, passphrase);
  });
}

/**
 * The index that a key shall sign for: by the name of an own one, of a key file, or by its id.
 *
 * @param verb for messages
 * @throws ImprintError USAGE, NO_OWN_INDEX
 */
export async function indexNamed(
  index: string | undefined,
  name: string | undefined,
  verb: string,
  deps: Deps,
): Promise<{ id: IndexId; name: DisplayName }> {
  if (index === undefined) throw new ImprintError("USAGE", `Cannot ${verb}: say with --index which index it shall sign for (name or id)`);
  const own = (await readOwnIndices(deps)).find((entry) => entry.name === index);
  const known =
    own ?? (await listKeyFiles(deps)).map(({ header }) => ({ name: header.name, id: header.index })).find((entry) => entry.name === index);
  const id = known?.id ?? (isIndexId(index) ? index : null);
  const chosen = name ?? known?.name ?? `index-${index.slice(0, 8)}`;
  if (id === null)
    throw new ImprintError("NO_OWN_INDEX", `Cannot ${verb} for ${index}: neither the name of an index of yours nor an id of 64 hex digits`);
  if (!isDisplayName(chosen)) throw new ImprintError("USAGE", `Cannot name a key file ${JSON.stringify(chosen)}: letters, digits, . _ -`);
  return { id, name: chosen };
}

async function sshPassphrase(file: string, { env, terminal }: Deps): Promise<string> {
  const preset = env["IMPRINT_SSH_PASSPHRASE"];
  if (preset !== undefined) return preset;
  if (!terminal.interactive)
    throw new ImprintError(
      "PASSPHRASE_NEEDED",
      `Cannot open ${file}: it has a passphrase (IMPRINT_SSH_PASSPHRASE), and nobody is here to type it`,
    );
  return terminal.askSecret(`Passphrase of ${file}`);
}

/** A key that no root names signs nothing that counts. */
async function warnIfUnnamed(own: OwnIndex, { header }: FoundKeyFile, deps: Deps): Promise<void> {
  const { roles, publishers } = newestRoot((await cloneState(deps, own)).roots).doc;
  const named = {
    root: roles.root.keys,
    checkpoint: roles.checkpoint.keys,
    publisher: publishers.flatMap(({ keys }) => keys),
  };
  for (const { purpose, publicKey } of header.keys)
    if (!named[purpose].includes(publicKey))
      deps.terminal.warn(`${own.name}'s root does not name ${publicKey} as a ${purpose} key yet: nothing that it signs counts`);
}

function listed({ path: file, header }: FoundKeyFile): ListedKeyFile {
  const { name, kind, index, keys } = header;
  return { name, kind, index, keys, protected: header.protected, path: file };
}
