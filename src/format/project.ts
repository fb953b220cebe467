/**
 * `imprint.json` and `imprint.lock`, the two files that a consumer commits: who may answer for what, and the floor below
 * which no state is believed.
 *
 * People edit and merge them, so errors name line and column. A member that this version does not know is refused, not
 * ignored: a misspelt `maxAgeDays` or `deny` would silently widen what is trusted.
 */
import { ImprintError, isImprintError } from "../errors.ts";
import { textOf, utf8 } from "./bytes.ts";
import { rootPointer, type RootPointer } from "./checkpoint.ts";
import { sidesOfConflict } from "./conflict.ts";
import {
  address,
  type Decoder,
  digest,
  displayName,
  type DisplayName,
  fail,
  indexId,
  integer,
  list,
  map,
  member,
  object,
  onlyMembers,
  optional,
  packagePattern,
  refName,
} from "./decode.ts";
import type { Digest, IndexId } from "./digest.ts";
import { formatPretty, isJsonObject, type JsonObject, jsonObject, type JsonValue } from "./json.ts";
import { parseJsonText } from "./json-text.ts";
import { LIMITS } from "./limits.ts";
import type { PackageName, PackagePattern } from "./names.ts";
import { type Agreement, decodeAgreement, decodeOverlay } from "./several-sources.ts";

export const DEFAULT_REF = "refs/heads/main";

export type ProjectIndex = {
  readonly id: IndexId;
  readonly urls: readonly string[];
  readonly ref: string;
  readonly packages: readonly PackagePattern[];
  readonly maxAgeDays?: number;
  readonly minAgeHours?: number;
};

export type Project = {
  readonly indices: ReadonlyMap<DisplayName, ProjectIndex>;
  readonly upstream: { readonly allow: readonly PackagePattern[]; readonly deny: readonly PackagePattern[]; readonly registry?: string };
  /** Names that several indices must agree on, before any claim. */
  readonly agree?: Agreement;
  /** Claimed names whose index stands over upstream instead of before it. */
  readonly overlay?: readonly PackageName[];
};

export type LockEntry = { readonly id: IndexId; readonly root: RootPointer; readonly seq: number; readonly checkpoint: Digest };
export type Lock = ReadonlyMap<DisplayName, LockEntry>;

export const EMPTY_PROJECT: Project = { indices: new Map(), upstream: { allow: ["*" as PackagePattern], deny: [] } };

/**
 * @param file how messages name the file
 * @throws ImprintError CONFIG_INVALID "Cannot read <file>: <what> at line L, column C", UNSUPPORTED_FORMAT
 */
export function parseProject(bytes: Uint8Array, file = "imprint.json"): Project {
  return parseFile(bytes, file, LIMITS.projectBytes, (top) => {
    onlyMembers(top, "", ["format", "indices", "upstream", "agree", "overlay"]);
    const agree = optional(top, "agree", "", decodeAgreement);
    const overlay = optional(top, "overlay", "", decodeOverlay);
    const project: Project = {
      indices: member(top, "indices", "", map(displayName, decodeIndex)),
      upstream: optional(top, "upstream", "", decodeUpstream) ?? EMPTY_PROJECT.upstream,
      ...(agree === undefined ? {} : { agree }),
      ...(overlay === undefined ? {} : { overlay }),
    };
    requireFit(project);
    return project;
  });
}

/** What the members of the file say of each other. @throws ImprintError INVALID_DOCUMENT */
function requireFit({ indices, upstream, agree, overlay = [] }: Project): void {
  for (const [i, alias] of (agree?.of ?? []).entries()) if (!indices.has(alias)) fail(`agree.of[${i}]`, "the alias of one of `indices`");
  for (const [i, name] of overlay.entries()) {
    const at = `overlay[${i}]`;
    const isNamedIn = (patterns: readonly string[]): boolean => patterns.includes(name);
    if (agree?.names.includes(name) === true) fail(at, "free: `agree` has that name");
    if ([...indices.values()].filter(({ packages }) => isNamedIn(packages)).length !== 1)
      fail(at, "a name that exactly one index claims by its exact name");
    if (isNamedIn(upstream.deny)) fail(at, "a name that upstream may answer for: `upstream.deny` has it");
  }
}

export function formatProject(project: Project): Uint8Array {
  const { allow, deny, registry } = project.upstream;
  const upstream: [string, JsonValue][] = [
    ["allow", [...allow]],
    ["deny", [...deny]],
  ];
  if (registry !== undefined) upstream.push(["registry", registry]);
  const indices = [...project.indices].map(([name, { maxAgeDays, minAgeHours, ...entry }]): [string, JsonValue] => [
    name,
    jsonObject([
      ["id", entry.id],
      ["urls", [...entry.urls]],
      ["ref", entry.ref],
      ["packages", [...entry.packages]],
      ...(maxAgeDays === undefined ? [] : [["maxAgeDays", maxAgeDays] as const]),
      ...(minAgeHours === undefined ? [] : [["minAgeHours", minAgeHours] as const]),
    ]),
  ]);
  return formatPretty(
    jsonObject([
      ["format", 1],
      ["indices", jsonObject(indices)],
      ["upstream", jsonObject(upstream)],
      ...(project.agree === undefined ? [] : [["agree", agreementJson(project.agree)] as const]),
      ...(project.overlay === undefined ? [] : [["overlay", [...project.overlay]] as const]),
    ]),
  );
}

function agreementJson({ names, of, threshold }: Agreement): JsonObject {
  return jsonObject([
    ["names", [...names]],
    ["of", [...of]],
    ["threshold", threshold],
  ]);
}

/**
 * Where git could not merge two branches, both sides are read, and for each index the higher entry holds.
 *
 * @throws ImprintError CONFIG_INVALID, UNSUPPORTED_FORMAT
 */
export function parseLock(bytes: Uint8Array, file = "imprint.lock"): Lock {
  const sides = bytes.byteLength > LIMITS.lockBytes ? null : sidesOfConflict(textOf(bytes) ?? "");
  if (sides === null) return parseOneLock(bytes, file);
  const [ours, theirs] = sides.map((side) => parseOneLock(utf8(side), file)) as [Lock, Lock];
  for (const [alias, entry] of theirs) {
    if ((ours.get(alias)?.id ?? entry.id) !== entry.id)
      throw new ImprintError("CONFIG_INVALID", `Cannot read ${file}: its two sides pin different indices as ${alias}; choose one`);
  }
  return [...theirs].reduce((merged, [alias, entry]) => raiseLock(merged, alias, entry), ours);
}

/** The lock with one entry raised: a floor is never lowered. */
export function raiseLock(lock: Lock, alias: DisplayName, entry: LockEntry): Lock {
  const before = lock.get(alias);
  if (before !== undefined && before.id === entry.id) {
    const order = entry.root.version - before.root.version || entry.seq - before.seq;
    if (order <= 0) return lock;
  }
  return new Map([...lock, [alias, entry]]);
}

function parseOneLock(bytes: Uint8Array, file: string): Lock {
  return parseFile(bytes, file, LIMITS.lockBytes, (top) => {
    onlyMembers(top, "", ["format", "indices"]);
    return member(
      top,
      "indices",
      "",
      map(displayName, (value, at): LockEntry => {
        const from = object(value, at);
        onlyMembers(from, at, ["id", "root", "seq", "checkpoint"]);
        return {
          id: member(from, "id", at, indexId),
          root: member(from, "root", at, closedRootPointer),
          seq: member(from, "seq", at, integer(0)),
          checkpoint: member(from, "checkpoint", at, digest),
        };
      }),
    );
  });
}

export function formatLock(lock: Lock): Uint8Array {
  const entries = [...lock].map(([name, { id, root, seq, checkpoint }]): [string, JsonValue] => [
    name,
    jsonObject([
      ["id", id],
      [
        "root",
        jsonObject([
          ["version", root.version],
          ["digest", root.digest],
        ]),
      ],
      ["seq", seq],
      ["checkpoint", checkpoint],
    ]),
  ]);
  return formatPretty(
    jsonObject([
      ["format", 1],
      ["indices", jsonObject(entries)],
    ]),
  );
}

const closedRootPointer: Decoder<RootPointer> = (value, at) => {
  onlyMembers(object(value, at), at, ["version", "digest"]);
  return rootPointer(value, at);
};

const decodeIndex: Decoder<ProjectIndex> = (value, at) => {
  const from = object(value, at);
  onlyMembers(from, at, ["id", "urls", "ref", "packages", "maxAgeDays", "minAgeHours"]);
  const maxAgeDays = optional(from, "maxAgeDays", at, integer(1, 36_500));
  const minAgeHours = optional(from, "minAgeHours", at, integer(0, 876_000));
  return {
    id: member(from, "id", at, indexId),
    urls: member(from, "urls", at, list(address, { min: 1, max: 16, distinct: true })),
    ref: optional(from, "ref", at, refName) ?? DEFAULT_REF,
    packages: member(from, "packages", at, list(packagePattern, { distinct: true })),
    ...(maxAgeDays === undefined ? {} : { maxAgeDays }),
    ...(minAgeHours === undefined ? {} : { minAgeHours }),
  };
};

const decodeUpstream: Decoder<Project["upstream"]> = (value, at) => {
  const from = object(value, at);
  onlyMembers(from, at, ["allow", "deny", "registry"]);
  const registry = optional(from, "registry", at, httpAddress);
  return {
    allow: optional(from, "allow", at, list(packagePattern, { distinct: true })) ?? EMPTY_PROJECT.upstream.allow,
    deny: optional(from, "deny", at, list(packagePattern, { distinct: true })) ?? [],
    ...(registry === undefined ? {} : { registry }),
  };
};

const httpAddress: Decoder<string> = (value, at) => {
  const raw = address(value, at);
  return /^https?:\/\/[^@]+$/.test(raw) ? raw : fail(at, "an http or https address without credentials");
};

function parseFile<T>(bytes: Uint8Array, file: string, maxBytes: number, decode: (top: JsonObject) => T): T {
  const refuse = (what: string, cause?: unknown): never => {
    throw new ImprintError("CONFIG_INVALID", `Cannot read ${file}: ${what}`, { cause });
  };
  if (bytes.byteLength > maxBytes) refuse(`it is larger than ${maxBytes} bytes`);
  const source = textOf(bytes) ?? refuse("it is not UTF-8");
  let parsed;
  try {
    parsed = parseJsonText(source);
  } catch (error) {
    return refuse((error as ImprintError).message, error);
  }
  const { value, placeOf } = parsed;
  if (!isJsonObject(value)) return refuse("it is not a JSON object");
  try {
    const format = member(value, "format", "", integer(0));
    if (format > 1) throw new ImprintError("UNSUPPORTED_FORMAT", `Cannot read ${file}: format ${format} needs a newer imprint`);
    if (format < 1) fail("format", "1");
    return decode(value);
  } catch (error) {
    if (!isImprintError(error, "INVALID_DOCUMENT")) throw error;
    const what = error.message.replace("Cannot read document: ", "");
    return refuse(`${what} at ${placeOf(what.slice(0, what.indexOf(" ")))}`, error);
  }
}
