/**
 * `imprint publish --propose`: a branch with release and record in a place that no reader opens, and their tarballs, for a
 * pull request. Needs a publisher key only; the index's branch, and the clone's work tree, are not touched.
 */
import { ImprintError } from "../errors.ts";
import type { PackageName } from "../format/names.ts";
import type { ObjectId, RefUpdate } from "../git/port.ts";
import { remoteUrl } from "../git/clone.ts";
import { parseRefName, redactUrl } from "../git/url.ts";
import { type Base, chooseBase, readHost } from "../index/publish.ts";
import { proposalBranch, writeProposals } from "../index/proposals.ts";
import type { WriterKeys } from "../index/signers.ts";
import type { ReleaseRequest } from "../index/writer.ts";
import { authorOf } from "./author.ts";
import { cloneAddress } from "./addresses.ts";
import type { Deps } from "./deps.ts";
import type { OwnIndex } from "./own-indices.ts";
import { type OpenUpload, openUpload, readNames } from "./upload.ts";

const LOOK = parseRefName("refs/imprint/proposed");

export type Proposed = { readonly commit: string; readonly pushed: boolean; readonly branch: string };

/** @throws ImprintError NOT_GRANTED, VERSION_EXISTS, PUSH_FAILED, …; nothing is pushed then */
export async function proposeReleases(
  options: {
    readonly open: OpenUpload;
    readonly base: Base;
    readonly requests: readonly ReleaseRequest[];
    readonly keys: WriterKeys;
    /** The tarballs, committed. */
    readonly refs: readonly RefUpdate[];
    readonly branch: string | undefined;
    readonly push: boolean;
  },
  deps: Deps,
): Promise<Proposed> {
  const { open, base, requests, keys, refs, push } = options;
  const { terminal } = deps;
  const branch = options.branch ?? proposalBranch(requests);
  const ref = parseRefName(`refs/heads/${branch}`);
  if (ref === open.upload.branch)
    throw new ImprintError("USAGE", `Cannot propose on ${branch}: it is the branch that readers read; name another with --branch`);
  const packages = await readNames(base, requests);
  const nowMs = deps.nowMs();
  const commit = await open.repository.commit({
    base: base.commit,
    changes: writeProposals({ state: base.state, packages, requests, keys, nowMs }),
    message: `Propose ${requests.map(({ name, version }) => `${name}@${version}`).join(", ")}`,
    author: await authorOf(deps),
    timeMs: nowMs,
    keepAs: ref,
  });
  const { remote, limits } = open.upload;
  if (!push || remote === null) {
    terminal.ok(`signed · committed ${commit.slice(0, 7)} to ${branch} in ${open.own.path}`);
    terminal.talk(`Push it with   git -C '${open.own.path}' push <your fork> ${branch} ${refs.map((update) => update.ref).join(" ")}`);
    return { commit, pushed: false, branch };
  }
  const url = remote.pushUrl;
  terminal.progress(`pushing to ${redactUrl(url)}`);
  const expected: ObjectId | null = await open.repository.fetch({ url, ref, keepAs: LOOK, blobs: true, limits });
  await open.repository.push({ url, updates: [...refs, { ref, expected, to: commit }], limits });
  terminal.ok(
    `signed · committed ${commit.slice(0, 7)} · pushed ${branch} and ${refs.length} tarball${refs.length === 1 ? "" : "s"} to ${redactUrl(url)}`,
  );
  terminal.talk(`Now open a pull request from ${branch}; its reviewer seals it with   imprint seal --from '${redactUrl(url)}'`);
  return { commit, pushed: true, branch };
}

/**
 * In a clone of a fork the index itself is `upstream`, as git hosts call it: read from there, or a fork that lags behind
 * would look like a rollback. What is pushed still goes to the fork.
 */
export async function openForProposal(deps: Deps, own: OwnIndex, names: readonly PackageName[]): Promise<OpenUpload> {
  const open = await openUpload(deps, own, names);
  const { remote, branch } = open.upload;
  const upstream = await remoteUrl(own.path, "upstream", deps.git);
  if (upstream === null || remote === null) return open;
  const fetchUrl = await cloneAddress(deps, own.path, { remoteName: "upstream", configured: upstream, direction: "fetch" });
  const trackingRef = parseRefName(branch.replace("refs/heads/", "refs/remotes/upstream/"));
  return { ...open, upload: { ...open.upload, remote: { ...remote, fetchUrl, trackingRef } } };
}

/** What the index's host has, whatever lies in the clone unpushed. */
export async function proposalBase({ upload }: OpenUpload): Promise<Base> {
  return (await readHost(upload)) ?? (await chooseBase(upload)).base;
}
