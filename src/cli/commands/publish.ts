/**
 * `imprint publish`: from a package to a release that strangers can verify.
 *
 * Everything that can be refused is refused before anything is signed; one commit and one atomic push make the release;
 * then it is read back from the host as a consumer with empty hands would, because a push that nobody can read is no
 * publication.
 */
import { readFile } from "node:fs/promises";
import { openSecrets } from "../../clients/environment.ts";
import { ImprintError } from "../../errors.ts";
import { integrityHex } from "../../format/decode.ts";
import { chooseBase } from "../../index/publish.ts";
import { type ReleaseRequest, requireReleasable, writeReleases } from "../../index/writer.ts";
import type { TarballFacts } from "../../pack/inspect.ts";
import { type Candidate, prepare, runAfter } from "../candidates.ts";
import type { Deps } from "../deps.ts";
import { type OwnIndex, ownIndexFor, ownIndexNamed } from "../own-indices.ts";
import { openForProposal, proposalBase, proposeReleases } from "../propose.ts";
import { readBack } from "../read-back.ts";
import { dailyKeysSoon, requireRemote, signAndUpload, uploadedText } from "../sign.ts";
import { placeOf, placeTarballs, requireSamePlace, requireUploaded, sayPlaces, type TarballPlace } from "../tarball-places.ts";
import { openUpload, readNames } from "../upload.ts";

export type PublishOptions = {
  /** Folders or .tgz files; empty: the folder here. */
  readonly inputs: readonly string[];
  readonly index: string | undefined;
  readonly tag: string | undefined;
  readonly dryRun: boolean;
  readonly push: boolean;
  /** A pull request instead of a release; a branch of that name, else of one made from the package's. */
  readonly propose: { readonly branch: string | undefined } | null;
};

export type PublishedRelease = {
  readonly name: string;
  readonly version: string;
  readonly integrity: string;
  readonly index: string;
  readonly commit: string | null;
  readonly pushed: boolean;
  /** Of a proposal: the branch that holds it. */
  readonly branch: string | null;
};

export async function publish(options: PublishOptions, deps: Deps): Promise<readonly PublishedRelease[]> {
  for (const line of openSecrets(deps.env)) deps.terminal.warn(line);
  const inputs = options.inputs.length > 0 ? options.inputs : ["."];
  const candidates: Candidate[] = [];
  try {
    for (const input of inputs) candidates.push(await prepare(input, options.tag, deps));
    const groups = await groupByIndex(candidates, options, deps);
    const published: PublishedRelease[] = [];
    for (const { own, members } of groups) published.push(...(await publishGroup(own, members, options, deps)));
    if (!options.dryRun && options.push && options.propose === null) await runAfter(candidates, deps);
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
  options: Pick<PublishOptions, "dryRun" | "push" | "propose">,
  deps: Deps,
): Promise<readonly PublishedRelease[]> {
  const { terminal } = deps;
  const { push, propose } = options;
  const names = members.map(({ name }) => name);
  const keysOf = options.dryRun ? null : dailyKeysSoon(deps, own);
  const open = propose === null ? await openUpload(deps, own, names) : await openForProposal(deps, own, names);
  try {
    requireRemote(open, push && !options.dryRun);
    const result = (done: Pick<PublishedRelease, "commit" | "pushed" | "branch">): PublishedRelease[] =>
      members.map(({ name, version, facts }) => ({ name, version, integrity: facts.integrity, index: own.name, ...done }));
    const requests = members.map(requestOf);
    // Whatever can be refused is refused before anybody is asked for a passphrase.
    const first = propose === null ? await chooseBase(open.upload) : null;
    const base = first?.base ?? (await proposalBase(open));
    requireReleasable(base.state, await readNames(base, requests), requests);
    // A proposal carries its tarballs; where they go in the end is the business of who seals it.
    const place: TarballPlace = propose === null ? placeOf(deps, base.state) : { kind: "same push", sources: [] };
    const tarballs = members.map((member) => ({
      ...requestOf(member),
      read: async () => new Uint8Array(await readFile(member.tarballPath)),
    }));
    if (keysOf === null) {
      for (const { name, version, facts } of members)
        terminal.talk(
          `would ${propose === null ? "publish" : "propose"} ${name}@${version} to ${own.name} (${facts.fileCount} files, ${facts.size} bytes)`,
        );
      sayPlaces(deps, place, tarballs);
      return result({ commit: null, pushed: false, branch: null });
    }
    await requireUploaded(deps, place, tarballs);
    const keys = await keysOf();
    const refs = await placeTarballs(deps, open, place, tarballs, {
      push,
      isFirst: propose === null && base.state.checkpoint.doc.shards.size === 0,
    });
    if (propose !== null) return result(await proposeReleases({ open, base, requests, keys, refs, branch: propose.branch, push }, deps));
    const message = `imprint: ${members.map(({ name, version }) => `${name}@${version}`).join(", ")}`;
    const uploaded = await signAndUpload(deps, open, {
      push,
      first,
      meanwhile: () => {
        terminal.progress("reading back as a stranger would");
        return readBack(deps, { own, open, releases: members.map(({ name, version, facts }) => ({ name, version, facts })) });
      },
      build: async (base, nowMs) => {
        requireSamePlace(place, base.state);
        const packages = await readNames(base, requests);
        const files = await writeReleases({ state: base.state, snapshot: base.snapshot, packages, requests, keys, nowMs });
        return { files, message, refs };
      },
    });
    const { commit } = uploaded;
    if (!push) {
      terminal.ok(`signed · ${uploadedText(open, uploaded, push)}`);
      terminal.talk(`Publish it with   ${terminal.style("bold", `git -C '${own.path}' push`)}`);
      return result({ commit, pushed: false, branch: null });
    }
    terminal.ok(
      `signed · ${uploadedText(open, uploaded, push)} and ${members.length} tarball${members.length === 1 ? "" : "s"} · read back as a stranger would: signature, tarball, manifest match`,
    );
    return result({ commit, pushed: true, branch: null });
  } finally {
    await open.repository.close();
  }
}

function requestOf({ name, version, facts, tag }: Candidate): ReleaseRequest {
  return { name, version, dist: distOf(facts), manifest: facts.manifest, tag };
}

function distOf(facts: TarballFacts): ReleaseRequest["dist"] {
  const { integrity, shasum, size, unpackedSize, fileCount, sha512Hex } = facts;
  if (integrityHex(integrity) !== sha512Hex)
    throw new ImprintError("TARBALL_REFUSED", "Cannot publish: the tarball changed while it was read");
  return { integrity, shasum, size, unpackedSize, fileCount };
}
