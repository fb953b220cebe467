/**
 * What a next root may say, as pure functions: a root in, the next one out. Nothing here signs or writes.
 *
 * Every edit goes through `requireSound` before anything is signed: a root that nobody can use any more, or that lets one
 * stolen key stand in two roles, is refused while it is still words.
 */
import { isAcceptableKey } from "../../crypto/ed25519.ts";
import { ImprintError } from "../../errors.ts";
import { type PublicKey, publicKeyBytes, shortKey } from "../../format/keys.ts";
import { LIMITS } from "../../format/limits.ts";
import type { PackagePattern } from "../../format/names.ts";
import type { Publishers, Role, Root } from "../../format/root.ts";

/** What a root says beside its place in the chain. */
export type RootContent = Omit<Root, "index" | "version" | "previous">;

/** Whose keys an edit is about: of publishers the entry of these patterns; null: the only entry. */
export type RoleRef =
  | { readonly role: "root" | "checkpoint" }
  | { readonly role: "publisher"; readonly packages: readonly PackagePattern[] | null };

/** @throws ImprintError ROOT_REFUSED */
export function addKeys(root: RootContent, ref: RoleRef, keys: readonly PublicKey[], threshold: number | null = null): RootContent {
  return editRole(root, ref, (role, title) => {
    const known = keys.find((key) => role.keys.includes(key));
    if (known !== undefined) throw refused(`add ${shortKey(known)}`, `it is a ${title} key already`);
    return { keys: [...role.keys, ...keys], threshold: threshold ?? role.threshold };
  });
}

/** @throws ImprintError ROOT_REFUSED, NOT_FOUND */
export function setThreshold(root: RootContent, ref: RoleRef, threshold: number): RootContent {
  return editRole(root, ref, (role) => ({ ...role, threshold }));
}

/**
 * Takes keys out of every role.
 *
 * @param threshold what the roles that they leave take from now on; null: as before
 * @throws ImprintError NOT_FOUND
 */
export function removeKeys(root: RootContent, keys: readonly PublicKey[], threshold: number | null = null): RootContent {
  requireKnown(root, keys);
  return mapRoles(root, (role) =>
    role.keys.some((key) => keys.includes(key))
      ? { keys: role.keys.filter((key) => !keys.includes(key)), threshold: threshold ?? role.threshold }
      : role,
  );
}

/** Puts new keys in the places of old ones. @throws ImprintError NOT_FOUND */
export function replaceKeys(root: RootContent, next: ReadonlyMap<PublicKey, PublicKey>): RootContent {
  requireKnown(root, [...next.keys()]);
  return mapRoles(root, (role) => ({ ...role, keys: role.keys.map((key) => next.get(key) ?? key) }));
}

/**
 * Lets one more name or scope be published: by an entry of its own where `keys` are given, else by the one entry that the
 * publisher keys at hand belong to.
 *
 * @param mine public keys of the publisher keys at hand
 * @returns null where the root says so already
 * @throws ImprintError NOT_GRANTED, ROOT_REFUSED
 */
export function grantPattern(
  root: RootContent,
  pattern: PackagePattern,
  to: { readonly mine: readonly PublicKey[]; readonly keys: readonly PublicKey[]; readonly threshold: number | null },
): RootContent | null {
  const { mine, keys, threshold } = to;
  const before = root.publishers.find(({ packages }) => packages.includes(pattern));
  if (keys.length > 0) {
    const entry: Publishers = { packages: [pattern], keys, threshold: threshold ?? 1 };
    if (before !== undefined && sameRole(before, entry)) return null;
    return { ...root, publishers: [...withoutPatterns(root.publishers, [pattern]), entry] };
  }
  if (before !== undefined) return null;
  const at = root.publishers.findIndex((entry) => entry.keys.some((key) => mine.includes(key)));
  if (at < 0)
    throw new ImprintError(
      "NOT_GRANTED",
      `Cannot grant ${pattern}: the publisher key here stands nowhere in the index's root; say whose it is with --to <key>`,
    );
  return {
    ...root,
    publishers: root.publishers.map((entry, i) => (i === at ? { ...entry, packages: [...entry.packages, pattern] } : entry)),
  };
}

/**
 * What no root may be: checked before anything is signed.
 *
 * @throws ImprintError ROOT_REFUSED
 */
export function requireSound(root: RootContent): void {
  const roles = [
    ["root", root.roles.root],
    ["checkpoint", root.roles.checkpoint],
    ...root.publishers.map((entry) => [`publisher (${entry.packages.join(" ")})`, entry] as const),
  ] as const;
  for (const [title, { keys, threshold }] of roles) {
    const change = "change the root";
    if (keys.length === 0) throw refused(change, `the role ${title} would have no key, and nobody could sign for it; add another first`);
    if (threshold < 1) throw refused(change, `the role ${title} would take no signature at all`);
    if (threshold > keys.length)
      throw refused(
        change,
        `the role ${title} would take ${threshold} signatures of ${keys.length} ${keys.length === 1 ? "key" : "keys"}, and nobody could sign for it`,
      );
    if (keys.length > LIMITS.keys)
      throw refused(change, `the role ${title} would have ${keys.length} keys, ${LIMITS.keys} at most are allowed`);
    if (new Set(keys).size !== keys.length) throw refused(change, `the role ${title} would have a key twice`);
    const unsafe = keys.find((key) => !isAcceptableKey(publicKeyBytes(key)));
    if (unsafe !== undefined) throw refused(change, `${unsafe} is no safe Ed25519 key`);
  }
  const publishers = new Set(root.publishers.flatMap(({ keys }) => keys));
  const all = [...root.roles.root.keys, ...root.roles.checkpoint.keys, ...publishers];
  const twice = all.find((key, i) => all.indexOf(key) !== i);
  if (twice !== undefined) throw refused("change the root", `${shortKey(twice)} would stand in two roles, and one theft would take both`);
}

/** Every key of a root, whatever its role. */
export function keysOfRoot({ roles, publishers }: Pick<Root, "roles" | "publishers">): ReadonlySet<PublicKey> {
  return new Set([...roles.root.keys, ...roles.checkpoint.keys, ...publishers.flatMap(({ keys }) => keys)]);
}

/** Whether two roots say the same. */
export function sameContent(a: RootContent, b: RootContent): boolean {
  return JSON.stringify(contentOf(a)) === JSON.stringify(contentOf(b));
}

/** Only what belongs to the content, in one order of members. */
function contentOf({ name, roles, publishers, tarballs, mirrors, introductions, refreshDays }: RootContent): RootContent {
  return { name, roles: { root: roles.root, checkpoint: roles.checkpoint }, publishers, tarballs, mirrors, introductions, refreshDays };
}

function editRole(root: RootContent, ref: RoleRef, edit: (role: Role, title: string) => Role): RootContent {
  if (ref.role !== "publisher") return { ...root, roles: { ...root.roles, [ref.role]: edit(root.roles[ref.role], ref.role) } };
  const { packages } = ref;
  const [only, ...others] = root.publishers;
  if (packages === null) {
    if (only === undefined || others.length > 0)
      throw new ImprintError(
        "USAGE",
        `Cannot change publishers: the root has ${root.publishers.length} entries of them; say which with --packages '${only?.packages[0] ?? "@scope/*"}'`,
      );
    return { ...root, publishers: [{ ...only, ...edit(only, "publisher") }] };
  }
  const unknown = packages.find((pattern) => !root.publishers.some((entry) => entry.packages.includes(pattern)));
  if (unknown !== undefined)
    throw new ImprintError("NOT_FOUND", `Cannot change publishers of ${unknown}: the root grants it to nobody; imprint root grant does`);
  // Patterns of one entry that are not named keep the keys that they have.
  const changed = root.publishers.flatMap((entry) => {
    const named = entry.packages.filter((pattern) => packages.includes(pattern));
    return named.length === 0 ? [] : [{ packages: named, ...edit(entry, "publisher") }];
  });
  return { ...root, publishers: [...withoutPatterns(root.publishers, packages), ...changed] };
}

function withoutPatterns(publishers: readonly Publishers[], gone: readonly PackagePattern[]): readonly Publishers[] {
  return publishers
    .map((entry) => ({ ...entry, packages: entry.packages.filter((pattern) => !gone.includes(pattern)) }))
    .filter(({ packages }) => packages.length > 0);
}

function mapRoles(root: RootContent, edit: (role: Role) => Role): RootContent {
  return {
    ...root,
    roles: { root: edit(root.roles.root), checkpoint: edit(root.roles.checkpoint) },
    publishers: root.publishers.map((entry) => ({ packages: entry.packages, ...pick(edit(entry)) })),
  };
}

function pick({ keys, threshold }: Role): Role {
  return { keys, threshold };
}

/** Whether the same keys, in any order, take as many signatures. */
export function sameRole(a: Role, b: Role): boolean {
  return a.threshold === b.threshold && a.keys.length === b.keys.length && a.keys.every((key) => b.keys.includes(key));
}

function requireKnown(root: RootContent, keys: readonly PublicKey[]): void {
  const known = keysOfRoot(root);
  const unknown = keys.find((key) => !known.has(key));
  if (unknown !== undefined)
    throw new ImprintError(
      "NOT_FOUND",
      `Cannot take out ${shortKey(unknown)}: no role of the index's root names it (any more); imprint root show`,
    );
}

function refused(verb: string, what: string): ImprintError {
  return new ImprintError("ROOT_REFUSED", `Cannot ${verb}: ${what}`);
}
