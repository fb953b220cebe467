/**
 * Audits a lockfile against what is signed: for each package its source, whether the locked integrity is the signed one,
 * and who signed. What this proves holds without trusting any resolver that made the lockfile.
 */
import { isImprintError } from "../errors.ts";
import type { DisplayName } from "../format/decode.ts";
import type { PublicKey } from "../format/keys.ts";
import { isPackageName } from "../format/names.ts";
import type { Project } from "../format/project.ts";
import type { Dist } from "../format/release.ts";
import type { Version } from "../format/versions.ts";
import type { IndexReader } from "../index/reader.ts";
import { sourceOf } from "../registry/claims.ts";
import type { LockedPackage } from "./lockfiles/locked.ts";
import type { NpmSignatures, NpmVerdict } from "./npm-signatures.ts";

/** `public`: of the public registry, signed by no index. `elsewhere`: from git, a file or an address; nobody vouches for it. */
export type AuditStatus = "signed" | "public" | "elsewhere" | "refused";
export type AuditedPackage = {
  /** Where it stands in the lockfile. */
  readonly path: string;
  readonly name: string;
  readonly version: string;
  /** Alias of the index, `upstream`, or `none`. */
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
  const label = source.kind === "index" ? source.alias : source.kind === "upstream" ? "upstream" : "none";
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
  if (locked.installedAs !== name && place?.kind === "index" && label !== place.alias)
    return refused(`it stands in the place of ${locked.installedAs}, which ${place.alias} answers for`);
  if (source.kind === "denied") return refused("imprint.json lets no source answer for it");
  if (source.kind === "upstream") return auditPublic(locked, base, npm);
  if (!locked.fromRegistry) return refused(`${source.alias} answers for it, but the lockfile takes it from elsewhere`);
  if (locked.hashes === "tarball" && locked.integrity === null && locked.shasum === null)
    return refused("the lockfile has no integrity for it");
  const reader = readers.get(source.alias);
  if (reader === undefined) return refused(`index ${source.alias} is not open`);
  try {
    const { view } = await reader.readPackage(name);
    if (view === null) return refused(`index ${source.alias} does not have it`);
    const reason = view.record.doc.withdrawn.get(version as Version);
    if (reason !== undefined) return refused(`its author withdrew it${reason === "" ? "" : `: ${reason}`}`);
    const verdict = view.versions.get(version as Version);
    if (verdict === undefined) return refused(`index ${source.alias} does not have that version`);
    if (!("release" in verdict)) return refused(verdict.reason);
    const hashes = compareHashes(locked, verdict.release.doc.dist);
    if (hashes === "other") return refused("the locked integrity is not the signed one");
    const deprecated = view.record.doc.deprecated.get(version as Version) ?? null;
    const yanked = verdict.verdict === "yanked";
    const warnings = [
      ...(hashes === "none" ? ["signed by name and version; its integrity is not in this lockfile"] : []),
      ...(hashes === "weak" ? ["the lockfile has only a sha1 of it, which can be forged; install again to get its sha512"] : []),
      ...(yanked ? [`yanked${because(view.record.doc.yanked.get(version as Version))}`] : []),
      ...(deprecated === null ? [] : [`deprecated${because(deprecated)}`]),
    ];
    const integrityChecked = hashes === "signed" || hashes === "weak";
    return { ...base, status: "signed", signers: verdict.signers, warnings, integrityChecked, yanked, deprecated };
  } catch (error) {
    if (!isImprintError(error)) throw error;
    return refused(`${error.message} (${error.code})`);
  }
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
