/** `imprint add`: pins an index by its id, and says who may answer for what from now on. */
import { ImprintError } from "../../errors.ts";
import { type DisplayName, isDisplayName } from "../../format/decode.ts";
import { type IndexId, indexIdOf, isIndexId } from "../../format/digest.ts";
import { LIMITS } from "../../format/limits.ts";
import { type PackageName, type PackagePattern, parsePackagePattern } from "../../format/names.ts";
import { rootPath } from "../../format/paths.ts";
import { type LockEntry, type Project, type ProjectIndex, raiseLock } from "../../format/project.ts";
import { shortKey } from "../../format/keys.ts";
import { policyOf } from "../../format/policy.ts";
import { timestampMs } from "../../format/time.ts";
import type { RefName } from "../../git/port.ts";
import type { IndexAddress } from "../../index/address.ts";
import { listPackages, scopesOf } from "../../index/preview.ts";
import { lockEntryOf, newestRoot, type TrustedState, verifyFirstRoot } from "../../index/trust.ts";
import { rememberProject } from "../../project/known-projects.ts";
import { planOf, pointProject } from "../../project/pointing.ts";
import { requireNoConflicts } from "../../registry/claims.ts";
import { chooseRef, sharedAddress } from "../addresses.ts";
import { lockLines } from "../views/pointed.ts";
import { acceptState } from "../accepted.ts";
import type { Deps } from "../deps.ts";
import { warnOn } from "../consumer.ts";
import { openIndex, openProbe } from "../open.ts";
import { resolverAddress } from "../../clients/resolver-address.ts";
import { type SettledIntroduction, settleIntroductions } from "../introductions.ts";
import { newPolicyFolder, type ProjectFiles, readProjectFiles, writeLock, writeProject } from "../../project/project-files.ts";
import { clean, spanText } from "../../format/text.ts";

export type AddOptions = {
  readonly url: string;
  /** Branch or full ref; undefined: main, else the host's default. */
  readonly ref?: string | undefined;
  readonly as: string | undefined;
  readonly packages: readonly string[];
  readonly yes: boolean;
  readonly npmrc: boolean;
  /** What becomes of the index's introductions; undefined: asked at a terminal, else denied. */
  readonly introductions?: "claim" | "deny" | undefined;
};
export type AddResult = {
  readonly alias: string;
  readonly id: string;
  readonly packages: readonly string[];
  readonly changed: readonly string[];
  readonly added: boolean;
  readonly introductions: readonly SettledIntroduction[];
};

export async function add(options: AddOptions, deps: Deps): Promise<AddResult> {
  const { terminal, files } = deps;
  const { url: typed, id: given } = splitAddress(options.url);
  const address = await sharedAddress(deps, typed);
  const url = address.kind === "sparse" ? address.url : typed;
  if (given === null && (options.yes || !terminal.interactive)) {
    throw new ImprintError(
      "NEEDS_ID",
      `Cannot add ${url}: it has no #<id>, and ${options.yes ? "--yes is only for an address with one" : "nobody is here to compare one"}`,
    );
  }
  if (given !== null && !options.yes && !terminal.interactive)
    throw new ImprintError("NEEDS_ANSWER", `Cannot add ${url}: nobody is here to say yes`);
  const folder = newPolicyFolder(deps);
  const current = await readProjectFiles(files, folder);
  terminal.progress(`reading ${url}`);
  const known = [...current.project.indices.values()].find((one) => one.id === given);
  const ref = await chooseRef(deps, address, options.ref ?? known?.ref);
  const id = given ?? (await fetchId(deps, address, ref));
  const entry: ProjectIndex = { id, urls: [url], ref, packages: [] };
  const index = await openIndex(deps, "new" as DisplayName, entry, null, warnOn(deps));
  try {
    const synced = await index.reader.sync();
    const { state } = synced.stored;
    const names = await index.reader.look(listPackages);
    const alias = chooseAlias(options, current, state, id);
    const claims = await chooseClaims(options, current.project, alias, names, state, deps);
    const project = withIndex(current.project, alias, { ...entry, packages: claims });
    requireNoConflicts(project);
    describe(deps, {
      alias,
      id,
      given,
      state,
      names,
      claims,
      who: folder === deps.layout.config ? "every folder without an imprint.json" : "this project",
    });
    if (!options.yes && !(await terminal.askYes(`Add ${alias}?`)))
      return { alias, id, packages: claims, changed: [], added: false, introductions: [] };
    const settled = await settleIntroductions(deps, {
      project,
      by: alias,
      root: newestRoot(state.roots).doc,
      mode: options.introductions ?? (options.yes || !terminal.interactive ? "deny" : "ask"),
    });
    const locks = new Map([...settled.locks, [alias, lockEntryOf(state)] as const]);
    const changed = await save(options, deps, folder, settled.project, current, locks);
    // What changes from now on is told from here: imprint trust diff.
    await acceptState(deps, id, synced.stored);
    terminal.ok(changed.length === 0 ? "nothing to change" : changed.join(", "));
    if (folder === deps.layout.config) sayUsersOwn(deps, folder, settled.project);
    return { alias, id, packages: claims, changed, added: true, introductions: settled.introductions };
  } finally {
    await index.close();
  }
}

/** The address and the id behind `#`. @throws ImprintError INVALID_URL */
export function splitAddress(address: string): { readonly url: string; readonly id: IndexId | null } {
  const at = address.indexOf("#");
  if (at < 0) return { url: address, id: null };
  const id = address.slice(at + 1);
  if (!isIndexId(id))
    throw new ImprintError(
      "INVALID_URL",
      `Cannot add ${clean(address.slice(0, at))}: after # stands no index id (64 lower-case hex digits)`,
    );
  return { url: address.slice(0, at), id };
}

/** What an address without an id leads to now: only for a person who compares it. */
async function fetchId(deps: Deps, address: IndexAddress, ref: RefName): Promise<IndexId> {
  const probe = await openProbe(deps, address, ref);
  try {
    const snapshot = await probe.source.open();
    const [read] = await snapshot.readFiles([{ path: rootPath(1), maxBytes: LIMITS.rootBytes }]);
    if (read?.state !== "found") throw new ImprintError("NOT_AN_INDEX", `Cannot read index at ${address.url}: it has no ${rootPath(1)}`);
    return indexIdOf(verifyFirstRoot(read.bytes, null).digest);
  } finally {
    await probe.close();
  }
}

function chooseAlias({ as }: AddOptions, { project }: ProjectFiles, state: TrustedState, id: IndexId): DisplayName {
  if (as !== undefined && !isDisplayName(as))
    throw new ImprintError("USAGE", `Cannot name an index ${JSON.stringify(as)}: use letters, digits, . _ -`);
  const known = [...project.indices].find(([, entry]) => entry.id === id)?.[0];
  const alias = (as as DisplayName | undefined) ?? known ?? newestRoot(state.roots).doc.name;
  const taken = project.indices.get(alias);
  if (taken !== undefined && taken.id !== id)
    throw new ImprintError("NAME_TAKEN", `Cannot add index as ${alias}: imprint.json has another index of that name`);
  return alias;
}

/** Never `*`, and unscoped names only where somebody says so: they belong to everybody. */
async function chooseClaims(
  { packages, yes }: AddOptions,
  project: Project,
  alias: DisplayName,
  names: readonly PackageName[],
  state: TrustedState,
  { terminal }: Deps,
): Promise<readonly PackagePattern[]> {
  if (packages.length > 0) return packages.map(parsePackagePattern);
  const kept = project.indices.get(alias)?.packages;
  if (kept !== undefined && kept.length > 0) return kept;
  const claims: PackagePattern[] = [...scopesOf(names, state)];
  const unscoped = names.filter((name) => !name.startsWith("@"));
  if (!yes && unscoped.length <= 12) {
    for (const name of unscoped)
      if (await terminal.askYes(`Take ${name} from ${alias} instead of the public registry?`)) claims.push(parsePackagePattern(name));
  } else if (unscoped.length > 0) {
    terminal.talk(
      clean(
        `not claimed, so still from the public registry: ${unscoped.slice(0, 8).join(", ")}${unscoped.length > 8 ? ", …" : ""}; claim one with --packages`,
      ),
    );
  }
  if (claims.length === 0)
    throw new ImprintError("USAGE", `Cannot add ${alias}: nothing to claim; name its packages with --packages 'name,@scope/*'`);
  return claims;
}

function withIndex(project: Project, alias: DisplayName, entry: ProjectIndex): Project {
  const before = project.indices.get(alias);
  const urls = [...new Set([...(before?.urls ?? []), ...entry.urls])];
  return { ...project, indices: new Map([...project.indices, [alias, { ...before, ...entry, urls }]]) };
}

async function save(
  options: AddOptions,
  deps: Deps,
  folder: string,
  project: Project,
  current: ProjectFiles,
  locks: ReadonlyMap<DisplayName, LockEntry>,
): Promise<readonly string[]> {
  const isProjects = folder !== deps.layout.config;
  let next = project;
  if (options.npmrc && isProjects) {
    const { replaced } = (await planOf(deps.files, folder, project)).settings;
    if (replaced !== null && project.upstream.registry === undefined && /^https?:\/\/[^@]+$/.test(replaced)) {
      next = { ...project, upstream: { ...project.upstream, registry: replaced } };
      deps.terminal.talk(clean(`the registry that stood there, ${replaced}, is now upstream.registry in imprint.json`));
    }
  }
  const lock = [...locks].reduce((raised, [alias, entry]) => raiseLock(raised, alias, entry), current.lock);
  // .npmrc is written before imprint.json: if `add` is interrupted, clients ask a resolver that refuses them, not the public
  // registry.
  const pointed = isProjects && options.npmrc ? await pointProject(deps, folder, next) : null;
  if (pointed === null) await rememberProject(deps, folder, policyOf(next));
  const written = [...(await writeProject(deps.files, folder, next)), ...(await writeLock(deps.files, folder, lock))];
  if (pointed === null) return written;
  for (const line of lockLines(pointed)) deps.terminal.talk(line);
  return [...written, ...pointed.changed];
}

/** No project's .npmrc is touched for it, and the user's own is for the user to change. */
function sayUsersOwn({ terminal }: Deps, folder: string, project: Project): void {
  terminal.talk(
    clean(`That is the user's own imprint.json, in ${folder}: it counts wherever no project above has one, and is never merged with it.`),
  );
  terminal.talk(
    `So that a forgotten imprint run fails instead of asking the public registry: npm config set registry ${resolverAddress(policyOf(project))} --location=user (a registry that stands there goes into upstream.registry of that imprint.json first)`,
  );
}

function describe(
  { terminal, nowMs }: Deps,
  about: {
    alias: string;
    id: IndexId;
    given: IndexId | null;
    state: TrustedState;
    names: readonly PackageName[];
    claims: readonly PackagePattern[];
    /** Whose imprint.json it is. */ who: string;
  },
): void {
  const { alias, id, given, state, names, claims, who } = about;
  const root = newestRoot(state.roots).doc;
  const age = spanText(Math.max(0, nowMs() - timestampMs(state.checkpoint.doc.time)));
  const signers = root.publishers.map(({ keys, threshold }) => `${threshold} of ${keys.length}`).join(", ");
  const shown = names.slice(0, 6).join(", ");
  terminal.talk(
    clean(
      `${alias} · ${given === null ? `id ${id}: compare it with its author` : "id as you gave it"} · releases signed by ${signers} · signed ${age} ago · ${names.length === 0 ? "no packages yet" : `${shown}${names.length > 6 ? ` and ${names.length - 6} more` : ""}`}`,
    ),
  );
  if (given === null)
    for (const { keys, packages } of root.publishers) terminal.talk(clean(`  ${packages.join(" ")}: ${keys.map(shortKey).join(", ")}`));
  terminal.talk(`From now on ${who} takes ${claims.join(", ")} from ${alias} only; all else from where it came before.`);
}
