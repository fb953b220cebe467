/**
 * The raw request path, parsed once, before any routing: routers decode and match scoped names wrongly
 * (`/@s%2fp/latest`), and clients spell one package in three ways (`/@s%2fp`, `/@s%2Fp`, `/@s/p`).
 */
import { LIMITS } from "../format/limits.ts";
import { ImprintError } from "../errors.ts";
import { type PublicName, parsePublicName } from "../format/names.ts";
import type { AuditEndpoint } from "../registry/port.ts";

export type RegistryRequest =
  | { readonly kind: "home" }
  | { readonly kind: "ping" }
  | { readonly kind: "packument"; readonly name: PublicName }
  | { readonly kind: "version"; readonly name: PublicName; readonly versionOrTag: string }
  | { readonly kind: "tarball"; readonly name: PublicName; readonly file: string }
  | { readonly kind: "distTags"; readonly name: PublicName }
  | { readonly kind: "distTag"; readonly name: PublicName }
  | { readonly kind: "keys" }
  | { readonly kind: "search" }
  | { readonly kind: "attestations"; readonly name: PublicName; readonly version: string }
  | { readonly kind: "audit"; readonly endpoint: AuditEndpoint }
  | { readonly kind: "unknown" };

const MAX_PATH_CHARS = LIMITS.pathChars;

/**
 * @param rawPath path without query, undecoded, as `/@s%2fp/-/p-1.0.0.tgz`
 * @throws ImprintError BAD_REQUEST, INVALID_NAME
 */
export function parseRegistryPath(rawPath: string): RegistryRequest {
  if (rawPath.length > MAX_PATH_CHARS)
    throw new ImprintError("BAD_REQUEST", `Cannot answer: the path has ${rawPath.length} characters, at most ${MAX_PATH_CHARS} are taken`);
  const segments = rawPath
    .replace(/^\/+|\/+$/g, "")
    .split("/")
    .map(decodeOnce);
  const [first = ""] = segments;
  if (first === "") return { kind: "home" };
  // Browsers ask for it beside whatever they show; npm has no package of that name.
  if (first === "favicon.ico") return { kind: "unknown" };
  if (first === "-") return parseApi(segments.slice(1));
  const { name, rest } = takeName(segments);
  const [a, b, ...more] = rest;
  if (a === undefined) return { kind: "packument", name };
  if (a === "-" && b !== undefined && more.length === 0) return { kind: "tarball", name, file: b };
  // yarn 1 and bun write scoped file names with their scope: /@s/p/-/@s/p-1.0.0.tgz
  if (a === "-" && b !== undefined && more.length === 1 && b === name.split("/")[0]) return { kind: "tarball", name, file: more[0] ?? "" };
  if (b === undefined) return { kind: "version", name, versionOrTag: a };
  return { kind: "unknown" };
}

function parseApi(segments: readonly string[]): RegistryRequest {
  if (segments[0] === "ping" && segments.length === 1) return { kind: "ping" };
  if (segments.join("/") === "v1/search") return { kind: "search" };
  if (segments[0] === "package") {
    const { name, rest } = takeName(segments.slice(1));
    if (rest[0] === "dist-tags" && rest.length === 1) return { kind: "distTags", name };
    // Not served, but its refusal names the package.
    if (rest[0] === "dist-tags") return { kind: "distTag", name };
  }
  if (segments[0] === "npm" && segments[1] === "v1") return parseNpmApi(segments.slice(2));
  return { kind: "unknown" };
}

const AUDITS: readonly AuditEndpoint[] = ["advisories/bulk", "audits/quick", "audits"];

function parseNpmApi([first, ...rest]: readonly string[]): RegistryRequest {
  const below = rest.join("/");
  if (first === "keys" && rest.length === 0) return { kind: "keys" };
  if (first === "security") {
    const endpoint = AUDITS.find((known) => known === below);
    if (endpoint !== undefined) return { kind: "audit", endpoint };
  }
  // `<name>@<version>`, a scope encoded or not
  const [, name, version] = first === "attestations" ? (/^(@[^/@]+\/[^/@]+|[^/@]+)@([^/@]+)$/.exec(below) ?? []) : [];
  return name === undefined || version === undefined
    ? { kind: "unknown" }
    : { kind: "attestations", name: parsePublicName(name), version: parseVersion(version) };
}

function takeName(segments: readonly string[]): { readonly name: PublicName; readonly rest: readonly string[] } {
  const [first = "", second] = segments;
  if (first.startsWith("@") && !first.includes("/")) return { name: parsePublicName(`${first}/${second ?? ""}`), rest: segments.slice(2) };
  return { name: parsePublicName(first), rest: segments.slice(1) };
}

/** Goes into an address upstream, so nothing but a version may pass. */
function parseVersion(text: string): string {
  if (text.length > LIMITS.versionChars || !/^[0-9A-Za-z][0-9A-Za-z.+-]*$/.test(text))
    throw new ImprintError("BAD_REQUEST", "Cannot answer: that is no version");
  return text;
}

/** Once: a name that is still encoded afterwards is no name. */
function decodeOnce(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch (error) {
    throw new ImprintError("BAD_REQUEST", "Cannot answer: the path is not valid percent-encoding", { cause: error });
  }
}
