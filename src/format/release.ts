/** Releases: `packages/<hh>/<scope>+<name>/<version>.json`. One signed, immutable file a version. */
import {
  address,
  type Decoder,
  indexId,
  type Integrity,
  integer,
  integrity,
  list,
  member,
  object,
  optional,
  packageName,
  shasum,
  type Shasum,
  text,
  timestamp,
  version,
} from "./decode.ts";
import type { IndexId } from "./digest.ts";
import { FORMAT_VERSION, parseEnvelope, type Signed } from "./envelope.ts";
import { type JsonObject, jsonObject, type JsonValue } from "./json.ts";
import type { PackageName } from "./names.ts";
import type { Timestamp } from "./time.ts";
import type { Version } from "./versions.ts";

/** Fields of a package.json that `manifest` holds, verbatim, absent where absent. */
export const MANIFEST_FIELDS: readonly string[] = [
  "dependencies",
  "optionalDependencies",
  "peerDependencies",
  "peerDependenciesMeta",
  "acceptDependencies",
  "bundleDependencies",
  "bundledDependencies",
  "bin",
  "directories",
  "engines",
  "os",
  "cpu",
  "libc",
  "description",
  "keywords",
  "license",
  "author",
  "homepage",
  "repository",
  "bugs",
  "funding",
];

export type Dist = {
  readonly integrity: Integrity;
  readonly shasum: Shasum;
  /** Bytes of the tarball. */
  readonly size: number;
  /** Bytes of the files in it. */
  readonly unpackedSize: number;
  readonly fileCount: number;
};

/** Where a re-issued package came from. Carried, never decisive. */
export type Origin = {
  readonly url: string;
  readonly integrity: string;
  readonly signatures: readonly { readonly keyid: string; readonly sig: string }[];
};

export type Release = {
  readonly index: IndexId;
  readonly name: PackageName;
  readonly version: Version;
  readonly published: Timestamp;
  readonly dist: Dist;
  /** Chosen fields of the tarball's package.json, verbatim. */
  readonly manifest: JsonObject;
  readonly source?: Origin;
  readonly provenance?: JsonObject;
};

/** @throws ImprintError TOO_LARGE, INVALID_DOCUMENT, UNSUPPORTED_FORMAT */
export function parseRelease(bytes: Uint8Array): Signed<Release> {
  return parseEnvelope("release", bytes, decodeRelease);
}

export function encodeRelease(release: Release): JsonObject {
  const { dist, source, provenance } = release;
  const members: [string, JsonValue][] = [
    ["format", FORMAT_VERSION],
    ["type", "imprint.release"],
    ["index", release.index],
    ["name", release.name],
    ["version", release.version],
    ["published", release.published],
    ["dist", jsonObject(Object.entries(dist))],
    ["manifest", release.manifest],
  ];
  if (source !== undefined) {
    const signatures = source.signatures.map((entry) => jsonObject(Object.entries(entry)));
    members.push([
      "source",
      jsonObject([
        ["url", source.url],
        ["integrity", source.integrity],
        ["signatures", signatures],
      ]),
    ]);
  }
  if (provenance !== undefined) members.push(["provenance", provenance]);
  return jsonObject(members);
}

function decodeRelease(signed: JsonObject): Release {
  const source = optional(signed, "source", "", decodeOrigin);
  const provenance = optional(signed, "provenance", "", object);
  return {
    index: member(signed, "index", "", indexId),
    name: member(signed, "name", "", packageName),
    version: member(signed, "version", "", version),
    published: member(signed, "published", "", timestamp),
    dist: member(signed, "dist", "", decodeDist),
    manifest: member(signed, "manifest", "", object),
    ...(source === undefined ? {} : { source }),
    ...(provenance === undefined ? {} : { provenance }),
  };
}

const decodeDist: Decoder<Dist> = (value, at) => {
  const from = object(value, at);
  return {
    integrity: member(from, "integrity", at, integrity),
    shasum: member(from, "shasum", at, shasum),
    size: member(from, "size", at, integer(1)),
    unpackedSize: member(from, "unpackedSize", at, integer(0)),
    fileCount: member(from, "fileCount", at, integer(1)),
  };
};

const decodeOrigin: Decoder<Origin> = (value, at) => {
  const from = object(value, at);
  return {
    url: member(from, "url", at, address),
    integrity: member(from, "integrity", at, text),
    signatures: member(
      from,
      "signatures",
      at,
      list((entry, where) => {
        const inner = object(entry, where);
        return { keyid: member(inner, "keyid", where, text), sig: member(inner, "sig", where, text) };
      }),
    ),
  };
};
