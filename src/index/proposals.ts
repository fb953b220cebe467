/**
 * Releases by pull request: SPEC.md, "Writing" 4. Someone with a publisher key and no checkpoint key proposes files that
 * no reader opens; whoever seals judges them, moves them into place, and signs the checkpoint.
 *
 * A proposal adds one release, with the tags that point at it, and nothing else. Its record is compared with the index's
 * newest in full, not only by revision: one that was made on an older state would silently undo a yank.
 */
import { badSignatures, signDocument, signersAmong } from "../crypto/documents.ts";
import { ImprintError, isImprintError } from "../errors.ts";
import { type FileHash, fileHashOf } from "../format/digest.ts";
import { formatPublicKey } from "../format/keys.ts";
import { LIMITS } from "../format/limits.ts";
import type { PackageName } from "../format/names.ts";
import { packageFolder, PROPOSALS, proposalPath, recordPath, releasePath } from "../format/paths.ts";
import { encodeRecord, type PackageRecord, parseRecord } from "../format/record.ts";
import type { Signed } from "../format/envelope.ts";
import { parseRelease, type Release } from "../format/release.ts";
import type { Version } from "../format/versions.ts";
import type { FileChange } from "../git/port.ts";
import { identifyRecord, judgeRelease, type PackageView, readPackage } from "./package-reader.ts";
import type { Snapshot } from "./source.ts";
import { inFile, type TrustedState } from "./trust.ts";
import { addRelease, type Draft, type ReleaseRequest, requireNewVersion, startDraft, writeTree } from "./writer.ts";
import { publishersOf, type WriterKeys } from "./signers.ts";

const STEP = "writing 4";
const REGULAR = new Set(["100644", "100755"]);
/** More at once is a mistake, or somebody who wants to keep a sealer busy. */
const MAX_FILES = LIMITS.proposalFiles;

/** What lies under `proposals/`, read and well-formed, but not judged. */
export type Proposal = {
  readonly name: PackageName;
  readonly version: Version;
  readonly release: Uint8Array;
  readonly record: Uint8Array;
  /** Says only in which order to judge the proposals of one package. */
  readonly revision: number;
  readonly files: readonly string[];
};

export type ProposalFault = { readonly file: string; readonly step: string; readonly code: string; readonly message: string };

/** A proposal that may be sealed. */
export type Accepted = {
  readonly proposal: Proposal;
  readonly release: Release;
  readonly after: PackageRecord;
  /** The record that the index has, whatever was proposed before this one; null: none. */
  readonly before: Signed<PackageRecord> | null;
};

/**
 * The files of a commit that proposes `requests`.
 *
 * @throws ImprintError VERSION_EXISTS, NOT_GRANTED, PACKAGE_REFUSED
 */
export function writeProposals(options: {
  readonly state: TrustedState;
  readonly packages: ReadonlyMap<PackageName, PackageView | null>;
  readonly requests: readonly ReleaseRequest[];
  readonly keys: Pick<WriterKeys, "publishers">;
  readonly nowMs: number;
}): readonly FileChange[] {
  const { state, packages, requests, keys, nowMs } = options;
  const files: FileChange[] = [];
  const drafts = new Map<PackageName, Draft>();
  for (const request of requests) {
    const { name, version } = request;
    const before = drafts.get(name);
    // A second release of one package is proposed on top of the first.
    const start: Draft =
      before === undefined
        ? startDraft(state, name, packages.get(name) ?? null, nowMs)
        : { ...before, record: { ...before.record, revision: before.record.revision + 1 }, releases: [] };
    const draft = addRelease(start, state, request, keys, nowMs);
    drafts.set(name, draft);
    files.push(
      { path: proposalPath(name, version, "release.json"), content: draft.releases[0]?.content as Uint8Array },
      {
        path: proposalPath(name, version, "record.json"),
        // Where more must sign, they add theirs to the proposal.
        content: signDocument("package", encodeRecord(draft.record, draft.kept), publishersOf(state, name, keys, 1)),
      },
    );
  }
  return files;
}

/** Everything under `proposals/`; what is no whole proposal in its right place is a fault. */
export async function readProposals(
  snapshot: Snapshot,
  listed: readonly { readonly path: string; readonly mode: string }[],
): Promise<{ readonly proposals: readonly Proposal[]; readonly faults: readonly ProposalFault[] }> {
  if (listed.length > MAX_FILES)
    throw new ImprintError("TOO_LARGE", `Cannot read proposals: more than ${MAX_FILES} files under ${PROPOSALS}/`);
  const faults: ProposalFault[] = [];
  const folders = new Map<string, Set<string>>();
  for (const { path, mode } of listed) {
    const place = /^(proposals\/[^/]+\/[^/]+)\/(release|record)\.json$/.exec(path);
    if (place === null || !REGULAR.has(mode)) {
      faults.push(fault(path, "INVALID_DOCUMENT", `${path} is no part of a proposal`));
      continue;
    }
    const [, folder = "", file = ""] = place;
    folders.set(folder, (folders.get(folder) ?? new Set()).add(file));
  }
  const proposals: Proposal[] = [];
  for (const [folder, files] of folders) {
    const missing = ["release", "record"].find((file) => !files.has(file));
    if (missing !== undefined) {
      faults.push(fault(folder, "MISSING_FILE", `${folder}/${missing}.json is not there: half a proposal`));
      continue;
    }
    try {
      proposals.push(await readProposal(snapshot, folder));
    } catch (error) {
      if (!isImprintError(error)) throw error;
      faults.push(fault(error.file ?? folder, error.code, error.message));
    }
  }
  return { proposals: proposals.toSorted((a, b) => a.revision - b.revision), faults };
}

async function readProposal(snapshot: Snapshot, folder: string): Promise<Proposal> {
  const [releaseFile, recordFile] = [`${folder}/release.json`, `${folder}/record.json`];
  const [release, record] = await snapshot.readFiles([
    { path: releaseFile, maxBytes: LIMITS.releaseBytes },
    { path: recordFile, maxBytes: LIMITS.recordBytes },
  ]);
  if (release?.state !== "found" || record?.state !== "found")
    throw new ImprintError("TOO_LARGE", `Cannot read ${folder}: a file of it is too large or cannot be had`);
  const { doc } = inFile(releaseFile, STEP, () => parseRelease(release.bytes));
  const { doc: next } = inFile(recordFile, STEP, () => parseRecord(record.bytes));
  const { name, version } = doc;
  if (proposalPath(name, version, "release.json") !== releaseFile)
    throw new ImprintError("WRONG_INDEX", `Cannot accept ${folder}: it holds ${name}@${version}`, { file: releaseFile });
  if (next.name !== name)
    throw new ImprintError("WRONG_INDEX", `Cannot accept ${folder}: its record is that of ${next.name}`, { file: recordFile });
  return { name, version, release: release.bytes, record: record.bytes, revision: next.revision, files: [releaseFile, recordFile] };
}

/**
 * Each proposal against the index, and against those of the same package before it.
 *
 * @param isCollecting one signature is enough: more are about to be added
 */
export async function judgeProposals(
  base: { readonly state: TrustedState; readonly snapshot: Snapshot },
  proposals: readonly Proposal[],
  isCollecting = false,
): Promise<{ readonly accepted: readonly Accepted[]; readonly faults: readonly ProposalFault[] }> {
  const accepted: Accepted[] = [];
  const faults: ProposalFault[] = [];
  const current = new Map<PackageName, PackageRecord | null>();
  const listed = new Map<PackageName, Signed<PackageRecord> | null>();
  for (const proposal of proposals) {
    const { name } = proposal;
    try {
      if (!listed.has(name)) {
        const record = (await readPackage(base.snapshot, base.state, name))?.record ?? null;
        listed.set(name, record);
        current.set(name, record?.doc ?? null);
      }
      const one = judge(base.state, proposal, current.get(name) ?? null, isCollecting);
      current.set(name, one.after);
      accepted.push({ ...one, before: listed.get(name) ?? null });
    } catch (error) {
      if (!isImprintError(error)) throw error;
      faults.push(fault(error.file ?? (proposal.files[0] as string), error.code, error.message));
    }
  }
  return { accepted, faults };
}

/** @throws ImprintError naming what is wrong with it */
function judge(state: TrustedState, proposal: Proposal, before: PackageRecord | null, isCollecting: boolean): Omit<Accepted, "before"> {
  const { name, version } = proposal;
  const [releaseFile, recordFile] = proposal.files as readonly [string, string];
  const refuse = (code: ConstructorParameters<typeof ImprintError>[0], what: string, file = recordFile): never => {
    throw new ImprintError(code, `Cannot accept ${name}@${version}: ${what}`, { file, step: STEP });
  };
  const { record, publishers } = identifyRecord(state, name, proposal.record);
  const good = signersAmong(record, publishers.keys).size;
  if (good < (isCollecting ? 1 : publishers.threshold))
    refuse(
      "BAD_SIGNATURE",
      `its record has ${good} of the ${publishers.threshold} signatures of its publishers${good === 0 ? "" : "; another of them adds one with imprint cosign"}`,
    );
  if (before !== null) requireNewVersion(before, version);
  const verdict = judgeRelease(state, name, version, proposal.release, false);
  if (!("release" in verdict)) return refuse("RELEASE_REFUSED", `it is ${verdict.verdict}: ${verdict.reason}`, releaseFile);
  if (!verdict.signers.some((signer) => publishers.keys.includes(signer)))
    refuse("BAD_SIGNATURE", "its release is signed by a key that may no longer publish it", releaseFile);
  for (const [document, file] of [
    [record, recordFile],
    [verdict.release, releaseFile],
  ] as const)
    if (badSignatures(document).length > 0) refuse("BAD_SIGNATURE", "one of its signatures is not good for its key", file);
  const { doc: after } = record;
  if (before !== null && after.revision <= before.revision)
    refuse("RECORD_REGRESSED", `its record is revision ${after.revision}, the index is at ${before.revision}: propose it again`);
  const change = unexpectedChange(before, after, version, fileHashOf(proposal.release));
  if (change !== null) refuse("RECORD_REGRESSED", `its record ${change}: propose it again on the index as it is now`);
  return { proposal, release: verdict.release.doc, after };
}

/** What a record does beside adding that release and tags that point at it; null: nothing. */
function unexpectedChange(before: PackageRecord | null, after: PackageRecord, version: Version, hash: FileHash): string | null {
  if (after.releases.get(version) !== hash) return "lists other bytes for the release than it proposes";
  const releases = new Map([...(before?.releases ?? []), [version, hash] as const]);
  if (!equalMaps(releases, after.releases)) return "adds, changes or drops another release";
  for (const list of ["withdrawn", "yanked", "deprecated"] as const)
    if (!equalMaps(before?.[list] ?? new Map(), after[list])) return `changes what is ${list}`;
  const moved = [...after.tags].filter(([tag, to]) => before?.tags.get(tag) !== to && to !== version);
  const gone = [...(before?.tags.keys() ?? [])].filter((tag) => !after.tags.has(tag));
  return moved.length > 0 || gone.length > 0 ? "moves tags that do not point at it" : null;
}

function equalMaps<K, V>(a: ReadonlyMap<K, V>, b: ReadonlyMap<K, V>): boolean {
  return a.size === b.size && [...a].every(([key, value]) => b.get(key) === value);
}

/**
 * The records of proposals with one more signature, by whichever of `keys` may sign and has not yet. Releases stay as they are:
 * the record lists their bytes, and one signature is all that they need.
 *
 * @returns nothing for a proposal that they have signed already
 * @throws ImprintError NOT_GRANTED where none of them may sign
 */
export function cosignProposals(
  state: TrustedState,
  accepted: readonly Accepted[],
  keys: Pick<WriterKeys, "publishers">,
): readonly FileChange[] {
  return accepted.flatMap(({ proposal: { name, version, record } }) => {
    const { signed, signatures } = parseRecord(record);
    const missing = publishersOf(state, name, keys, 1).filter(
      ({ publicKey }) => !signatures.some(({ key }) => key === formatPublicKey(publicKey)),
    );
    if (missing.length === 0) return [];
    return [{ path: proposalPath(name, version, "record.json"), content: signDocument("package", signed, missing, signatures) }];
  });
}

/**
 * The files of a commit that moves proposals into place; with none, the checkpoint with a new `time`.
 *
 * @throws ImprintError KEY_INVALID where the checkpoint keys are not here
 */
export async function writeSeal(options: {
  readonly state: TrustedState;
  readonly snapshot: Snapshot;
  readonly accepted: readonly Accepted[];
  readonly keys: Pick<WriterKeys, "checkpoint">;
  readonly nowMs: number;
}): Promise<readonly FileChange[]> {
  const { state, snapshot, accepted, keys, nowMs } = options;
  // The last proposal of a package lists those before it.
  const records = new Map(accepted.map(({ proposal }) => [proposal.name, proposal.record]));
  const hashes = new Map([...records].map(([name, bytes]) => [name, fileHashOf(bytes)]));
  const tree = await writeTree(state, snapshot, hashes, { publishers: [], checkpoint: keys.checkpoint }, nowMs);
  return [
    ...accepted.flatMap(({ proposal }) => proposal.files.map((path) => ({ path, content: null }))),
    ...accepted.map(({ proposal: { name, version, release } }) => ({ path: releasePath(name, version), content: release })),
    ...[...records].map(([name, content]) => ({ path: recordPath(name), content })),
    ...tree,
  ];
}

/** The branch that a proposal is pushed as, unless its author names another. */
export function proposalBranch(requests: readonly Pick<ReleaseRequest, "name" | "version">[]): string {
  const [first] = requests;
  const name =
    first === undefined
      ? ""
      : packageFolder(first.name)
          .replaceAll(/[^A-Za-z0-9._-]+/g, "-")
          .replace(/^[-.]+/, "");
  return `propose-${name}-${first?.version ?? ""}${requests.length > 1 ? `-and-${requests.length - 1}-more` : ""}`;
}

function fault(file: string, code: string, message: string): ProposalFault {
  return { file, step: STEP, code, message };
}
