/** Root documents: `trust/<version>.json`. Who may sign what in this index. */
import { ImprintError } from "../errors.ts";
import {
  address,
  digest,
  type Decoder,
  displayName,
  type DisplayName,
  fail,
  indexId,
  integer,
  list,
  member,
  nullable,
  object,
  packagePattern,
  publicKey,
  text,
} from "./decode.ts";
import type { Digest, IndexId } from "./digest.ts";
import { FORMAT_VERSION, parseEnvelope, type Signed } from "./envelope.ts";
import { type JsonObject, jsonObject } from "./json.ts";
import type { PublicKey } from "./keys.ts";
import { LIMITS } from "./limits.ts";
import { type PackageName, type PackagePattern, patternRank } from "./names.ts";
import { isTarballSource } from "./tarball-source.ts";

export type Role = { readonly keys: readonly PublicKey[]; readonly threshold: number };
export type Publishers = Role & { readonly packages: readonly PackagePattern[] };
export type Introduction = { readonly id: IndexId; readonly url: string; readonly packages: readonly PackagePattern[] };

export type Root = {
  /** Null in version 1, whose digest becomes the id. */
  readonly index: IndexId | null;
  readonly version: number;
  readonly previous: Digest | null;
  readonly name: DisplayName;
  readonly roles: { readonly root: Role; readonly checkpoint: Role };
  readonly publishers: readonly Publishers[];
  readonly tarballs: readonly string[];
  readonly mirrors: readonly string[];
  readonly introductions: readonly Introduction[];
  /** Days within which the owner promises to sign again; 0: no promise. */
  readonly refreshDays: number;
};

/** @throws ImprintError TOO_LARGE, INVALID_DOCUMENT, UNSUPPORTED_FORMAT */
export function parseRoot(bytes: Uint8Array): Signed<Root> {
  return parseEnvelope("root", bytes, decodeRoot);
}

export function encodeRoot(root: Root, kept: JsonObject = {}): JsonObject {
  const role = ({ keys, threshold }: Role): JsonObject =>
    jsonObject([
      ["keys", [...keys]],
      ["threshold", threshold],
    ]);
  return jsonObject([
    ...Object.entries(kept),
    ["format", FORMAT_VERSION],
    ["type", "imprint.root"],
    ["index", root.index],
    ["version", root.version],
    ["previous", root.previous],
    ["name", root.name],
    [
      "roles",
      jsonObject([
        ["root", role(root.roles.root)],
        ["checkpoint", role(root.roles.checkpoint)],
      ]),
    ],
    ["publishers", root.publishers.map((entry) => jsonObject([["packages", [...entry.packages]], ...Object.entries(role(entry))]))],
    ["tarballs", [...root.tarballs]],
    ["mirrors", [...root.mirrors]],
    [
      "introductions",
      root.introductions.map(({ id, url, packages }) =>
        jsonObject([
          ["id", id],
          ["url", url],
          ["packages", [...packages]],
        ]),
      ),
    ],
    ["refreshDays", root.refreshDays],
  ]);
}

/**
 * The one entry that may publish `name`: the closest pattern decides alone, keys of a broader entry do not count. Null
 * where the root grants the name to nobody.
 */
export function publishersFor(root: Root, name: PackageName): Publishers | null {
  let best: Publishers | null = null;
  let bestRank = 0;
  for (const entry of root.publishers) {
    for (const pattern of entry.packages) {
      const rank = patternRank(pattern, name);
      if (rank > bestRank) [best, bestRank] = [entry, rank];
    }
  }
  return best;
}

function decodeRoot(signed: JsonObject): Root {
  const version = member(signed, "version", "", integer(1, LIMITS.roots));
  const roles = member(signed, "roles", "", object);
  const root: Root = {
    index: member(signed, "index", "", nullable(indexId)),
    version,
    previous: member(signed, "previous", "", nullable(digest)),
    name: member(signed, "name", "", displayName),
    roles: { root: member(roles, "root", "roles", decodeRole), checkpoint: member(roles, "checkpoint", "roles", decodeRole) },
    publishers: member(signed, "publishers", "", list(decodePublishers)),
    tarballs: member(signed, "tarballs", "", list(tarballSource, { min: 1 })),
    mirrors: member(signed, "mirrors", "", list(address)),
    introductions: member(signed, "introductions", "", list(decodeIntroduction)),
    refreshDays: member(signed, "refreshDays", "", integer(0, 36_500)),
  };
  if ((version === 1) !== (root.index === null)) fail("index", "null in version 1 and an id in every later one");
  if ((version === 1) !== (root.previous === null)) fail("previous", "null in version 1 and a digest in every later one");
  requireSeparateRoles(root);
  return root;
}

const tarballSource: Decoder<string> = (value, at) => {
  const raw = text(value, at);
  return isTarballSource(raw) ? raw : fail(at, "git, git+<url> or an https:// template");
};

const decodeRole: Decoder<Role> = (value, at) => {
  const from = object(value, at);
  const keys = member(from, "keys", at, list(publicKey, { min: 1, max: LIMITS.keys, distinct: true }));
  return { keys, threshold: member(from, "threshold", at, integer(1, keys.length)) };
};

const decodePublishers: Decoder<Publishers> = (value, at) => ({
  packages: member(object(value, at), "packages", at, list(packagePattern, { min: 1, distinct: true })),
  ...decodeRole(value, at),
});

const decodeIntroduction: Decoder<Introduction> = (value, at) => {
  const from = object(value, at);
  return {
    id: member(from, "id", at, indexId),
    url: member(from, "url", at, address),
    packages: member(from, "packages", at, list(packagePattern, { min: 1, distinct: true })),
  };
};

/** One stolen key must never count in two roles, and one name must never have two deciding entries. */
function requireSeparateRoles(root: Root): void {
  const publisherKeys = new Set(root.publishers.flatMap(({ keys }) => keys));
  const groups: readonly Iterable<PublicKey>[] = [root.roles.root.keys, root.roles.checkpoint.keys, publisherKeys];
  const all = groups.flatMap((keys) => [...keys]);
  if (new Set(all).size !== all.length) throw new ImprintError("INVALID_DOCUMENT", "Cannot read document: one key stands in two roles");
  const patterns = root.publishers.flatMap(({ packages }) => packages);
  if (new Set(patterns).size !== patterns.length) fail("publishers", "free of a pattern that stands in two entries");
}
