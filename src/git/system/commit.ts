/**
 * A commit of a few paths by `git fast-import`: no work tree, no index file, only trees along the changed paths read
 * and written; so it works, and costs the same, in bare, shallow and blobless repositories of any size.
 */
import { ImprintError } from "../../errors.ts";
import type { CommitRequest, ObjectId, RefName } from "../port.ts";
import { personLine, splitPath } from "../store/commit-text.ts";
import type { Git } from "./run.ts";
import { mustGit } from "./run.ts";

function quotePath(path: string): string {
  splitPath(path);
  return `"${path.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`;
}

function data(bytes: Uint8Array): (Uint8Array | string)[] {
  return [`data ${String(bytes.byteLength)}\n`, bytes, "\n"];
}

/** Instructions for fast-import; `keepAs` is written by it, atomically, as its last act. */
function* script(request: CommitRequest & { readonly keepAs: RefName }): Generator<Uint8Array | string> {
  const author = personLine(request.author, request.timeMs);
  yield `feature done\ncommit ${request.keepAs}\nmark :1\nauthor ${author}\ncommitter ${author}\n`;
  yield* data(Buffer.from(request.message, "utf8"));
  if (request.base !== null) yield `from ${request.base}\n`;
  for (const { path, content } of request.changes) {
    if (content === null) {
      yield `D ${quotePath(path)}\n`;
      continue;
    }
    yield `M 100644 inline ${quotePath(path)}\n`;
    yield* data(content);
  }
  yield "\nget-mark :1\ndone\n";
}

/** The port's `commit`. */
export async function commit(git: Git, gitDir: string, request: CommitRequest & { readonly keepAs: RefName }): Promise<ObjectId> {
  const what = `commit to ${gitDir}`;
  const result = await mustGit(
    git,
    {
      // --force: keepAs may hold a commit that a squash made unrelated
      args: [`--git-dir=${gitDir}`, "fast-import", "--quiet", "--force", "--date-format=raw", "--cat-blob-fd=1"],
      input: script(request),
      what,
    },
    "STORAGE_FAILED",
  );
  const id = result.stdout.toString("latin1").trim();
  if (!/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/u.test(id)) throw new ImprintError("INVALID_DOCUMENT", `Cannot ${what}: git named no commit`);
  return id as ObjectId;
}
