/**
 * Audits a lockfile against what is signed: for each package its source, whether the locked integrity is the signed one,
 * and who signed. What this proves holds without trusting any resolver that made the lockfile.
 */
import { ImprintError, isImprintError } from "../errors.ts";
import type { DisplayName } from "../format/decode.ts";
import type { PublicKey } from "../format/keys.ts";
import { isPackageName, type PackageName } from "../format/names.ts";
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
import type { LockedPackage } from "./lockfiles/locked.ts";
import type { NpmSignatures, NpmVerdict } from "./npm-signatures.ts";

/** `public`: of the public registry, signed by no index. `elsewhere`: from git, a file or an address; nobody vouches for it. */
export type AuditStatus = "signed" | "public" | "elsewhere" | "refused";
export type AuditedPackage = {
  /** Where it stands in the lockfile. */
  readonly path: string;
  readonly name: string;
  readonly version: string;
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

export async function auditPackages(options: {
  readonly packages: readonly LockedPackage[];
  readonly project: Project;
  readonly readers: ReadonlyMap<DisplayName, IndexReader>;
  readonly npm: NpmSignatures;
  /** Warnings become refusals. */
  readonly strict: boolean;
  readonly onProgress: (done: number, total: number) => void;
}): Promise<readonly AuditedPackage[]> {
  const { packages, strict, onProgress } = options;
  const audited: AuditedPackage[] = [];
  let next = 0;
  let done = 0;
  const work = async (): Promise<void> => {
    for (let i = next++; i < packages.length; i = next++) {
      const one = await auditOne(packages[i] as LockedPackage, options);
      audited[i] =
        strict && one.status !== "refused" && one.warnings.length > 0
          ? { ...one, status: "refused", reason: one.warnings.join("; ") }
          : one;
      onProgress(++done, packages.length);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return audited;
}

async function auditOne(
  locked: LockedPackage,
  {
    project,
    readers,
    npm,
  }: { readonly project: Project; readonly readers: ReadonlyMap<DisplayName, IndexReader>; readonly npm: NpmSignatures },
): Promise<AuditedPackage> {
  const { path, name, version } = locked;
  const source = sourceOf(project, name);
  const label = labelOf(source);
  const base: AuditedPackage = {
    path,
    name,
    version,
    source: label,
    status: "refused",
    reason: null,
    warnings: [],
    signers: [],
    integrityChecked: false,
    yanked: false,
    deprecated: null,
    npmSignature: null,
  };
  const refused = (reason: string): AuditedPackage => ({ ...base, reason });
  // An alias in a claimed name's place: whoever requires that name gets what its index never signed.
  const place = isPackageName(locked.installedAs) ? sourceOf(project, locked.installedAs) : null;
  if (locked.installedAs !== name && place !== null && aliasesOf(place).length > 0 && label !== labelOf(place))
    return refused(`it stands in the place of ${locked.installedAs}, which ${labelOf(place)} answers for`);
  if (source.kind === "denied") return refused("imprint.json lets no source answer for it");
  if (source.kind === "upstream") return auditPublic(locked, base, npm);
  if (!locked.fromRegistry) return refused(`${label} answers for it, but the lockfile takes it from elsewhere`);
  if (source.kind === "overlay") {
    try {
      const view = await viewOf(readers, source.alias, name);
      if (view === null || !versionsKnownTo(view).has(version)) return await auditPublic(locked, { ...base, source: "upstream" }, npm);
    } catch (error) {
      if (!isImprintError(error)) throw error;
      return refused(`${error.message} (${error.code})`);
    }
  }
  if (locked.hashes === "tarball" && locked.integrity === null && locked.shasum === null)
    return refused("the lockfile has no integrity for it");
  try {
    const signed =
      source.kind === "agree"
        ? await agreedRelease(locked, source.agreement, project, readers)
        : await indexRelease(locked, source.alias, readers);
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
    return { ...base, source: owner, status: "signed", signers, warnings, integrityChecked, yanked: yanked !== null, deprecated };
  } catch (error) {
    if (!isImprintError(error)) throw error;
    return refused(`${error.message} (${error.code})`);
  }
}

type Readers = ReadonlyMap<DisplayName, IndexReader>;

/** A release that a lockfile may hold, and what its author said of it since. */
type SignedRelease = {
  readonly release: Release;
  readonly signers: readonly PublicKey[];
  /** Why; null where it is not. */ readonly yanked: string | null;
  readonly deprecated: string | null;
};

async function viewOf(readers: Readers, alias: DisplayName, name: PackageName): Promise<PackageView | null> {
  const reader = readers.get(alias);
  if (reader === undefined) throw new ImprintError("NEVER_SYNCED", `Cannot audit ${name}: index ${alias} is not open`);
  return (await reader.readPackage(name)).view;
}

/** @returns a reason where it is none. @throws ImprintError */
async function indexRelease(locked: LockedPackage, alias: DisplayName, readers: Readers): Promise<SignedRelease | string> {
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
  { name, version: text }: LockedPackage,
  agreement: Agreement,
  project: Project,
  readers: Readers,
): Promise<SignedRelease | string> {
  const version = text as Version;
  const indices = new Map([...readers].map(([alias, reader]) => [alias, { reader }] as const));
  const ballots = await readBallots(name, agreement, { project, indices });
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

async function auditPublic(locked: LockedPackage, base: AuditedPackage, npm: NpmSignatures): Promise<AuditedPackage> {
  if (!locked.fromRegistry)
    return { ...base, status: "elsewhere", warnings: ["from git, a file or an address, not from a registry: nobody vouches for it"] };
  const { signature, note } = await npm.judge(locked);
  const judged = { ...base, npmSignature: signature, integrityChecked: signature === "valid" };
  if (signature === "invalid") return { ...judged, reason: note };
  return { ...judged, status: "public", warnings: note === null ? [] : [note] };
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
