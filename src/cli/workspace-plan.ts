/** Which packages of a workspace `imprint publish --workspaces` releases, to which index, and why not the others. */
import path from "node:path";
import { minimatch } from "minimatch";
import { ImprintError, isImprintError } from "../errors.ts";
import { type PackageName, parseNewPackageName } from "../format/names.ts";
import { parseVersion, type Version } from "../format/versions.ts";
import { chooseBase } from "../index/publish.ts";
import { inDependencyOrder } from "../pack/order.ts";
import { type Member, readWorkspace } from "../pack/workspace.ts";
import type { Deps } from "./deps.ts";
import { cloneState, type Closest, type OwnIndex, ownIndexNamed, ownIndicesFor, rankOf, requireOwnIndex } from "./own-indices.ts";
import { openUpload, readNames } from "./upload.ts";

/** Why a package is not published, as `--json` says it. */
export type Skipped = "private" | "unnamed" | "root" | "filtered" | "not-granted" | "released" | "withdrawn";

export const SKIPPED: Readonly<Record<Skipped, string>> = {
  private: "private",
  unnamed: "no name or no version",
  root: "the workspace's root; imprint publish . publishes it",
  filtered: "left out by --filter",
  "not-granted": "outside the names of your index",
  released: "released already",
  withdrawn: "withdrawn; its number is never used again",
};

export type Planned = {
  readonly folder: string;
  readonly member: Member;
  readonly name: PackageName;
  readonly version: Version;
  /** The own index that it belongs to; null: none. */
  readonly own: OwnIndex | null;
  /** Its releases in there, as far as that index was read. */
  readonly released: readonly Version[];
  readonly skipped: Skipped | null;
};

export type Plan = {
  /** Where all that is published goes; null: nothing is. */
  readonly own: OwnIndex | null;
  /** In the order in which they are packed. */
  readonly packages: readonly Planned[];
  /** Of no interest to any index, for want of a name or a version. */
  readonly others: readonly {
    readonly folder: string;
    readonly name: string | null;
    readonly version: string | null;
    readonly skipped: Skipped;
  }[];
};

export type PlanOptions = { readonly index: string | undefined; readonly filters: readonly string[] };

/** @throws ImprintError USAGE, NO_OWN_INDEX, NOT_GRANTED, INVALID_NAME, and those of reading an index */
export async function planWorkspaces(options: PlanOptions, deps: Deps): Promise<Plan> {
  const members = await readWorkspace(deps.cwd);
  requireMatches(options.filters, members);
  const listed = members.map((member) => describe(member, options.filters, deps.cwd)).map((one) => ({ one, parsed: parsedOf(one) }));
  const others = listed.flatMap(({ one, parsed }) => (parsed === null ? [{ ...one, skipped: one.skipped ?? ("unnamed" as const) }] : []));
  const named = listed.flatMap(({ one, parsed }) => (parsed === null ? [] : [{ ...one, ...parsed }]));
  if (!named.some(({ skipped }) => skipped === null)) return { own: null, packages: named.map(unread), others };

  const indices = await indicesOf(
    named.map(({ name }) => name),
    options.index,
    deps,
  );
  const wanted = named.filter(({ skipped }) => skipped === null);
  const granted = wanted.flatMap(({ name }) => indices.closest.get(name) ?? []);
  // One name outside the index is usual; none inside it is a mistake.
  if (granted.length === 0) requireOwnIndex(indices, (wanted[0] as (typeof wanted)[number]).name);
  const records = await readRecords(new Set(granted), named, indices, deps);
  const packages = named.map((one): Planned => {
    const own = indices.closest.get(one.name) ?? null;
    const record = records.get(one.name);
    const released = [...(record?.releases.keys() ?? [])];
    const why =
      own === null
        ? "not-granted"
        : released.includes(one.version)
          ? "released"
          : record?.withdrawn.has(one.version) === true
            ? "withdrawn"
            : null;
    return { ...one, own, released, skipped: one.skipped ?? why };
  });
  const targets = new Map(packages.flatMap(({ own, skipped }) => (own === null || skipped !== null ? [] : [[own.id, own] as const])));
  if (targets.size > 1) refuseSeveral(packages);
  return {
    own: [...targets.values()][0] ?? null,
    packages: inDependencyOrder(packages.map((one) => ({ ...one, packageJson: one.member.packageJson }))),
    others,
  };
}

type Listed = {
  readonly folder: string;
  readonly member: Member;
  readonly name: string | null;
  readonly version: string | null;
  readonly skipped: Skipped | null;
};

/** @returns null where there is nothing to publish anyway, whatever the name */
function parsedOf({ name, version, skipped }: Listed): { readonly name: PackageName; readonly version: Version } | null {
  if (name === null || version === null) return null;
  try {
    return { name: parseNewPackageName(name), version: parseVersion(version) };
  } catch (error) {
    if (skipped === "private" && isImprintError(error)) return null;
    throw error;
  }
}

function describe(member: Member, filters: readonly string[], root: string): Listed {
  const { packageJson, dir, isRoot } = member;
  const text = (field: string): string | null => (typeof packageJson[field] === "string" ? packageJson[field] : null);
  const [name, version] = [text("name"), text("version")];
  const folder = path.relative(root, dir).split(path.sep).join("/") || ".";
  const skipped = ((): Skipped | null => {
    if (packageJson["private"] === true) return "private";
    if (name === null || version === null) return "unnamed";
    if (isRoot) return "root";
    return matches(name, filters) ? null : "filtered";
  })();
  return { folder, member, name, version, skipped };
}

const unread = (one: Omit<Planned, "own" | "released">): Planned => ({ ...one, own: null, released: [] });

/** `!` takes away; with nothing but that, from everything. */
function matches(name: string, filters: readonly string[]): boolean {
  const takes = filters.filter((filter) => !filter.startsWith("!"));
  const leaves = filters.filter((filter) => filter.startsWith("!")).map((filter) => filter.slice(1));
  const isOneOf = (patterns: readonly string[]): boolean => patterns.some((pattern) => minimatch(name, pattern, { nocomment: true }));
  return (takes.length === 0 || isOneOf(takes)) && !isOneOf(leaves);
}

/** A filter that was misspelled would quietly publish nothing, or too much. */
function requireMatches(filters: readonly string[], members: readonly Member[]): void {
  const names = members.flatMap(({ packageJson: { name } }) => (typeof name === "string" ? [name] : []));
  const idle = filters.find((filter) => !names.some((name) => minimatch(name, filter.replace(/^!/, ""), { nocomment: true })));
  if (idle !== undefined)
    throw new ImprintError("USAGE", `Cannot publish the workspaces: no package here is named like --filter '${idle}'`);
}

async function indicesOf(names: readonly PackageName[], index: string | undefined, deps: Deps): Promise<Closest> {
  if (index === undefined) return ownIndicesFor(deps, names);
  const own = await ownIndexNamed(deps, index, deps.cwd);
  const state = await cloneState(deps, own);
  return { known: [own], closest: new Map(names.filter((name) => rankOf(state, name) > 0).map((name) => [name, own])) };
}

type NamedRecords = ReadonlyMap<
  PackageName,
  { readonly releases: ReadonlyMap<Version, unknown>; readonly withdrawn: ReadonlyMap<Version, unknown> }
>;

/** What the hosts say now of each name that belongs to one of `opened`. */
async function readRecords(
  opened: ReadonlySet<OwnIndex>,
  named: readonly { readonly name: PackageName }[],
  { closest }: Closest,
  deps: Deps,
): Promise<NamedRecords> {
  const records = new Map<PackageName, NamedRecords extends ReadonlyMap<PackageName, infer R> ? R : never>();
  for (const own of opened) {
    deps.terminal.progress(`reading ${own.name}`);
    const open = await openUpload(deps, own);
    try {
      const { base } = await chooseBase(open.upload);
      for (const [name, view] of await readNames(
        base,
        named.filter(({ name: one }) => closest.get(one) === own),
      ))
        if (view !== null) records.set(name, view.record.doc);
    } finally {
      await open.repository.close();
    }
  }
  return records;
}

function refuseSeveral(packages: readonly Planned[]): never {
  const lines = packages.flatMap(({ name, own, skipped }) =>
    skipped === null && own !== null ? [`\n  - ${name} belongs to ${own.name}`] : [],
  );
  throw new ImprintError(
    "USAGE",
    `Cannot publish the workspaces at once: they belong to more than one index of yours, and one commit goes to one; choose with --filter${lines.join("")}`,
  );
}
