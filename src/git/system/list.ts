/** Every path at a commit, from `git ls-tree`. */
import { LIMITS } from "../../format/limits.ts";
import { ImprintError } from "../../errors.ts";
import type { ObjectId } from "../port.ts";
import type { Target } from "./fetch.ts";
import { mustGit } from "./run.ts";

/** Parameters, so that tests lower them. */
export type ListCaps = { readonly maxFiles: number; readonly maxPathBytes: number };
export const LIST_CAPS: ListCaps = { maxFiles: LIMITS.listedFiles, maxPathBytes: LIMITS.listedPathBytes };
/** Mode, type and id before a path, with what stands between them: of the longer kind of ids. */
const BEFORE_PATH_BYTES = 80;

/** The port's `listFiles`: streamed, so that a host's million junk entries are counted, not kept, past the cap. */
export async function listFiles(
  target: Pick<Target, "git" | "gitDir">,
  commit: ObjectId,
  folder?: string,
  { maxFiles, maxPathBytes } = LIST_CAPS,
): Promise<readonly { readonly path: string; readonly mode: string }[]> {
  const what = `list the files of ${commit}`;
  const files: { path: string; mode: string }[] = [];
  let rest: Buffer = Buffer.alloc(0);
  const tooLarge = (state: string): ImprintError => new ImprintError("TOO_LARGE", `Cannot ${what}: ${state}`);
  const tooLong = (): ImprintError => tooLarge(`a path longer than ${String(maxPathBytes)} bytes`);
  await mustGit(target.git, {
    args: [
      `--git-dir=${target.gitDir}`,
      "ls-tree",
      "-r",
      "-z",
      "--full-tree",
      commit,
      ...(folder === undefined ? [] : ["--", `${folder}/`]),
    ],
    what,
    onOutput: (chunk) => {
      const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      let at = 0;
      for (let end = bytes.indexOf(0, at); end >= 0; end = bytes.indexOf(0, at)) {
        const tab = bytes.indexOf(0x09, at);
        if (end - tab - 1 > maxPathBytes) throw tooLong();
        if (files.length >= maxFiles) throw tooLarge(`more than ${String(maxFiles)} files`);
        files.push({ mode: bytes.toString("latin1", at, at + 6), path: bytes.toString("utf8", tab + 1, end) });
        at = end + 1;
      }
      rest = bytes.subarray(at);
      if (rest.length > maxPathBytes + BEFORE_PATH_BYTES) throw tooLong();
    },
  });
  return files;
}
