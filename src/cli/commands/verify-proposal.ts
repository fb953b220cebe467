/**
 * `imprint verify --proposal`: what a reviewer, or CI, asks of a pull request before it is merged. Needs no key.
 *
 * Merging a proposal is harmless by construction, because readers never open it; what this refuses is everything else in
 * the same change: roots, records and checkpoints never come by pull request.
 */
import path from "node:path";
import { verifyTarballs } from "../../audit/verify-tarballs.ts";
import { ImprintError } from "../../errors.ts";
import { type IndexId, isIndexId } from "../../format/digest.ts";
import { CHECKPOINT_PATH, PROPOSALS } from "../../format/paths.ts";
import type { CloneState } from "../../git/clone-state.ts";
import { changedPaths, describeClone, mergeBase, resolveCommit } from "../../git/clone.ts";
import type { GitUrl, ObjectId } from "../../git/port.ts";
import { parseGitUrl, parseObjectId } from "../../git/url.ts";
import { judgeProposals, type ProposalFault, readProposals } from "../../index/proposals.ts";
import { commitSource, type Snapshot } from "../../index/source.ts";
import { readIndexId, readState } from "../../index/sync.ts";
import type { Deps } from "../deps.ts";
import { commitOf } from "../revision.ts";
import { openClone, openTarballs, TRANSFER_LIMITS } from "../open.ts";
import { clean } from "../../format/text.ts";

export type VerifyProposalOptions = {
  /** A clone with the pull request checked out. */
  readonly folder: string | undefined;
  /** What it would be merged into: a commit, branch or `HEAD^1`. */
  readonly base: string | undefined;
  readonly from: readonly string[];
  readonly id: string | undefined;
};

export type VerifyProposalResult = {
  readonly id: string;
  readonly proposals: readonly { readonly name: string; readonly version: string }[];
  readonly faults: readonly ProposalFault[];
  readonly ok: boolean;
};

export async function verifyProposal(options: VerifyProposalOptions, deps: Deps): Promise<VerifyProposalResult> {
  const { terminal } = deps;
  if (options.id !== undefined && !isIndexId(options.id))
    throw new ImprintError("USAGE", "Cannot verify: --id wants the 64 hex digits of an index id");
  const folder = path.resolve(deps.cwd, options.folder ?? ".");
  const clone = await describeClone(folder, deps.git);
  const [head, base] = [await requireHead(folder, deps), await baseOf(folder, clone, options.base, deps)];
  const repository = openClone(deps, clone.gitDir);
  try {
    const [before, after] = await Promise.all([base, head].map((commit) => commitSource(repository, commit, TRANSFER_LIMITS).open()));
    const snapshots = { before: before as Snapshot, after: after as Snapshot };
    const id = (options.id as IndexId | undefined) ?? (await readIndexId(snapshots.before));
    const state = await readState(snapshots.before, id, null);
    const changed = await changedPaths(folder, (await mergeBase(folder, base, head, deps.git)) ?? base, head, deps.git);
    const { proposals, faults } = await readProposals(snapshots.after, await repository.listFiles(head, PROPOSALS));
    const judged = await judgeProposals({ state, snapshot: snapshots.before }, proposals);
    const isNew = ({ files }: { readonly files: readonly string[] }): boolean => files.some((file) => changed.includes(file));
    const accepted = judged.accepted.filter(({ proposal }) => isNew(proposal));
    const tarballs = openTarballs(deps, urlsOf(clone, options.from), async () => ["git"]);
    const all: ProposalFault[] = [
      ...outsideFaults(changed),
      ...[...faults, ...judged.faults].filter(({ file }) => changed.some((one) => one === file || one.startsWith(`${file}/`))),
      ...(await verifyTarballs(
        accepted.map(({ release }) => release),
        tarballs,
        (done, of) => terminal.progress(`verifying tarball ${done} of ${of}`),
      )),
    ];
    for (const fault of all)
      terminal.talk(`${terminal.style("red", "✗")} ${clean(`${fault.file} (${fault.step}): ${fault.message} (${fault.code})`)}`);
    const found = proposals.filter(isNew).map(({ name, version }) => ({ name, version }));
    return { id, proposals: found, faults: all, ok: all.length === 0 };
  } finally {
    await repository.close();
  }
}

/** Lines of result; throws VERIFY_FAILED where there are faults. */
export function proposalLines({ proposals, faults, ok }: VerifyProposalResult): readonly string[] {
  if (!ok)
    throw new ImprintError("VERIFY_FAILED", `Cannot pass the proposal: ${faults.length} ${faults.length === 1 ? "fault" : "faults"}`);
  if (proposals.length === 0) return ["✓ nothing is proposed, and nothing that is signed was changed"];
  return proposals.map(({ name, version }) => `✓ ${name}@${version} may be sealed`);
}

/** A change may be about the README, or a proposal; never both, and never about what is signed. */
function outsideFaults(changed: readonly string[]): readonly ProposalFault[] {
  const proposes = changed.some((file) => file.startsWith(`${PROPOSALS}/`));
  const isSigned = (file: string): boolean => /^(trust|packages)\//.test(file) || file === CHECKPOINT_PATH;
  return changed
    .filter((file) => isSigned(file) || (proposes && !file.startsWith(`${PROPOSALS}/`)))
    .map((file) => ({ file, step: "writing 4", code: "INVALID_DOCUMENT", message: `the change touches ${file}, outside ${PROPOSALS}/` }));
}

/** What is checked out, which no ref of that name changes. */
async function requireHead(folder: string, { git }: Pick<Deps, "git">): Promise<ObjectId> {
  const commit = await resolveCommit(folder, "HEAD", git);
  if (commit === null) throw new ImprintError("USAGE", `Cannot verify: ${folder} has no commits`);
  return parseObjectId(commit);
}

async function requireCommit(folder: string, name: string, deps: Pick<Deps, "git">): Promise<ObjectId> {
  const commit = await commitOf(folder, name, deps);
  if (commit === null) throw new ImprintError("USAGE", `Cannot verify: ${JSON.stringify(name)} is no commit of ${folder}`);
  return parseObjectId(commit);
}

async function baseOf(
  folder: string,
  { remoteName }: CloneState,
  named: string | undefined,
  { git }: Pick<Deps, "git">,
): Promise<ObjectId> {
  if (named !== undefined) return requireCommit(folder, named, { git });
  const remotes = ["upstream", remoteName ?? "origin"];
  for (const name of remotes.flatMap((remote) => [`refs/remotes/${remote}/HEAD`, `refs/remotes/${remote}/main`])) {
    const commit = await resolveCommit(folder, name, git);
    if (commit !== null) return parseObjectId(commit);
  }
  throw new ImprintError("USAGE", "Cannot verify: say with --base what the proposal would be merged into, such as origin/main");
}

function urlsOf({ gitDir, fetchUrl }: CloneState, from: readonly string[]): readonly GitUrl[] {
  return [gitDir, ...from, ...(fetchUrl === null ? [] : [fetchUrl])].map((url) => parseGitUrl(url, { allowFile: true }));
}
