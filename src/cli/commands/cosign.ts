/**
 * `imprint cosign`: one more publisher's signature on what was proposed, where a package takes more than one. Judged like a seal,
 * tarballs too: whoever signs vouches for what they saw.
 */
import { setTimeout as delay } from "node:timers/promises";
import { ImprintError, isImprintError } from "../../errors.ts";
import { PROPOSALS } from "../../format/paths.ts";
import type { ObjectId } from "../../git/port.ts";
import { parseRefName } from "../../git/url.ts";
import { cosignProposals, judgeProposals, readProposals } from "../../index/proposals.ts";
import { commitSource } from "../../index/source.ts";
import { openAllKeys } from "../all-keys.ts";
import { authorOf } from "../author.ts";
import type { Deps } from "../deps.ts";
import { TRANSFER_LIMITS } from "../open.ts";
import { theOwnIndex } from "../own-indices.ts";
import { openForProposal, proposalBase } from "../propose.ts";
import { requireNone, requireTarballs, tarballsOf } from "../sealing.ts";
import { placeOf } from "../tarball-places.ts";
import type { OpenUpload } from "../upload.ts";

export type CosignOptions = {
  readonly specs: readonly string[];
  /** Where the tarballs are: the repositories that the pull requests came from. */
  readonly from: readonly string[];
  /** Branch of the remote that the clone pushes to; undefined: the index's own. */
  readonly branch: string | undefined;
  readonly index: string | undefined;
};

export type CosignResult = {
  readonly index: string;
  readonly signed: readonly { readonly name: string; readonly version: string }[];
  readonly commit: string | null;
};

const MAX_ATTEMPTS = 20;
const LOOK = parseRefName("refs/imprint/proposed");

/** @throws ImprintError VERIFY_FAILED naming every proposal that is refused; NOT_GRANTED, PUSH_FAILED, LOST_RACE */
export async function cosign(options: CosignOptions, deps: Deps): Promise<CosignResult> {
  const own = await theOwnIndex(deps, options.index, deps.cwd, "cosign");
  const open = await openForProposal(deps, own, []);
  try {
    for (let attempt = 1; ; attempt++) {
      try {
        return await cosignOnce(options, open, deps);
      } catch (error) {
        // Another publisher has signed there meanwhile.
        if (!isImprintError(error, "LOST_RACE") || attempt === MAX_ATTEMPTS) throw error;
        await delay(Math.random() * 100 * attempt);
      }
    }
  } finally {
    await open.repository.close();
  }
}

async function cosignOnce(options: CosignOptions, open: OpenUpload, deps: Deps): Promise<CosignResult> {
  const { terminal } = deps;
  const { own, repository, upload } = open;
  const { remote, limits } = upload;
  if (remote === null) throw new ImprintError("PUSH_FAILED", `Cannot cosign: the clone ${own.path} has no remote that others see`);
  const base = await proposalBase(open);
  const ref = options.branch === undefined ? upload.branch : parseRefName(`refs/heads/${options.branch}`);
  const head: ObjectId | null = await repository.fetch({ url: remote.pushUrl, ref, keepAs: LOOK, blobs: true, limits });
  if (head === null) throw new ImprintError("NOT_FOUND", `Cannot cosign: the remote has no branch ${options.branch ?? ""}`);
  const snapshot = await commitSource(repository, head, TRANSFER_LIMITS).open();
  const { proposals, faults } = await readProposals(snapshot, await repository.listFiles(head, PROPOSALS));
  const wanted = proposals.filter(({ name, version }) => options.specs.length === 0 || options.specs.includes(`${name}@${version}`));
  const unknown = options.specs.find((spec) => !proposals.some(({ name, version }) => spec === `${name}@${version}`));
  if (unknown !== undefined || wanted.length === 0)
    throw new ImprintError("NOT_FOUND", `Cannot cosign ${unknown ?? "anything"}: nobody proposed it there`);
  const judged = await judgeProposals(base, wanted, true);
  requireNone("cosign the proposals", [...(options.specs.length === 0 ? faults : []), ...judged.faults]);
  await requireTarballs("cosign", judged.accepted, tarballsOf(open, options.from, placeOf(deps, base.state), deps), deps);
  const keys = await openAllKeys(deps, own, ["publisher"]);
  const changes = cosignProposals(base.state, judged.accepted, keys);
  const signed = judged.accepted.map(({ proposal: { name, version } }) => ({ name, version }));
  const labels = signed.map(({ name, version }) => `${name}@${version}`).join(", ");
  if (changes.length === 0) {
    terminal.talk(`${labels}: your signature is there already`);
    return { index: own.name, signed: [], commit: null };
  }
  const [author, timeMs] = [await authorOf(deps), deps.nowMs()];
  const commit = await repository.commit({ base: head, changes, message: `imprint: cosign ${labels}`, author, timeMs, keepAs: LOOK });
  await repository.push({ url: remote.pushUrl, updates: [{ ref, expected: head, to: commit }], limits });
  terminal.ok(`signed ${labels} · committed ${commit.slice(0, 7)} · pushed`);
  terminal.talk("Next, where the checkpoint key is   imprint seal");
  return { index: own.name, signed, commit };
}
