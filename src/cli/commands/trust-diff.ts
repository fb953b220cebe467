/**
 * `imprint trust diff <commit>`: what imprint.json and imprint.lock widen since a commit, in each folder of the repository that
 * has or had them or is below one that has. Fails in CI until the person who merges passes the digest that it prints; the
 * digest is of this very change, so consent to one is none to another.
 */
import { realpath } from "node:fs/promises";
import path from "node:path";
import { ImprintError, isImprintError } from "../../errors.ts";
import { utf8 } from "../../format/bytes.ts";
import { digestOf } from "../../format/digest.ts";
import { canonicalize, parseExact } from "../../format/json.ts";
import { LIMITS } from "../../format/limits.ts";
import { formatLock, formatProject } from "../../format/project.ts";
import { clean } from "../../format/text.ts";
import { changedPaths, describeClone, folderInTree, resolveCommit } from "../../git/clone.ts";
import type { ObjectId } from "../../git/port.ts";
import { changesByFolder, type FolderChange, type PolicyFiles } from "../../registry/policy-change.ts";
import type { Deps } from "../deps.ts";
import { openClone } from "../open.ts";
import { policiesAt, policiesIn, type Policies, policyAbove } from "../policies.ts";
import { commitOf } from "../revision.ts";

export type TrustDiff = {
  readonly since: string;
  readonly changes: readonly FolderChange[];
  /** Of both sides of the change. */
  readonly digest: string;
  /** Whether nothing is widened, or the digest was passed. */
  readonly ok: boolean;
};

/** @throws ImprintError NOT_FOUND, USAGE, CONFIG_INVALID, CLAIMS_CONFLICT */
export async function trustDiff(options: { readonly commit: string; readonly accept: string | undefined }, deps: Deps): Promise<TrustDiff> {
  const { before, after, moved } = await bothSides(deps, options.commit);
  const changes = [...changesByFolder(sidesOf(before, after)), ...moved.map(movedSubmodule)];
  const sides = [before, after].map(({ policies }) =>
    [...policies].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([folder, policy]) => `${folder}\n${policy.unknown ?? textOf(policy)}`),
  );
  const digest = digestOf(utf8(JSON.stringify([sides, changes])));
  // From a command line or a CI variable, never from the change itself.
  const accepted = options.accept ?? deps.env["IMPRINT_ACCEPT"];
  return { since: options.commit, changes, digest, ok: accepted === digest || !changes.some(({ widens }) => widens) };
}

/** @throws ImprintError TRUST_WIDENED */
export function trustDiffLines({ since, changes, digest, ok }: TrustDiff): readonly string[] {
  const lines = changes.map(({ text, widens, folders }) => clean(`${widens ? "widens" : "      "} ${placeText(folders)}${text}`));
  if (!ok)
    throw new ImprintError(
      "TRUST_WIDENED",
      [`Cannot pass what is trusted since ${clean(since)}: it widens, and nobody accepted ${digest}`, ...lines].join("\n"),
    );
  return lines.length === 0 ? ["nothing changed"] : lines;
}

/** Nothing for the top of the repository, where most have their one policy. */
function placeText(folders: readonly string[]): string {
  const [first = ".", ...others] = folders;
  if (first === ".") return "";
  return others.length === 0
    ? `in ${first}: `
    : `in ${first} and ${others.length === 1 ? (others[0] ?? "") : `${String(others.length)} more folders`}: `;
}

function textOf({ project, lock }: PolicyFiles): string {
  const canonical = (bytes: Uint8Array): string => Buffer.from(canonicalize(parseExact(bytes, LIMITS.projectBytes * 2))).toString("utf8");
  return `${canonical(formatProject(project))}\n${canonical(formatLock(lock))}`;
}

type Sides = { readonly before: Policies; readonly after: Policies; readonly moved: readonly string[] };

async function bothSides(deps: Deps, name: string): Promise<Sides> {
  const clone = await describeClone(deps.cwd, { ...deps.git, look: [] }).catch((cause: unknown) => {
    if (!isImprintError(cause)) throw cause;
    throw new ImprintError("NOT_FOUND", `Cannot compare with ${clean(name)}: ${deps.cwd} is in no git repository`, { cause });
  });
  const commit = await commitOf(deps.cwd, name, deps);
  if (commit === null)
    throw new ImprintError(
      "NOT_FOUND",
      `Cannot compare with ${clean(name)}: there is no such commit here (in CI, fetch the base branch first)`,
    );
  const depth = (await folderInTree(deps.cwd, deps.git)).split("/").length - 1;
  const top = path.resolve(await realpath(deps.cwd), ...Array.from({ length: depth }, () => ".."));
  const repository = openClone(deps, clone.gitDir);
  try {
    const before = await policiesAt(repository, commit, clean(name));
    const after = await policiesIn(deps.files, top, before);
    return { before, after, moved: await movedSubmodules(deps, commit, { before, after }) };
  } finally {
    await repository.close();
  }
}

/** Other repositories within this one that were added or are at another commit: their policies are not looked at here. */
async function movedSubmodules(deps: Deps, commit: ObjectId, { before, after }: Omit<Sides, "moved">): Promise<readonly string[]> {
  const head = await resolveCommit(deps.cwd, "HEAD", deps.git);
  if (head === null || (before.submodules.size === 0 && after.submodules.size === 0)) return [];
  const changed = new Set(await changedPaths(deps.cwd, commit, head, deps.git));
  return [...new Set([...before.submodules, ...after.submodules])].filter((folder) => changed.has(folder)).toSorted();
}

function movedSubmodule(folder: string): FolderChange {
  return {
    folders: [folder],
    text: "another repository stands there, and it changed; imprint trust diff in it shows what counts",
    widens: true,
  };
}

/** For each folder that has or had a policy, and each with a package.json: what counted there, and what counts. */
function sidesOf(before: Policies, after: Policies): Parameters<typeof changesByFolder>[0] {
  const folders = [...before.policies.keys(), ...after.policies.keys(), ...before.packages, ...after.packages];
  return [...new Set(folders)]
    .toSorted((a, b) => a.split("/").length - b.split("/").length || (a < b ? -1 : 1))
    .map((folder) => ({ folder, before: sideOf(before, folder), after: sideOf(after, folder) }));
}

function sideOf(side: Policies, folder: string): Parameters<typeof changesByFolder>[0][number]["before"] {
  const at = policyAbove(side, folder);
  const policy = at === null ? undefined : side.policies.get(at);
  return at === null || policy === undefined ? null : { at, ...policy };
}
