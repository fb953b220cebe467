/** An own index opened for writing: its clone, its host, its trusted state. Shared by every command that signs. */
import { ImprintError } from "../errors.ts";
import type { GitRepository } from "../git/port.ts";
import { advanceBranch, buildsOn, type CloneState, configureRemote, describeClone } from "../git/clone.ts";
import type { PackageName } from "../format/names.ts";
import { parseGitUrl, parseRefName, redactUrl } from "../git/url.ts";
import { type Base, type Upload, uploadChange, type UploadResult, confirmUpload } from "../index/publish.ts";
import { type PackageView, readPackage } from "../index/package-reader.ts";
import type { Deps } from "./deps.ts";
import { evidenceKeeper, openClone, stateStoreOf, TRANSFER_LIMITS } from "./open.ts";
import type { OwnIndex } from "./own-indices.ts";
import { clean } from "./terminal.ts";

export type OpenUpload = {
  readonly own: OwnIndex;
  readonly clone: CloneState;
  readonly repository: GitRepository;
  readonly upload: Upload;
};

/** @throws ImprintError WORK_TREE, NO_OWN_INDEX, INVALID_URL */
export async function openUpload(deps: Deps, own: OwnIndex): Promise<OpenUpload> {
  const clone = await describeClone(own.path, deps.git);
  if (clone.inProgress !== null)
    throw new ImprintError("WORK_TREE", `Cannot sign in ${own.path}: a ${clone.inProgress} is in progress there`);
  if (clone.dirty.length > 0)
    throw new ImprintError(
      "WORK_TREE",
      `Cannot sign in ${own.path}: signed files were changed by hand (${clone.dirty.slice(0, 3).join(", ")}${clone.dirty.length > 3 ? ", …" : ""})`,
    );
  if (clone.branch === null) throw new ImprintError("WORK_TREE", `Cannot sign in ${own.path}: no branch is checked out`);
  const { remoteName, fetchUrl, pushUrl, branch } = clone;
  const repository = openClone(deps, clone.gitDir);
  const remote =
    remoteName === null || fetchUrl === null
      ? null
      : {
          fetchUrl: parseGitUrl(fetchUrl, { allowFile: true }),
          pushUrl: parseGitUrl(pushUrl ?? fetchUrl, { allowFile: true }),
          trackingRef: parseRefName(`refs/remotes/${remoteName}/${branch}`),
        };
  // A colleague's fresh clone has no push refspec for tarballs yet.
  if (remote !== null && remoteName !== null)
    await configureRemote(
      own.path,
      {
        name: remoteName,
        url: remote.fetchUrl,
        ...(remote.pushUrl === remote.fetchUrl ? {} : { pushUrl: remote.pushUrl }),
        branch,
      },
      deps.git,
    );
  const upload: Upload = {
    repository,
    id: own.id,
    branch: parseRefName(`refs/heads/${branch}`),
    remote,
    buildsOn: (commit, ancestor) => buildsOn(own.path, commit, ancestor, deps.git),
    store: stateStoreOf(deps, own.id),
    keepEvidence: evidenceKeeper(deps, own.id),
    limits: TRANSFER_LIMITS,
  };
  return { own, clone, repository, upload };
}

/** Commits and pushes; the clone's branch follows, and what the host now holds is what this machine trusts. */
export async function runUpload(
  deps: Deps,
  open: OpenUpload,
  build: Parameters<typeof uploadChange>[1],
  push: boolean,
): Promise<UploadResult> {
  const { upload, own } = open;
  const result = await uploadChange(upload, build, push);
  if (push && upload.remote !== null) await confirmUpload(upload);
  try {
    await advanceBranch(own.path, { to: result.commit, from: result.localHead, force: result.isLocalKnown }, deps.git);
  } catch (error) {
    // Published is published: only the author's work tree lags behind.
    if (!(error instanceof ImprintError) || !push) throw error;
    deps.terminal.warn(`the clone could not follow: ${clean(error.message)}; git -C '${own.path}' pull`);
  }
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
