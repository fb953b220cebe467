/**
 * Names that several indices must agree on (X7): a pure merge of what each of them says into what is offered.
 *
 * One hostile index, host or key among them can take versions away, and add none below the threshold: a version counts only
 * where enough of them list the same bytes with the same manifest, and none of them has ever been seen to take it back.
 */
import { ImprintError } from "../errors.ts";
import type { DisplayName } from "../format/decode.ts";
import { canonicalize, jsonObject } from "../format/json.ts";
import type { PackageName } from "../format/names.ts";
import type { PackumentVersion } from "../format/packument.ts";
import type { PackageRecord } from "../format/record.ts";
import type { Release } from "../format/release.ts";
import type { Agreement } from "../format/several-sources.ts";
import { type Timestamp, timestampMs } from "../format/time.ts";
import { compareVersions, type Version } from "../format/versions.ts";
import type { Since } from "../index/memory.ts";
import type { PackageView } from "../index/package-reader.ts";
import { HOUR_MS, type Offer, offeredTags, offerFrom, shownTime } from "./offer.ts";

/** What one index says of an agreed name. */
export type Ballot = {
  readonly alias: DisplayName;
  /** As this machine last verified it; null: verified absent, or nothing can be read. */
  readonly view: PackageView | null;
  readonly since: Since;
  /** What this machine knows it to have yanked and withdrawn: that counts even where it has no vote. */
  readonly record: PackageRecord | null;
  /** Why it has no vote: its host failed, or what it serves is refused. Null: it has one. */
  readonly failure: ImprintError | null;
  readonly minAgeHours: number;
};

export type Vote = { readonly alias: DisplayName; readonly release: Release; readonly time: Timestamp; readonly minAgeHours: number };

export type Tally = {
  /** `differs`: there are votes enough, but not for one thing. `short`: too few have it. */
  readonly standing: "agreed" | "differs" | "short" | "yanked" | "withdrawn";
  /** Whoever says the same, the largest group first; in each in the order of `of`. */
  readonly groups: readonly (readonly Vote[])[];
  /** The one group that meets the threshold; null: none does, or two do. */
  readonly agreed: readonly Vote[] | null;
  /** Why it is not offered; null: it is. */
  readonly reason: string | null;
};

/**
 * @param of `news`: what clients may choose now, by the indices that can be asked. `locked`: what a lockfile may have chosen
 *   before: yanked ones, and by what was last verified
 */
export function tallyOf({ threshold }: Agreement, ballots: readonly Ballot[], of: "news" | "locked" = "news"): ReadonlyMap<Version, Tally> {
  const known = new Set(ballots.flatMap(({ view, record }) => [...(view?.versions.keys() ?? []), ...(record?.withdrawn.keys() ?? [])]));
  return new Map([...known].map((version) => [version, tallyOfVersion(version, threshold, ballots, of === "locked")]));
}

function tallyOfVersion(version: Version, threshold: number, ballots: readonly Ballot[], isLocked: boolean): Tally {
  const bySubject = new Map<string, Vote[]>();
  for (const { alias, view, since, failure, minAgeHours } of ballots) {
    const entry = view?.versions.get(version);
    if (entry === undefined || !("release" in entry) || (failure !== null && !isLocked)) continue;
    const release = entry.release.doc;
    const vote: Vote = { alias, release, time: shownTime(release.published, since.get(version)), minAgeHours };
    const subject = subjectOf(release);
    bySubject.set(subject, [...(bySubject.get(subject) ?? []), vote]);
  }
  const groups = [...bySubject.values()].toSorted((a, b) => b.length - a.length);
  const full = groups.filter((group) => group.length >= threshold);
  const agreed = full.length === 1 ? (full[0] ?? null) : null;
  const takenBack = (what: "withdrawn" | "yanked"): string | null => {
    const by = ballots.find(({ record }) => record?.[what].has(version) === true);
    const why = by?.record?.[what].get(version) ?? "";
    return by === undefined ? null : `${what} by ${by.alias}${why === "" ? "" : ` (${why})`}`;
  };
  const withdrawn = takenBack("withdrawn");
  if (withdrawn !== null) return { standing: "withdrawn", groups, agreed, reason: withdrawn };
  const yanked = takenBack("yanked");
  if (yanked !== null) return { standing: "yanked", groups, agreed, reason: yanked };
  if (agreed !== null) return { standing: "agreed", groups, agreed, reason: null };
  const voters = groups.flat().map(({ alias }) => alias);
  return groups.length > 1
    ? { standing: "differs", groups, agreed, reason: `not the same bytes and manifest in ${groups.map(aliasesOf).join(" as in ")}` }
    : { standing: "short", groups, agreed, reason: voters.length === 0 ? "nobody vouches for it now" : `only in ${voters.join(", ")}` };
}

/** What they must agree on. All else (times, deprecations) is of no use to an attacker, or is merged so that it is not. */
function subjectOf({ dist, manifest }: Release): string {
  const { integrity, shasum, size } = dist;
  const subject = canonicalize(
    jsonObject([
      ["integrity", integrity],
      ["shasum", shasum],
      ["size", size],
      ["manifest", manifest],
    ]),
  );
  return Buffer.from(subject).toString();
}

/** @param nowMs Unix time in milliseconds */
export function agreedOffer(name: PackageName, agreement: Agreement, ballots: readonly Ballot[], nowMs: number): Offer {
  const versions: PackumentVersion[] = [];
  const held = new Map<Version, number>();
  for (const [version, { standing, agreed }] of tallyOf(agreement, ballots)) {
    const [first] = agreed ?? [];
    if (standing !== "agreed" || agreed === null || first === undefined) continue;
    const time = agreed.map((vote) => vote.time).reduce((a, b) => (a > b ? a : b));
    const minAgeHours = Math.max(...agreed.map((vote) => vote.minAgeHours));
    const readyAt = timestampMs(time) + minAgeHours * HOUR_MS;
    const deprecated = ballots.map(({ record }) => record?.deprecated.get(version)).find((message) => message !== undefined);
    if (minAgeHours > 0 && readyAt > nowMs) held.set(version, readyAt);
    else versions.push({ release: first.release, time, deprecated });
  }
  const tagger = ballots.find(({ failure, view }) => failure === null && view !== null);
  const offered = new Set(versions.map(({ release }) => release.version));
  const tags = offeredTags(tagger?.view?.record.doc.tags ?? new Map(), offered, () => true);
  return offerFrom({ source: { name, versions, tags, maintainer: agreement.of.join(", ") }, held });
}

/**
 * Why nothing is offered. An index that failed decides that: what it would have said is not known.
 *
 * @returns NEVER_SYNCED (503) only where nothing was refused and some index was never verified; NOT_FOUND where all verify that it is absent
 */
export function refusalOf(name: PackageName, agreement: Agreement, ballots: readonly Ballot[]): ImprintError {
  const rule = `${agreement.threshold} of ${agreement.of.join(", ")} must agree on it (agree in imprint.json)`;
  const failed = ballots.filter(({ failure }) => failure !== null);
  const { alias, failure } = failed.find((ballot) => ballot.failure?.code !== "NEVER_SYNCED") ?? failed[0] ?? { alias: "", failure: null };
  if (failure !== null) {
    const code = failure.code === "NEVER_SYNCED" || failure.httpStatus === 403 ? failure.code : "NOT_AGREED";
    const { step, file } = failure;
    return new ImprintError(code, `Cannot serve ${name}: ${rule}, and ${alias} has no vote: ${failure.message}`, {
      cause: failure,
      ...(step === undefined ? {} : { step }),
      ...(file === undefined ? {} : { file }),
    });
  }
  if (ballots.every(({ view }) => view === null))
    return new ImprintError(
      "NOT_FOUND",
      `Cannot find ${name}: none of ${agreement.of.join(", ")} has it, and no other source may answer for it`,
    );
  const [newest] = [...tallyOf(agreement, ballots)].toSorted(([a], [b]) => compareVersions(b, a));
  const example = newest === undefined ? "none of them offers a version" : `${newest[0]}: ${newest[1].reason ?? "agreed"}`;
  return new ImprintError("NOT_AGREED", `Cannot serve ${name}: ${rule}, and no version of it counts (${example})`);
}

function aliasesOf(votes: readonly Vote[]): string {
  return votes.map(({ alias }) => alias).join(", ");
}
