/**
 * What an import would add to an own index: every question that can be answered before a tarball is downloaded or a key
 * is opened. Pure but for reading.
 */
import ssri from "ssri";
import { ImprintError } from "../errors.ts";
import type { PackageName } from "../format/names.ts";
import { compareVersions, isPrerelease, type Version } from "../format/versions.ts";
import type { Base } from "../index/publish.ts";
import type { PackageView } from "../index/package-reader.ts";
import { LATEST, type ReleaseRequest } from "../index/writer.ts";
import type { PublicRelease } from "../registry/upstream/releases.ts";
import { labelOf } from "../registry/upstream/resolve.ts";
import type { Deps } from "./deps.ts";
import { type OwnIndex, ownIndexNamed, ownIndicesFor, rankOf } from "./own-indices.ts";

/** Names shown of a long list. */
const MAX_SHOWN = 10;

/**
 * The index that `--index` names, or the only one, or the one that grants all names most closely.
 *
 * @throws ImprintError NO_OWN_INDEX, USAGE
 */
export async function indexForImport(deps: Deps, named: string | undefined, names: readonly PackageName[]): Promise<OwnIndex> {
  if (named !== undefined) return ownIndexNamed(deps, named, deps.cwd);
  const { known, closest } = await ownIndicesFor(deps, names);
  const [only] = known;
  if (known.length === 1 && only !== undefined) return only;
  const owners = [...new Set(closest.values())];
  const [owner] = owners;
  if (owner !== undefined && owners.length === 1) return owner;
  const which =
    owners.length === 0 ? "none of your indices grants any of them" : `they fall to ${owners.map(({ name }) => name).join(" and ")}`;
  throw new ImprintError("USAGE", `Cannot import ${names.length} packages: ${which}; choose one index with --index`);
}

/** @throws ImprintError NOT_GRANTED naming every name that the root does not grant */
export function requireGrants({ state }: Pick<Base, "state">, own: OwnIndex, names: readonly PackageName[]): void {
  const missing = [...new Set(names)].filter((name) => rankOf(state, name) === 0);
  if (missing.length === 0) return;
  const all = missing.length > 1 ? " for each, or '*' for any" : "";
  throw new ImprintError(
    "NOT_GRANTED",
    `Cannot import into ${own.name}: its root does not grant ${missing.join(", ")}; run: imprint root grant '${missing[0] ?? ""}'${all}`,
  );
}

export type Planned = {
  readonly fresh: readonly PublicRelease[];
  readonly present: readonly PublicRelease[];
  /** Of those that are there: taken back, so that no install finds them. */
  readonly yanked: readonly PublicRelease[];
};

/**
 * What is new, and what the index holds already with the same bytes.
 *
 * @throws ImprintError VERSION_EXISTS where upstream has other bytes now than when it was imported; RELEASE_REFUSED
 */
export function planImport(releases: readonly PublicRelease[], packages: ReadonlyMap<PackageName, PackageView | null>): Planned {
  const fresh: PublicRelease[] = [];
  const present: PublicRelease[] = [];
  const yanked: PublicRelease[] = [];
  const changed: string[] = [];
  for (const release of releases) {
    const verdict = packages.get(release.name)?.versions.get(release.version);
    if (verdict === undefined) fresh.push(release);
    else if (!("release" in verdict))
      throw new ImprintError(
        "RELEASE_REFUSED",
        `Cannot import ${labelOf(release)}: the index holds one that is refused (${verdict.reason})`,
      );
    else if (sameBytes(release.source.integrity, verdict.release.doc.dist)) {
      present.push(release);
      if (verdict.verdict === "yanked") yanked.push(release);
    } else changed.push(labelOf(release));
  }
  if (changed.length > 0)
    throw new ImprintError(
      "VERSION_EXISTS",
      `Cannot import ${shortList(changed)}: upstream has other bytes now than the index signed; one of the two was tampered with`,
    );
  return { fresh, present, yanked };
}

/** @param said by the registry: SRI of a sha512, or of an old package's sha1 */
export function sameBytes(said: string, { integrity, shasum }: { readonly integrity: string; readonly shasum: string }): boolean {
  const ours = ssri.parse(`${integrity} ${ssri.fromHex(shasum, "sha1").toString()}`);
  return ours !== null && ours.match(said) !== false;
}

/**
 * Which tags the new releases of one package ask for: one of them `latest`, or none. `latest` never moves down, never to
 * a prerelease off a stable one, and prefers upstream's own: a higher number may be tomorrow's major version.
 */
export function tagRequests(
  releases: readonly Pick<PublicRelease, "name" | "version" | "isLatest">[],
  packages: ReadonlyMap<PackageName, PackageView | null>,
): readonly (Pick<ReleaseRequest, "name" | "version" | "tag"> & { readonly keepsTags?: true })[] {
  const latest = new Map<PackageName, Version | null>();
  for (const name of new Set(releases.map((release) => release.name))) {
    const members = releases.filter((release) => release.name === name);
    latest.set(name, nextLatest(members, packages.get(name)?.record.doc.tags.get(LATEST) ?? null));
  }
  return releases.map(({ name, version }) =>
    latest.get(name) === version ? { name, version, tag: LATEST } : { name, version, tag: null, keepsTags: true },
  );
}

function nextLatest(members: readonly Pick<PublicRelease, "version" | "isLatest">[], current: Version | null): Version | null {
  const stable = members.filter(({ version }) => !isPrerelease(version));
  const candidates = (stable.length > 0 ? stable : members).map(({ version }) => version).toSorted(compareVersions);
  const best = members.find(({ isLatest }) => isLatest)?.version ?? candidates.at(-1) ?? null;
  if (best === null || current === null) return best;
  if (isPrerelease(best) && !isPrerelease(current)) return null;
  return compareVersions(best, current) > 0 ? best : null;
}

export function shortList(labels: readonly string[]): string {
  return labels.length <= MAX_SHOWN ? labels.join(", ") : `${labels.slice(0, MAX_SHOWN).join(", ")} and ${labels.length - MAX_SHOWN} more`;
}
