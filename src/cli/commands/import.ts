/**
 * `imprint import`: public packages re-issued in an own index, whose keys then vouch for the bytes that were seen today.
 *
 * npm's own resolver says which, and all that it asks goes through `exchange.ts`; nothing is signed before every tarball of the whole tree is here, checked against what
 * its registry says and read to its end. One commit and one push: either all of it is published, or nothing is.
 */
import { randomInt } from "node:crypto";
import { readFile } from "node:fs/promises";
import Range from "semver/classes/range.js";
import path from "node:path";
import { ImprintError } from "../../errors.ts";
import { LIMITS } from "../../format/limits.ts";
import type { PackageName } from "../../format/names.ts";
import type { Version } from "../../format/versions.ts";
import type { PackageView } from "../../index/package-reader.ts";
import { chooseBase } from "../../index/publish.ts";
import { type ReleaseRequest, requireReleasable, writeReleases } from "../../index/writer.ts";
import { type Exchange, openExchange } from "../../registry/upstream/exchange.ts";
import { npmOptions, type NpmOptions } from "../../registry/upstream/npm-options.ts";
import { broughtAlong } from "../../pack/check.ts";
import { openPublicReleases, type PublicRelease } from "../../registry/upstream/releases.ts";
import { labelOf, type Resolved, resolveSpecs } from "../../registry/upstream/resolve.ts";
import { loadUpstreamSettings } from "../../registry/upstream/settings.ts";
import { requireClock } from "../clock.ts";
import type { Deps } from "../deps.ts";
import { indexForImport, planImport, requireGrants, shortList, tagRequests } from "../import-plan.ts";
import { checkOpened, dependenciesOf, fetchTarballs, type Inspected } from "../import-tarballs.ts";
import { theOwnIndex } from "../own-indices.ts";
import { isOwnRegistry } from "../../project/own-registries.ts";
import { inParallel } from "../parallel.ts";
import { machineMark } from "../../storage/sealed.ts";
import { openScratch, removeUnfinished } from "../scratch.ts";
import { readBack } from "../read-back.ts";
import { requireKeysFor, requireRemote, signAndUpload, signerOf, uploadedText } from "../sign.ts";
import { type NewTarball, placeOf, placeTarballs, requireUploaded } from "../tarball-places.ts";
import { clean } from "../../format/text.ts";
import { openUpload, readNames } from "../upload.ts";

export type ImportOptions = {
  readonly specs: readonly string[];
  /** All that they depend on, too. */
  readonly deps: boolean;
  readonly index: string | undefined;
  /** Instead of the user's own npm registry. */
  readonly registry: string | undefined;
  readonly dryRun: boolean;
  readonly push: boolean;
  /** Packages that may be asked for; `LIMITS.importPackages` unless given. */
  readonly maxPackages?: number | undefined;
};

export type ImportedPackage = {
  readonly name: PackageName;
  readonly version: Version;
  /** `present`: the index holds it already, with the same bytes. */
  readonly status: "new" | "present";
  /** sha512 of the tarball; of a plan, what the registry says of it. */
  readonly integrity: string;
  /** Bytes of the tarball; null before it was downloaded. */
  readonly size: number | null;
  readonly unpackedSize: number | null;
  readonly signatures: PublicRelease["signatures"];
  readonly deprecated: string | null;
};

export type ImportResult = {
  readonly index: string;
  readonly registry: string;
  readonly packages: readonly ImportedPackage[];
  /** Optional packages that the registry does not have. */
  readonly leftOut: readonly string[];
  readonly dryRun: boolean;
  readonly commit: string | null;
  readonly pushed: boolean;
};

const QUESTIONS_AT_ONCE = 8;
/** Tarballs read back of many. */
const SAMPLE = 10;

export async function importPackages(options: ImportOptions, deps: Deps): Promise<ImportResult> {
  const { terminal } = deps;
  const { specs } = options;
  if (options.registry !== undefined && !/^https?:\/\/./u.test(options.registry))
    throw new ImprintError("USAGE", `Cannot import from ${JSON.stringify(options.registry)}: not the address of a registry`);
  // Without any index there is no need to ask a registry first.
  if (options.index !== undefined) await theOwnIndex(deps, options.index, deps.cwd, "import");
  const settings = await loadUpstreamSettings({
    configured: options.registry,
    env: deps.env,
    isOurs: isOwnRegistry(deps.env),
    offline: deps.offline,
  });
  const maxPackages = options.maxPackages ?? LIMITS.importPackages;
  const scratch = await openScratch(deps.layout.imports, deps.nowMs());
  const npmCache = deps.layout.npmCache(machineMark(await deps.secret()));
  await removeUnfinished(path.join(npmCache, "tmp"), deps.nowMs());
  const resolving = `resolving ${specs.join(" ")} as npm would`;
  const exchange = openExchange(settings, {
    folder: scratch.folder,
    limits: { maxPackages },
    checkTarball: checkOpened,
    onPackages: (count) => terminal.progress(`${resolving}: ${count} ${count === 1 ? "package" : "packages"}`),
  });
  try {
    terminal.progress(resolving);
    const npm = npmOptions(settings, npmCache, exchange);
    const resolved = await resolveSpecs(specs, npm, options.deps, { exchange, folder: scratch.folder, maxPackages });
    return await importResolved(options, deps, { resolved, npm, exchange, folder: scratch.folder });
  } finally {
    exchange.close();
    await scratch.remove();
  }
}

type Resolution = {
  readonly resolved: Resolved;
  readonly npm: NpmOptions;
  readonly exchange: Exchange;
  /** For the tarballs. */
  readonly folder: string;
};

async function importResolved(options: ImportOptions, deps: Deps, { resolved, npm, exchange, folder }: Resolution): Promise<ImportResult> {
  const { terminal } = deps;
  const { dryRun, push } = options;
  const { packages: wanted, asked, leftOut } = resolved;
  const names = wanted.map(({ name }) => name);
  const own = await indexForImport(deps, options.index, names);
  const open = await openUpload(deps, own);
  try {
    requireRemote(open, push && !dryRun);
    const { base } = await chooseBase(open.upload);
    requireGrants(base, own, names);
    if (!dryRun) {
      await requireClock(deps, open.host, base.state);
      await requireKeysFor(deps, own, base.state, names, false);
    }
    const upstream = openPublicReleases(npm, exchange);
    let described = 0;
    const releases = await inParallel(wanted, QUESTIONS_AT_ONCE, async (one) => {
      const release = await upstream.describe(one);
      terminal.progress(`asking for signatures and sizes: ${++described} of ${wanted.length}`);
      return release;
    });
    const packages = await readNames(base, wanted);
    const { fresh, present, yanked } = planImport(releases, packages);
    requireReleasable(base.state, packages, tagRequests(fresh, packages));
    for (const name of leftOut) terminal.warn(clean(`left out, the registry does not have it: ${name}`));
    for (const label of yanked.map(labelOf))
      terminal.warn(`${label} is there, but yanked: no install finds it before imprint unyank '${label}'`);
    const result = (inspected: readonly Inspected[], done: Pick<ImportResult, "commit" | "pushed">): ImportResult => ({
      index: own.name,
      registry: npm.registry,
      packages: resultsOf(releases, present, inspected),
      leftOut,
      dryRun,
      ...done,
    });
    if (dryRun || fresh.length === 0) {
      terminal.ok(
        `${dryRun ? "would import" : "nothing new:"} ${dryRun ? `${fresh.length} into ${own.name}; ` : ""}${present.length} ${present.length === 1 ? "is" : "are"} there already · ${signaturesText(releases)}`,
      );
      return result([], { commit: null, pushed: false });
    }
    const inspected = await fetchTarballs(deps, upstream, fresh, folder);
    for (const { release, facts } of inspected)
      for (const line of broughtAlong(facts)) terminal.warn(clean(`${labelOf(release)}: ${line}`));
    if (options.deps) for (const line of gapsOf(inspected, packages)) terminal.warn(clean(line));
    const place = placeOf(deps, base.state);
    const tarballs = newTarballs(deps, inspected);
    await requireUploaded(deps, place, tarballs);
    const signer = signerOf(deps, own);
    await signer();
    const isFirst = base.state.checkpoint.doc.shards.size === 0;
    const refs = await placeTarballs(deps, open, place, tarballs, { push, isFirst });
    const message = messageOf(fresh, asked);
    const uploaded = await signAndUpload(deps, open, {
      push,
      build: async (now, nowMs) => {
        const views = await readNames(now, fresh);
        const requests = requestsOf(inspected, views);
        const keys = await signer();
        const files = await writeReleases({ state: now.state, snapshot: now.snapshot, packages: views, requests, keys, nowMs });
        return { files, message, refs };
      },
    });
    const { commit } = uploaded;
    const counted = `imported ${fresh.length}, ${present.length} there already · ${signaturesText(releases)}`;
    if (!push) {
      terminal.ok(`${counted} · signed · ${uploadedText(open, uploaded, push)}`);
      terminal.talk(`Publish it with   ${terminal.style("bold", `git -C '${own.path}' push`)}`);
      return result(inspected, { commit, pushed: false });
    }
    const sample = sampleOf(inspected, asked);
    terminal.progress("reading back as a stranger would");
    await readBack(deps, {
      own,
      open,
      releases: inspected.map((one) => ({ ...one.release, facts: one.facts, withoutTarball: !sample.has(one) })),
    });
    terminal.ok(
      `${counted} · signed · ${uploadedText(open, uploaded, push)} and ${tarballs.length} tarballs · read back as a stranger would: every signature and manifest, ${sample.size === inspected.length ? "every tarball" : `${sample.size} tarballs`}`,
    );
    return result(inspected, { commit, pushed: true });
  } finally {
    await open.repository.close();
  }
}

/** Lines of a plan or of what was done: new ones by name, and in a plan everything with its size. */
export function importLines({ packages, dryRun }: ImportResult): readonly string[] {
  if (!dryRun) return packages.filter(({ status }) => status === "new").map(labelOf);
  return packages.map((one) => {
    const size = one.unpackedSize === null ? "size unknown" : `${Math.ceil(one.unpackedSize / 1000)} kB unpacked`;
    return clean(
      `${one.status === "new" ? "+" : "="} ${labelOf(one)}  ${size}${one.deprecated === null ? "" : `  deprecated: ${one.deprecated}`}`,
    );
  });
}

function resultsOf(
  releases: readonly PublicRelease[],
  present: readonly PublicRelease[],
  inspected: readonly Inspected[],
): readonly ImportedPackage[] {
  const facts = new Map(inspected.map((one) => [one.release, one.facts]));
  const known = new Set(present);
  return releases.map((release) => {
    const { name, version, signatures, deprecated } = release;
    const read = facts.get(release);
    return {
      name,
      version,
      status: known.has(release) ? "present" : "new",
      integrity: read?.integrity ?? release.source.integrity,
      size: read?.size ?? null,
      unpackedSize: read?.unpackedSize ?? release.unpackedSize,
      signatures,
      deprecated,
    };
  });
}

function requestsOf(inspected: readonly Inspected[], packages: ReadonlyMap<PackageName, PackageView | null>): readonly ReleaseRequest[] {
  const tags = tagRequests(
    inspected.map(({ release }) => release),
    packages,
  );
  return inspected.map(({ release, facts }, i) => {
    const { integrity, shasum, size, unpackedSize, fileCount, manifest } = facts;
    const { source, deprecated } = release;
    return {
      ...(tags[i] as (typeof tags)[number]),
      dist: { integrity, shasum, size, unpackedSize, fileCount },
      manifest,
      source,
      ...(deprecated === null ? {} : { deprecated }),
    };
  });
}

function newTarballs(deps: Deps, inspected: readonly Inspected[]): readonly NewTarball[] {
  // By content: two packages may have the same bytes only if they are the same, but a ref twice in a push fails all of it.
  const unique = [...new Map(inspected.map((one) => [one.facts.sha512Hex, one])).values()];
  return unique.map(({ release: { name, version }, facts, file }, i) => ({
    name,
    version,
    dist: facts,
    read: async () => {
      deps.terminal.progress(`storing tarballs: ${i + 1} of ${unique.length}`);
      return new Uint8Array(await readFile(file));
    },
  }));
}

function messageOf(fresh: readonly PublicRelease[], asked: ReadonlySet<string>): string {
  const labels = fresh.map(labelOf);
  const first = labels.filter((label) => asked.has(label));
  const rest = labels.length - first.length;
  const more = rest === 0 ? "" : first.length === 0 ? `${rest} dependencies` : ` and ${rest} more`;
  return `imprint: import ${first.length > 0 ? shortList(first) : ""}${more}\n\n${labels.join("\n")}\n`;
}

function signaturesText(releases: readonly PublicRelease[]): string {
  const count = (state: PublicRelease["signatures"]): number => releases.filter(({ signatures }) => signatures === state).length;
  const parts = [
    [count("verified"), "with valid registry signatures"],
    [count("unchecked"), "with registry signatures that nobody could check: the registry publishes no keys"],
    [count("none"), "without registry signatures"],
  ] as const;
  return parts
    .filter(([number]) => number > 0)
    .map(([number, text]) => `${number} ${text}`)
    .join(", ");
}

/** Those that were asked for, and some that a host can't guess. */
function sampleOf(inspected: readonly Inspected[], asked: ReadonlySet<string>): ReadonlySet<Inspected> {
  const first = inspected.filter(({ release }) => asked.has(labelOf(release))).slice(0, SAMPLE);
  const rest = inspected.filter((one) => !first.includes(one));
  const sample = new Set(first);
  while (sample.size < SAMPLE && rest.length > 0) for (const one of rest.splice(randomInt(rest.length), 1)) sample.add(one);
  return sample;
}

/**
 * Where a tarball asks for what neither the import nor the index holds: the resolver read the packument, which may say
 * less than the package.json that is signed.
 */
function gapsOf(inspected: readonly Inspected[], packages: ReadonlyMap<PackageName, PackageView | null>): readonly string[] {
  const versions = new Map<string, Version[]>();
  const add = (name: string, version: Version): unknown => versions.set(name, [...(versions.get(name) ?? []), version]);
  for (const { release } of inspected) add(release.name, release.version);
  for (const [name, view] of packages) for (const version of view?.versions.keys() ?? []) add(name, version);
  return inspected.flatMap(({ release, facts }) =>
    dependenciesOf(facts.manifest).flatMap(({ needed, range, spec }) => {
      if (needed !== "always" || spec === null || spec.name === null || spec.type === "tag") return [];
      const wanted = new Range(spec.fetchSpec ?? "*", { loose: true });
      if (versions.get(spec.name)?.some((version) => wanted.test(version)) === true) return [];
      return [`${labelOf(release)} depends on ${spec.name}@${range}, which is not in this index`];
    }),
  );
}
