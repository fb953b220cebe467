/**
 * Tarballs of public packages: downloaded a few at a time, and believed only as far as they were read. The packument said
 * what they are; what is signed in the end comes from the bytes.
 */
import { LIMITS } from "../format/limits.ts";
import path from "node:path";
import npa from "npm-package-arg";
import { list } from "tar";
import { ImprintError, isImprintError } from "../errors.ts";
import { isJsonObject, type JsonObject } from "../format/json.ts";
import { inspectTarball, type TarballFacts } from "../pack/inspect.ts";
import { PACK_LIMITS } from "../pack/limits.ts";
import type { PublicRelease, PublicReleases } from "../registry/upstream/releases.ts";
import { labelOf } from "../registry/upstream/resolve.ts";
import type { Deps } from "./deps.ts";
import { sameBytes } from "./import-plan.ts";
import { inParallel } from "./parallel.ts";

export type Inspected = { readonly release: PublicRelease; readonly facts: TarballFacts; readonly file: string };

const AT_ONCE = 8;
/** Milliseconds for one tarball. */
const DEADLINE_MS = LIMITS.tarballMs;

/**
 * @param folder an empty one, for the tarballs
 * @throws ImprintError TARBALL_MISMATCH, IMPORT_REFUSED, UPSTREAM_FAILED, TIMED_OUT: the first failure ends all
 */
export async function fetchTarballs(
  deps: Deps,
  upstream: PublicReleases,
  releases: readonly PublicRelease[],
  folder: string,
): Promise<readonly Inspected[]> {
  const { terminal } = deps;
  const others = new AbortController();
  const startedMs = deps.nowMs();
  let bytes = 0;
  let done = 0;
  const show = (): void => {
    const perSecond = bytes / 1e6 / Math.max(0.001, (deps.nowMs() - startedMs) / 1000);
    terminal.progress(`downloading: ${done} of ${releases.length} · ${(bytes / 1e6).toFixed(1)} MB · ${perSecond.toFixed(1)} MB/s`);
  };
  const onBytes = (count: number): void => {
    bytes += count;
    show();
  };
  const files = new Map(releases.map((release, i) => [release, path.join(folder, `${i}.tgz`)]));
  return inParallel(releases, AT_ONCE, async (release) => {
    const file = files.get(release) as string;
    try {
      const limits = { maxBytes: PACK_LIMITS.maxCompressedBytes, deadlineMs: DEADLINE_MS, signal: others.signal, onBytes };
      await upstream.download(release, file, limits);
      const facts = await inspect(release, file);
      done++;
      show();
      return { release, facts, file };
    } catch (error) {
      others.abort();
      throw error;
    }
  });
}

/** Documents in a tarball that npm's resolver reads whole, and the bytes that each may have. */
const READ_WHOLE: Readonly<Record<string, number>> = {
  "npm-shrinkwrap.json": LIMITS.lockfileBytes,
  "package-lock.json": LIMITS.lockfileBytes,
  "package.json": LIMITS.packageJsonBytes,
};

/**
 * Looks at a tarball before npm's resolver unpacks it for what it bundles or shrinkwraps.
 *
 * @throws ImprintError IMPORT_REFUSED
 */
export async function checkOpened(file: string, what: string, maxUnpackedBytes: number = LIMITS.importUnpackedBytes): Promise<void> {
  const refused = (why: string, cause?: unknown): ImprintError =>
    new ImprintError("IMPORT_REFUSED", `Cannot import ${what}: its tarball is refused: ${why}`, { cause });
  await inspectTarball(file, { anyTopFolder: true, limits: { maxUnpackedBytes } }).catch((error: unknown) => {
    throw isImprintError(error, "TARBALL_REFUSED") ? refused(error.message, error) : error;
  });
  const large: string[] = [];
  await list({
    file,
    onReadEntry: (entry) => {
      if (entry.size > (READ_WHOLE[path.posix.basename(entry.path)] ?? Infinity)) large.push(entry.path);
    },
  }).catch((error: unknown) => {
    throw refused(error instanceof Error ? error.message : "it cannot be read", error);
  });
  if (large[0] !== undefined) throw refused(`${large[0].slice(0, 200)} is too large`);
}

async function inspect(release: PublicRelease, file: string): Promise<TarballFacts> {
  const label = labelOf(release);
  const refused = (why: string, cause?: unknown): ImprintError =>
    new ImprintError("IMPORT_REFUSED", `Cannot import ${label}: ${why}`, { cause });
  const facts = await inspectTarball(file, { anyTopFolder: true }).catch((error: unknown) => {
    throw isImprintError(error, "TARBALL_REFUSED") ? refused(`its tarball is refused: ${error.message}`, error) : error;
  });
  if (!sameBytes(release.source.integrity, facts))
    throw new ImprintError("TARBALL_MISMATCH", `Cannot import ${label}: its tarball is not what the registry's integrity says`);
  const { name, version } = facts.packageJson;
  if (name !== release.name || version !== release.version)
    throw refused(`its tarball says that it is ${JSON.stringify(name ?? null)} ${JSON.stringify(version ?? null)}`);
  const [foreign] = dependenciesOf(facts.manifest).filter(({ needed, spec }) => needed !== "bundled" && spec?.registry !== true);
  if (foreign !== undefined) throw refused(`it depends on ${foreign.name}@${foreign.range}, which is no package of a registry`);
  return facts;
}

export type Dependency = {
  readonly name: string;
  readonly range: string;
  /** `bundled`: comes in the tarball. */
  readonly needed: "always" | "perhaps" | "bundled";
  /** As npm reads it, aliases followed; null: not at all. */
  readonly spec: ReturnType<typeof npa> | null;
};

/** All that a signed manifest may make a client ask for. */
export function dependenciesOf(manifest: JsonObject): readonly Dependency[] {
  const optional = manifest["optionalDependencies"];
  return (["dependencies", "optionalDependencies", "peerDependencies"] as const).flatMap((field) => {
    const ranges = manifest[field];
    if (!isJsonObject(ranges)) return [];
    return Object.entries(ranges).map(([name, value]): Dependency => {
      const range = typeof value === "string" ? value : JSON.stringify(value);
      const isNeeded = field === "dependencies" && !(isJsonObject(optional) && Object.hasOwn(optional, name));
      return { name, range, needed: isBundled(manifest, name) ? "bundled" : isNeeded ? "always" : "perhaps", spec: specOf(name, range) };
    });
  });
}

function specOf(name: string, range: string): Dependency["spec"] {
  try {
    const spec = npa.resolve(name, range);
    return "subSpec" in spec ? spec.subSpec : spec;
  } catch {
    return null; // no client could read it either
  }
}

function isBundled(manifest: JsonObject, name: string): boolean {
  return (["bundleDependencies", "bundledDependencies"] as const).some((field) => {
    const bundled = manifest[field];
    return bundled === true || (Array.isArray(bundled) && bundled.includes(name));
  });
}
