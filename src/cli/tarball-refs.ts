/** Tarballs as git keeps them: orphan commits of one file, the same for the same bytes, so that a second try pushes nothing new. */
import { parseRefName } from "../git/url.ts";
import type { GitRepository, RefName, RefUpdate } from "../git/port.ts";
import { tarballRef } from "../format/tarball-source.ts";

/** Where a clone keeps a tarball that belongs to another repository: a plain `git push` must not offer it to the index's host. */
export function keptTarballRef(ref: RefName): RefName {
  return parseRefName(ref.replace("refs/tarballs/", "refs/imprint/tarballs/"));
}

/** @param sha512 of `content`, in hex */
export async function commitTarball(
  repository: GitRepository,
  sha512: string,
  content: Uint8Array,
  isElsewhere: boolean,
): Promise<RefUpdate> {
  const ref = parseRefName(tarballRef(sha512));
  const to = await repository.commit({
    base: null,
    changes: [{ path: "package.tgz", content }],
    message: "tarball",
    author: { name: "imprint", email: "imprint@localhost" },
    timeMs: 0,
    keepAs: isElsewhere ? keptTarballRef(ref) : ref,
  });
  return { ref, expected: null, to };
}
