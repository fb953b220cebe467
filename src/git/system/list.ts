/** Every path at a commit, from `git ls-tree`. */
import { LIMITS } from "../../format/limits.ts";
import { ImprintError } from "../../errors.ts";
import type { ObjectId } from "../port.ts";
import type { Target } from "./fetch.ts";
import { mustGit } from "./run.ts";

const MAX_LISTED = LIMITS.listedFiles;
const MAX_PATH_BYTES = LIMITS.listedPathBytes;

/** The port's `listFiles`: streamed, so that a host's million junk entries are counted, not kept, past the cap. */
export async function listFiles(
  target: Target,
  commit: ObjectId,
  folder?: string,
  maxFiles = MAX_LISTED,
): Promise<readonly { readonly path: string; readonly mode: string }[]> {
  const what = `list the files of ${commit}`;
  const files: { path: string; mode: string }[] = [];
  let rest: Buffer = Buffer.alloc(0);
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
        files.push({ mode: bytes.toString("latin1", at, at + 6), path: bytes.toString("utf8", tab + 1, end) });
        at = end + 1;
      }
      rest = bytes.subarray(at);
      if (files.length > maxFiles) throw new ImprintError("TOO_LARGE", `Cannot ${what}: more than ${String(maxFiles)} files`);
      if (rest.length > MAX_PATH_BYTES)
        throw new ImprintError("TOO_LARGE", `Cannot ${what}: a path longer than ${String(MAX_PATH_BYTES)} bytes`);
    },
  });
  return files;
}
