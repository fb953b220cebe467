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
import type { PackageName } from "../../format/names.ts";
import { type Base, chooseBase, type ChosenBase } from "../../index/publish.ts";
import { type ReleaseRequest, requireReleasable, writeReleases } from "../../index/writer.ts";
import type { TarballFacts } from "../../pack/inspect.ts";
import { type Candidate, nameOf, prepare, runAfter } from "../candidates.ts";
import { requireClock } from "../clock.ts";
import type { Deps } from "../deps.ts";
import { type OwnIndex, ownIndexFor, ownIndexNamed } from "../own-indices.ts";
import { isPreset } from "../passphrase.ts";
import { openForProposal, proposalBase, proposeReleases } from "../propose.ts";
import { readBack } from "../read-back.ts";
import { chooseSignable, requireKeysFor, requireRemote, signAndUpload, type Signer, signerOf, uploadedText } from "../sign.ts";
import { placeOf, placeTarballs, requireSamePlace, requireUploaded, sayPlaces, type TarballPlace } from "../tarball-places.ts";
import { type OpenUpload, openUpload, readNames } from "../upload.ts";

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
  const opened = new Map<string, OpenedIndex>();
  const openOnce = async (own: OwnIndex, members: readonly { readonly name: PackageName }[]): Promise<OpenedIndex> => {
    const names = members.map(({ name }) => name);
    const key = JSON.stringify([own.path, ...names.toSorted()]);
    const index = opened.get(key) ?? (await openFor(own, names, options, deps));
    opened.set(key, index);
    return index;
  };
  try {
    // By the names that folders have before they are packed: what the index refuses is refused before that takes its minutes.
    const named = await Promise.all(inputs.map((input) => nameOf(input, deps)));
    const known = named.flatMap((name) => (name === null ? [] : [{ name }]));
    if (known.length === inputs.length)
      for (const { own, members } of await groupByIndex(known, options, deps)) await openOnce(own, members);
    for (const input of inputs) candidates.push(await prepare(input, options.tag, deps));
    const published: PublishedRelease[] = [];
    for (const { own, members } of await groupByIndex(candidates, options, deps))
      published.push(...(await publishGroup(await openOnce(own, members), members, options, deps)));
    if (!options.dryRun && options.push && options.propose === null) await runAfter(candidates, deps);
    return published;
  } finally {
    await Promise.all([...candidates.map(({ cleanup }) => cleanup()), ...[...opened.values()].map(({ open }) => open.repository.close())]);
  }
}

async function groupByIndex<T extends { readonly name: PackageName }>(
  candidates: readonly T[],
  { index }: PublishOptions,
  deps: Deps,
): Promise<readonly { own: OwnIndex; members: T[] }[]> {
  const groups: { own: OwnIndex; members: T[] }[] = [];
  for (const candidate of candidates) {
    const own = index === undefined ? await ownIndexFor(deps, candidate.name) : await ownIndexNamed(deps, index, deps.cwd);
    const group = groups.find(({ own: { id, path: folder } }) => id === own.id && folder === own.path);
    if (group === undefined) groups.push({ own, members: [candidate] });
    else group.members.push(candidate);
  }
  return groups;
}

/** An own index as it is now, and keys that can sign for what is to be released. */
export type OpenedIndex = {
  readonly own: OwnIndex;
  readonly open: OpenUpload;
  /** Null: of a proposal, which is built on what the host has. */
  readonly first: ChosenBase | null;
  readonly base: Base;
  /** Null: nothing is to be signed. */
  readonly signer: Signer | null;
};

type GroupOptions = Pick<PublishOptions, "dryRun" | "push" | "propose">;

/** @throws ImprintError of reading; KEY_MISSING, KEY_REPLACED, NOT_GRANTED, PUSH_FAILED */
export async function openFor(
  own: OwnIndex,
  names: readonly PackageName[],
  { dryRun, push, propose }: GroupOptions,
  deps: Deps,
): Promise<OpenedIndex> {
  const signer = dryRun ? null : signerOf(deps, own);
  const open = propose === null ? await openUpload(deps, own, names) : await openForProposal(deps, own, names);
  try {
    requireRemote(open, push && !dryRun);
    if (propose === null) {
      const first = dryRun ? await chooseBase(open.upload) : await chooseSignable(deps, open, names);
      // A preset passphrase is tried before the packing, so that a wrong one is reported at once.
      if (isPreset(deps.env)) await signer?.();
      return { own, open, first, base: first.base, signer };
    }
    const base = await proposalBase(open);
    if (!dryRun) {
      await requireClock(deps, open.host, base.state);
      await requireKeysFor(deps, own, base.state, names, true);
    }
    return { own, open, first: null, base, signer };
  } catch (error) {
    await open.repository.close();
    throw error;
  }
}

/** One commit and one push, for packages of one index. */
export async function publishGroup(
  { own, open, first, base, signer }: OpenedIndex,
  members: readonly Candidate[],
  { push, propose }: GroupOptions,
  deps: Deps,
): Promise<readonly PublishedRelease[]> {
  const { terminal } = deps;
  const result = (done: Pick<PublishedRelease, "commit" | "pushed" | "branch">): PublishedRelease[] =>
    members.map(({ name, version, facts }) => ({ name, version, integrity: facts.integrity, index: own.name, ...done }));
  const requests = members.map(requestOf);
  // Whatever can be refused is refused before anybody is asked for a passphrase.
  requireReleasable(base.state, await readNames(base, requests), requests);
  // A proposal carries its tarballs; where they go in the end is the business of who seals it.
  const place: TarballPlace = propose === null ? placeOf(deps, base.state) : { kind: "same push", sources: [] };
  const tarballs = members.map((member) => ({
    ...requestOf(member),
    read: async () => new Uint8Array(await readFile(member.tarballPath)),
  }));
  if (signer === null) {
    for (const { name, version, facts } of members)
      terminal.talk(
        `would ${propose === null ? "publish" : "propose"} ${name}@${version} to ${own.name} (${facts.fileCount} files, ${facts.size} bytes)`,
      );
    sayPlaces(deps, place, tarballs);
    return result({ commit: null, pushed: false, branch: null });
  }
  await requireUploaded(deps, place, tarballs);
  const keys = await signer();
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
      const files = await writeReleases({ state: base.state, snapshot: base.snapshot, packages, requests, keys: await signer(), nowMs });
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
