/**
 * Audits a lockfile against what is signed: for each package its source, whether the locked integrity is the signed one,
 * and who signed. What this proves holds without trusting any resolver that made the lockfile.
 */
import { isImprintError } from "../errors.ts";
import type { DisplayName } from "../format/decode.ts";
import type { PublicKey } from "../format/keys.ts";
import { isPackageName } from "../format/names.ts";
import type { Project } from "../format/project.ts";
import type { Version } from "../format/versions.ts";
import type { IndexReader } from "../index/reader.ts";
import { sourceOf } from "../registry/claims.ts";
import type { LockedPackage } from "./lockfile.ts";

export type AuditStatus = "signed" | "public" | "refused";
export type AuditedPackage = {
  readonly path: string;
  readonly name: string;
  readonly version: string;
  /** Alias of the index, `upstream`, or `none`. */
  readonly source: string;
  readonly status: AuditStatus;
  /** Why it is refused; null otherwise. */
  readonly reason: string | null;
  readonly signers: readonly PublicKey[];
  readonly yanked: boolean;
  readonly deprecated: string | null;
};

export async function auditPackages(options: {
  readonly packages: readonly LockedPackage[];
  readonly project: Project;
  readonly readers: ReadonlyMap<DisplayName, IndexReader>;
  readonly onProgress: (done: number, total: number) => void;
}): Promise<readonly AuditedPackage[]> {
  const { packages, project, readers, onProgress } = options;
  const audited: AuditedPackage[] = [];
  for (const locked of packages) {
    audited.push(await auditOne(locked, project, readers));
    onProgress(audited.length, packages.length);
  }
  return audited;
}

async function auditOne(locked: LockedPackage, project: Project, readers: ReadonlyMap<DisplayName, IndexReader>): Promise<AuditedPackage> {
  const { path, name, version, integrity } = locked;
  const source = sourceOf(project, name);
  const label = source.kind === "index" ? source.alias : source.kind === "upstream" ? "upstream" : "none";
  const base = { path, name, version, source: label, signers: [], yanked: false, deprecated: null };
  const refused = (reason: string): AuditedPackage => ({ ...base, status: "refused", reason });
  // An alias in a claimed name's place: whoever requires that name gets what its index never signed.
  const place = isPackageName(locked.installedAs) ? sourceOf(project, locked.installedAs) : null;
  if (locked.installedAs !== name && place?.kind === "index" && label !== place.alias)
    return refused(`it stands in the place of ${locked.installedAs}, which ${place.alias} answers for`);
  if (source.kind === "denied") return refused("imprint.json lets no source answer for it");
  if (source.kind === "upstream") return { ...base, status: "public", reason: null };
  if (!locked.fromRegistry) return refused(`${source.alias} answers for it, but the lockfile takes it from elsewhere`);
  if (integrity === null) return refused("the lockfile has no integrity for it");
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
    // Exactly the signed hash: an SRI list with a weaker one beside it would let npm take other bytes.
    if (verdict.release.doc.dist.integrity !== integrity) return refused("the locked integrity is not the signed one");
    return {
      ...base,
      status: "signed",
      reason: null,
      signers: verdict.signers,
      yanked: verdict.verdict === "yanked",
      deprecated: view.record.doc.deprecated.get(version as Version) ?? null,
    };
  } catch (error) {
    if (!isImprintError(error)) throw error;
    return refused(`${error.message} (${error.code})`);
  }
}
