/**
 * From specs to exact public packages, by npm's own resolver: what `npm install` would take, no more and no less. A
 * resolver of our own would differ from it in peer dependencies, engines or tags, and an index curated with it would
 * lack what clients then ask for.
 *
 * Nothing is installed: an empty folder is the project, and packages that come from elsewhere than a registry (git,
 * http, files) are refused before anything of theirs is fetched.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type Arborist from "@npmcli/arborist";
import type { Options as PacoteOptions } from "pacote";
import { LIMITS } from "../../format/limits.ts";
import { ImprintError } from "../../errors.ts";
import { type PackageName, parsePackageName } from "../../format/names.ts";
import { compareVersions, parseVersion, type Version } from "../../format/versions.ts";
import type { Exchange } from "./exchange.ts";
import { npmError, type NpmOptions } from "./npm-options.ts";

export type PublicPackage = { readonly name: PackageName; readonly version: Version };

export type Resolved = {
  /** Each name and version once, by name and version. */
  readonly packages: readonly PublicPackage[];
  /** Those that the specs themselves name. */
  readonly asked: ReadonlySet<string>;
  /** Optional packages that the registry does not have: npm installs without them. */
  readonly leftOut: readonly string[];
};

export type ResolvePlace = {
  /** The one that the options' agent belongs to. */
  readonly exchange: Exchange;
  /** A folder of the caller's, for npm's own use. */
  readonly folder: string;
  readonly maxPackages?: number;
  /** Milliseconds for all of it. */
  readonly maxMs?: number;
};

/** Of honest trees, some packages stand at two or three places. */
const PLACES_PER_PACKAGE = 5;
/** Not in Node's list of events. */
const TIME = "time" as unknown as "beforeExit";

/** A spec as npm reads it, aliases followed. */
type Spec = { readonly name: PackageName; /** As `name@range`. */ readonly text: string };

export function labelOf({ name, version }: PublicPackage): string {
  return `${name}@${version}`;
}

/**
 * @param deps with all that they depend on in production, on every platform
 * @throws ImprintError USAGE, IMPORT_REFUSED, NOT_FOUND, DENIED, UPSTREAM_FAILED, INVALID_NAME, INVALID_DOCUMENT, INVALID_URL,
 *   TIMED_OUT
 */
export async function resolveSpecs(
  specs: readonly string[],
  options: NpmOptions,
  deps: boolean,
  { exchange, folder, maxPackages = LIMITS.importPackages, maxMs = LIMITS.importResolveMs }: ResolvePlace,
): Promise<Resolved> {
  const what = specs.join(" ").slice(0, 200);
  const late = new ImprintError("TIMED_OUT", `Cannot import ${what}: no end after ${String(maxMs / 1000)} s`);
  const timer = setTimeout(() => exchange.end(late), maxMs);
  // Versions of few packages can make a tree of any size, without a request that would be counted.
  let places = 0;
  const maxPlaces = PLACES_PER_PACKAGE * maxPackages;
  const onTime = (moment: unknown, of: unknown): void => {
    if (moment !== "start" || typeof of !== "string" || !of.startsWith("idealTree:") || ++places <= maxPlaces) return;
    throw new ImprintError(
      "IMPORT_REFUSED",
      `Cannot import ${what}: its tree has more than ${String(maxPlaces)} places; --max-packages allows more`,
    );
  };
  // What arborist says at each place of a tree, by npm's own proc-log; what is thrown here ends its work.
  process.on(TIME, onTime);
  try {
    return await exchange.during(resolveAll(specs, options, deps, folder));
  } finally {
    clearTimeout(timer);
    process.removeListener(TIME, onTime);
  }
}

async function resolveAll(specs: readonly string[], options: NpmOptions, deps: boolean, folder: string): Promise<Resolved> {
  const parsed = await Promise.all(specs.map(parseSpec));
  const packages = new Map<string, PublicPackage>();
  const asked = new Set<string>();
  const leftOut = new Set<string>();
  const add = (name: string, version: string): string => {
    const found = { name: parsePackageName(name), version: importableVersion(name, version) };
    packages.set(labelOf(found), found);
    return labelOf(found);
  };
  for (const spec of parsed) {
    const { name, version } = await resolveOne(spec, options);
    asked.add(add(name, version));
  }
  if (deps)
    for (const round of roundsOf(parsed)) {
      for (const node of await resolveTree(round, options, folder)) {
        if (node.errors.length > 0) leftOut.add(`${node.name} (for ${requiredBy(node)})`);
        else add(node.packageName, node.version);
      }
    }
  const sorted = [...packages.values()].toSorted((a, b) =>
    a.name === b.name ? compareVersions(a.version, b.version) : a.name < b.name ? -1 : 1,
  );
  return { packages: sorted, asked, leftOut: [...leftOut] };
}

async function parseSpec(text: string): Promise<Spec> {
  const { default: npa } = await import("npm-package-arg");
  let spec: ReturnType<typeof npa>;
  try {
    spec = npa(text, tmpdir());
  } catch (error) {
    throw new ImprintError("USAGE", `Cannot import ${JSON.stringify(text)}: not a package, as '<name>@<version, range or tag>'`, {
      cause: error,
    });
  }
  const real = "subSpec" in spec ? (spec.subSpec as typeof spec) : spec;
  const name: unknown = real.name; // undefined for some, whatever its types say
  if (!real.registry || typeof name !== "string")
    throw new ImprintError("USAGE", `Cannot import ${JSON.stringify(text)}: a ${real.type} dependency, not a package of a registry`);
  return { name: parsePackageName(name), text: `${name}@${real.rawSpec}` };
}

async function resolveOne({ text }: Spec, options: NpmOptions): Promise<{ readonly name: string; readonly version: string }> {
  const { default: pacote } = await import("pacote");
  try {
    return await pacote.manifest(text, { ...options, preferOnline: true, fullMetadata: true } as PacoteOptions & { fullMetadata: true });
  } catch (error) {
    throw npmError(error, text, options.registry);
  }
}

/** Specs of one name can't stand in one tree: each of them goes to a tree of its own, beside the others. */
function roundsOf(specs: readonly Spec[]): readonly (readonly Spec[])[] {
  const rounds: Map<PackageName, Spec>[] = [];
  for (const spec of specs) {
    const free = rounds.find((round) => !round.has(spec.name));
    if (free === undefined) rounds.push(new Map([[spec.name, spec]]));
    else free.set(spec.name, spec);
  }
  return rounds.map((round) => [...round.values()]);
}

/** The packages of an ideal tree; one that could not be loaded has `errors`. */
async function resolveTree(specs: readonly Spec[], options: NpmOptions, parent: string): Promise<readonly Arborist.Node[]> {
  const { default: ArboristOfNpm } = await import("@npmcli/arborist");
  const folder = await mkdtemp(path.join(parent, "tree-"));
  const arborist = new ArboristOfNpm({
    ...options,
    path: folder,
    preferOnline: true,
    // A user's settings for their own projects, which would leave packages out or look elsewhere.
    global: false,
    engineStrict: false,
    workspaces: [],
    packageLock: false,
    // Refused before anything is fetched; what is optional is caught below, or npm would leave it out in silence.
    allowGit: "none",
    allowFile: "none",
    allowDirectory: "none",
    // Only for arborist's own look into tarballs of the registry; a dependency on an address is never "root" here.
    allowRemote: "root",
    _isRoot: true,
  } as Arborist.Options);
  const what = specs.map(({ text }) => text).join(" ");
  try {
    // Complete: an npm-shrinkwrap.json, which lies in the tarball, says what clients will ask for.
    const wanted = { add: specs.map(({ text }) => text), saveType: "prod", complete: true } as const;
    await arborist.buildIdealTree(wanted);
  } catch (error) {
    // Its last step, on a whole tree: this machine could not run one of them. Others can.
    if (codeOf(error) !== "EBADPLATFORM") throw treeError(error, what, options.registry);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  const nodes = [...(arborist.idealTree?.inventory.values() ?? [])].filter((node) => !node.isRoot);
  const foreign = nodes.flatMap(({ errors }) => errors).find((error) => codeOf(error).startsWith("EALLOW"));
  if (foreign !== undefined) throw treeError(foreign, what, options.registry);
  // What is bundled comes with the tarball of its bundler; extraneous is what a shrinkwrap lists for its own development.
  const needed = nodes.filter((node) => !node.inBundle && !node.extraneous);
  const elsewhere = needed.find((node) => node.isLink || (node.resolved !== null && !/^https?:/u.test(node.resolved)));
  if (elsewhere !== undefined)
    throw new ImprintError(
      "IMPORT_REFUSED",
      `Cannot import ${what}: ${elsewhere.name} comes from ${elsewhere.resolved ?? "a link"}, which is no registry`,
    );
  return needed;
}

function treeError(error: unknown, what: string, registry: string): ImprintError {
  const wanted = error instanceof Error && "package" in error && typeof error.package === "string" ? error.package : "a dependency";
  const by = error instanceof Error && "requiredBy" in error && typeof error.requiredBy === "string" ? error.requiredBy : "";
  if (!codeOf(error).startsWith("EALLOW")) return npmError(error, what, registry);
  const dependent = by.split("node_modules/").at(-1) ?? "";
  return new ImprintError(
    "IMPORT_REFUSED",
    `Cannot import ${what}: ${dependent === "" || dependent === "." ? "it" : dependent} depends on ${wanted}, which is no package of a registry`,
    { cause: error },
  );
}

function requiredBy(node: Arborist.Node): string {
  return [...node.edgesIn].map(({ from }) => from?.packageName ?? "?").join(", ");
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}

function importableVersion(name: string, version: string): Version {
  try {
    return parseVersion(version);
  } catch (error) {
    throw new ImprintError("IMPORT_REFUSED", `Cannot import ${name}@${version}: an index can't hold that version`, { cause: error });
  }
}
