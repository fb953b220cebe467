/**
 * What clients send to have their dependencies looked up, without what must not leave this machine: names that an index
 * claims or that imprint.json denies upstream, and whatever could carry one in another place (aliases, addresses, the
 * project's own name). Nothing is passed on that is not known: a new document is made of the parts that advisories need.
 */
import { ImprintError } from "../errors.ts";
import { isJsonObject, type JsonObject, jsonObject, type JsonValue } from "../format/json.ts";
import { type PackageName, parsePackageName } from "../format/names.ts";
import type { Project } from "../format/project.ts";
import { sourceOf } from "./claims.ts";
import type { AuditEndpoint } from "./port.ts";

/** Overlaid name → versions that are its index's own, and no business of upstream's. One that is not here may not leave. */
export type Overlaid = ReadonlyMap<PackageName, ReadonlySet<string>>;

type MayLeave = {
  /** Also of the project, or beside no version. */ readonly name: (name: string) => boolean;
  readonly version: (name: string, version: string) => boolean;
  /** A range could spell out a version that is an index's own: of overlaid names none leaves. */
  readonly range: (name: string, range: string) => boolean;
};

/** @returns null where nothing is left to ask. @throws ImprintError BAD_REQUEST */
export function publicPartOf(project: Project, endpoint: AuditEndpoint, body: JsonValue, overlaid: Overlaid): JsonObject | null {
  if (!isJsonObject(body)) throw bad("the body is no JSON object");
  const isUpstream = (name: string): boolean => {
    const parsed = packageNameOf(name);
    return parsed !== null && sourceOf(project, parsed).kind === "upstream";
  };
  const mayLeave: MayLeave = {
    name: (name) => isUpstream(name) || overlaid.has(name as PackageName),
    version: (name, version) => isPlain(version) && (isUpstream(name) || overlaid.get(name as PackageName)?.has(version) === false),
    range: (name, range) => isPlain(range) && isUpstream(name),
  };
  return endpoint === "advisories/bulk" ? bulk(body, mayLeave) : tree(body, mayLeave);
}

/** What to answer where nothing is left to ask. */
export function emptyReport(endpoint: AuditEndpoint): JsonObject {
  if (endpoint === "advisories/bulk") return {};
  const vulnerabilities = { info: 0, low: 0, moderate: 0, high: 0, critical: 0 };
  return {
    actions: [],
    advisories: {},
    muted: [],
    metadata: { vulnerabilities, dependencies: 0, devDependencies: 0, optionalDependencies: 0, totalDependencies: 0 },
  };
}

function bulk(body: JsonObject, mayLeave: MayLeave): JsonObject | null {
  const entries = Object.entries(body).flatMap(([name, versions]): [string, JsonValue][] => {
    if (!Array.isArray(versions) || !versions.every((version) => typeof version === "string")) throw bad("a list of versions is none");
    const plain = (versions as readonly string[]).filter((version) => mayLeave.version(name, version));
    return plain.length > 0 ? [[name, plain]] : [];
  });
  return entries.length === 0 ? null : jsonObject(entries);
}

type Node = { readonly own: [string, JsonValue][]; readonly requires: JsonObject | null; readonly children: Map<string, Node> };

/** The older form: the dependency tree of a lockfile. */
function tree(body: JsonObject, mayLeave: MayLeave): JsonObject | null {
  const children = new Map<string, Node>();
  collect(body["dependencies"], mayLeave, children);
  if (children.size === 0) return null;
  const { name, version, install, remove, metadata } = body;
  const entries: [string, JsonValue][] = [];
  if (typeof name === "string" && mayLeave.name(name)) entries.push(["name", name]);
  if (typeof version === "string" && isPlain(version)) entries.push(["version", version]);
  entries.push(["requires", requiresOf(body["requires"], mayLeave) ?? {}], ["dependencies", format(children)]);
  entries.push(["install", specsOf(install, mayLeave)], ["remove", specsOf(remove, mayLeave)]);
  if (isJsonObject(metadata)) {
    const plain = Object.entries(metadata).filter(([key, value]) => METADATA.has(key) && typeof value === "string" && value.length < 100);
    entries.push(["metadata", jsonObject(plain)]);
  }
  return jsonObject(entries);
}

const METADATA: ReadonlySet<string> = new Set(["npm_version", "node_version", "platform", "node_env"]);
const FLAGS = ["dev", "optional", "peer", "bundled"] as const;

/** What hangs below a package that must not be named moves up: it is public, and its faults are the user's, too. */
function collect(dependencies: JsonValue | undefined, mayLeave: MayLeave, into: Map<string, Node>): void {
  if (dependencies === undefined) return;
  if (!isJsonObject(dependencies)) throw bad("dependencies are no object");
  for (const [name, entry] of Object.entries(dependencies)) {
    if (!isJsonObject(entry)) throw bad("a dependency is no object");
    const { version } = entry;
    if (typeof version !== "string") throw bad("a dependency has no version");
    if (!mayLeave.version(name, version)) {
      collect(entry["dependencies"], mayLeave, into);
      continue;
    }
    const own: [string, JsonValue][] = [["version", version]];
    const { integrity } = entry;
    if (typeof integrity === "string" && /^[a-z0-9]+-[A-Za-z0-9+/=]{1,128}$/.test(integrity)) own.push(["integrity", integrity]);
    for (const flag of FLAGS) if (typeof entry[flag] === "boolean") own.push([flag, entry[flag]]);
    const node: Node = { own, requires: requiresOf(entry["requires"], mayLeave), children: new Map() };
    collect(entry["dependencies"], mayLeave, node.children);
    place(name, node, into);
  }
}

/** Where the name is taken by another version, one level deeper, as npm itself would nest it. */
function place(name: string, node: Node, into: Map<string, Node>): void {
  let level = into;
  for (let taken = level.get(name); taken !== undefined; taken = level.get(name)) {
    if (taken.own[0]?.[1] === node.own[0]?.[1]) {
      for (const [child, below] of node.children) place(child, below, taken.children);
      return;
    }
    level = taken.children;
  }
  level.set(name, node);
}

function format(nodes: ReadonlyMap<string, Node>): JsonObject {
  return jsonObject(
    [...nodes].map(([name, { own, requires, children }]): [string, JsonValue] => [
      name,
      jsonObject([
        ...own,
        ...(requires === null ? [] : [["requires", requires] as [string, JsonValue]]),
        ...(children.size === 0 ? [] : [["dependencies", format(children)] as [string, JsonValue]]),
      ]),
    ]),
  );
}

function requiresOf(requires: JsonValue | undefined, mayLeave: MayLeave): JsonObject | null {
  if (!isJsonObject(requires)) return null;
  return jsonObject(Object.entries(requires).filter(([name, range]) => typeof range === "string" && mayLeave.range(name, range)));
}

function specsOf(specs: JsonValue | undefined, mayLeave: MayLeave): JsonValue[] {
  if (!Array.isArray(specs)) return [];
  return (specs as readonly JsonValue[]).filter((spec) => {
    if (typeof spec !== "string") return false;
    const at = spec.indexOf("@", 1);
    return at === -1 ? mayLeave.name(spec) : mayLeave.range(spec.slice(0, at), spec.slice(at + 1));
  });
}

/** A version, a range or a tag; nothing with a name, a path or an address in it. */
function isPlain(text: string): boolean {
  return text.length <= 256 && /^[0-9A-Za-z.+\-_~^<>=*| ]*$/.test(text);
}

function packageNameOf(name: string): PackageName | null {
  try {
    return parsePackageName(name);
  } catch {
    return null; // no registry has it
  }
}

function bad(state: string): ImprintError {
  return new ImprintError("BAD_REQUEST", `Cannot look up advisories: ${state}`);
}
