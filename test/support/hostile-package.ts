/** A package as a hostile author makes it: valid in every signature, and too much of everything. */
import { signDocument } from "../../src/crypto/documents.ts";
import { fileHashOf } from "../../src/format/digest.ts";
import { jsonObject } from "../../src/format/json.ts";
import type { PackageName } from "../../src/format/names.ts";
import { releasePath } from "../../src/format/paths.ts";
import { emptyRecord, encodeRecord } from "../../src/format/record.ts";
import { encodeRelease, type Release } from "../../src/format/release.ts";
import type { DistTag, Version } from "../../src/format/versions.ts";
import type { TestIndex } from "./world.ts";

const DIST = { integrity: `sha512-${"A".repeat(86)}==`, shasum: "0".repeat(40), size: 1, unpackedSize: 1, fileCount: 1 };
const PUBLISHED = "2026-01-01T00:00:00.000Z";

/** @param request `count` releases, each with a description of `textBytes` */
export async function publishHostile(
  index: TestIndex,
  name: string,
  { count, textBytes }: { readonly count: number; readonly textBytes: number },
): Promise<void> {
  const versions = Array.from({ length: count }, (_, i) => `1.0.${String(i)}` as Version);
  const description = "x".repeat(textBytes);
  const files = new Map<Version, Uint8Array>();
  for (const version of versions) {
    const manifest = jsonObject([
      ["name", name],
      ["version", version],
      ["description", description],
    ]);
    const release = { index: index.id, name, version, published: PUBLISHED, dist: DIST, manifest } as unknown as Release;
    files.set(version, signDocument("release", encodeRelease(release), [index.keys.publisher]));
  }
  const record = {
    ...emptyRecord(index.id, name as PackageName),
    revision: Date.now(),
    releases: new Map([...files].map(([version, bytes]) => [version, fileHashOf(bytes)])),
    tags: new Map([["latest" as DistTag, versions.at(-1) as Version]]),
  };
  await index.seal({
    records: { [name]: signDocument("package", encodeRecord(record), [index.keys.publisher]) },
    files: Object.fromEntries([...files].map(([version, bytes]) => [releasePath(name as PackageName, version), bytes])),
  });
}
