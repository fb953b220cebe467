/**
 * `imprint publish`: from a package to a release that strangers can verify.
 *
 * Everything that can be refused is refused before anything is signed; one commit and one atomic push make the release;
 * then it is read back from the host as a consumer with empty hands would, because a push that nobody can read is no
 * publication.
 */
import { readFile } from "node:fs/promises";
import { ImprintError } from "../../errors.ts";
import { integrityHex } from "../../format/decode.ts";
import { tarballRef } from "../../format/tarball-source.ts";
import type { RefUpdate } from "../../git/port.ts";
import { parseRefName } from "../../git/url.ts";
import { type Base, type Change, chooseBase } from "../../index/publish.ts";
import { type ReleaseRequest, requireReleasable, type WriterKeys, writeReleases } from "../../index/writer.ts";
import type { TarballFacts } from "../../pack/inspect.ts";
import { authorOf } from "../author.ts";
import { type Candidate, prepare, runAfter } from "../candidates.ts";
import type { Deps } from "../deps.ts";
import { keysFor, openKeysOf } from "../key-store.ts";
import { type OwnIndex, ownIndexFor, ownIndexNamed } from "../own-indices.ts";
import { readBack } from "../read-back.ts";
import { hostOf, type OpenUpload, openUpload, readNames, runUpload } from "../upload.ts";

export type PublishOptions = {
  /** Folders or .tgz files; empty: the folder here. */
  readonly inputs: readonly string[];
  readonly index: string | undefined;
  readonly tag: string | undefined;
  readonly dryRun: boolean;
  readonly push: boolean;
};

export type PublishedRelease = {
  readonly name: string;
  readonly version: string;
  readonly integrity: string;
  readonly index: string;
  readonly commit: string | null;
  readonly pushed: boolean;
};

export async function publish(options: PublishOptions, deps: Deps): Promise<readonly PublishedRelease[]> {
  const inputs = options.inputs.length > 0 ? options.inputs : ["."];
  const candidates: Candidate[] = [];
  try {
    for (const input of inputs) candidates.push(await prepare(input, options.tag, deps));
    const groups = await groupByIndex(candidates, options, deps);
    const published: PublishedRelease[] = [];
    for (const { own, members } of groups) published.push(...(await publishGroup(own, members, options, deps)));
    if (!options.dryRun && options.push) await runAfter(candidates, deps);
    return published;
  } finally {
    await Promise.all(candidates.map(({ cleanup }) => cleanup()));
  }
}

async function groupByIndex(
  candidates: readonly Candidate[],
  { index }: PublishOptions,
  deps: Deps,
): Promise<readonly { own: OwnIndex; members: Candidate[] }[]> {
  const groups: { own: OwnIndex; members: Candidate[] }[] = [];
  for (const candidate of candidates) {
    const own = index === undefined ? await ownIndexFor(deps, candidate.name) : await ownIndexNamed(deps, index, deps.cwd);
    const group = groups.find(({ own: { id, path: folder } }) => id === own.id && folder === own.path);
    if (group === undefined) groups.push({ own, members: [candidate] });
    else group.members.push(candidate);
  }
  return groups;
}

/** One commit and one push, for packages of one index. */
export async function publishGroup(
  own: OwnIndex,
  members: readonly Candidate[],
  options: Pick<PublishOptions, "dryRun" | "push">,
  deps: Deps,
): Promise<readonly PublishedRelease[]> {
  const { terminal } = deps;
  const open = await openUpload(deps, own);
  try {
    const labels = members.map(({ name, version }) => `${name}@${version}`);
    const result = (commit: string | null, pushed: boolean): PublishedRelease[] =>
      members.map(({ name, version, facts }) => ({ name, version, integrity: facts.integrity, index: own.name, commit, pushed }));
    if (options.push && open.upload.remote === null)
      throw new ImprintError(
        "PUSH_FAILED",
        `Cannot publish to ${own.name}: its clone ${own.path} has no remote; git -C '${own.path}' remote add origin <url>, or --no-push`,
      );
    const requests = members.map(({ name, version, facts, tag }): ReleaseRequest => ({
      name,
      version,
      dist: distOf(facts),
      manifest: facts.manifest,
      tag,
    }));
    // Whatever can be refused is refused before anybody is asked for a passphrase.
    await requirePublishable(open, requests);
    if (options.dryRun) {
      for (const { name, version, facts } of members)
        terminal.talk(`would publish ${name}@${version} to ${own.name} (${facts.fileCount} files, ${facts.size} bytes)`);
      return result(null, false);
    }
    const keyFile = await openKeysOf(deps, own, "daily", deps);
    const keys: WriterKeys = { publishers: keysFor(keyFile, "publisher"), checkpoint: keysFor(keyFile, "checkpoint") };
    const tarballs = await commitTarballs(open, members);
    const author = await authorOf(deps);
    const build = async (base: Base): Promise<Change> => {
      const nowMs = deps.nowMs();
      const packages = await readNames(base, requests);
      const files = await writeReleases({ state: base.state, snapshot: base.snapshot, packages, requests, keys, nowMs });
      return { files, message: `imprint: ${labels.join(", ")}`, author, timeMs: nowMs, refs: tarballs };
    };
    terminal.progress(options.push ? `pushing to ${hostOf(open)}` : "committing");
    const { commit, attempts } = await runUpload(deps, open, build, options.push);
    const raced =
      attempts > 1 ? ` · ${attempts - 1} other ${attempts === 2 ? "publisher was" : "publishers were"} faster, signed again` : "";
    if (!options.push) {
      terminal.ok(`signed · committed ${commit.slice(0, 7)} in ${own.path}`);
      terminal.talk(`Publish it with   ${terminal.style("bold", `git -C '${own.path}' push`)}`);
      return result(commit, false);
    }
    terminal.progress("reading back as a stranger would");
    await readBack(deps, { own, open, releases: members.map(({ name, version, facts }) => ({ name, version, facts })) });
    terminal.ok(
      `signed · committed ${commit.slice(0, 7)} · pushed ${open.clone.branch ?? ""} and ${members.length} tarball${members.length === 1 ? "" : "s"}${raced} · read back as a stranger would: signature, tarball, manifest match`,
    );
    return result(commit, true);
  } finally {
    await open.repository.close();
  }
}

/** A dry build against what is there now: republished versions, tags, grants. */
async function requirePublishable(open: OpenUpload, requests: readonly ReleaseRequest[]): Promise<void> {
  const { base } = await chooseBase(open.upload);
  requireReleasable(base.state, await readNames(base, requests), requests);
}

/** Orphan commits of one file each, the same for the same bytes: a second try pushes nothing new. */
async function commitTarballs({ repository }: OpenUpload, members: readonly Candidate[]): Promise<readonly RefUpdate[]> {
  const updates: RefUpdate[] = [];
  for (const { facts, tarballPath } of members) {
    const ref = parseRefName(tarballRef(facts.sha512Hex));
    const content = new Uint8Array(await readFile(tarballPath));
    const to = await repository.commit({
      base: null,
      changes: [{ path: "package.tgz", content }],
      message: "tarball",
      author: { name: "imprint", email: "imprint@localhost" },
      timeMs: 0,
      keepAs: ref,
    });
    updates.push({ ref, expected: null, to });
  }
  return updates;
}

function distOf(facts: TarballFacts): ReleaseRequest["dist"] {
  const { integrity, shasum, size, unpackedSize, fileCount, sha512Hex } = facts;
  if (integrityHex(integrity) !== sha512Hex)
    throw new ImprintError("TARBALL_REFUSED", "Cannot publish: the tarball changed while it was read");
  return { integrity, shasum, size, unpackedSize, fileCount };
}
