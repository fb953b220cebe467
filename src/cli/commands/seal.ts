/**
 * `imprint seal`: what pull requests proposed becomes released, or, with nothing proposed, the index is signed anew.
 *
 * Whoever seals may hold the checkpoint key alone. So everything is judged again here, however it was reviewed: the whole
 * index as the host has it, each proposal, and each tarball. One that is refused stops all of it; name others to seal those.
 */
import { verifyIndex } from "../../audit/verify-index.ts";
import { ImprintError } from "../../errors.ts";
import { PROPOSALS } from "../../format/paths.ts";
import { type Base, chooseBase } from "../../index/publish.ts";
import { type Accepted, judgeProposals, readProposals, writeSeal } from "../../index/proposals.ts";
import type { TarballStore } from "../../index/tarballs.ts";
import { completePending, pendingSeal } from "../../index/root/pending.ts";
import type { Deps } from "../deps.ts";
import { theOwnIndex } from "../own-indices.ts";
import { requireNone, requireTarballs, tarballsOf } from "../sealing.ts";
import { requireFree, writeRequest } from "../root-change.ts";
import { chooseSignable, requireRemote, signAndUpload, signerOf, uploadedText } from "../sign.ts";
import { type NewTarball, placeOf, placeTarballs, requireSamePlace, requireUploaded } from "../tarball-places.ts";
import { type OpenUpload, openUpload } from "../upload.ts";

export type SealOptions = {
  /** `<name>@<version>` of the proposals to seal; none: all. */
  readonly specs: readonly string[];
  /** Where the tarballs are: the repositories that the pull requests came from. */
  readonly from: readonly string[];
  readonly index: string | undefined;
  /** Sign anew whatever is proposed. */
  readonly renew: boolean;
  /** File for a request that other holders of checkpoint keys sign, instead of a commit. */
  readonly out?: string | undefined;
  readonly dryRun: boolean;
  readonly push: boolean;
};

export type SealResult = {
  readonly index: string;
  readonly sealed: readonly { readonly name: string; readonly version: string }[];
  readonly commit: string | null;
};

export async function seal(options: SealOptions, deps: Deps): Promise<SealResult> {
  const { terminal } = deps;
  const own = await theOwnIndex(deps, options.index, deps.cwd, "seal");
  const open = await openUpload(deps, own);
  try {
    requireRemote(open, options.push && !options.dryRun);
    requireFree(deps, options.out);
    const isSigning = !options.dryRun && options.out === undefined;
    const { base } = isSigning ? await chooseSignable(deps, open, []) : await chooseBase(open.upload);
    const place = placeOf(deps, base.state);
    const tarballs = tarballsOf(open, options.from, place, deps);
    await requireWhole(open, base, deps);
    const accepted = await acceptedOf(open, base, options);
    await requireTarballs("seal", accepted, tarballs, deps);
    const fresh = newTarballs(accepted, tarballs);
    await requireUploaded(deps, place, fresh);
    const labels = accepted.map(({ proposal: { name, version } }) => `${name}@${version}`);
    const sealed = accepted.map(({ proposal: { name, version } }) => ({ name, version }));
    for (const label of labels) terminal.talk(`${options.dryRun ? "would seal" : "sealing"} ${label}`);
    if (options.dryRun) return { index: own.name, sealed, commit: null };
    const signer = signerOf(deps, own);
    const keys = await signer();
    const refs = await placeTarballs(deps, open, place, fresh, {
      push: options.push,
      isFirst: base.state.checkpoint.doc.shards.size === 0,
    });
    const message = labels.length === 0 ? "imprint: renew" : `imprint: seal ${labels.join(", ")}`;
    if (options.out !== undefined) {
      // They publish nothing until something lists them.
      const { remote, limits } = open.upload;
      if (remote !== null && refs.length > 0) await open.repository.push({ url: remote.pushUrl, updates: refs, limits });
      const pending = pendingSeal(base.state, accepted, message);
      const complete = await completePending(pending, base.snapshot, { checkpoint: keys.checkpoint }, deps.nowMs());
      await writeRequest(deps, complete.pending, options.out);
      return { index: own.name, sealed, commit: null };
    }
    const uploaded = await signAndUpload(deps, open, {
      push: options.push,
      build: async (now, nowMs) => {
        requireSamePlace(place, now.state);
        // Anew: others may have published meanwhile, and the proposals that were judged may be stale.
        const again = await acceptedOf(open, now, options);
        const seen = new Set(labels);
        const late = again.find(({ proposal: { name, version } }) => !seen.has(`${name}@${version}`));
        if (late !== undefined)
          throw new ImprintError("STATE_CHANGED", `Cannot seal: ${late.proposal.name}@${late.proposal.version} was proposed meanwhile`);
        return {
          files: await writeSeal({ state: now.state, snapshot: now.snapshot, accepted: again, keys: await signer(), nowMs }),
          message,
          refs,
        };
      },
    });
    terminal.ok(`${labels.length === 0 ? "signed anew, nothing to seal" : "sealed"} · ${uploadedText(open, uploaded, options.push)}`);
    return { index: own.name, sealed, commit: uploaded.commit };
  } finally {
    await open.repository.close();
  }
}

/** Nobody may have slipped in what the checkpoint does not list: a checkpoint signed over it would vouch for the rest. */
async function requireWhole({ own, repository }: OpenUpload, { commit, snapshot }: Base, { terminal }: Deps): Promise<void> {
  const index = { snapshot, listFiles: () => repository.listFiles(commit) };
  const { faults } = await verifyIndex(index, own.id, ({ packages, of }) => terminal.progress(`verifying ${packages} of ${of} packages`), {
    wantsGood: false,
  });
  requireNone("seal the index", faults);
}

/** @throws ImprintError VERIFY_FAILED naming every proposal that is refused */
async function acceptedOf({ repository }: OpenUpload, base: Base, { specs, renew }: SealOptions): Promise<readonly Accepted[]> {
  if (renew) return [];
  const { proposals, faults } = await readProposals(base.snapshot, await repository.listFiles(base.commit, PROPOSALS));
  const wanted = specs.length === 0 ? proposals : proposals.filter(({ name, version }) => specs.includes(`${name}@${version}`));
  const unknown = specs.find((spec) => !proposals.some(({ name, version }) => spec === `${name}@${version}`));
  if (unknown !== undefined) throw new ImprintError("NOT_FOUND", `Cannot seal ${unknown}: nobody proposed it`);
  const judged = await judgeProposals(base, wanted);
  requireNone("seal the proposals", [...(specs.length === 0 ? faults : []), ...judged.faults]);
  return judged.accepted;
}

function newTarballs(accepted: readonly Accepted[], tarballs: TarballStore): readonly NewTarball[] {
  return accepted.map(({ release }) => ({
    ...release,
    read: async () => new Uint8Array(await new Response((await tarballs.open(release)).stream).arrayBuffer()),
  }));
}
