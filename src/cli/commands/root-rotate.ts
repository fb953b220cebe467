/**
 * `imprint root rotate [what]`: new keys in the places of this machine's. The old ones need not be here: whoever holds the root
 * key replaces a daily key that is lost.
 */
import type { KeyPurpose } from "../../crypto/key-file.ts";
import { ImprintError } from "../../errors.ts";
import { type PublicKey, shortKey } from "../../format/keys.ts";
import type { Root } from "../../format/root.ts";
import { keysOfRoot, replaceKeys } from "../../index/root/edits.ts";
import { newestRoot, type RootChain } from "../../index/trust.ts";
import { makeKeys, publicKeysHere } from "../all-keys.ts";
import type { Deps } from "../deps.ts";
import type { OwnIndex } from "../own-indices.ts";
import { parseKeys } from "../root-arguments.ts";
import { type ChangedRoot, changeOwnRoot, type RootOptions } from "../root-change.ts";

export const ROTATED = ["daily", "publisher", "checkpoint", "root"] as const;

export type RotateOptions = RootOptions & {
  readonly what: (typeof ROTATED)[number];
  /** Public keys to replace, where it is not clear which. */
  readonly replace: readonly string[];
};

export async function rotate(options: RotateOptions, deps: Deps): Promise<ChangedRoot> {
  const named = parseKeys(options.replace);
  const purposes: readonly KeyPurpose[] = options.what === "daily" ? ["publisher", "checkpoint"] : [options.what];
  // Made once, however often a race is lost.
  let next: ReadonlyMap<PublicKey, PublicKey> | null = null;
  const changed = await changeOwnRoot(deps, {
    ...options,
    verb: "rotate keys",
    message: `imprint: root rotates ${options.what} keys`,
    edit: async (root, { own }, roots) => {
      next ??= await successors(deps, own, roots, purposes, named);
      if ([...next.keys()].some((key) => !keysOfRoot(root).has(key)))
        throw new ImprintError(
          "STATE_CHANGED",
          `Cannot rotate: somebody else replaced these keys a moment ago, in root ${newestRoot(roots).doc.version}`,
        );
      return replaceKeys(root, next);
    },
  });
  if (changed.commit !== null)
    deps.terminal.talk(
      "Machines that publish with the old key need the new one: imprint key export, there imprint key import. Keep a copy.",
    );
  return changed;
}

/** Each key that goes, and the new one in its place. */
export async function successors(
  deps: Deps,
  own: OwnIndex,
  roots: RootChain,
  purposes: readonly KeyPurpose[],
  named: readonly PublicKey[],
): Promise<ReadonlyMap<PublicKey, PublicKey>> {
  const root = newestRoot(roots).doc;
  const here = (await publicKeysHere(deps, own)).map(({ publicKey }) => publicKey);
  const old = purposes.flatMap((purpose) => {
    const keys = keysOfRole(root, purpose);
    const mine = keys.filter((key) => (named.length > 0 ? named.includes(key) : here.includes(key)));
    const going = mine.length > 0 || named.length > 0 || keys.length > 1 ? mine : keys;
    if (going.length === 0 && named.length === 0)
      throw new ImprintError(
        "USAGE",
        `Cannot rotate: none of the ${keys.length} ${purpose} keys is here; say which one is yours with --replace: ${keys.join(" ")}`,
      );
    return going.map((key) => ({ purpose, key }));
  });
  const unknown = named.find((key) => !old.some((entry) => entry.key === key));
  if (unknown !== undefined)
    throw new ImprintError(
      "NOT_FOUND",
      `Cannot replace ${shortKey(unknown)}: no such role of the index's root names it (any more); imprint root show`,
    );
  const made = await makeKeys(
    deps,
    own,
    roots,
    old.map(({ purpose }) => purpose),
  );
  return new Map(old.map(({ key }, i) => [key, made[i] as PublicKey]));
}

export function keysOfRole({ roles, publishers }: Root, purpose: KeyPurpose): readonly PublicKey[] {
  return purpose === "publisher" ? [...new Set(publishers.flatMap(({ keys }) => keys))] : roles[purpose].keys;
}
