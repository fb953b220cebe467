/**
 * Releases in a project's lockfiles that their authors have taken back since: for `run` and `sync`, which say so before
 * anything is installed. Never an error: what cannot be read says nothing here, and `audit` says why.
 */
import path from "node:path";
import { lockfilesAmong, LOCKFILE_MAX_BYTES, readLockfile } from "../clients/lockfiles/read.ts";
import type { DisplayName } from "../format/decode.ts";
import { isPackageName, type PublicName } from "../format/names.ts";
import type { Project } from "../format/project.ts";
import type { PackageRecord } from "../format/record.ts";
import type { Version } from "../format/versions.ts";
import type { IndexReader } from "../index/reader.ts";
import { aliasesOf, sourceOf } from "../registry/claims.ts";
import type { Files } from "../storage/files.ts";

export type FallenRelease = {
  readonly name: PublicName;
  readonly version: string;
  readonly state: "withdrawn" | "yanked";
  /** In the author's words; empty where there are none. */
  readonly reason: string;
  readonly alias: DisplayName;
  /** Base name of the lockfile, and where in it. */
  readonly lockfile: string;
  readonly path: string;
};

/**
 * @param options.read `remembered`: by the records that this machine last read, without any network; `newest`: by the
 *   state that was last synced, for which a partial clone may have to fetch the records
 */
export async function fallenReleases(options: {
  readonly files: Files;
  /** Where the lockfiles are. */
  readonly folder: string;
  readonly project: Project;
  readonly readers: ReadonlyMap<DisplayName, Pick<IndexReader, "remembered" | "readPackage">>;
  readonly read: "remembered" | "newest";
}): Promise<readonly FallenRelease[]> {
  const { files, folder, project, readers, read } = options;
  const records = new Map<string, Promise<PackageRecord | null>>();
  const recordOf = (alias: DisplayName, name: PublicName): Promise<PackageRecord | null> => {
    const key = `${alias} ${name}`;
    const found = records.get(key) ?? recordFrom(readers.get(alias), name, read);
    records.set(key, found);
    return found;
  };
  const fallen: FallenRelease[] = [];
  for (const lockfile of lockfilesAmong(await orNothing(files.list(folder), []))) {
    const file = path.join(folder, lockfile);
    const bytes = await orNothing(files.read(file, LOCKFILE_MAX_BYTES), null);
    if (bytes === null) continue;
    for (const { name, version, path: at, origin } of await orNothing(readLockfile(bytes, lockfile, file), [])) {
      if (origin.kind !== "registry") continue;
      for (const alias of aliasesOf(sourceOf(project, name))) {
        const record = await recordOf(alias, name);
        const [withdrawn, yanked] = [record?.withdrawn.get(version as Version), record?.yanked.get(version as Version)];
        const reason = withdrawn ?? yanked;
        if (reason === undefined) continue;
        fallen.push({ name, version, state: withdrawn === undefined ? "yanked" : "withdrawn", reason, alias, lockfile, path: at });
        break;
      }
    }
  }
  return fallen;
}

/** The indices whose claims occur in a lockfile at all: only their hosts are worth asking. Nothing is parsed for it. */
export async function lockedIndices(options: {
  readonly files: Files;
  readonly folder: string;
  readonly project: Project;
}): Promise<readonly DisplayName[]> {
  const { files, folder, project } = options;
  const texts: string[] = [];
  for (const lockfile of lockfilesAmong(await orNothing(files.list(folder), []))) {
    const bytes = await orNothing(files.read(path.join(folder, lockfile), LOCKFILE_MAX_BYTES), null);
    if (bytes !== null) texts.push(Buffer.from(bytes).toString("utf8"));
  }
  return [...project.indices].flatMap(([alias, { packages }]) =>
    packages.some((pattern) => texts.some((text) => text.includes(pattern.replace(/\*$/, "")))) ? [alias] : [],
  );
}

async function recordFrom(
  reader: Pick<IndexReader, "remembered" | "readPackage"> | undefined,
  name: PublicName,
  read: "remembered" | "newest",
): Promise<PackageRecord | null> {
  if (reader === undefined || !isPackageName(name)) return null;
  const newest = read === "newest" ? await orNothing(reader.readPackage(name), null) : null;
  return newest?.view?.record.doc ?? (await orNothing(reader.remembered(name), null));
}

async function orNothing<T>(work: Promise<T>, nothing: T): Promise<T> {
  try {
    return await work;
  } catch {
    return nothing; // a notice is no reason to stop; audit, which checks the same, names the fault
  }
}
