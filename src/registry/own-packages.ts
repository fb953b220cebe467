/**
 * Packages that indices answer for: of one index, or of several that agree. Whoever asks gets what is offered, what it
 * depends on, and the way to the tarballs.
 */
import { ImprintError, isImprintError } from "../errors.ts";
import type { DisplayName } from "../format/decode.ts";
import type { PackageName } from "../format/names.ts";
import { type PackumentSource, type PackumentVersion, tarballFileName } from "../format/packument.ts";
import type { Project } from "../format/project.ts";
import type { Release } from "../format/release.ts";
import type { Agreement } from "../format/several-sources.ts";
import type { Weight } from "../index/heavy.ts";
import type { PackageView } from "../index/package-reader.ts";
import type { IndexReader, PackageRead } from "../index/reader.ts";
import type { TarballStore } from "../index/tarballs.ts";
import { newestRoot } from "../index/trust.ts";
import { agreedOffer, refusalOf, tallyOf } from "./agree.ts";
import { askBallots, ballotsUntil, type ReadBallot } from "./ballots.ts";
import type { LazySync } from "./lazy-sync.ts";
import { type Offer, offerOf, offerWithout, shownTime } from "./offer.ts";
import { takenPlace } from "./taken-places.ts";
import { oddDependencies } from "../format/dependencies.ts";
import type { TarballBody } from "./port.ts";

export type OwnPackage = {
  readonly offer: Offer;
  /** The same for a client that has chosen by a lockfile. */
  readonly locked: () => PackumentSource;
  /** Changes whenever what is offered may have changed. */
  readonly key: string;
  /** Whether the same would be answered now. Asks nobody. */
  readonly isGood: () => boolean;
  /** Why nothing is offered, where that is a refusal. */
  readonly refusal: ImprintError | null;
  /** Yanked ones too: a locked install goes on. @throws ImprintError RELEASE_REFUSED, NOT_FOUND, NOT_AGREED, TARBALL_MISMATCH, … */
  tarball(file: string): Promise<TarballBody>;
};

export type OwnPackages = {
  /** Null: verified absent. @throws ImprintError where it is refused, or was never verified; HeavyPackage where it is, and is not wanted */
  ofIndex(alias: DisplayName, name: PackageName, weight: Weight): Promise<(OwnPackage & { readonly view: PackageView }) | null>;
  ofAgreement(agreement: Agreement, name: PackageName): Promise<OwnPackage>;
};

export function createOwnPackages(deps: {
  readonly project: Project;
  readonly indices: ReadonlyMap<DisplayName, { readonly reader: IndexReader; readonly tarballs: TarballStore }>;
  readonly lazySync: LazySync;
  /** How long an index that was never verified is waited for where others can decide. */
  readonly syncWaitMs: number;
  /** Unix time in milliseconds. */
  readonly wallMs: () => number;
  readonly warned: (alias: DisplayName, message: string) => void;
}): OwnPackages {
  const { project, indices, lazySync, wallMs } = deps;
  // Made once for each reading, not for each request.
  const offers = new WeakMap<PackageRead, Offer>();
  const agreedOffers = new Map<PackageName, { readonly key: string; readonly offer: Offer }>();
  const voteless = new Map<DisplayName, string>();

  const offerFrom = (alias: DisplayName, read: PackageRead, view: PackageView, maintainer: string): Offer => {
    const nowMs = wallMs();
    const known = offers.get(read);
    if (known !== undefined && known.source.maintainer === maintainer && nowMs < known.until) return known;
    const minAgeHours = project.indices.get(alias)?.minAgeHours ?? 0;
    const offer = offerWithout(offerOf({ view, since: read.since }, maintainer, { minAgeHours, nowMs }), (release) => takes(release));
    offers.set(read, offer);
    return offer;
  };

  /** Once, until it changes: an index without a vote takes nothing away that the others agree on, so nobody would notice. */
  const report = ({ alias, failure }: ReadBallot): void => {
    if (failure === null) {
      voteless.delete(alias);
      return;
    }
    const message = `has no vote on what is agreed: ${failure.message} (${failure.code})`;
    if (voteless.get(alias) !== message) deps.warned(alias, message);
    voteless.set(alias, message);
  };

  const takes = ({ name, manifest }: Release): string | null => takenPlace(project, name, oddDependencies(manifest));
  const requireNoPlace = (release: Release): void => {
    const why = takes(release);
    if (why !== null) throw new ImprintError("RELEASE_REFUSED", `Cannot serve ${release.name}@${release.version}: ${why}`);
  };

  const tooYoung = (name: PackageName, { newest, held, until }: Offer, rule: string): ImprintError | null =>
    newest !== null || held.size === 0
      ? null
      : new ImprintError(
          "TOO_YOUNG",
          `Cannot serve ${name}: no release of it is ${rule}, as imprint.json asks (minAgeHours); the first will be at ${new Date(until).toISOString()}`,
        );

  return {
    async ofIndex(alias, name, weight) {
      const entry = indices.get(alias);
      if (entry === undefined) throw new ImprintError("NEVER_SYNCED", `Cannot answer for ${name}: index ${alias} is not open`);
      await lazySync(alias, entry.reader);
      // Before anything is read: news that come meanwhile are not in it.
      const isSynced = lazySync.holds(alias);
      const state = await entry.reader.current();
      const read = await entry.reader.readPackage(name, weight);
      const { view } = read;
      if (view === null) return null;
      const root = state === null ? null : newestRoot(state.roots);
      const offer = offerFrom(alias, read, view, root?.doc.name ?? alias);
      return {
        view,
        offer,
        locked: () => withYanked(offer, read, view, takes),
        // A new root may let releases count that did not before, without a byte of the record changing; so may time.
        key: `${root?.digest ?? ""} ${view.record.digest} ${offer.until}`,
        isGood: holdsUntil([isSynced], offer.until, wallMs),
        refusal: allTaking(name, offer) ?? tooYoung(name, offer, `${project.indices.get(alias)?.minAgeHours ?? 0} hours old`),
        async tarball(file) {
          const release = releaseOfFile(view, file);
          if (release === null) throw refuseFile(view, file);
          requireNoPlace(release);
          return entry.tarballs.open(release);
        },
      };
    },
    async ofAgreement(agreement, name) {
      const asked = askBallots(name, agreement, { project, indices, lazySync });
      // One that does not answer is waited for only where nothing counts without it (T9). Twice as long as for news alone:
      // what was verified before is still to be read then.
      const isEnough = (ballots: readonly ReadBallot[]): boolean => agreedOffer(name, agreement, ballots, wallMs()).newest !== null;
      const ballots = await ballotsUntil(isEnough, deps.syncWaitMs * 2, asked, { name, agreement, indices });
      for (const ballot of ballots) report(ballot);
      const key = ballots.map((ballot) => ballot.key).join(" | ");
      const known = agreedOffers.get(name);
      const isKnown = known?.key === key && wallMs() < known.offer.until;
      const offer = isKnown ? known.offer : offerWithout(agreedOffer(name, agreement, ballots, wallMs()), takes);
      agreedOffers.set(name, { key, offer });
      return {
        offer,
        locked: () => offer.source,
        key: `${key} ${offer.until}`,
        isGood: holdsUntil(
          ballots.map(({ isSynced }) => isSynced),
          offer.until,
          wallMs,
        ),
        refusal:
          offer.newest !== null
            ? null
            : (allTaking(name, offer) ?? tooYoung(name, offer, "old enough") ?? refusalOf(name, agreement, ballots)),
        tarball: (file) => openAgreed(name, agreement, ballots, file, indices, requireNoPlace),
      };
    },
  };
}

/** Made here, where no package is in reach: answers are remembered with it long after the package is forgotten. */
function holdsUntil(synced: readonly (() => boolean)[], until: number, wallMs: () => number): () => boolean {
  return () => synced.every((isSynced) => isSynced()) && wallMs() < until;
}

/** What a lockfile may hold: yanked releases go on where they are locked, and npm asks for a packument to find their tarballs. */
function withYanked(
  { source }: Offer,
  { since }: PackageRead,
  view: PackageView,
  takes: (release: Release) => string | null,
): PackumentSource {
  const yanked = [...view.versions].flatMap(([version, entry]): PackumentVersion[] => {
    if (entry.verdict !== "yanked" || takes(entry.release.doc) !== null) return [];
    const why = view.record.doc.yanked.get(version) ?? "";
    const time = shownTime(entry.release.doc.published, since.get(version));
    return [{ release: entry.release.doc, time, deprecated: `yanked${why === "" ? "" : `: ${why}`}` }];
  });
  return { ...source, versions: [...source.versions, ...yanked] };
}

/** Nothing is left to offer: the reason of one of them says why. */
function allTaking(name: PackageName, { newest, held, taking }: Offer): ImprintError | null {
  const [first] = taking;
  if (newest !== null || held.size > 0 || first === undefined) return null;
  return new ImprintError("RELEASE_REFUSED", `Cannot serve ${name}: ${first[0]} is not offered: ${first[1]}`);
}

/** From the first of those who agree whose sources have it: the bytes are checked against what they agree on. */
async function openAgreed(
  name: PackageName,
  agreement: Agreement,
  ballots: readonly ReadBallot[],
  file: string,
  indices: Parameters<typeof createOwnPackages>[0]["indices"],
  require: (release: Release) => void,
): Promise<TarballBody> {
  const [found] = [...tallyOf(agreement, ballots, "locked")].filter(([version]) => tarballFileName(name, version) === file);
  if (found === undefined) {
    const refusal = refusalOf(name, agreement, ballots);
    const isKnown = ballots.every(({ failure }) => failure === null);
    throw isKnown
      ? new ImprintError("NOT_FOUND", `Cannot find ${file} of ${name}: none of ${agreement.of.join(", ")} has that version`)
      : refusal;
  }
  const [version, { standing, agreed, reason }] = found;
  if (standing === "withdrawn") throw new ImprintError("RELEASE_REFUSED", `Cannot serve ${name}@${version}: ${reason ?? ""}`);
  if (agreed === null) {
    const failed = ballots.find(({ failure, view }) => failure !== null && view === null);
    if (failed !== undefined) throw refusalOf(name, agreement, ballots);
    throw new ImprintError(
      "NOT_AGREED",
      `Cannot serve ${name}@${version}: ${agreement.threshold} of ${agreement.of.join(", ")} must agree on it; ${reason ?? ""}`,
    );
  }
  for (const { release } of agreed) require(release);
  let fault: ImprintError | null = null;
  for (const { alias, release } of agreed) {
    try {
      return await (indices.get(alias) as { readonly tarballs: TarballStore }).tarballs.open(release);
    } catch (error) {
      if (!isImprintError(error)) throw error;
      fault ??= error;
    }
  }
  throw fault ?? new ImprintError("MISSING_FILE", `Cannot serve ${name}@${version}: nobody has its tarball`);
}

/** Yanked ones too: a locked install goes on. */
function releaseOfFile(view: PackageView, file: string): Release | null {
  for (const [version, entry] of view.versions) {
    if ((entry.verdict === "ok" || entry.verdict === "yanked") && tarballFileName(view.name, version) === file) return entry.release.doc;
  }
  return null;
}

function refuseFile(view: PackageView, file: string): ImprintError {
  for (const [version, entry] of view.versions) {
    if ("reason" in entry && tarballFileName(view.name, version) === file)
      return new ImprintError("RELEASE_REFUSED", `Cannot serve ${view.name}@${version}: ${entry.reason}`);
  }
  for (const [version, reason] of view.record.doc.withdrawn) {
    if (tarballFileName(view.name, version) === file)
      return new ImprintError(
        "RELEASE_REFUSED",
        `Cannot serve ${view.name}@${version}: its author withdrew it${reason === "" ? "" : ` (${reason})`}`,
      );
  }
  return new ImprintError("NOT_FOUND", `Cannot find ${file} of ${view.name}: its index does not have that version`);
}
