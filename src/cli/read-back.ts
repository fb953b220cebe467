/** Reads a fresh release from its host with empty hands: no cache, no memory, only the pinned id. */
import { ImprintError } from "../errors.ts";
import type { DisplayName } from "../format/decode.ts";
import type { PackageName } from "../format/names.ts";
import type { ProjectIndex } from "../format/project.ts";
import type { Version } from "../format/versions.ts";
import { inspectTarball, type TarballFacts } from "../pack/inspect.ts";
import { equalManifests } from "../pack/manifest.ts";
import type { Deps } from "./deps.ts";
import { withEmptyHands } from "./empty-hands.ts";
import { openIndex } from "./open.ts";
import type { OwnIndex } from "./own-indices.ts";
import type { OpenUpload } from "./upload.ts";

export type ReleaseToRead = {
  readonly name: PackageName;
  readonly version: Version;
  readonly facts: TarballFacts;
  /** Of many, some suffice: each costs a fetch of its own, and the push said of each ref that it is there. */
  readonly withoutTarball?: boolean;
};

/** More than so many are read from one whole clone. */
const FEW = 20;

/** @throws ImprintError of reading, its message saying that the push itself went through */
export async function readBack(
  deps: Deps,
  options: { readonly own: OwnIndex; readonly open: OpenUpload; readonly releases: readonly ReleaseToRead[] },
): Promise<void> {
  const { own, open, releases } = options;
  const url = own.url ?? open.upload.remote?.fetchUrl;
  if (url === undefined) return;
  await withEmptyHands(deps, async (cold) => {
    const entry: ProjectIndex = { id: own.id, urls: [url], ref: open.upload.branch, packages: [] };
    const index = await openIndex({ ...cold, allowFile: true }, own.name as DisplayName, entry, null, () => {}, {
      wholeClone: releases.length > FEW,
      mirrors: false,
    });
    try {
      await index.reader.sync();
      for (const release of releases) await readOne(index, release);
    } catch (error) {
      if (!(error instanceof ImprintError)) throw error;
      throw new ImprintError(error.code, `Cannot read back from ${url} what was pushed there just now: ${error.message}`, { cause: error });
    } finally {
      await index.close();
    }
  });
}

async function readOne(index: Awaited<ReturnType<typeof openIndex>>, released: ReleaseToRead): Promise<void> {
  const { name, version, facts, withoutTarball = false } = released;
  const verdict = (await index.reader.readPackage(name)).view?.versions.get(version);
  if (verdict === undefined) throw new ImprintError("NOT_FOUND", `${name}@${version} is not there`);
  if (!("release" in verdict)) throw new ImprintError("RELEASE_REFUSED", verdict.reason);
  const release = verdict.release.doc;
  let read: Pick<TarballFacts, "integrity" | "manifest"> = { integrity: release.dist.integrity, manifest: facts.manifest };
  if (!withoutTarball) {
    const { stream } = await index.tarballs.open(release);
    // Published ones have been held to one top folder before they were signed; imported ones have their own.
    read = await inspectTarball(new Uint8Array(await new Response(stream).arrayBuffer()), { anyTopFolder: true });
  }
  if (read.integrity !== facts.integrity || !equalManifests(read.manifest, release.manifest)) {
    throw new ImprintError("TARBALL_MISMATCH", `${name}@${version} does not match its tarball`);
  }
}
