/**
 * Fetching: one ref without its history, or a few blobs by id, through quarantine and under limits.
 */
import { rm, stat, readFile } from "node:fs/promises";
import { join } from "node:path";
import { ImprintError } from "../../errors.ts";
import type { GitRepository, GitUrl, ObjectId, RefName, TransferLimits } from "../port.ts";
import { redactUrl } from "../url.ts";
import type { ObjectReader } from "../store/objects.ts";
import { absorb, INCOMING, measure, openQuarantine, readShallow, storageFailed, sweep } from "../store/quarantine.ts";
import { runRemote } from "./follow.ts";
import { checkMemory, failed, listRemote, memoryLimit, SMALL_REQUESTS } from "./remote.ts";
import { mustGit } from "./run.ts";
import type { Git } from "./run.ts";

/** What a fetch works on. `history`: an author's clone, which wants ancestors and has settings of its own. */
export type Target = { readonly git: Git; readonly gitDir: string; readonly objects: ObjectReader; readonly history: boolean };

const COMMON = [
  "--quiet",
  "--no-tags",
  "--no-write-fetch-head",
  "--no-auto-maintenance",
  "--no-recurse-submodules",
  "--upload-pack=git-upload-pack",
];
/** Of a repository's other refs the remote is told nothing: what else we read is our business. */
const NO_ALTERNATE_REFS = ["-c", "core.alternateRefsPrefixes=refs/imprint-none"];
/**
 * What a reader's sync leaves behind: of an index's files it takes those up to `trust/<n>.json`, and the trees down to
 * `packages/<hh>`; a package's tree and files come when the package is read. A million packages then cost 260 objects.
 */
const SHALLOW_TREES = "--filter=tree:3";
/** A tree that was left behind, with the files in it: a package in one request. */
const ONE_FOLDER = "--filter=tree:2";
const NO_CONTENTS = "--filter=tree:0";
const MAX_WALK = 64;
const REF_LOCK_STALE_MS = 60_000;

/**
 * The shallow boundaries that a walk from `kept` meets. Without them git would look for parents that aren't here;
 * with all of them each request would grow with every sync ever made.
 */
async function boundaries(target: Target, kept: ObjectId | null): Promise<readonly ObjectId[]> {
  const all = await readShallow(target.gitDir);
  if (target.history) return all;
  if (kept === null) return [];
  const known = new Set<ObjectId>(all);
  const met = new Set<ObjectId>();
  const queue = [kept];
  for (let steps = 0; queue.length > 0; steps++) {
    const commit = queue.shift() as ObjectId;
    if (steps > MAX_WALK) return all;
    if (known.has(commit)) met.add(commit);
    else queue.push(...((await target.objects.parentsOf(commit)) ?? []));
  }
  return [...met];
}

/** Points a local ref at a commit, and gets past a lock file that a killed git left. */
export async function setRef(target: Pick<Target, "git" | "gitDir">, ref: RefName, to: ObjectId): Promise<void> {
  const run = (): Promise<unknown> =>
    mustGit(
      target.git,
      { args: [`--git-dir=${target.gitDir}`, "update-ref", "--no-deref", ref, to], what: `update ${ref} in ${target.gitDir}` },
      "STORAGE_FAILED",
    );
  try {
    await run();
  } catch (error) {
    const lock = join(target.gitDir, `${ref}.lock`);
    const info = await stat(lock).catch(() => null);
    if (info === null || Date.now() - info.mtimeMs < REF_LOCK_STALE_MS) throw error;
    await rm(lock, { force: true });
    await run();
  }
}

type FetchRequest = Parameters<GitRepository["fetch"]>[0];

/** A fetch as the port promises it: null where the remote has no such ref, and on any error nothing changed. */
export async function fetchRef(target: Target, request: FetchRequest): Promise<ObjectId | null> {
  const { url, ref, keepAs, limits } = request;
  const startedMs = performance.now();
  const what = `fetch ${ref} from ${redactUrl(url)}`;
  await sweep(target.gitDir, Date.now());
  const kept = (await target.objects.info(`${keepAs}^{commit}`))?.id ?? null;
  if (kept !== null) {
    // mostly nothing has moved: a listing is cheaper than a fetch, which asks again for what it already has
    const head = (await listRemote(target.git, { gitDir: target.gitDir, url, ref, limits })).refs.get(ref) ?? null;
    if (head === null || head === kept) return head;
  }
  const shallow = await boundaries(target, kept);
  // A filtered fetch also spares us git's walk over every tree of the index afterwards (minutes, for millions of
  // releases), which would prove only that the host sent all it announced; reading finds out what it withheld. So there
  // is always a filter, if only "nothing of 4 GiB or more", unless the host has forbidden that one.
  let filters = target.history ? [[]] : [[request.blobs ? "--filter=blob:limit=4294967295" : SHALLOW_TREES], []];
  for (;;) {
    const outcome = await attempt(target, request, { kept, shallow, filter: filters[0] ?? [], what, startedMs });
    if (outcome !== "filterRefused" || filters.length < 2) return outcome === "filterRefused" ? null : outcome;
    filters = filters.slice(1);
  }
}

type Attempt = {
  readonly kept: ObjectId | null;
  readonly shallow: readonly ObjectId[];
  readonly filter: readonly string[];
  readonly what: string;
  readonly startedMs: number;
};

async function attempt(
  target: Target,
  request: FetchRequest,
  { kept, shallow, filter, what, startedMs }: Attempt,
): Promise<ObjectId | null | "filterRefused"> {
  const { url, ref, keepAs, limits } = request;
  const isPartial = !request.blobs && !target.history;
  const quarantine = await openQuarantine(target.gitDir, { kept, shallow, inherit: target.history });
  try {
    const result = await runRemote(target.git, {
      args: [
        ...SMALL_REQUESTS,
        ...(target.history ? [] : NO_ALTERNATE_REFS),
        `--git-dir=${quarantine.gitDir}`,
        "fetch",
        ...COMMON,
        ...(target.history ? [] : ["--depth=1"]),
        ...filter,
        "--",
        url,
        `+${ref}:${INCOMING}`,
      ],
      url,
      env: memoryLimit(limits),
      deadlineMs: Math.max(1, limits.deadlineMs - (performance.now() - startedMs)),
      signal: limits.signal,
      watch: async (pid) => (await measure(quarantine.gitDir, what, limits)) ?? checkMemory(pid, what, limits, isPartial),
      what,
    });
    if (result.status !== 0 && /couldn't find remote ref/iu.test(result.stderr)) return null;
    const over = await measure(quarantine.gitDir, what, limits);
    if (over !== null) throw over;
    if (result.status !== 0 && filter.length > 0 && /filter '[^']*' not (?:supported|allowed)/iu.test(result.stderr))
      return "filterRefused";
    if (result.status !== 0) throw await failed(what, result, { ...target, url });
    const id = (
      await readFile(join(quarantine.gitDir, INCOMING), "utf8").catch((error: unknown) => {
        throw storageFailed(what, error);
      })
    ).trim() as ObjectId;
    await absorb(quarantine, target.gitDir, target.history);
    // the host may put a tag or a blob there; every reader of keepAs wants a commit
    const commit = await target.objects.info(`${id}^{commit}`);
    if (commit === null) throw new ImprintError("INVALID_DOCUMENT", `Cannot ${what}: it is not a commit`);
    await setRef(target, keepAs, commit.id);
    return commit.id;
  } finally {
    await quarantine.remove().catch(() => undefined);
  }
}

const MAX_WITHHELD = 8;

/**
 * Fetches objects by id, in one request: blobs that a filtered fetch left behind, or with `folders` trees and the files
 * right in them. A host that no longer has one of them (it squashed and collected, or it withholds) fails the whole
 * request and names it; then the rest is asked for again.
 */
export async function fetchObjects(
  target: Target,
  url: GitUrl,
  wanted: readonly ObjectId[],
  limits: TransferLimits,
  folders = false,
): Promise<void> {
  const what = `fetch ${String(wanted.length)} objects from ${redactUrl(url)}`;
  const deadline = performance.now() + limits.deadlineMs;
  let ids = [...wanted];
  for (let withheld = 0; ids.length > 0 && withheld <= MAX_WITHHELD; withheld++) {
    const quarantine = await openQuarantine(target.gitDir, { kept: null, shallow: [], inherit: target.history });
    try {
      const result = await runRemote(target.git, {
        args: [
          ...SMALL_REQUESTS,
          ...NO_ALTERNATE_REFS,
          "-c",
          "fetch.negotiationAlgorithm=noop",
          `--git-dir=${quarantine.gitDir}`,
          "fetch",
          ...COMMON,
          folders ? ONE_FOLDER : NO_CONTENTS,
          "--stdin",
          "--",
          url,
        ],
        url,
        input: [ids.map((id) => `${id}\n`).join("")],
        env: memoryLimit(limits),
        deadlineMs: Math.max(1, deadline - performance.now()),
        signal: limits.signal,
        watch: async (pid) => (await measure(quarantine.gitDir, what, limits)) ?? checkMemory(pid, what, limits, true),
        what,
      });
      const over = await measure(quarantine.gitDir, what, limits);
      if (over !== null) throw over;
      if (result.status === 0) return await absorb(quarantine, target.gitDir, true);
      const named = /not our ref ([0-9a-f]{40,64})|unadvertised object ([0-9a-f]{40,64})/iu.exec(result.stderr);
      if (named === null) {
        if (/did not send all necessary objects|unadvertised object|remote error/iu.test(result.stderr)) return;
        throw await failed(what, result, { ...target, url });
      }
      const gone = (named[1] ?? named[2]) as ObjectId;
      if (!ids.includes(gone)) return;
      ids = ids.filter((id) => id !== gone);
    } finally {
      await quarantine.remove().catch(() => undefined);
    }
  }
}
