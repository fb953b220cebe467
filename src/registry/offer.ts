/** What of a package clients are offered: the releases that count, old enough where the consumer asks for an age. */
import type { PackumentSource, PackumentVersion } from "../format/packument.ts";
import type { Release } from "../format/release.ts";
import { timestampMs, type Timestamp } from "../format/time.ts";
import { compareVersions, type DistTag, isPrerelease, type Version } from "../format/versions.ts";
import type { PackageView } from "../index/package-reader.ts";
import type { Since } from "../index/memory.ts";

export type Offer = {
  readonly source: PackumentSource;
  /** Too young by the consumer's policy: when each will be old enough, in Unix milliseconds. */
  readonly held: ReadonlyMap<Version, number>;
  /** The newest of all that is offered, and when it appeared; null: nothing is. */
  readonly newest: { readonly version: Version; readonly at: number } | null;
  readonly hasInstallScript: boolean;
  /** Left out, since a dependency would stand in a claimed name's place (X13): why. */
  readonly taking: ReadonlyMap<Version, string>;
  /** Until when this holds, in Unix milliseconds: then the first of the held ones is old enough. */
  readonly until: number;
};

export const HOUR_MS = 3_600_000;
const LATEST = "latest" as DistTag;

/**
 * @param maintainer display name of the index
 * @param policy `minAgeHours` counts from the first appearance: what was published before it was seen is as old as its claim
 *   only where this machine has no memory that contradicts it
 */
export function offerOf(
  { view, since }: { readonly view: PackageView; readonly since: Since },
  maintainer: string,
  { minAgeHours, nowMs }: { readonly minAgeHours: number; readonly nowMs: number },
): Offer {
  const { deprecated, tags } = view.record.doc;
  const versions: PackumentVersion[] = [];
  const held = new Map<Version, number>();
  for (const [version, entry] of view.versions) {
    if (entry.verdict !== "ok") continue;
    const time = shownTime(entry.release.doc.published, since.get(version));
    const readyAt = timestampMs(time) + minAgeHours * HOUR_MS;
    if (minAgeHours > 0 && readyAt > nowMs) held.set(version, readyAt);
    else versions.push({ release: entry.release.doc, time, deprecated: deprecated.get(version) });
  }
  return offerFrom({
    source: {
      name: view.name,
      versions,
      tags: offeredTags(tags, new Set(versions.map(({ release }) => release.version)), (latest) => held.has(latest)),
      maintainer,
    },
    held,
  });
}

/** What follows from what is offered and what is held back. */
export function offerFrom({ source, held, taking = new Map() }: Pick<Offer, "source" | "held"> & Partial<Pick<Offer, "taking">>): Offer {
  const { versions } = source;
  let newest = versions[0];
  for (const one of versions) if (newest !== undefined && compareVersions(one.release.version, newest.release.version) > 0) newest = one;
  return {
    source,
    held,
    taking,
    newest: newest === undefined ? null : { version: newest.release.version, at: timestampMs(newest.time) },
    hasInstallScript: versions.some(({ release }) => release.manifest["hasInstallScript"] === true),
    until: Math.min(Number.POSITIVE_INFINITY, ...held.values()),
  };
}

/** The same without versions that a rule of the consumer refuses. */
export function offerWithout(offer: Offer, refuses: (release: Release) => string | null): Offer {
  const taking = new Map<Version, string>();
  for (const { release } of offer.source.versions) {
    const why = refuses(release);
    if (why !== null) taking.set(release.version, why);
  }
  if (taking.size === 0) return offer;
  const versions = offer.source.versions.filter(({ release }) => !taking.has(release.version));
  const tags = offeredTags(offer.source.tags, new Set(versions.map(({ release }) => release.version)), (latest) => taking.has(latest));
  return offerFrom({ source: { ...offer.source, versions, tags }, held: offer.held, taking });
}

/**
 * Tags whose release is offered. A `latest` that is not, and `mayFall`, stands on the highest release below it instead:
 * never above, or whoever moves a tag could raise what everybody installs.
 */
export function offeredTags(
  tags: ReadonlyMap<DistTag, Version>,
  offered: ReadonlySet<Version>,
  mayFall: (latest: Version) => boolean,
): ReadonlyMap<DistTag, Version> {
  const kept = new Map([...tags].filter(([, version]) => offered.has(version)));
  const latest = tags.get(LATEST);
  if (latest === undefined || offered.has(latest) || !mayFall(latest)) return kept;
  const [below] = [...offered]
    .filter((version) => compareVersions(version, latest) < 0 && (!isPrerelease(version) || isPrerelease(latest)))
    .toSorted((a, b) => compareVersions(b, a));
  return below === undefined ? kept : new Map([[LATEST, below], ...kept]);
}

/** When a release can have appeared: as it claims, or when this machine knows that it was not there yet. */
export function shownTime(claimed: Timestamp, seen: Timestamp | undefined): Timestamp {
  return seen !== undefined && seen > claimed ? seen : claimed;
}
