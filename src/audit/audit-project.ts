/**
 * Audits a lockfile against what is signed: for each package its source, whether the locked integrity is the signed one,
 * and who signed. What this proves holds without trusting any resolver that made the lockfile.
 */
import { ImprintError, isImprintError } from "../errors.ts";
import type { DisplayName } from "../format/decode.ts";
import type { PublicKey } from "../format/keys.ts";
import { isJsonObject } from "../format/json.ts";
import { isPackageName, isPublicName, type PackageName, type PublicName } from "../format/names.ts";
import type { Project } from "../format/project.ts";
import type { Dist, Release } from "../format/release.ts";
import type { Agreement } from "../format/several-sources.ts";
import type { Version } from "../format/versions.ts";
import type { PackageView } from "../index/package-reader.ts";
import type { IndexReader } from "../index/reader.ts";
import { tallyOf } from "../registry/agree.ts";
import { readBallots } from "../registry/ballots.ts";
import { aliasesOf, labelOf, sourceOf } from "../registry/claims.ts";
import { versionsKnownTo } from "../registry/overlay.ts";
import { type LockedPackage, shown } from "../clients/lockfiles/locked.ts";
import { claimedTwin, isGuarded } from "./guarded.ts";
import type { NpmSignatures, NpmVerdict } from "./npm-signatures.ts";

/**
 * `public`: of the public registry, signed by no index. `elsewhere`: from git, a file or an address; nobody vouches for it.
 * `local`: under a claimed name, a folder of this very project whose package.json has that name; or inside the tarball of a
 * signed package whose manifest says that it bundles it.
 */
export type AuditStatus = "signed" | "public" | "elsewhere" | "local" | "refused";
export type AuditedPackage = {
  /** Where it stands in the lockfile. */
  readonly path: string;
  readonly name: string;
  readonly version: string;
  /** By an alias (`npm:`), a public package's name that it is installed under instead; null: it is under its own. */
  readonly standsFor: string | null;
  /** Alias of the index (of several that agree `alice+bob`), `upstream`, or `none`. */
  readonly source: string;
  readonly status: AuditStatus;
  /** Why it is refused; null otherwise. */
  readonly reason: string | null;
  /** What does not stop it; under `strict` any of these refuses. */
  readonly warnings: readonly string[];
  readonly signers: readonly PublicKey[];
  /** False where the lockfile has no hash of the tarball: name and version alone are what the author signed. */
  readonly integrityChecked: boolean;
  readonly yanked: boolean;
  readonly deprecated: string | null;
  /** Of the public registry's own signature; null for what is not from there. */
  readonly npmSignature: NpmVerdict["signature"] | null;
};

const AT_ONCE = 8;
const SHRINKWRAP = "it brings an npm-shrinkwrap.json: npm installs below it what this lockfile does not pin; audit --installed looks there";

export async function auditPackages(options: {
  readonly packages: readonly LockedPackage[];
  readonly project: Project;
  readonly readers: ReadonlyMap<DisplayName, IndexReader>;
  readonly npm: NpmSignatures;
  /** Why that folder, relative to the lockfile's, is not one of this project with that name in its package.json; null: it is. */
  readonly whyNotFolder: (folder: string, name: string) => Promise<string | null>;
  /** Warnings become refusals. */
  readonly strict: boolean;
  readonly onProgress: (done: number, total: number) => void;
}): Promise<readonly AuditedPackage[]> {
  const { packages, strict, onProgress } = options;
  const audited: (Judged | null)[] = [];
  let next = 0;
  let done = 0;
  const work = async (): Promise<void> => {
    for (let i = next++; i < packages.length; i = next++) {
      audited[i] = await auditOne(packages[i] as LockedPackage, options);
      onProgress(++done, packages.length);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  const byPath = new Map(packages.map(({ path }, i) => [path, audited[i] ?? null]));
  return packages.flatMap((locked, i) => {
    const one = locked.origin.kind === "bundle" ? auditBundled(locked, locked.origin.of, byPath, options.project) : audited[i];
    if (one === null || one === undefined) return [];
    const { bundles: _, ...judged } = one;
    const plain = auditBelow(locked, judged, byPath);
    return strict && plain.status !== "refused" && plain.warnings.length > 0
      ? [{ ...plain, status: "refused" as const, reason: plain.warnings.join("; ") }]
      : [plain];
  });
}

/** With the names that its signed manifest says are inside its tarball. */
type Judged = AuditedPackage & { readonly bundles: ReadonlySet<string> };

const NO_NAMES: ReadonlySet<string> = new Set();

/** A lockfile may call any package bundled. A claimed name must be bundled by a signed release; other names are not judged here. */
function auditBundled(locked: LockedPackage, of: string, byPath: ReadonlyMap<string, Judged | null>, project: Project): Judged | null {
  const guarded = guardedName(project, locked);
  if (guarded === null) return null;
  const { path, name, version } = locked;
  const base = { ...unjudged(path, name, version, labelOf(sourceOf(project, guarded))), bundles: NO_NAMES };
  const parent = byPath.get(of);
  if (parent?.status === "signed" && parent.bundles.has(locked.installedAs)) return { ...base, status: "local" };
  const where = of === "" ? "the project" : shown(of);
  return { ...base, reason: `the lockfile says that it is bundled in ${where}, which no index has signed as bundling it` };
}

/**
 * What npm puts into the node_modules of a signed package was asked for by that package, by its npm-shrinkwrap.json at the
 * worst, and by no one else. Without a hash, or from an address, nobody vouches for it, and its author did not either.
 */
function auditBelow(locked: LockedPackage, judged: AuditedPackage, byPath: ReadonlyMap<string, Judged | null>): AuditedPackage {
  const isBare = judged.status === "elsewhere" || (judged.status === "public" && locked.integrity === null && locked.shasum === null);
  if (!isBare) return judged;
  const marker = "/node_modules/";
  for (let end = locked.path.lastIndexOf(marker); end > 0; end = locked.path.lastIndexOf(marker, end - 1)) {
    const around = byPath.get(locked.path.slice(0, end));
    if (around?.status !== "signed") continue;
    const what = judged.status === "elsewhere" ? "is from git, a file or an address" : "has no integrity";
    return {
      ...judged,
      status: "refused",
      reason: `it stands below ${around.name}@${around.version}, which is signed, but it ${what}: nobody vouches for it`,
    };
  }
  return judged;
}

/** The beginning of every verdict: refused, until something speaks for it. */
export function unjudged(path: string, name: string, version: string, source: string): AuditedPackage {
  return {
    path,
    name,
    version,
    standsFor: null,
    source,
    status: "refused",
    reason: null,
    warnings: [],
    signers: [],
    integrityChecked: false,
    yanked: false,
    deprecated: null,
    npmSignature: null,
  };
}

async function auditOne(
  locked: LockedPackage,
  { project, readers, npm, whyNotFolder }: Pick<Parameters<typeof auditPackages>[0], "project" | "readers" | "npm" | "whyNotFolder">,
): Promise<Judged | null> {
  const { path, name, version, installedAs, origin } = locked;
  const source = sourceOf(project, name);
  const label = labelOf(source);
  // An alias that takes a claimed name is refused below.
  const standsFor = installedAs === name ? null : installedAs;
  const base: Judged = { ...unjudged(path, name, version, label), standsFor, bundles: NO_NAMES };
  const refused = (reason: string): Judged => ({ ...base, reason });
  const guarded = guardedName(project, locked);
  // The second pass judges it, when the package around it is known.
  if (origin.kind === "bundle") return null;
  if (origin.kind === "folder") {
    if (guarded === null) return null;
    const why = await whyNotFolder(origin.folder, guarded);
    return why === null ? { ...base, status: "local" } : refused(`the lockfile takes it from a folder, ${shown(origin.folder)}: ${why}`);
  }
  if (origin.kind === "patched") {
    if (guarded === null) return null;
    return refused(`it is changed by a patch, ${shown(origin.patch)}: what is installed is not what ${label} signed`);
  }
  // An alias in a claimed name's place: whoever requires that name gets what its index never signed.
  const place = isPublicName(installedAs) ? sourceOf(project, installedAs) : null;
  if (installedAs !== name && place !== null && aliasesOf(place).length > 0 && label !== labelOf(place))
    return refused(`it stands in the place of ${installedAs}, which ${labelOf(place)} answers for`);
  const twin = place === null || isGuarded(place) ? null : claimedTwin(project, installedAs);
  if (twin !== null) return refused(`it stands in the place of ${twin} where a file system ignores case`);
  if (source.kind === "denied") return refused("imprint.json lets no source answer for it");
  if (source.kind === "upstream") return auditPublic(locked, base, npm);
  if (origin.kind !== "registry") return refused(`${label} answers for it, but the lockfile takes it from elsewhere`);
  try {
    const signed = await signedRelease(name, version, project, readers);
    if (signed === "upstream") return await auditPublic(locked, { ...base, source: "upstream" }, npm);
    if (locked.hashes === "tarball" && locked.integrity === null && locked.shasum === null)
      return refused("the lockfile has no integrity for it");
    if (typeof signed === "string") return refused(signed);
    const hashes = compareHashes(locked, signed.release.dist);
    if (hashes === "other") return refused("the locked integrity is not the signed one");
    const { deprecated, yanked, signers } = signed;
    const warnings = [
      ...(hashes === "none" ? ["signed by name and version; its integrity is not in this lockfile"] : []),
      ...(hashes === "weak" ? ["the lockfile has only a sha1 of it, which can be forged; install again to get its sha512"] : []),
      ...(yanked === null ? [] : [`yanked${because(yanked)}`]),
      ...(deprecated === null ? [] : [`deprecated${because(deprecated)}`]),
    ];
    const integrityChecked = hashes === "signed" || hashes === "weak";
    const owner = source.kind === "overlay" ? source.alias : label;
    const bundles = bundledNames(signed.release);
    return { ...base, source: owner, status: "signed", signers, warnings, integrityChecked, yanked: yanked !== null, deprecated, bundles };
  } catch (error) {
    if (!isImprintError(error)) throw error;
    return refused(`${error.message} (${error.code})`);
  }
}

/** Of the two names that an entry has, the one that is not free for all. */
function guardedName(project: Project, { name, installedAs }: LockedPackage): PublicName | null {
  for (const one of [installedAs, name]) if (isPublicName(one) && isGuarded(sourceOf(project, one))) return one;
  return null;
}

function bundledNames({ manifest }: Release): ReadonlySet<string> {
  const names = new Set<string>();
  for (const member of ["bundleDependencies", "bundledDependencies"]) {
    const value = manifest[member];
    if (Array.isArray(value)) for (const name of value as readonly unknown[]) if (typeof name === "string") names.add(name);
    if (value === true && isJsonObject(manifest["dependencies"])) for (const name of Object.keys(manifest["dependencies"])) names.add(name);
  }
  return names;
}

export type Readers = ReadonlyMap<DisplayName, IndexReader>;

/** A release that a lockfile may hold, and what its author said of it since. */
export type SignedRelease = {
  readonly release: Release;
  readonly signers: readonly PublicKey[];
  /** Why; null where it is not. */ readonly yanked: string | null;
  readonly deprecated: string | null;
};

async function viewOf(readers: Readers, alias: DisplayName, name: PublicName): Promise<PackageView | null> {
  const reader = readers.get(alias);
  if (reader === undefined) throw new ImprintError("NEVER_SYNCED", `Cannot audit ${name}: index ${alias} is not open`);
  // What npm let through once, and no index can publish.
  return isPackageName(name) ? (await reader.readPackage(name)).view : null;
}

/**
 * What the source of a claimed name has signed of a version.
 *
 * @returns a reason where it is nothing that may be used; `upstream` for an overlaid name's public versions
 * @throws ImprintError where its index cannot be believed
 */
export async function signedRelease(
  name: PublicName,
  version: string,
  project: Project,
  readers: Readers,
): Promise<SignedRelease | string> {
  const source = sourceOf(project, name);
  const wanted = { name, version };
  switch (source.kind) {
    case "denied":
      return "imprint.json lets no source answer for it";
    case "upstream":
      return "upstream";
    case "agree":
      return agreedRelease(wanted, source.agreement, project, readers);
    case "overlay": {
      const view = await viewOf(readers, source.alias, name);
      if (view === null || !versionsKnownTo(view).has(version)) return "upstream";
      return indexRelease(wanted, source.alias, readers);
    }
    case "index":
      return indexRelease(wanted, source.alias, readers);
  }
}

type Wanted = Pick<LockedPackage, "name" | "version">;

/** @returns a reason where it is none. @throws ImprintError */
async function indexRelease(locked: Wanted, alias: DisplayName, readers: Readers): Promise<SignedRelease | string> {
  const version = locked.version as Version;
  const view = await viewOf(readers, alias, locked.name);
  if (view === null) return `index ${alias} does not have it`;
  const { withdrawn, deprecated, yanked } = view.record.doc;
  const reason = withdrawn.get(version);
  if (reason !== undefined) return `its author withdrew it${reason === "" ? "" : `: ${reason}`}`;
  const verdict = view.versions.get(version);
  if (verdict === undefined) return `index ${alias} does not have that version`;
  if (!("release" in verdict)) return verdict.reason;
  return {
    release: verdict.release.doc,
    signers: verdict.signers,
    yanked: verdict.verdict === "yanked" ? (yanked.get(version) ?? "") : null,
    deprecated: deprecated.get(version) ?? null,
  };
}

async function agreedRelease(
  { name, version: text }: Wanted,
  agreement: Agreement,
  project: Project,
  readers: Readers,
): Promise<SignedRelease | string> {
  const version = text as Version;
  const indices = new Map([...readers].map(([alias, reader]) => [alias, { reader }] as const));
  // It stands in the agreement, whose names an index can publish.
  const ballots = await readBallots(name as PackageName, agreement, { project, indices });
  const tally = tallyOf(agreement, ballots, "locked").get(version);
  const [first] = tally?.agreed ?? [];
  const failures = ballots.flatMap(({ alias, failure }) => (failure === null ? [] : [`${alias}: ${failure.message} (${failure.code})`]));
  if (tally?.standing === "withdrawn") return tally.reason ?? "withdrawn";
  if (tally === undefined || first === undefined) {
    const state = tally?.reason ?? "none of them has that version";
    return [`${agreement.threshold} of ${agreement.of.join(", ")} must agree on it: ${state}`, ...failures].join("; ");
  }
  const voters = new Set((tally.agreed ?? []).map(({ alias }) => alias));
  const verdicts = ballots.flatMap(({ alias, view }) => (voters.has(alias) ? [view?.versions.get(version)] : []));
  return {
    release: first.release,
    signers: verdicts.flatMap((verdict) => (verdict !== undefined && "signers" in verdict ? verdict.signers : [])),
    yanked: tally.standing === "yanked" ? (tally.reason ?? "") : null,
    deprecated: ballots.map(({ record }) => record?.deprecated.get(version)).find((message) => message !== undefined) ?? null,
  };
}

async function auditPublic(locked: LockedPackage, base: Judged, npm: NpmSignatures): Promise<Judged> {
  if (locked.origin.kind !== "registry")
    return { ...base, status: "elsewhere", warnings: ["from git, a file or an address, not from a registry: nobody vouches for it"] };
  const { signature, note } = await npm.judge(locked);
  const judged = { ...base, npmSignature: signature, integrityChecked: signature === "valid" };
  if (signature === "invalid") return { ...judged, reason: note };
  const brings = locked.hasShrinkwrap === true ? [SHRINKWRAP] : [];
  return { ...judged, status: "public", warnings: [...(note === null ? [] : [note]), ...brings] };
}

/**
 * Every hash in the lockfile must be one that the author signed: beside the right one, a weaker one that is wrong would
 * let some clients take other bytes. `weak`: there is nothing but the signed sha1.
 */
export function compareHashes({ integrity, shasum, hashes }: LockedPackage, dist: Dist): "signed" | "weak" | "none" | "other" {
  if (hashes === "archive") return "none";
  const sha1 = `sha1-${Buffer.from(dist.shasum, "hex").toString("base64")}`;
  const words = integrity === null ? [] : integrity.split(" ");
  if (!words.every((word) => word === dist.integrity || word === sha1)) return "other";
  if (shasum !== null && shasum !== dist.shasum) return "other";
  if (words.includes(dist.integrity)) return "signed";
  return words.length > 0 || shasum !== null ? "weak" : "other";
}

function because(reason: string | undefined): string {
  return reason === undefined || reason === "" ? "" : `: ${reason}`;
}
