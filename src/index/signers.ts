/**
 * Whose signatures the next documents take, and whether the keys at hand suffice. Public keys tell, so it can be said before a
 * key file is opened or a package is packed.
 */
import type { PrivateKey } from "../crypto/ed25519.ts";
import { signDocument } from "../crypto/documents.ts";
import { ImprintError } from "../errors.ts";
import type { JsonObject } from "../format/json.ts";
import { formatPublicKey, type PublicKey } from "../format/keys.ts";
import type { PackageName } from "../format/names.ts";
import { type Publishers, publishersFor, type Role, type Root } from "../format/root.ts";
import { newestRoot, type RootChain, type TrustedState } from "./trust.ts";

export type WriterKeys = { readonly publishers: readonly PrivateKey[]; readonly checkpoint: readonly PrivateKey[] };

type PublicKeys = { readonly publishers: readonly PublicKey[]; readonly checkpoint: readonly PublicKey[] };
type Roots = Pick<TrustedState, "roots">;

/** @throws ImprintError NOT_GRANTED */
export function requireGrant({ roots }: Roots, name: PackageName): Publishers {
  const entry = publishersFor(newestRoot(roots).doc, name);
  if (entry === null)
    throw new ImprintError(
      "NOT_GRANTED",
      `Cannot publish ${name}: the index's root lets nobody publish it; run: imprint root grant '${name}'`,
    );
  return entry;
}

/**
 * Whether the keys at hand can release `names`.
 *
 * @param isProposal the checkpoint is signed by somebody else, and the record's threshold is met later
 * @throws ImprintError NOT_GRANTED, KEY_REPLACED, KEY_INVALID
 */
export function requireSigners(state: Roots, names: readonly PackageName[], here: PublicKeys, isProposal: boolean): void {
  for (const name of names) requirePublishers(state, name, here.publishers, isProposal ? 1 : undefined);
  if (!isProposal) requireCheckpointKeys(state, here.checkpoint);
}

/**
 * The keys at hand that may sign for a name.
 *
 * @param least how many there must be; as many as its root asks for unless given
 * @throws ImprintError NOT_GRANTED, KEY_REPLACED
 */
export function publishersOf(state: Roots, name: PackageName, keys: Pick<WriterKeys, "publishers">, least?: number): readonly PrivateKey[] {
  const usable = requirePublishers(state, name, publicKeysOf(keys.publishers), least);
  return keys.publishers.filter((key) => usable.includes(formatPublicKey(key.publicKey)));
}

/** @throws ImprintError KEY_INVALID, KEY_REPLACED where the keys at hand do not meet the checkpoint role */
export function signCheckpoint(state: Roots, signed: JsonObject, keys: Pick<WriterKeys, "checkpoint">): Uint8Array {
  const usable = requireCheckpointKeys(state, publicKeysOf(keys.checkpoint));
  return signDocument(
    "checkpoint",
    signed,
    keys.checkpoint.filter((key) => usable.includes(formatPublicKey(key.publicKey))),
  );
}

function requirePublishers(state: Roots, name: PackageName, here: readonly PublicKey[], least?: number): readonly PublicKey[] {
  const entry = requireGrant(state, name);
  const usable = here.filter((key) => entry.keys.includes(key));
  if (usable.length >= (least ?? entry.threshold)) return usable;
  requireNotReplaced(state.roots, here, `publish ${name}`, "publisher", ({ publishers }) => publishers);
  const others = usable.length > 0 ? "; imprint publish --propose, and imprint cosign by another publisher, collect them" : "";
  throw new ImprintError(
    "NOT_GRANTED",
    `Cannot publish ${name}: ${usable.length} of the ${entry.threshold} keys that must sign it are here${others}`,
  );
}

function requireCheckpointKeys({ roots }: Roots, here: readonly PublicKey[]): readonly PublicKey[] {
  const { checkpoint } = newestRoot(roots).doc.roles;
  const usable = here.filter((key) => checkpoint.keys.includes(key));
  if (usable.length >= checkpoint.threshold) return usable;
  requireNotReplaced(roots, here, "sign the checkpoint", "checkpoint", ({ roles }) => [roles.checkpoint]);
  throw new ImprintError(
    "KEY_INVALID",
    `Cannot sign the checkpoint: ${usable.length} of ${checkpoint.threshold} checkpoint keys are here${usable.length === 0 ? "; without one, imprint publish --propose asks whoever has it" : "; imprint publish --propose, then imprint seal --out, collect the others"}`,
  );
}

/** A key that an earlier root named was rotated on another machine, and the new one is there. @throws ImprintError KEY_REPLACED */
function requireNotReplaced(
  roots: RootChain,
  here: readonly PublicKey[],
  verb: string,
  purpose: string,
  rolesOf: (root: Root) => readonly Role[],
): void {
  const namedAt = (key: PublicKey): number => roots.findLastIndex(({ doc }) => rolesOf(doc).some(({ keys }) => keys.includes(key)));
  const last = Math.max(-1, ...here.map(namedAt));
  const next = roots[last + 1];
  if (last === -1 || next === undefined) return;
  throw new ImprintError(
    "KEY_REPLACED",
    `Cannot ${verb}: root ${next.doc.version} replaced the ${purpose} key that is here, or took it away`,
  );
}

function publicKeysOf(keys: readonly PrivateKey[]): readonly PublicKey[] {
  return keys.map(({ publicKey }) => formatPublicKey(publicKey));
}
