/** `imprint view <package>[@version|tag]`: what is known of a package, and where each of its dependencies would come from. */
import { ImprintError, isImprintError } from "../../errors.ts";
import type { DisplayName } from "../../format/decode.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../format/json.ts";
import { isPackageName, type PackageName, parsePublicName, type PublicName } from "../../format/names.ts";
import type { Project } from "../../format/project.ts";
import type { Agreement } from "../../format/several-sources.ts";
import { compareVersions, type DistTag, isVersion, type Version } from "../../format/versions.ts";
import { agreedOffer, refusalOf, tallyOf } from "../../registry/agree.ts";
import { readBallots } from "../../registry/ballots.ts";
import { labelOf, type Source, sourceOf } from "../../registry/claims.ts";
import { plainOf } from "../../registry/document.ts";
import { offerOf } from "../../registry/offer.ts";
import { type Consumer, freshen, openConsumer } from "../consumer.ts";
import type { Deps } from "../deps.ts";
import { openPublicRegistry } from "../public-registry.ts";

export type ViewedVersion = {
  readonly version: string;
  /** ISO; null where nobody says. */
  readonly time: string | null;
  readonly state: "ok" | "yanked" | "withdrawn" | "refused" | "held";
  /** Why it is yanked, withdrawn, refused or held back; null otherwise. */
  readonly reason: string | null;
  readonly deprecated: string | null;
};

export type ViewedDependency = {
  readonly kind: "dependencies" | "optionalDependencies" | "peerDependencies";
  readonly name: string;
  readonly range: string;
  /** Alias of the index, `upstream`, `none` (denied), or `elsewhere` (git, files, addresses). */
  readonly source: string;
};

export type ViewResult = {
  readonly name: string;
  /** Alias of the index, `upstream`, `alice+upstream` (an overlay) or `alice+bob` (what they agree on). */
  readonly source: string;
  readonly tags: Readonly<Record<string, string>>;
  /** The newest first. */
  readonly versions: readonly ViewedVersion[];
  /** The one that was asked for, or `latest`; null where there is nothing to be installed. */
  readonly shown: {
    readonly version: string;
    readonly description: string | null;
    readonly license: string | null;
    readonly integrity: string | null;
    /** Bytes of the tarball and of its files; null where nobody says. */
    readonly size: number | null;
    readonly unpackedSize: number | null;
    readonly hasInstallScript: boolean;
    /** Keys of the index; empty for a public package. */
    readonly signers: readonly string[];
    readonly dependencies: readonly ViewedDependency[];
  } | null;
};

/** @throws ImprintError USAGE, INVALID_NAME, NOT_FOUND, DENIED, and those of reading a package */
export async function view(spec: string, deps: Deps): Promise<ViewResult> {
  const at = spec.indexOf("@", 1);
  const name = parsePublicName(at < 0 ? spec : spec.slice(0, at));
  const wanted = at < 0 ? null : spec.slice(at + 1);
  if (wanted === "") throw new ImprintError("USAGE", `Cannot show ${spec}: a version or a tag stands behind the @`);
  const consumer = await openConsumer(deps);
  try {
    const source = sourceOf(consumer.files.project, name);
    if (source.kind === "denied") throw new ImprintError("DENIED", `Cannot show ${name}: imprint.json lets no source answer for it`);
    if (source.kind === "upstream") return await viewOfPublic(name, wanted, consumer.files.project, deps);
    // npm let it through once; no index can publish it.
    if (!isPackageName(name)) throw notFound(name, wanted, labelOf(source));
    switch (source.kind) {
      case "index":
        return await viewOfIndex(name, wanted, source.alias, consumer, deps);
      case "overlay":
        return await viewOfOverlay(name, wanted, source, consumer, deps);
      case "agree":
        return await viewOfAgreement(name, wanted, source.agreement, consumer, deps);
    }
  } finally {
    await consumer.close();
  }
}

async function viewOfIndex(
  name: PackageName,
  wanted: string | null,
  alias: DisplayName,
  consumer: Consumer,
  deps: Deps,
): Promise<ViewResult> {
  const index = consumer.indices.get(alias);
  if (index === undefined) throw new ImprintError("NEVER_SYNCED", `Cannot show ${name}: index ${alias} is not open`);
  await freshen(index, deps);
  const { view: found, since } = await index.reader.readPackage(name);
  if (found === null) throw notFound(name, wanted, `index ${alias}`);
  const { tags, yanked, deprecated, withdrawn } = found.record.doc;
  const { held, source } = offerOf({ view: found, since }, alias, { minAgeHours: index.entry.minAgeHours ?? 0, nowMs: deps.nowMs() });
  const versions = [...found.versions].map(([version, verdict]): ViewedVersion => {
    const base = { version, deprecated: deprecated.get(version) ?? null };
    if (!("release" in verdict)) return { ...base, time: null, state: "refused", reason: verdict.reason };
    const published = verdict.release.doc.published;
    const seen = since.get(version);
    const time = seen !== undefined && seen > published ? seen : published;
    const readyAt = held.get(version);
    if (verdict.verdict === "yanked") return { ...base, time, state: "yanked", reason: yanked.get(version) ?? null };
    if (readyAt !== undefined) return { ...base, time, state: "held", reason: `too young until ${new Date(readyAt).toISOString()}` };
    return { ...base, time, state: "ok", reason: null };
  });
  const gone = [...withdrawn].map(([version, reason]): ViewedVersion => ({
    version,
    time: null,
    state: "withdrawn",
    reason,
    deprecated: null,
  }));
  const all = [...versions, ...gone].toSorted((a, b) => compareVersions(b.version as Version, a.version as Version));
  const version = tags.get(wanted as DistTag) ?? wanted ?? source.tags.get("latest" as DistTag) ?? null;
  if (wanted !== null && !all.some((one) => one.version === version)) throw notFound(name, wanted, `index ${alias}`);
  const verdict = found.versions.get(version as Version);
  return {
    name,
    source: alias,
    tags: Object.fromEntries(tags),
    versions: all,
    shown:
      verdict === undefined || !("release" in verdict)
        ? null
        : shownOf(verdict.release.doc.version, verdict.release.doc.manifest, {
            ...verdict.release.doc.dist,
            signers: verdict.signers,
            project: consumer.files.project,
          }),
  };
}

/** As `registry/overlay.ts` merges them; each half as its own source has it. */
async function viewOfOverlay(
  name: PackageName,
  wanted: string | null,
  source: Source & { readonly kind: "overlay" },
  consumer: Consumer,
  deps: Deps,
): Promise<ViewResult> {
  const { alias } = source;
  const { project } = consumer.files;
  const isMissing = (error: unknown): null => {
    if (!isImprintError(error, "NOT_FOUND")) throw error;
    return null;
  };
  const own = await viewOfIndex(name, null, alias, consumer, deps).catch(isMissing);
  if (own === null) return { ...(await viewOfPublic(name, wanted, project, deps)), source: labelOf(source) };
  const known = new Set(own.versions.map(({ version }) => version));
  const theirs = await viewOfPublic(name, null, project, deps).catch(isMissing);
  const versions = [...own.versions, ...(theirs?.versions ?? []).filter(({ version }) => !known.has(version))];
  const offered = new Set(versions.filter(({ state }) => state === "ok").map(({ version }) => version));
  const tags = Object.fromEntries(
    [...Object.entries(theirs?.tags ?? {}), ...Object.entries(own.tags)].filter(([, version]) => offered.has(version)),
  );
  const version = wanted === null ? (tags["latest"] ?? null) : Object.hasOwn(tags, wanted) ? (tags[wanted] ?? null) : wanted;
  if (wanted !== null && !versions.some((one) => one.version === version))
    throw new ImprintError("NOT_FOUND", `Cannot find ${name}@${wanted}: neither ${alias} nor the public registry has it`);
  const shown =
    version === null
      ? null
      : known.has(version)
        ? (await viewOfIndex(name, version, alias, consumer, deps)).shown
        : (await viewOfPublic(name, version, project, deps)).shown;
  return { name, source: labelOf(source), tags, versions: versions.toSorted((a, b) => newestFirst(a.version, b.version)), shown };
}

async function viewOfAgreement(
  name: PackageName,
  wanted: string | null,
  agreement: Agreement,
  consumer: Consumer,
  deps: Deps,
): Promise<ViewResult> {
  const { project } = consumer.files;
  for (const alias of agreement.of) {
    const index = consumer.indices.get(alias);
    if (index !== undefined) await freshen(index, deps);
  }
  const ballots = await readBallots(name, agreement, { project, indices: consumer.indices });
  const { source, held, newest } = agreedOffer(name, agreement, ballots, deps.nowMs());
  if (newest === null && held.size === 0) throw refusalOf(name, agreement, ballots);
  const tallies = tallyOf(agreement, ballots);
  const versions = [...tallies].map(([version, { standing, reason }]): ViewedVersion => {
    const offered = source.versions.find(({ release }) => release.version === version);
    const readyAt = held.get(version);
    const base = { version, time: offered?.time ?? null, deprecated: offered?.deprecated ?? null };
    if (readyAt !== undefined) return { ...base, state: "held", reason: `too young until ${new Date(readyAt).toISOString()}` };
    if (standing === "agreed") return { ...base, state: "ok", reason: null };
    return { ...base, state: standing === "yanked" || standing === "withdrawn" ? standing : "refused", reason };
  });
  const version = source.tags.get((wanted ?? "latest") as DistTag) ?? (wanted as Version | null);
  const tally = version === null ? undefined : tallies.get(version);
  if (wanted !== null && tally === undefined)
    throw new ImprintError("NOT_FOUND", `Cannot find ${name}@${wanted}: none of ${agreement.of.join(", ")} has it`);
  const release = tally?.standing === "agreed" ? tally.agreed?.[0]?.release : undefined;
  const voters = new Set((tally?.agreed ?? []).map(({ alias }) => alias));
  const signers = ballots.flatMap(({ alias, view: seen }) => {
    const verdict = voters.has(alias) && version !== null ? seen?.versions.get(version) : undefined;
    return verdict !== undefined && "signers" in verdict ? verdict.signers : [];
  });
  return {
    name,
    source: agreement.of.join("+"),
    tags: Object.fromEntries(source.tags),
    versions: versions.toSorted((a, b) => newestFirst(a.version, b.version)),
    shown: release === undefined ? null : shownOf(release.version, release.manifest, { ...release.dist, signers, project }),
  };
}

async function viewOfPublic(name: PublicName, wanted: string | null, project: Project, deps: Deps): Promise<ViewResult> {
  const { upstream, close } = openPublicRegistry(deps, project);
  try {
    deps.terminal.progress("asking the public registry");
    const { document } = await upstream.packument(name, false, "http://127.0.0.1");
    const packument = JSON.parse(Buffer.from(plainOf(document)).toString("utf8")) as JsonObject;
    const manifests = objectAt(packument, "versions");
    const times = objectAt(packument, "time");
    const tags = Object.entries(objectAt(packument, "dist-tags")).filter((tag): tag is [string, string] => typeof tag[1] === "string");
    const versions = Object.entries(manifests).map(([version, manifest]): ViewedVersion => {
      const time = Object.hasOwn(times, version) ? times[version] : null;
      const deprecated = isJsonObject(manifest) ? manifest["deprecated"] : undefined;
      return {
        version,
        time: typeof time === "string" ? time : null,
        state: "ok",
        reason: null,
        deprecated: typeof deprecated === "string" && deprecated !== "" ? deprecated : null,
      };
    });
    const version = new Map(tags).get(wanted ?? "latest") ?? wanted;
    const manifest = version !== null && Object.hasOwn(manifests, version) ? manifests[version] : undefined;
    if (wanted !== null && manifest === undefined) throw notFound(name, wanted, "the public registry");
    const dist = isJsonObject(manifest) ? objectAt(manifest, "dist") : {};
    return {
      name,
      source: "upstream",
      tags: Object.fromEntries(tags),
      versions: versions.toSorted((a, b) => newestFirst(a.version, b.version)),
      shown:
        version === null || !isJsonObject(manifest)
          ? null
          : shownOf(version, manifest, {
              integrity: stringOf(dist["integrity"]),
              size: null,
              unpackedSize: typeof dist["unpackedSize"] === "number" ? dist["unpackedSize"] : null,
              signers: [],
              project,
            }),
    };
  } finally {
    close();
  }
}

type Facts = {
  readonly integrity: string | null;
  readonly size: number | null;
  readonly unpackedSize: number | null;
  readonly signers: readonly string[];
  readonly project: Project;
};

function shownOf(version: string, manifest: JsonObject, facts: Facts): ViewResult["shown"] {
  const kinds = ["dependencies", "optionalDependencies", "peerDependencies"] as const;
  const { integrity, size, unpackedSize, signers, project } = facts;
  return {
    version,
    description: stringOf(manifest["description"]),
    license: stringOf(manifest["license"]),
    integrity,
    size,
    unpackedSize,
    hasInstallScript: manifest["hasInstallScript"] === true,
    signers,
    dependencies: kinds.flatMap((kind) =>
      Object.entries(objectAt(manifest, kind)).map(([name, range]) => {
        const text = stringOf(range) ?? "";
        return { kind, name, range: text, source: sourceOfDependency(project, name, text) };
      }),
    ),
  };
}

/** By the name that is really asked for, where the range is an alias. */
function sourceOfDependency(project: Project, name: string, range: string): string {
  const alias = range.startsWith("npm:") ? range.slice("npm:".length) : null;
  const asked = alias === null ? name : alias.slice(0, alias.indexOf("@", 1) < 0 ? undefined : alias.indexOf("@", 1));
  if (alias === null && /[:/]/.test(range)) return "elsewhere";
  if (!isPackageName(asked)) return "none";
  const source = sourceOf(project, asked);
  return labelOf(source);
}

function objectAt(from: JsonObject, key: string): JsonObject {
  const value = Object.hasOwn(from, key) ? from[key] : undefined;
  return isJsonObject(value) ? value : {};
}

function stringOf(value: JsonValue | undefined): string | null {
  return typeof value === "string" ? value : null;
}

/** Old registries hold versions that are none: they come last. */
function newestFirst(a: string, b: string): number {
  if (isVersion(a) && isVersion(b)) return compareVersions(b, a);
  return Number(isVersion(b)) - Number(isVersion(a));
}

function notFound(name: string, wanted: string | null, where: string): ImprintError {
  return new ImprintError("NOT_FOUND", `Cannot find ${name}${wanted === null ? "" : `@${wanted}`}: ${where} does not have it`);
}
