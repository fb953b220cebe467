/**
 * What `add` makes of an index's introductions: claims where somebody says yes, upstream denies otherwise, so that no
 * introduced name is ever asked for upstream (X4). One level only: what an introduced index introduces is text.
 */
import { ImprintError, isImprintError } from "../errors.ts";
import type { DisplayName } from "../format/decode.ts";
import type { PackagePattern } from "../format/names.ts";
import type { LockEntry, Project, ProjectIndex } from "../format/project.ts";
import type { Introduction, Root } from "../format/root.ts";
import { type IndexAddress, parseMirror } from "../index/address.ts";
import { lockEntryOf, newestRoot } from "../index/trust.ts";
import { requireNoConflicts } from "../registry/claims.ts";
import { addCommand, isUnscoped, isUsableAddress, openIntroductions, withClaimed, withDenied } from "../registry/introductions.ts";
import { judge } from "../storage/download.ts";
import { networkOf } from "../storage/proxy.ts";
import { chooseRef } from "./addresses.ts";
import { type Consumer, warnOn } from "./consumer.ts";
import type { Deps } from "./deps.ts";
import { openIndex } from "./open.ts";
import { clean } from "../format/text.ts";

export type IntroductionsMode = "ask" | "claim" | "deny";

export type SettledIntroduction = {
  readonly id: string;
  /** Null where it is no address that may be used. */ readonly url: string | null;
  readonly claimed: readonly PackagePattern[];
  readonly denied: readonly PackagePattern[];
  /** The command that trusts it later. */ readonly add: string | null;
  /** Why a claim that was wanted was refused. */ readonly refused: string | null;
};

export type Settled = {
  readonly project: Project;
  readonly locks: ReadonlyMap<DisplayName, LockEntry>;
  readonly introductions: readonly SettledIntroduction[];
};

/** @param project with the index itself in it: what it claims is no longer open */
export async function settleIntroductions(
  deps: Deps,
  { project: start, by, root, mode }: { project: Project; by: DisplayName; root: Root; mode: IntroductionsMode },
): Promise<Settled> {
  const locks = new Map<DisplayName, LockEntry>();
  const introductions: SettledIntroduction[] = [];
  let project = start;
  for (const introduced of root.introductions) {
    if (introduced.packages.includes("*" as PackagePattern))
      deps.terminal.warn(clean(`${by} introduces * (every name) of ${placeOf(introduced)}: ignored`));
    // Looked at anew each time: an introduction before this one may have settled a name of it.
    const [open] = openIntroductions(project, { ...root, introductions: [introduced] });
    if (open === undefined) continue;
    deps.terminal.talk(clean(`${by} depends on ${open.packages.join(", ")} of ${placeOf(open)}`));
    let claimed = await chooseClaims(deps, open, mode);
    let refused: string | null = null;
    if (claimed.length > 0) {
      try {
        const made = await claimIndex(deps, project, open, claimed);
        project = made.project;
        locks.set(made.alias, made.lock);
        deps.terminal.talk(clean(`  ${claimed.join(", ")} from now on from ${made.alias} only`));
      } catch (error) {
        if (!isImprintError(error)) throw error;
        refused = clean(`${error.message} (${error.code})`);
        claimed = [];
        deps.terminal.warn(`not claimed: ${refused}`);
      }
    }
    const denied = open.packages.filter((pattern) => !claimed.includes(pattern));
    project = withDenied(project, denied);
    const add = denied.length === 0 ? null : addCommand({ ...open, packages: denied });
    if (denied.length > 0)
      deps.terminal.talk(
        clean(`  ${denied.join(", ")} denied, never asked for upstream${add === null ? "" : `; to trust that index, too: ${add}`}`),
      );
    introductions.push({ id: open.id, url: isUsableAddress(open.url) ? open.url : null, claimed, denied, add, refused });
  }
  return { project, locks, introductions };
}

/** Says which introductions imprint.json has no answer for yet: their names still go upstream. @throws ImprintError STRICT */
export async function warnIntroduced({ files, indices }: Consumer, { terminal, strict }: Deps): Promise<void> {
  for (const [alias, { reader }] of indices) {
    const state = await reader.current();
    const open = state === null ? [] : openIntroductions(files.project, newestRoot(state.roots).doc);
    const [first] = open;
    if (strict === true && first !== undefined)
      throw new ImprintError("STRICT", `Cannot go on under --strict: ${introducedLine(alias, first)}`);
    for (const one of open) terminal.warn(introducedLine(alias, one));
  }
}

/** One line: what is introduced, and what settles it. */
export function introducedLine(alias: string, introduction: Introduction): string {
  const command = addCommand(introduction);
  return clean(
    `${alias} depends on ${introduction.packages.join(", ")} of ${placeOf(introduction)}, so far from the public registry: ${command === null ? "" : `${command}, or `}list them under upstream.deny in imprint.json`,
  );
}

function placeOf({ url, id }: Introduction): string {
  return isUsableAddress(url) ? url : `the index ${id.slice(0, 8)}… (its address cannot be used)`;
}

/** Scoped names by one yes; unscoped ones only by a yes to each, which no flag can give. */
async function chooseClaims({ terminal }: Deps, { packages }: Introduction, mode: IntroductionsMode): Promise<readonly PackagePattern[]> {
  const scoped = packages.filter((pattern) => !isUnscoped(pattern));
  if (mode === "deny") return [];
  if (mode === "claim") return scoped;
  const claims: PackagePattern[] = [];
  if (scoped.length > 0 && (await terminal.askYes(clean(`Take ${scoped.join(", ")} from that index? (no: denied)`))))
    claims.push(...scoped);
  for (const pattern of packages.filter(isUnscoped))
    if (await terminal.askYes(clean(`Take ${pattern} from that index?`))) claims.push(pattern);
  return claims;
}

/** The steps of `add`, for an address that is another index's text and not the user's. */
async function claimIndex(
  deps: Deps,
  project: Project,
  { id, url, packages: introduced }: Introduction,
  packages: readonly PackagePattern[],
): Promise<{ readonly project: Project; readonly alias: DisplayName; readonly lock: LockEntry }> {
  const address = await requirePublicAddress(deps, url, addCommand({ id, url, packages: introduced }));
  const known = [...project.indices].find(([, entry]) => entry.id === id);
  const ref = await chooseRef(deps, address, known?.[1].ref);
  const entry: ProjectIndex = known?.[1] ?? { id, urls: [address.url], ref, packages: [] };
  const index = await openIndex(deps, known?.[0] ?? ("new" as DisplayName), entry, null, warnOn(deps));
  try {
    const { state } = (await index.reader.sync()).stored;
    const root = newestRoot(state.roots).doc;
    const alias = known?.[0] ?? root.name;
    if ((project.indices.get(alias)?.id ?? id) !== id)
      throw new ImprintError("NAME_TAKEN", `Cannot add index as ${alias}: imprint.json has another index of that name`);
    const next = withClaimed(project, alias, entry, packages);
    requireNoConflicts(next);
    for (const further of openIntroductions(next, root))
      deps.terminal.talk(
        clean(`  it depends on ${further.packages.join(", ")} of ${placeOf(further)} in turn; imprint sync says how to settle that`),
      );
    return { project: next, alias, lock: lockEntryOf(state) };
  } finally {
    await index.close();
  }
}

/** @throws ImprintError INVALID_URL, UNREACHABLE */
async function requirePublicAddress({ privateHosts, env }: Deps, url: string, byHand: string | null): Promise<IndexAddress> {
  const mayBePrivate = (host: string): boolean => privateHosts.has(host);
  const address = parseMirror(url, mayBePrivate);
  if (address === null)
    throw new ImprintError(
      "INVALID_URL",
      `Cannot follow introduction: only https addresses are${byHand === null ? "" : `; if you know it, ${byHand}`}`,
    );
  const asked = new URL(address.kind === "git" ? address.url : address.url.replace(/^sparse\+/u, ""));
  await judge(asked, { allowPrivate: mayBePrivate, ...networkOf(env) });
  return address;
}
