/** Tarball refs of a push, before it is taken: named after what is in them, and deleted only once nothing lists them. */
import { createHash } from "node:crypto";
import { verifyIndex } from "../audit/verify-index.ts";
import type { Fault } from "../audit/verify-packages.ts";
import { ImprintError } from "../errors.ts";
import { integrityHex } from "../format/decode.ts";
import { tarballRef } from "../format/tarball-source.ts";
import type { GitRepository, ObjectId, RefName } from "../git/port.ts";
import { parseRefName } from "../git/url.ts";
import { commitSource } from "../index/source.ts";
import type { TarballStore } from "../index/tarballs.ts";
import { PACK_LIMITS } from "../pack/limits.ts";
import { TRANSFER_LIMITS } from "./open.ts";

const PREFIX = "refs/tarballs/";
const FILE = "package.tgz";

export type RefChange = { readonly ref: RefName; readonly from: ObjectId | null; readonly to: ObjectId | null };

/** Tarballs as a repository has them, with what is being pushed to it. */
export function tarballsIn(repository: GitRepository, pushed: ReadonlyMap<RefName, ObjectId | null>): TarballStore {
  return {
    async open({ name, version, dist }) {
      const sha512 = integrityHex(dist.integrity);
      const ref = parseRefName(tarballRef(sha512));
      const commit = pushed.has(ref) ? (pushed.get(ref) ?? null) : await repository.head(ref);
      const bytes = commit === null ? null : await tarballAt(repository, commit, dist.size);
      if (bytes === null)
        throw new ImprintError("MISSING_FILE", `Cannot serve ${name}@${version}: ${ref} is neither there nor pushed with it`);
      if (createHash("sha512").update(bytes).digest("hex") !== sha512)
        throw new ImprintError("TARBALL_MISMATCH", `Cannot serve ${name}@${version}: ${ref} holds other bytes than were signed`);
      return { size: bytes.byteLength, stream: new Blob([new Uint8Array(bytes)]).stream() };
    },
  };
}

export async function pushedTarballFaults(
  repository: GitRepository,
  updates: readonly RefChange[],
  head: ObjectId | null,
): Promise<readonly Fault[]> {
  const changes = updates.filter(({ ref }) => ref.startsWith(PREFIX));
  const faults: Fault[] = [];
  for (const { ref, to } of changes) {
    const why = to === null ? null : await wrongTarball(repository, ref, to);
    if (why !== null) faults.push({ file: ref, step: "tarballs", code: "TARBALL_MISMATCH", message: `${ref} ${why}` });
  }
  const gone = changes.filter(({ to }) => to === null);
  if (gone.length > 0 && head !== null) faults.push(...(await stillListed(repository, gone, head)));
  return faults;
}

async function wrongTarball(repository: GitRepository, ref: RefName, commit: ObjectId): Promise<string | null> {
  const files = await repository.listFiles(commit).catch(() => null);
  if (files === null || files.length !== 1 || files[0]?.path !== FILE || files[0].mode !== "100644") return `is no commit of one ${FILE}`;
  const bytes = await tarballAt(repository, commit, PACK_LIMITS.maxCompressedBytes);
  if (bytes === null) return `is larger than any package may be`;
  return tarballRef(createHash("sha512").update(bytes).digest("hex")) === ref ? null : "is not named after what is in it";
}

async function tarballAt(repository: GitRepository, commit: ObjectId, maxBytes: number): Promise<Uint8Array | null> {
  const [read] = await repository.readFiles({ commit, files: [{ path: FILE, maxBytes }], url: null, limits: TRANSFER_LIMITS });
  return read?.state === "found" ? read.bytes : null;
}

/** Walks the whole index: refs are named by content, and nothing leads from one to its release. Deletes are rare. */
async function stillListed(repository: GitRepository, gone: readonly RefChange[], head: ObjectId): Promise<readonly Fault[]> {
  const snapshot = await commitSource(repository, head, TRANSFER_LIMITS).open();
  const { good } = await verifyIndex({ snapshot, listFiles: async () => [] }, null, () => {});
  const listed = new Map(good.map(({ name, version, dist }) => [tarballRef(integrityHex(dist.integrity)), `${name}@${version}`]));
  return gone.flatMap(({ ref }) => {
    const release = listed.get(ref);
    return release === undefined
      ? []
      : [{ file: ref, step: "tarballs", code: "MISSING_FILE", message: `${ref} is the tarball of ${release}, which is released` }];
  });
}
