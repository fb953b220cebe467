/**
 * What a new index finds at its address: nothing, other files (GitHub's "initialise with a README"), or an index. Files
 * that are there stay as they are, an index is never built over, and nothing is ever pushed by force.
 */
import { ImprintError, isImprintError } from "../errors.ts";
import { textOf, utf8 } from "../format/bytes.ts";
import { CHECKPOINT_PATH, rootPath } from "../format/paths.ts";
import { DEFAULT_REF } from "../format/project.ts";
import type { FileChange, GitUrl, ObjectId, RefName } from "../git/port.ts";
import { remoteBranches, remoteHead } from "../git/remote.ts";
import { parseRefName, redactUrl } from "../git/url.ts";
import { shortRef } from "../git/url.ts";
import type { Deps } from "./deps.ts";
import { openClone, openThrowaway, TRANSFER_LIMITS } from "./open.ts";
import { clean } from "../format/text.ts";

const LOOK = parseRefName("refs/imprint/look");
const ATTRIBUTES = ".gitattributes";
const MAX_ATTRIBUTES = 64 * 1024;
/** Folders in which every file is listed by an index. */
const SIGNED = /^(?:trust|packages|proposals)\//;

export type Ground = {
  readonly ref: RefName;
  /** What the host has there; null: nothing yet, or nobody could say. */
  readonly base: ObjectId | null;
  readonly paths: ReadonlySet<string>;
  /** Of a `.gitattributes` that is there. */
  readonly attributes: string | null;
};

/**
 * @param given null: main, else the host's default branch
 * @throws ImprintError NAME_TAKEN where an index is there, FOLDER_NOT_EMPTY where other files lie in an index's folders
 */
export async function surveyRemote(deps: Deps, url: GitUrl, given: RefName | null): Promise<Ground> {
  const main = given ?? parseRefName(DEFAULT_REF);
  const empty = (ref: RefName): Ground => ({ ref, base: null, paths: new Set(), attributes: null });
  try {
    const branches = await remoteBranches(deps.git, url, TRANSFER_LIMITS);
    if (branches.has(main)) return await look(deps, url, main);
    const head = given === null && branches.size > 0 ? await remoteHead(deps.git, url, TRANSFER_LIMITS) : null;
    if (head === null || !branches.has(head)) return empty(main);
    deps.terminal.talk(clean(`${redactUrl(url)} has no main; the index goes to its default branch, ${shortRef(head)}`));
    return await look(deps, url, parseRefName(head));
  } catch (error) {
    // A host that is not ready yet: the index is made all the same, and the push says what is wrong.
    if (isImprintError(error, "UNREACHABLE", "TIMED_OUT", "GIT_MISSING")) return empty(main);
    throw error;
  }
}

async function look(deps: Deps, url: GitUrl, ref: RefName): Promise<Ground> {
  const repository = await openThrowaway(deps, "look");
  try {
    const base = await repository.fetch({ url, ref, keepAs: LOOK, blobs: true, limits: TRANSFER_LIMITS });
    if (base === null) return { ref, base, paths: new Set(), attributes: null };
    const paths = new Set((await repository.listFiles(base)).map(({ path }) => path));
    const where = `${redactUrl(url)} ${shortRef(ref)}`;
    if (paths.has(CHECKPOINT_PATH) || paths.has(rootPath(1)))
      throw new ImprintError(
        "NAME_TAKEN",
        `Cannot make index at ${where}: there is one already; git clone it, and imprint publish --index <clone>`,
      );
    const inTheWay = [...paths].find((file) => SIGNED.test(file));
    if (inTheWay !== undefined)
      throw new ImprintError(
        "FOLDER_NOT_EMPTY",
        clean(
          `Cannot make index at ${where}: ${inTheWay} lies where only an index's files may be; --ref <branch> takes a branch of its own`,
        ),
      );
    const files = [{ path: ATTRIBUTES, maxBytes: MAX_ATTRIBUTES }];
    const [read] = await repository.readFiles({ commit: base, files, url: null, limits: TRANSFER_LIMITS });
    return { ref, base, paths, attributes: read?.state === "found" ? textOf(read.bytes) : null };
  } finally {
    await repository.close();
  }
}

/** Gets what the host has, with its history, into the new clone. @throws ImprintError LOST_RACE where it moved meanwhile */
export async function fetchGround(deps: Deps, gitDir: string, url: GitUrl, { ref, base }: Ground): Promise<ObjectId> {
  const repository = openClone(deps, gitDir);
  try {
    const keepAs = parseRefName(ref.replace("refs/heads/", "refs/remotes/origin/"));
    const id = await repository.fetch({ url, ref, keepAs, blobs: true, limits: TRANSFER_LIMITS });
    if (id === null || id !== base)
      throw new ImprintError("LOST_RACE", `Cannot make index at ${redactUrl(url)}: somebody pushed there just now`);
    return id;
  } finally {
    await repository.close();
  }
}

/** The new index's files beside those that are there; ours step back, but line ends must not be converted. */
export function filesBeside({ paths, attributes }: Ground, files: readonly FileChange[]): readonly FileChange[] {
  return files.flatMap((file) => {
    if (!paths.has(file.path)) return [file];
    if (file.path !== ATTRIBUTES || attributes === null) return [];
    const lines = ["/trust/**", "/packages/**", "/proposals/**", `/${CHECKPOINT_PATH}`].map((pattern) => `${pattern} -text\n`);
    return [{ path: ATTRIBUTES, content: utf8(`${attributes.replace(/\n?$/, "\n")}${lines.join("")}`) }];
  });
}
