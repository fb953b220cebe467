/**
 * Audits what lies in node_modules, file by file. No client does: each believes its lockfile, its store and its own marker
 * files. What stands under a claimed name is compared with the tarball that its author signed; public packages with the
 * tarball whose integrity a lockfile has.
 */
import path from "node:path";
import type { InstalledPlace } from "../clients/installed/walk.ts";
import { readManifest, whyNotFolder } from "../clients/lockfiles/folders.ts";
import type { LockedPackage } from "../clients/lockfiles/locked.ts";
import { ImprintError, isImprintError } from "../errors.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../format/json.ts";
import { LIMITS } from "../format/limits.ts";
import type { YarnArchive } from "../clients/installed/yarn-archives.ts";
import { readZipContents } from "../pack/zip.ts";
import { isPublicName, type PublicName } from "../format/names.ts";
import type { Project } from "../format/project.ts";
import type { Release } from "../format/release.ts";
import { INSTALL_SCRIPTS } from "../pack/manifest.ts";
import { readTarballContents, type TarballContents } from "../pack/contents.ts";
import { labelOf, sourceOf } from "../registry/claims.ts";
import type { Files } from "../storage/files.ts";
import { type AuditedPackage, type Readers, signedRelease, unjudged } from "./audit-project.ts";
import { bundledIn, compareDigests, compareFiles, type Difference } from "./compare-files.ts";
import { claimedTwin, isGuarded } from "./guarded.ts";

export type InstalledOptions = {
  readonly root: string;
  readonly files: Files;
  readonly places: readonly InstalledPlace[];
  readonly archives: readonly YarnArchive[];
  /** Of all lockfiles. */
  readonly locked: readonly LockedPackage[];
  readonly project: Project;
  readonly readers: Readers;
  /** The signed tarball, checked by its hash. @throws ImprintError */
  readonly ownTarball: (release: Release, aliases: readonly string[]) => Promise<Uint8Array>;
  /** A public tarball, believed by nothing yet. @throws ImprintError */
  readonly publicTarball: (name: PublicName, version: string) => Promise<Uint8Array>;
  readonly strict: boolean;
  readonly onProgress: (done: number, total: number) => void;
};

const AT_ONCE = 4;
const MAX_NAMED = 5;

export async function auditInstalled(options: InstalledOptions): Promise<readonly AuditedPackage[]> {
  const { places, strict, onProgress } = options;
  const contents = new Map<string, Promise<TarballContents>>();
  const audited: (AuditedPackage | null)[] = [];
  const bundlers = await bundlersOf(options, contents);
  let next = 0;
  let done = 0;
  const work = async (): Promise<void> => {
    for (let i = next++; i < places.length; i = next++) {
      const place = places[i] as InstalledPlace;
      audited[i] = isInside(place, bundlers) ? null : await auditPlace(place, options, contents);
      onProgress(++done, places.length);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  for (const archive of options.archives) audited.push(await auditArchive(archive, options, contents));
  return audited.flatMap((one) => {
    if (one === null) return [];
    return strict && one.status !== "refused" && one.warnings.length > 0
      ? [{ ...one, status: "refused" as const, reason: one.warnings.join("; ") }]
      : [one];
  });
}

/** Folders whose files are compared as part of the package around them. */
async function bundlersOf(options: InstalledOptions, contents: Map<string, Promise<TarballContents>>): Promise<ReadonlySet<string>> {
  const bundled = new Set<string>();
  const parents = new Set(options.places.map(({ path: inner }) => inner.slice(0, Math.max(0, inner.lastIndexOf("/node_modules/")))));
  for (const place of options.places) {
    if (place.kind !== "folder" || place.isLink || !parents.has(place.path)) continue;
    const manifest = await manifestOf(place, options);
    const name = manifest?.["name"];
    if (typeof name !== "string" || !isPublicName(name) || !isGuarded(sourceOf(options.project, name))) continue;
    try {
      const found = await ownContents(name, textOf(manifest?.["version"]), options, contents);
      if (typeof found === "string") continue;
      for (const inner of bundledIn(found.contents.files)) bundled.add(`${place.path}/node_modules/${inner}`);
    } catch (error) {
      if (!isImprintError(error)) throw error;
    }
  }
  return bundled;
}

function isInside({ path: at }: InstalledPlace, bundled: ReadonlySet<string>): boolean {
  return [...bundled].some((folder) => at === folder || at.startsWith(`${folder}/`));
}

async function auditPlace(
  place: InstalledPlace,
  options: InstalledOptions,
  contents: Map<string, Promise<TarballContents>>,
): Promise<AuditedPackage | null> {
  const { project, root, files } = options;
  const { placedAs } = place;
  const source = sourceOf(project, placedAs);
  const guarded = isGuarded(source);
  const refusedAs = (name: string, version: string, reason: string): AuditedPackage => ({
    ...unjudged(place.path, name, version, labelOf(source)),
    reason,
  });
  if (!guarded) {
    const twin = claimedTwin(project, placedAs);
    if (twin !== null) return refusedAs(placedAs, "", `it stands in the place of ${twin} where a file system ignores case`);
  }
  if (place.kind !== "folder") {
    if (!guarded) return null;
    const what = place.kind === "file" ? "a file stands where it would be looked for" : "a link that leads nowhere";
    return refusedAs(placedAs, "", what);
  }
  const inProject = path.relative(root, place.folder).split(path.sep).join("/");
  // A workspace, or a link to one.
  if (place.isLink && !inProject.startsWith("../") && !inProject.split("/").includes("node_modules")) {
    if (!guarded) return null;
    const why = await whyNotFolder(files, root, inProject === "" ? "." : inProject, placedAs);
    return why === null
      ? { ...unjudged(place.path, placedAs, "", labelOf(source)), status: "local" }
      : refusedAs(placedAs, "", `it is linked to ${inProject}: ${why}`);
  }
  let manifest: JsonObject | null;
  try {
    manifest = await manifestOf(place, options);
  } catch (error) {
    if (!isImprintError(error)) throw error;
    return guarded ? refusedAs(placedAs, "", error.message) : null;
  }
  const name = manifest?.["name"];
  const version = textOf(manifest?.["version"]);
  const isNamed = typeof name === "string" && isPublicName(name);
  if (!isNamed) {
    if (!guarded) return null;
    // npm leaves folders that only hold a node_modules.
    const { extra } = await compareFiles(place.folder, new Map());
    return extra.length === 0 ? null : refusedAs(placedAs, version, "its package.json names no package");
  }
  const own = sourceOf(project, name);
  if (guarded && name !== placedAs && labelOf(own) !== labelOf(source))
    return refusedAs(name, version, `it stands in the place of ${placedAs}, which ${labelOf(source)} answers for`);
  const base = unjudged(place.path, name, version, labelOf(own));
  try {
    return isGuarded(own) ? await auditOwn(place, base, name, options, contents) : await auditPublic(place, base, name, options);
  } catch (error) {
    if (!isImprintError(error)) throw error;
    return { ...base, reason: `${error.message} (${error.code})` };
  }
}

/** One archive of yarn 4: the names of the package are in its paths, `node_modules/@alice/a/…`. */
async function auditArchive(
  archive: YarnArchive,
  options: InstalledOptions,
  contents: Map<string, Promise<TarballContents>>,
): Promise<AuditedPackage | null> {
  const { project, files } = options;
  const base = (name: string, version: string): AuditedPackage =>
    unjudged(archive.path, name, version, isPublicName(name) ? labelOf(sourceOf(project, name)) : "none");
  const known = archive.name ?? "";
  try {
    const bytes = await files.read(archive.file, LIMITS.packageBytes);
    if (bytes === null)
      return known !== "" && isGuarded(sourceOf(project, known)) ? { ...base(known, ""), reason: "its archive is not there" } : null;
    const all = readZipContents(bytes, "").files;
    const names = new Set([...all.keys()].map((file) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1] ?? ""));
    const [name = ""] = names;
    const guarded = [...names, known].some((one) => isPublicName(one) && isGuarded(sourceOf(project, one)));
    if (!guarded) return null;
    if (names.size !== 1 || !isPublicName(name)) return { ...base(known, ""), reason: "its archive holds more than one package" };
    const prefix = `node_modules/${name}/`;
    const manifest = manifestIn(readZipContents(bytes, `${prefix}package.json`).kept);
    const version = textOf(manifest?.["version"]);
    if (manifest?.["name"] !== name) return { ...base(name, version), reason: "the package.json in its archive has another name" };
    const found = await ownContents(name, version, options, contents);
    if (found === "upstream") return null;
    if (typeof found === "string") return { ...base(name, version), reason: found };
    const inner = new Map([...all].map(([file, digest]) => [file.slice(prefix.length), digest]));
    const { reason } = judge(compareDigests(inner, found.contents.files), {}, "the signed tarball");
    const { signers, deprecated } = found;
    const judged = { ...base(name, version), signers, deprecated, yanked: found.yanked !== null };
    return reason === null ? { ...judged, status: "signed", integrityChecked: true } : { ...judged, reason };
  } catch (error) {
    if (!isImprintError(error)) throw error;
    return { ...base(known, ""), reason: `${error.message} (${error.code})` };
  }
}

function manifestIn(bytes: Uint8Array | null): JsonObject | null {
  try {
    const value = JSON.parse(bytes === null ? "null" : Buffer.from(bytes).toString("utf8")) as JsonValue;
    return isJsonObject(value) ? value : null;
  } catch {
    return null; // no package.json: the caller refuses that
  }
}

async function auditOwn(
  place: InstalledPlace,
  base: AuditedPackage,
  name: PublicName,
  options: InstalledOptions,
  contents: Map<string, Promise<TarballContents>>,
): Promise<AuditedPackage> {
  const found = await ownContents(name, base.version, options, contents);
  if (found === "upstream") return auditPublic(place, { ...base, source: "upstream" }, name, options);
  if (typeof found === "string") return { ...base, reason: found };
  const difference = await compareFiles(place.folder, found.contents.files);
  const judged = judge(difference, found.contents.packageJson, "the signed tarball");
  const versions = new Set(options.locked.filter((one) => one.name === name && one.origin.kind === "registry").map((one) => one.version));
  const warnings = [
    ...judged.warnings,
    ...(versions.size > 0 && !versions.has(base.version) ? [`the lockfile has ${[...versions].slice(0, MAX_NAMED).join(", ")} of it`] : []),
    ...(found.yanked === null ? [] : [`yanked${found.yanked === "" ? "" : `: ${found.yanked}`}`]),
  ];
  const { signers, deprecated } = found;
  const known = { ...base, signers, deprecated, yanked: found.yanked !== null, warnings };
  return judged.reason === null ? { ...known, status: "signed", integrityChecked: true } : { ...known, reason: judged.reason };
}

type OwnContents = {
  readonly contents: TarballContents;
  readonly signers: AuditedPackage["signers"];
  readonly yanked: string | null;
  readonly deprecated: string | null;
};

/** @returns a reason where there is no such release; `upstream`: an overlaid name's public version */
async function ownContents(
  name: PublicName,
  version: string,
  options: InstalledOptions,
  contents: Map<string, Promise<TarballContents>>,
): Promise<OwnContents | string> {
  const { project, readers, ownTarball } = options;
  const signed = await signedRelease(name, version, project, readers);
  if (typeof signed === "string") return signed;
  const { release } = signed;
  const key = release.dist.integrity;
  const fetched =
    contents.get(key) ??
    ownTarball(
      release,
      [...project.indices.keys()].filter((alias) => labelOf(sourceOf(project, name)).split("+").includes(alias)),
    ).then(readTarballContents);
  contents.set(key, fetched);
  return { contents: await fetched, signers: signed.signers, yanked: signed.yanked, deprecated: signed.deprecated };
}

async function auditPublic(
  place: InstalledPlace,
  base: AuditedPackage,
  name: PublicName,
  options: InstalledOptions,
): Promise<AuditedPackage> {
  const pinned = options.locked.filter((one) => one.name === name && one.version === base.version && one.integrity !== null);
  const wanted = new Set(pinned.flatMap(({ integrity }) => (integrity ?? "").split(" ").filter((word) => word.startsWith("sha512-"))));
  const open = (why: string): AuditedPackage => ({ ...base, status: "public", warnings: [`its files are not compared: ${why}`] });
  if (wanted.size === 0) {
    const around = claimedAround(place.path, options.project);
    if (around !== null) return { ...base, reason: `it stands below ${around}, and no lockfile has a sha512 of it: nobody vouches for it` };
    return open("no lockfile has a sha512 of it");
  }
  let contents: TarballContents;
  try {
    contents = await readTarballContents(await options.publicTarball(name, base.version));
  } catch (error) {
    if (!isImprintError(error)) throw error;
    return open(error.message);
  }
  if (!wanted.has(`sha512-${contents.sha512}`)) return { ...base, reason: "the public registry's tarball is not the locked one" };
  const { reason, warnings } = judge(await compareFiles(place.folder, contents.files), contents.packageJson, "the locked tarball");
  return reason === null ? { ...base, status: "public", integrityChecked: true, warnings } : { ...base, reason, warnings };
}

/** The claimed package in whose node_modules this one lies, perhaps because its npm-shrinkwrap.json asked for it. */
function claimedAround(at: string, project: Project): string | null {
  const names = at
    .replace(/^node_modules\//, "")
    .split("/node_modules/")
    .slice(0, -1);
  return names.find((name) => isPublicName(name) && isGuarded(sourceOf(project, name))) ?? null;
}

/** Install scripts make files; nothing may change or remove what was signed. */
function judge(
  { changed, missing, extra }: Difference,
  packageJson: JsonObject,
  what: string,
): { readonly reason: string | null; readonly warnings: readonly string[] } {
  const named = (verb: string, list: readonly string[]): string[] =>
    list.length === 0
      ? []
      : [
          `${verb} ${list
            .slice(0, MAX_NAMED)
            .map((file) => JSON.stringify(file))
            .join(", ")}${list.length > MAX_NAMED ? ` and ${list.length - MAX_NAMED} more` : ""}`,
        ];
  const scripts = packageJson["scripts"];
  const runsScripts =
    packageJson["gypfile"] === true ||
    (typeof scripts === "object" && scripts !== null && INSTALL_SCRIPTS.some((script) => Object.hasOwn(scripts, script)));
  const wrong = [...named("changed", changed), ...named("missing", missing), ...(runsScripts ? [] : named("not in it", extra))];
  return {
    reason: wrong.length === 0 ? null : `what is installed is not ${what}: ${wrong.join("; ")}`,
    warnings: runsScripts && extra.length > 0 ? named("its install scripts made", extra) : [],
  };
}

function textOf(value: JsonValue | undefined): string {
  return typeof value === "string" ? value : "";
}

async function manifestOf({ folder }: InstalledPlace, { files }: InstalledOptions): Promise<JsonObject | null> {
  try {
    return await readManifest(files, path.join(folder, "package.json"));
  } catch (error) {
    if (isImprintError(error, "TOO_LARGE")) throw new ImprintError("CONFIG_INVALID", error.message, { cause: error });
    throw error;
  }
}
