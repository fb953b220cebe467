/** What a remote lists, and what may be spent on it: a host may list refs without end. */
import { LIMITS } from "../../format/limits.ts";
import { ImprintError } from "../../errors.ts";
import type { GitUrl, ObjectId, RefName, TransferLimits } from "../port.ts";
import { redactUrl } from "../url.ts";
import { runRemote } from "./follow.ts";
import { residentBytes } from "./memory.ts";
import { accessReason } from "./access.ts";
import type { Git, GitResult } from "./run.ts";

const MIN_ALLOCATION = 128 * 1024 * 1024;
const BYTES_PER_OBJECT = 96;
const MIN_RESIDENT = 512 * 1024 * 1024;
const RESIDENT_PER_OBJECT = 512;

/** Caps what git may allocate at once: an object or a table of 4 GB ends the fetch, not the machine (THREATS G6). */
export function memoryLimit(limits: TransferLimits): NodeJS.ProcessEnv {
  return { GIT_ALLOC_LIMIT: String(Math.max(MIN_ALLOCATION, BYTES_PER_OBJECT * limits.maxObjects)) };
}

/**
 * A host may list refs without end, which git keeps (THREATS T15): nothing on disk, and no single allocation, would tell.
 * What the host says and what its pack needs are counted apart: only the second grows with an index.
 *
 * @param isPartial a reader's sync, of which the host leaves out what grows
 */
export async function checkMemory(pid: number, what: string, limits: TransferLimits, isPartial: boolean): Promise<ImprintError | null> {
  const { talking, all } = await residentBytes(pid);
  if (talking > LIMITS.gitTalkResidentBytes)
    return new ImprintError("TOO_LARGE", `Cannot ${what}: the host lists more refs than anything honest would, or never ends`);
  const max = isPartial ? LIMITS.gitPackResidentBytes : MIN_RESIDENT + RESIDENT_PER_OBJECT * limits.maxObjects;
  return all > max ? new ImprintError("TOO_LARGE", `Cannot ${what}: git needs more memory than anything honest would`) : null;
}

/** A user's larger buffer, which helps some pushes, would be allocated at once. */
export const SMALL_REQUESTS: readonly string[] = ["-c", "http.postBuffer=1048576"];

/** The same for a run that brings no pack: all that git allocates at once is the host's list of refs. */
function listingLimit(): NodeJS.ProcessEnv {
  return { GIT_ALLOC_LIMIT: String(LIMITS.gitListingBytes) };
}

/** What a run that talked to a host failed of. */
export async function failed(
  what: string,
  result: GitResult,
  { git, gitDir, url }: { readonly git: Git; readonly gitDir: string | null; readonly url: GitUrl },
): Promise<ImprintError> {
  const isTooLarge = /over limit|exceeds maximum|out of memory/iu.test(result.stderr);
  const isDisk = /No space left on device|Disk quota exceeded|Read-only file system/u.test(result.stderr);
  return new ImprintError(
    isTooLarge ? "TOO_LARGE" : isDisk ? "STORAGE_FAILED" : "UNREACHABLE",
    `Cannot ${what}: ${await accessReason(git, gitDir, url, result.stderr)}`,
  );
}

export type Listing = {
  readonly refs: ReadonlyMap<string, ObjectId>;
  /** Where HEAD points, if it was asked for and there is a commit. */
  readonly head: string | null;
};

/**
 * One listing, no objects. Of branches the host is asked for branches only: a pattern alone leaves git to pick from all
 * that the host has, a line for each tarball.
 */
export async function listRemote(
  git: Git,
  request: {
    /** Whose settings count; null: none but the user's. */
    readonly gitDir: string | null;
    readonly url: GitUrl;
    /** One ref, all branches, or HEAD. */
    readonly ref: RefName | "branches" | "HEAD";
    readonly limits: TransferLimits;
  },
): Promise<Listing> {
  const { gitDir, url, ref, limits } = request;
  const what = `reach ${redactUrl(url)}`;
  const isBranch = ref === "branches" || ref.startsWith("refs/heads/");
  const result = await runRemote(git, {
    args: [
      ...(gitDir === null ? [] : [`--git-dir=${gitDir}`]),
      "ls-remote",
      "--quiet",
      "--upload-pack=git-upload-pack",
      ...(isBranch ? ["--heads"] : ref === "HEAD" ? ["--symref"] : []),
      "--",
      url,
      ...(ref === "branches" ? [] : [ref]),
    ],
    url,
    env: listingLimit(),
    deadlineMs: limits.deadlineMs,
    signal: limits.signal,
    watch: (pid) => checkMemory(pid, what, limits, true),
    what,
  });
  if (result.status !== 0 && /attempting to allocate \d+ over limit/u.test(result.stderr))
    throw new ImprintError("TOO_LARGE", `Cannot ${what}: the host lists refs of more than ${String(LIMITS.gitListingBytes)} bytes`);
  if (result.status !== 0) throw await failed(what, result, { git, gitDir, url });
  const refs = new Map<string, ObjectId>();
  let head: string | null = null;
  for (const line of result.stdout.toString("utf8").split("\n")) {
    const [id = "", name = ""] = line.split("\t");
    if (name === "HEAD" && id.startsWith("ref: ")) head = id.slice("ref: ".length);
    // a pattern matches the end of names, so refs/x/refs/heads/main is listed too: callers look up whole names
    else if (/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/u.test(id)) refs.set(name, id as ObjectId);
  }
  return { refs, head };
}
