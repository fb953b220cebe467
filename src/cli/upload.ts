/** An own index opened for writing: its clone, its host, its trusted state. Shared by every command that signs. */
import { ImprintError } from "../errors.ts";
import path from "node:path";
import type { GitRepository, GitUrl } from "../git/port.ts";
import { aloneInClone } from "../git/clone-lock.ts";
import { advanceBranch, buildsOn, configureRemote, describeClone } from "../git/clone.ts";
import type { CloneState } from "../git/clone-state.ts";
import type { PackageName } from "../format/names.ts";
import { CHECKPOINT_PATH, recordPath, shardOf, shardPath } from "../format/paths.ts";
import { parseRefName, redactUrl } from "../git/url.ts";
import { type Base, type ChosenBase, type Upload, uploadChange, type UploadResult, confirmUpload } from "../index/publish.ts";
import { type PackageView, readPackage } from "../index/package-reader.ts";
import { cloneAddress } from "./addresses.ts";
import { requireCheckedOut } from "./checked-out.ts";
import { askClock, type HostClock, requireClock } from "./clock.ts";
import type { Deps } from "./deps.ts";
import { quoted } from "./doctor/finding.ts";
import { evidenceKeeper, openClone, stateStoreOf, TRANSFER_LIMITS } from "./open.ts";
import type { OwnIndex } from "./own-indices.ts";
import { renamedBranch } from "./renamed-branch.ts";
import { clean } from "../format/text.ts";

export type OpenUpload = {
  readonly own: OwnIndex;
  readonly clone: CloneState;
  readonly repository: GitRepository;
  readonly upload: Upload;
  /** Asked while the index is read; null: no host. */
  readonly host: { readonly url: GitUrl; readonly clock: HostClock } | null;
};

/**
 * @param names the packages that are about to change, where that is known: local changes of others' files are nobody's
 *   business, and looking at every file of a large index takes a while
 * @throws ImprintError WORK_TREE, NO_OWN_INDEX, INVALID_URL
 */
export async function openUpload(deps: Deps, own: OwnIndex, names: readonly PackageName[] | null = null): Promise<OpenUpload> {
  const clone = await describeClone(own.path, { ...deps.git, ...(names === null ? {} : { look: signedPaths(names) }) });
  const branch = await requireCheckedOut(deps, own.path, clone);
  const { remoteName, fetchUrl, pushUrl } = clone;
  const repository = openClone(deps, clone.gitDir);
  const remote =
    remoteName === null || fetchUrl === null
      ? null
      : {
          fetchUrl: await cloneAddress(deps, own.path, { remoteName, configured: fetchUrl, direction: "fetch" }),
          pushUrl: await cloneAddress(deps, own.path, { remoteName, configured: pushUrl ?? fetchUrl, direction: "push" }),
          trackingRef: parseRefName(`refs/remotes/${remoteName}/${branch}`),
        };
  // A colleague's fresh clone has no push refspec for tarballs yet.
  const alone = <T>(work: () => Promise<T>): Promise<T> =>
    aloneInClone(clone.gitDir, () => deps.terminal.progress(`waiting for another imprint in ${own.path}`), work);
  if (remote !== null && remoteName !== null)
    await alone(() => configureRemote(own.path, { name: remoteName, url: null, branch }, deps.git));
  const upload: Upload = {
    repository,
    id: own.id,
    branch: parseRefName(`refs/heads/${branch}`),
    remote,
    alone,
    explain: async () => {
      if (remote === null) return null;
      const next = (to: string): string => `git -C ${quoted(own.path)} branch -m ${branch} ${to}`;
      const ref = parseRefName(`refs/heads/${branch}`);
      return renamedBranch(deps.git, { url: remote.fetchUrl, ref, limits: TRANSFER_LIMITS }, next);
    },
    buildsOn: (commit, ancestor) => buildsOn(own.path, commit, ancestor, deps.git),
    store: stateStoreOf(deps, own.id),
    keepEvidence: evidenceKeeper(deps, own.id),
    limits: TRANSFER_LIMITS,
  };
  const host = remote === null ? null : { url: remote.fetchUrl, clock: askClock(deps, remote.fetchUrl) };
  return { own, clone, repository, upload, host };
}

function signedPaths(names: readonly PackageName[]): readonly string[] {
  const own = names.flatMap((name) => [shardPath(shardOf(name)), path.posix.dirname(recordPath(name))]);
  return ["trust", CHECKPOINT_PATH, ...new Set(own)];
}

export type RunOptions = {
  readonly push: boolean;
  readonly first?: ChosenBase | null;
  /** What else is to be done once it is pushed; the clone's work tree, which may be large, follows beside it. */
  readonly meanwhile?: () => Promise<void>;
};

/** Commits and pushes; the clone's branch follows, and what the host now holds is what this machine trusts. */
export async function runUpload(
  deps: Deps,
  open: OpenUpload,
  build: Parameters<typeof uploadChange>[1],
  { push, first = null, meanwhile = async () => {} }: RunOptions,
): Promise<UploadResult> {
  const { upload, own } = open;
  const checked: typeof build = async (base) => {
    // A thief may have dated the last checkpoint as he liked.
    await requireClock(deps, open.host, upload.isRecovery === true ? null : base.state);
    return build(base);
  };
  // The next one in this clone need not wait for what is done meanwhile.
  const { result, followed, rest } = await upload.alone(async () => {
    const uploaded = await uploadChange(upload, checked, { push, first });
    if (push && upload.remote !== null) await confirmUpload(upload, uploaded.commit);
    const late = Promise.allSettled([push ? meanwhile() : null]);
    const { commit: to, localHead: from, isLocalKnown: force } = uploaded;
    const [moved] = await Promise.allSettled([advanceBranch(own.path, { to, from, force }, deps.git)]);
    return { result: uploaded, followed: moved, rest: () => late };
  });
  const [done] = await rest();
  if (followed.status === "rejected") {
    const error: unknown = followed.reason;
    // Published is published: only the author's work tree lags behind.
    if (!(error instanceof ImprintError) || !push) throw error;
    const next = error.code === "DIVERGED" ? "branch unpushed && git fetch && git reset --keep @{upstream}, there" : "pull";
    deps.terminal.warn(`the clone could not follow: ${clean(error.message)}; git -C '${own.path}' ${next}`);
  }
  if (done.status === "rejected") throw done.reason;
  return result;
}

/** What is there of each name now; null for a new one. */
export async function readNames(
  base: Base,
  named: readonly { readonly name: PackageName }[],
): Promise<ReadonlyMap<PackageName, PackageView | null>> {
  const names = [...new Set(named.map(({ name }) => name))];
  return new Map(await Promise.all(names.map(async (name) => [name, await readPackage(base.snapshot, base.state, name)] as const)));
}

/** The host for a line of talk. */
export function hostOf(open: OpenUpload): string {
  const url = open.upload.remote?.pushUrl;
  return url === undefined ? "no host" : redactUrl(url);
}
