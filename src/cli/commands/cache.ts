/** `imprint cache ls|prune`: what can be had again, how large it is, and when it was last used. */
import path from "node:path";
import { ImprintError } from "../../errors.ts";
import { type CacheItem, isLeftover, listFilesOf, listFoldersOf, removeItem } from "../../storage/inventory.ts";
import type { Deps } from "../deps.ts";
import { policyFolder, readProjectFiles } from "../../project/project-files.ts";
import { spanText } from "../../format/text.ts";

export type CacheKind = "git" | "sparse" | "tarballs" | "public registry" | "search" | "clients" | "other" | "leftovers";
export type CacheGroup = {
  readonly kind: CacheKind;
  /** Of a git repository: the index's name in this project, else its id; null for kinds that are one. */
  readonly name: string | null;
  readonly items: number;
  readonly bytes: number;
  /** ISO time; null where there is nothing. */
  readonly lastUsed: string | null;
};
export type CacheList = { readonly folder: string; readonly bytes: number; readonly groups: readonly CacheGroup[] };
export type PruneResult = { readonly folder: string; readonly bytes: number; readonly removed: number; readonly freed: number };

type Kept = CacheItem & { readonly kind: CacheKind };

/** Another process may still be writing what is younger. */
const LEFTOVER_MS = 60 * 60 * 1000;
/** Where npm's cache writes before it moves a file into place. */
const NPM_TEMPORARY = `${path.sep}tmp${path.sep}`;

async function inventory({ layout }: Deps): Promise<readonly Kept[]> {
  const kinds: readonly (readonly [CacheKind, readonly string[]])[] = [
    ["sparse", [layout.documents, path.dirname(layout.validator("x"))]],
    ["tarballs", [layout.blobs]],
    ["public registry", [layout.upstream]],
    ["search", [layout.searches]],
  ];
  const items: Kept[] = [];
  for (const item of await listFoldersOf(layout.repositories)) items.push({ ...item, kind: isLeftover(item) ? "leftovers" : "git" });
  // Whole: a package manager may not miss single files of what it keeps.
  for (const item of await listFoldersOf(layout.allClientCaches)) items.push({ ...item, kind: "clients" });
  for (const [kind, folders] of kinds)
    for (const folder of folders)
      for (const item of await listFilesOf(folder))
        items.push({ ...item, kind: isLeftover(item) || item.path.slice(folder.length).includes(NPM_TEMPORARY) ? "leftovers" : kind });
  const known = [layout.repositories, layout.allClientCaches, ...kinds.flatMap(([, folders]) => folders)].map(
    (folder) => folder + path.sep,
  );
  // Files beside the repositories (when each was last synced), and what another version of imprint left.
  for (const item of await listFilesOf(layout.cache)) {
    const isBeside = path.dirname(item.path) === layout.repositories;
    if (isBeside || !known.some((folder) => item.path.startsWith(folder)))
      items.push({ ...item, kind: isLeftover(item) ? "leftovers" : "other" });
  }
  return items;
}

function sum(items: readonly CacheItem[]): number {
  return items.reduce((total, { bytes }) => total + bytes, 0);
}

export async function listCache(deps: Deps): Promise<CacheList> {
  const items = await inventory(deps);
  const names = await namesOf(deps);
  const group = (kind: CacheKind, name: string | null, of: readonly Kept[]): CacheGroup => ({
    kind,
    name,
    items: of.length,
    bytes: sum(of),
    lastUsed: of.length === 0 ? null : new Date(Math.max(...of.map(({ lastUsedMs }) => lastUsedMs))).toISOString(),
  });
  const repositories = items.filter(({ kind }) => kind === "git");
  const rest = (["sparse", "tarballs", "public registry", "search", "clients", "other", "leftovers"] as const).map((kind) =>
    group(
      kind,
      null,
      items.filter((item) => item.kind === kind),
    ),
  );
  const named = repositories.map((item) => {
    const id = path.basename(item.path).replace(/(?:\.whole)?\.git$/u, "");
    return group("git", names.get(id) ?? id, [item]);
  });
  return { folder: deps.layout.cache, bytes: sum(items), groups: [...named, ...rest.filter((one) => one.items > 0)] };
}

async function namesOf(deps: Deps): Promise<ReadonlyMap<string, string>> {
  const { project } = await readProjectFiles(deps.files, policyFolder(deps));
  return new Map([...project.indices].map(([alias, { id }]) => [id, alias]));
}

/**
 * Removes what was left behind, then the least recently used until the rest is no larger than `maxBytes`.
 *
 * A running resolver goes on: what it misses it fetches again, and an open file stays whole until it is closed.
 */
export async function pruneCache(maxBytes: number, deps: Deps): Promise<PruneResult> {
  const items = await inventory(deps);
  const now = deps.nowMs();
  let bytes = sum(items);
  let removed = 0;
  let freed = 0;
  const drop = async (item: Kept): Promise<void> => {
    await removeItem(item);
    bytes -= item.bytes;
    freed += item.bytes;
    removed++;
  };
  for (const item of items) if (item.kind === "leftovers" && now - item.lastUsedMs > LEFTOVER_MS) await drop(item);
  for (const item of items.filter(({ kind }) => kind !== "leftovers").toSorted((a, b) => a.lastUsedMs - b.lastUsedMs)) {
    if (bytes <= maxBytes) break;
    await drop(item);
  }
  return { folder: deps.layout.cache, bytes, removed, freed };
}

const UNITS: Readonly<Record<string, number>> = { "": 1, B: 1, KB: 1e3, MB: 1e6, GB: 1e9, KIB: 1024, MIB: 1024 ** 2, GIB: 1024 ** 3 };

/** `500MB`, `2 GiB`, `0`. @throws ImprintError USAGE */
export function parseSize(text: string): number {
  const [, number = "", unit = ""] = /^([0-9]{1,12}(?:\.[0-9]{1,3})?) ?([A-Za-z]*)$/u.exec(text) ?? [];
  const factor = UNITS[unit.toUpperCase()];
  if (number === "" || factor === undefined) throw new ImprintError("USAGE", "Cannot use --max-size: give a size such as 500MB or 2GiB");
  return Math.floor(Number(number) * factor);
}

export function sizeText(bytes: number): string {
  for (const [unit, size] of [
    ["GB", 1e9],
    ["MB", 1e6],
    ["KB", 1e3],
  ] as const)
    if (bytes >= size) return `${(bytes / size).toFixed(1)} ${unit}`;
  return `${bytes} B`;
}

export function cacheLines({ folder, bytes, groups }: CacheList, nowMs: number): readonly string[] {
  const lines = groups.map(({ kind, name, items, bytes: size, lastUsed }) => {
    const what = name ?? `${items} ${items === 1 ? "file" : "files"}`;
    const used = lastUsed === null ? "" : `  used ${spanText(Math.max(0, nowMs - Date.parse(lastUsed)))} ago`;
    return `${kind}  ${what}  ${sizeText(size)}${used}`;
  });
  return [...lines, `${sizeText(bytes)} in ${folder}`];
}
