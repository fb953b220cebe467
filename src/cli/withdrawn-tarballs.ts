/** The tarballs of withdrawn releases: their refs go from the clone and from the host, once no record lists them. */
import { isImprintError } from "../errors.ts";
import { integrityHex } from "../format/decode.ts";
import type { PackageRecord } from "../format/record.ts";
import { tarballRef } from "../format/tarball-source.ts";
import type { RefName, RefUpdate } from "../git/port.ts";
import { deleteRef } from "../git/clone.ts";
import { parseRefName } from "../git/url.ts";
import type { PackageView } from "../index/package-reader.ts";
import type { Deps } from "./deps.ts";
import { clean } from "./terminal.ts";
import type { OpenUpload } from "./upload.ts";

const LOOK = parseRefName("refs/imprint/withdrawn");

/**
 * After the push of the commit that withdraws, never with it: a host that lets nobody delete refs must not keep a bad
 * release alive. What fails is said, not thrown: the release is withdrawn already.
 */
export async function removeTarballs(
  open: OpenUpload,
  changed: readonly { readonly before: PackageView; readonly after: PackageRecord }[],
  push: boolean,
  { terminal, git }: Deps,
): Promise<void> {
  const { own, repository, upload } = open;
  const refs = refsOf(changed);
  // Before the host's: a plain `git push` would bring them back.
  for (const ref of refs) await deleteRef(own.path, ref, git);
  const { remote, limits } = upload;
  if (remote === null || refs.length === 0) return;
  const url = remote.pushUrl;
  if (!push) {
    terminal.talk(
      `then remove ${refs.length === 1 ? "its tarball" : "their tarballs"}   git -C '${own.path}' push ${clean(url)} --delete ${refs.join(" ")}`,
    );
    return;
  }
  try {
    const updates: RefUpdate[] = [];
    for (const ref of refs) {
      const expected = await repository.fetch({ url: remote.fetchUrl, ref, keepAs: LOOK, blobs: true, limits });
      if (expected !== null) updates.push({ ref, expected, to: null });
    }
    await deleteRef(own.path, LOOK, git);
    await repository.push({ url, updates, limits });
    if (updates.length > 0) terminal.ok(`removed ${updates.length === 1 ? "its tarball" : `${updates.length} tarballs`} from the host`);
  } catch (error) {
    if (!isImprintError(error)) throw error;
    terminal.warn(
      `withdrawn, but the host keeps ${refs.length === 1 ? "its tarball" : "tarballs"} (${clean(error.message)}); delete there ${refs.join(" ")}`,
    );
  }
}

function refsOf(changed: readonly { readonly before: PackageView; readonly after: PackageRecord }[]): readonly RefName[] {
  const refs = changed.flatMap(({ before, after }) =>
    [...before.versions].flatMap(([version, verdict]) =>
      "release" in verdict && !after.releases.has(version) ? [tarballRef(integrityHex(verdict.release.doc.dist.integrity))] : [],
    ),
  );
  // One tarball may stand behind two releases only if somebody re-issued it; then it stays.
  const kept = new Set(
    changed.flatMap(({ before, after }) =>
      [...before.versions].flatMap(([version, verdict]) =>
        "release" in verdict && after.releases.has(version) ? [tarballRef(integrityHex(verdict.release.doc.dist.integrity))] : [],
      ),
    ),
  );
  return [...new Set(refs)].filter((ref) => !kept.has(ref)).map(parseRefName);
}
