/** `imprint verify [dir|url]`: a whole index, every signature and link. Fit for an author's CI. */
import { existsSync } from "node:fs";
import path from "node:path";
import { verifyIndex, type VerifyReport, type WholeIndex } from "../../audit/verify-index.ts";
import { verifyChange } from "../../audit/verify-change.ts";
import type { Fault } from "../../audit/verify-packages.ts";
import { POOL, type Pool } from "../../audit/verify-pool.ts";
import { verifyTarballs } from "../../audit/verify-tarballs.ts";
import { ImprintError } from "../../errors.ts";
import { type IndexId, isIndexId } from "../../format/digest.ts";
import { DEFAULT_REF } from "../../format/project.ts";
import { describeClone } from "../../git/clone.ts";
import type { CloneState } from "../../git/clone-state.ts";
import type { GitRepository, GitUrl, ObjectId } from "../../git/port.ts";
import { parseGitUrl, parseObjectId } from "../../git/url.ts";
import { parseIndexAddress } from "../../index/address.ts";
import { commitSource, directorySource, listDirectory, type Snapshot } from "../../index/source.ts";
import { newestRoot, type TrustedState } from "../../index/trust.ts";
import { chooseRef, cloneAddress, parseRefOption } from "../addresses.ts";
import type { Deps } from "../deps.ts";
import { openClone, openProbe, openTarballs, TRANSFER_LIMITS } from "../open.ts";
import { earlierState } from "../since.ts";
import { clean } from "../../format/text.ts";
import { splitAddress } from "./add.ts";

export type VerifyOptions = {
  readonly target: string | undefined;
  readonly id: string | undefined;
  /** Branch or full ref instead of a work tree, a bare repository's HEAD, or a host's main. */
  readonly ref?: string | undefined;
  readonly tarballs: boolean;
  /** Commit or seq of an earlier state, from which this one must follow; of an index in a git repository here. */
  readonly since?: string | undefined;
  /** Cores; undefined: all, where it pays. */
  readonly jobs?: string | undefined;
};
export type VerifyResult = Omit<VerifyReport, "good" | "state"> & {
  readonly tarballs: number | null;
  readonly seconds: number;
  readonly ok: boolean;
};

type Opened = {
  readonly index: WholeIndex;
  /** Where the `git` source of tarballs is. */ readonly urls: readonly GitUrl[];
  /** A newer look, past all caches, at static files, which may have been replaced while they were read. */
  readonly again?: () => Promise<Snapshot>;
  /** Its history, for who asks for an earlier state. */
  readonly history: { readonly folder: string; readonly repository: GitRepository; readonly head: ObjectId } | null;
  close(): Promise<void>;
};

export async function verify(options: VerifyOptions, deps: Deps): Promise<VerifyResult> {
  const { terminal } = deps;
  const { url: target, id } = splitAddress(options.target ?? ".");
  if (options.id !== undefined && !isIndexId(options.id))
    throw new ImprintError("USAGE", "Cannot verify: --id wants the 64 hex digits of an index id");
  const pool = poolOf(options.jobs);
  const pinned = id ?? (options.id as IndexId | undefined) ?? null;
  const folder = path.resolve(deps.cwd, target);
  const opened = existsSync(folder) ? await openFolder(deps, folder, options.ref) : await openRemote(deps, target, options.ref);
  try {
    const started = performance.now();
    const walk = (index: WholeIndex): Promise<VerifyReport> =>
      verifyIndex(
        index,
        pinned,
        ({ packages, of, releases }) => terminal.progress(`verifying ${packages} of ${of} packages, ${rate(releases, started)} releases/s`),
        { wantsGood: options.tarballs, pool },
      );
    let report = await walk(opened.index);
    if (report.faults.length > 0 && opened.again !== undefined) report = await walk({ ...opened.index, snapshot: await opened.again() });
    const { good, state, ...facts } = report;
    const root = state === null ? null : newestRoot(state.roots).doc;
    const tarballs = options.tarballs && root !== null ? openTarballs(deps, opened.urls, async () => root.tarballs) : null;
    const more =
      tarballs === null
        ? []
        : await verifyTarballs(good, tarballs, (done, total) => terminal.progress(`verifying tarball ${done} of ${total}`));
    const grown = options.since === undefined || state === null ? [] : await growthFaults(deps, opened, state, options.since);
    const known = new Set(facts.faults.map(faultText));
    const faults = [...facts.faults, ...grown.filter((fault) => !known.has(faultText(fault))), ...more];
    for (const fault of faults)
      terminal.talk(`${terminal.style("red", "✗")} ${clean(`${fault.file} (${fault.step}): ${fault.message} (${fault.code})`)}`);
    const seconds = (performance.now() - started) / 1000;
    return {
      ...facts,
      faults,
      tarballs: tarballs === null ? null : good.length,
      seconds: Math.round(seconds * 1000) / 1000,
      ok: faults.length === 0,
    };
  } finally {
    await opened.close();
  }
}

/** What does not follow from the earlier state by the rules that every reader has: nothing is ever taken back. */
async function growthFaults(deps: Deps, { index, history }: Opened, state: TrustedState, since: string): Promise<readonly Fault[]> {
  if (history === null)
    throw new ImprintError("USAGE", "Cannot look back: --since wants an index in a git repository here, with its history");
  const { folder, repository, head } = history;
  const before = await earlierState(deps, { folder, repository, id: state.id, heads: [head] }, since);
  const { faults } = await verifyChange({ before, after: index, changedPaths: [], pinned: state.id, isWholeVerified: true });
  return faults;
}

function faultText({ file, step, code }: Fault): string {
  return `${file} ${step} ${code}`;
}

/** @throws ImprintError USAGE */
function poolOf(jobs: string | undefined): Pool {
  if (jobs === undefined) return POOL;
  if (!/^[1-9][0-9]?$/u.test(jobs)) throw new ImprintError("USAGE", "Cannot use --jobs: give a number of cores from 1 to 99");
  return { atLeast: 1, workers: Number(jobs) };
}

/** One line of result; throws VERIFY_FAILED where there are faults. */
export function verifyLines({ id, roots, packages, releases, signatures, tarballs, faults, ok }: VerifyResult): readonly string[] {
  if (!ok)
    throw new ImprintError(
      "VERIFY_FAILED",
      `Cannot pass index ${id ?? "without a root"}: ${faults.length} ${faults.length === 1 ? "fault" : "faults"}`,
    );
  return [
    `✓ index ${id}: ${roots} ${roots === 1 ? "root" : "roots"}, ${packages} packages, ${releases} releases, ${signatures} signatures${tarballs === null ? "" : `, ${tarballs} tarballs`}, all good`,
  ];
}

function rate(count: number, started: number): number {
  return Math.round((count * 1000) / Math.max(1, performance.now() - started));
}

/** A work tree as its files lie there, or a bare repository at its head (main, where HEAD names a branch that is not there). */
async function openFolder(deps: Deps, folder: string, ref: string | undefined): Promise<Opened> {
  const clone = await describeClone(folder, deps.git).catch(() => null);
  const urls = clone === null ? [] : [...(await remoteOf(deps, folder, clone)), parseGitUrl(clone.gitDir, { allowFile: true })];
  if (clone !== null && (clone.bare || ref !== undefined)) {
    const repository = openClone(deps, clone.gitDir);
    const named = parseRefOption(ref ?? DEFAULT_REF);
    const head = (ref === undefined ? clone.head : null) ?? (await repository.head(named));
    if (head === null) {
      await repository.close();
      throw new ImprintError("NOT_AN_INDEX", `Cannot verify ${folder}: it has no ${named}`);
    }
    return {
      index: {
        snapshot: await commitSource(repository, head, TRANSFER_LIMITS).open(),
        listFiles: () => repository.listFiles(head),
      },
      urls,
      history: { folder, repository, head },
      close: () => repository.close(),
    };
  }
  const index: WholeIndex = {
    snapshot: await directorySource(folder).open(),
    listFiles: () => listDirectory(folder),
  };
  if (clone === null || clone.head === null) return { index, urls, history: null, close: async () => {} };
  const repository = openClone(deps, clone.gitDir);
  return { index, urls, history: { folder, repository, head: clone.head }, close: () => repository.close() };
}

async function remoteOf(deps: Deps, folder: string, { remoteName, fetchUrl }: CloneState): Promise<readonly GitUrl[]> {
  if (remoteName === null || fetchUrl === null) return [];
  return [await cloneAddress(deps, folder, { remoteName, configured: fetchUrl, direction: "fetch" })];
}

async function openRemote(deps: Deps, target: string, given: string | undefined): Promise<Opened> {
  const address = parseIndexAddress(target, { allowFile: deps.allowFile });
  const { source, repository, close } = await openProbe(deps, address, await chooseRef(deps, address, given), { whole: true });
  try {
    deps.terminal.progress(`fetching ${address.url}`);
    const snapshot = await source.open();
    if (repository !== null && address.kind === "git") {
      const listFiles = (): ReturnType<WholeIndex["listFiles"]> => repository.listFiles(parseObjectId(snapshot.at));
      return { index: { snapshot, listFiles }, urls: [address.url], history: null, close };
    }
    return { index: { snapshot, listFiles: async () => [] }, urls: [], again: () => source.open({ fresh: true }), history: null, close };
  } catch (error) {
    await close();
    throw error;
  }
}
