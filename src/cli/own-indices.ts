/**
 * The indices that this user publishes to, and where their clones are (`indices.json` in the config folder). What pins
 * an own index is the id in its key file, never the clone.
 */
import { existsSync } from "node:fs";
import path from "node:path";
import { ImprintError, isImprintError } from "../errors.ts";
import { displayName, type DisplayName, fail, indexId, integer, list, member, object, optional, text } from "../format/decode.ts";
import type { IndexId } from "../format/digest.ts";
import { formatPretty, jsonObject, parseExact } from "../format/json.ts";
import { LIMITS } from "../format/limits.ts";
import { type PackageName, type PackagePattern, patternRank } from "../format/names.ts";
import { rootPath } from "../format/paths.ts";
import { publishersFor } from "../format/root.ts";
import type { GitChoice } from "../git/choice.ts";
import { describeClone } from "../git/clone.ts";
import { parseObjectId } from "../git/url.ts";
import { commitSource } from "../index/source.ts";
import { readIndexId, readState } from "../index/sync.ts";
import { newestRoot, type TrustedState } from "../index/trust.ts";
import type { Files } from "../storage/files.ts";
import type { Layout } from "../storage/layout.ts";
import { requireCheckedOut } from "./checked-out.ts";
import { listKeyFiles } from "./key-store.ts";
import { openClone, TRANSFER_LIMITS } from "./open.ts";

export type OwnIndex = {
  readonly name: DisplayName;
  readonly id: IndexId;
  /** Absolute path of the clone. */
  readonly path: string;
  /** Public address that consumers read, where the author gave one. */
  readonly url: string | null;
};

type Stores = { readonly files: Files; readonly layout: Layout };
type Machine = Stores & { readonly git: GitChoice };
type Here = Machine & { readonly cwd: string };

export async function readOwnIndices({ files, layout }: Stores): Promise<readonly OwnIndex[]> {
  const bytes = await files.read(layout.ownIndicesFile, LIMITS.projectBytes);
  if (bytes === null) return [];
  try {
    const file = object(parseExact(bytes, LIMITS.projectBytes), "");
    member(file, "format", "", integer(1, 1));
    return member(
      file,
      "indices",
      "",
      list((value, at): OwnIndex => {
        const from = object(value, at);
        const folder = member(from, "path", at, text);
        if (!path.isAbsolute(folder)) fail(`${at}.path`, "an absolute path");
        return {
          name: member(from, "name", at, displayName),
          id: member(from, "id", at, indexId),
          path: folder,
          url: optional(from, "url", at, text) ?? null,
        };
      }),
    );
  } catch (error) {
    if (!isImprintError(error)) throw error;
    throw new ImprintError("CONFIG_INVALID", `Cannot read ${layout.ownIndicesFile}: ${error.message}`, { cause: error });
  }
}

export async function addOwnIndex(stores: Stores, added: OwnIndex): Promise<void> {
  const others = (await readOwnIndices(stores)).filter(({ name }) => name !== added.name);
  const entries = [...others, added].map(({ name, id, path: folder, url }) =>
    jsonObject([["name", name], ["id", id], ["path", folder], ...(url === null ? [] : [["url", url] as const])]),
  );
  await stores.files.writeAtomic(
    stores.layout.ownIndicesFile,
    formatPretty(
      jsonObject([
        ["format", 1],
        ["indices", entries],
      ]),
    ),
  );
}

/**
 * The index that `--index` names: one of `indices.json`, or a clone's folder whose id one of the user's keys is for.
 *
 * @throws ImprintError NO_OWN_INDEX
 */
export async function ownIndexNamed(stores: Machine, named: string, cwd: string): Promise<OwnIndex> {
  const known = await readOwnIndices(stores);
  const byName = known.find(({ name }) => name === named);
  if (byName !== undefined) return byName;
  const folder = path.resolve(cwd, named);
  const id = await idOfClone(stores, folder);
  if (id === null) {
    const clone = await describeClone(folder, { ...stores.git, look: [] }).catch(() => null);
    // A clone of an index's host that stands on another branch is one command away from being usable.
    if (clone !== null && !clone.bare && clone.remoteName !== null && clone.head === null) await requireCheckedOut(stores, folder, clone);
    throw new ImprintError("NO_OWN_INDEX", `Cannot publish to ${named}: neither the name of an index of yours nor the folder of one`);
  }
  const key = (await listKeyFiles(stores)).find(({ header }) => header.index === id);
  if (key === undefined) throw new ImprintError("KEY_MISSING", `Cannot publish to ${named}: no key file here is for index ${id}`);
  const url = known.find((own) => own.id === id)?.url ?? null;
  return { name: key.header.name, id, path: folder, url };
}

/** The folder of the index clone around `cwd`; null where there is none. */
function cloneAround(cwd: string): string | null {
  for (let folder = cwd, last = ""; folder !== last; last = folder, folder = path.dirname(folder)) {
    if (existsSync(path.join(folder, ".git"))) return existsSync(path.join(folder, rootPath(1))) ? folder : null;
    const isBare = ["HEAD", "objects", "refs"].every((entry) => existsSync(path.join(folder, entry)));
    if (isBare) return folder;
  }
  return null;
}

/**
 * The index whose clone is here, where one of the user's keys is for it. A clone that `indices.json` has of it is taken all the same:
 * anybody can make a folder that looks like one, with a remote of their own.
 */
async function ownIndexHere(machine: Here): Promise<OwnIndex | null> {
  const folder = cloneAround(machine.cwd);
  const id = folder === null ? null : await idOfClone(machine, folder);
  if (folder === null || id === null) return null;
  const known = (await readOwnIndices(machine)).find((own) => own.id === id);
  return known ?? ownIndexNamed(machine, folder, machine.cwd);
}

/** Those of `indices.json`, led by the one whose clone is here. */
async function ownIndicesFrom(machine: Here): Promise<readonly OwnIndex[]> {
  const known = await readOwnIndices(machine);
  try {
    const here = await ownIndexHere(machine);
    return here === null ? known : [here, ...known.filter(({ id }) => id !== here.id)];
  } catch (error) {
    // The clone is of an index that the user has no key for. The package may belong to one of the user's own indices.
    if (known.length === 0 || !isImprintError(error, "KEY_MISSING")) throw error;
    return known;
  }
}

/**
 * The index that `--index` names, or the one whose clone is here, or the only one.
 *
 * @param verb what is to be done with it, for messages
 * @throws ImprintError NO_OWN_INDEX, KEY_MISSING, USAGE
 */
export async function theOwnIndex(stores: Machine, named: string | undefined, cwd: string, verb: string): Promise<OwnIndex> {
  if (named !== undefined) return ownIndexNamed(stores, named, cwd);
  const here = await ownIndexHere({ ...stores, cwd });
  if (here !== null) return here;
  const known = await readOwnIndices(stores);
  const [only] = known;
  if (only === undefined) throw new ImprintError("NO_OWN_INDEX", `Cannot ${verb}: you have no index yet`);
  if (known.length > 1)
    throw new ImprintError(
      "USAGE",
      `Cannot ${verb}: you have several indices (${known.map(({ name }) => name).join(", ")}); choose one with --index`,
    );
  return only;
}

/**
 * The own index whose root grants `name` most closely.
 *
 * @throws ImprintError NO_OWN_INDEX, NOT_GRANTED
 */
export async function ownIndexFor(stores: Here, name: PackageName): Promise<OwnIndex> {
  const [only, ...others] = await ownIndicesFrom(stores);
  // Whether its root grants the name is seen when it is read for the change itself.
  if (only !== undefined && others.length === 0) return only;
  return requireOwnIndex(await ownIndicesFor(stores, [name]), name);
}

/** Of many names at once; `closest` has only those that some index grants. */
export type Closest = { readonly known: readonly OwnIndex[]; readonly closest: ReadonlyMap<PackageName, OwnIndex> };

/** @throws ImprintError NO_OWN_INDEX */
export async function ownIndicesFor(stores: Here, names: readonly PackageName[]): Promise<Closest> {
  const known = await ownIndicesFrom(stores);
  if (known.length === 0) throw new ImprintError("NO_OWN_INDEX", `Cannot publish ${names[0] ?? "anything"}: you have no index yet`);
  const closest = new Map<PackageName, OwnIndex>();
  const ranks = new Map<PackageName, number>();
  for (const own of known) {
    const state = await cloneState(stores, own);
    for (const name of names) {
      const rank = rankOf(state, name);
      if (rank <= (ranks.get(name) ?? 0)) continue;
      ranks.set(name, rank);
      closest.set(name, own);
    }
  }
  return { known, closest };
}

/** How closely a root grants `name`; 0: not at all. */
export function rankOf({ roots }: Pick<TrustedState, "roots">, name: PackageName): number {
  const granted = publishersFor(newestRoot(roots).doc, name)?.packages ?? [];
  return Math.max(0, ...granted.map((pattern: PackagePattern) => patternRank(pattern, name)));
}

/** @throws ImprintError NOT_GRANTED */
export function requireOwnIndex({ known, closest }: Closest, name: PackageName): OwnIndex {
  const own = closest.get(name);
  if (own !== undefined) return own;
  const names = known.map((index) => index.name).join(", ");
  throw new ImprintError(
    "NOT_GRANTED",
    `Cannot publish ${name}: no index of yours (${names}) grants that name; run: imprint root grant '${name}'`,
  );
}

/** What the clone's branch says, from the pinned id on. */
export async function cloneState(machine: Pick<Machine, "git">, own: OwnIndex): Promise<TrustedState> {
  const clone = await describeClone(own.path, { ...machine.git, look: [] });
  const repository = openClone(machine, clone.gitDir);
  try {
    if (clone.head === null) await requireCheckedOut(machine, own.path, clone);
    return await readState(await commitSource(repository, parseObjectId(clone.head ?? ""), TRANSFER_LIMITS).open(), own.id, null);
  } finally {
    await repository.close();
  }
}

/** The id of the index in a folder; null where there is none. */
export async function idOfClone(machine: Pick<Machine, "git">, folder: string): Promise<IndexId | null> {
  try {
    const clone = await describeClone(folder, { ...machine.git, look: [] });
    if (clone.head === null) return null;
    const repository = openClone(machine, clone.gitDir);
    try {
      const snapshot = await commitSource(repository, parseObjectId(clone.head), TRANSFER_LIMITS).open();
      return await readIndexId(snapshot);
    } finally {
      await repository.close();
    }
  } catch (error) {
    if (!isImprintError(error)) throw error;
    return null;
  }
}
