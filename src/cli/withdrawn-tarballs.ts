/** The tarballs of withdrawn releases: their refs go from the clone and from the host, once no record lists them. */
import { isImprintError } from "../errors.ts";
import { integrityHex } from "../format/decode.ts";
import type { PackageRecord } from "../format/record.ts";
import type { Release } from "../format/release.ts";
import { tarballRef } from "../format/tarball-source.ts";
import type { GitUrl, RefName, RefUpdate } from "../git/port.ts";
import { deleteRef } from "../git/clone.ts";
import { parseRefName } from "../git/url.ts";
import type { PackageView } from "../index/package-reader.ts";
import type { Base } from "../index/publish.ts";
import type { Deps } from "./deps.ts";
import { addressesOf, placeOf, tarballRepositories } from "./tarball-places.ts";
import { keptTarballRef } from "./tarball-refs.ts";
import { clean } from "../format/text.ts";
import type { OpenUpload } from "./upload.ts";

const LOOK = parseRefName("refs/imprint/withdrawn");

/**
 * After the push of the commit that withdraws, never with it: a host that lets nobody delete refs must not keep a bad
 * release alive. What fails is said, not thrown: the release is withdrawn already.
 */
export async function removeTarballs(
  open: OpenUpload,
  base: Base,
  changed: readonly { readonly before: PackageView; readonly after: PackageRecord }[],
  push: boolean,
  deps: Deps,
): Promise<void> {
  const { terminal, git } = deps;
  const { own, upload } = open;
  const gone = releasesOf(changed);
  const refs = [...new Set(gone.map(({ dist }) => parseRefName(tarballRef(integrityHex(dist.integrity)))))];
  // Before the host's: a plain `git push` would bring them back.
  for (const ref of refs) for (const kept of [ref, keptTarballRef(ref)]) await deleteRef(own.path, kept, git);
  if (refs.length === 0) return;
  const place = placeOf(deps, base.state);
  const files = gone.flatMap((release) => addressesOf(place, release));
  if (files.length > 0) terminal.talk(clean(`then delete by hand   ${files.join(" ")}`));
  const { remote } = upload;
  const elsewhere = tarballRepositories(deps, place.sources).map((url) => ({ fetchUrl: url, pushUrl: url }));
  const hosts = [...(remote === null ? [] : [remote]), ...elsewhere];
  for (const host of hosts) {
    if (push) await removeFrom(open, host, refs, deps);
    else
      terminal.talk(
        `then remove ${refs.length === 1 ? "its tarball" : "their tarballs"}   git -C '${own.path}' push ${clean(host.pushUrl)} --delete ${refs.join(" ")}`,
      );
  }
}

async function removeFrom(
  { own, repository, upload: { limits } }: OpenUpload,
  { fetchUrl, pushUrl }: { readonly fetchUrl: GitUrl; readonly pushUrl: GitUrl },
  refs: readonly RefName[],
  { terminal, git }: Deps,
): Promise<void> {
  try {
    const updates: RefUpdate[] = [];
    for (const ref of refs) {
      const expected = await repository.fetch({ url: fetchUrl, ref, keepAs: LOOK, blobs: true, limits });
      if (expected !== null) updates.push({ ref, expected, to: null });
    }
    await deleteRef(own.path, LOOK, git);
    await repository.push({ url: pushUrl, updates, limits });
    if (updates.length > 0) terminal.ok(`removed ${updates.length === 1 ? "its tarball" : `${updates.length} tarballs`} from the host`);
  } catch (error) {
    if (!isImprintError(error)) throw error;
    terminal.warn(
      `withdrawn, but the host keeps ${refs.length === 1 ? "its tarball" : "tarballs"} (${clean(error.message)}); delete there ${refs.join(" ")}`,
    );
  }
}

/** The releases that went, but for those whose tarball a release that stays has too: somebody re-issued it. */
function releasesOf(changed: readonly { readonly before: PackageView; readonly after: PackageRecord }[]): readonly Release[] {
  const split = (isKept: boolean): readonly Release[] =>
    changed.flatMap(({ before, after }) =>
      [...before.versions].flatMap(([version, verdict]) =>
        "release" in verdict && after.releases.has(version) === isKept ? [verdict.release.doc] : [],
      ),
    );
  const kept = new Set(split(true).map(({ dist }) => dist.integrity));
  return split(false).filter(({ dist }) => !kept.has(dist.integrity));
}
