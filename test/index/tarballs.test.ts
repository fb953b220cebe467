/** Sources of tarballs: tried in the root's order, believed by nothing but size and hash. */
import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import { ImprintError } from "../../src/errors.ts";
import type { Integrity, Shasum } from "../../src/format/decode.ts";
import type { IndexId } from "../../src/format/digest.ts";
import { parsePackageName } from "../../src/format/names.ts";
import type { Release } from "../../src/format/release.ts";
import { formatTimestamp } from "../../src/format/time.ts";
import { parseVersion } from "../../src/format/versions.ts";
import { openTarballStore } from "../../src/index/tarballs.ts";
import { openBlobStore } from "../../src/storage/blobs.ts";
import { nodeFiles } from "../../src/storage/files.ts";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

const BYTES = Buffer.from("the bytes that were signed");
const SHA512 = createHash("sha512").update(BYTES).digest();
const RELEASE: Release = {
  index: "0".repeat(64) as IndexId,
  name: parsePackageName("@alice/foo"),
  version: parseVersion("1.0.0"),
  published: formatTimestamp(0),
  dist: {
    integrity: `sha512-${SHA512.toString("base64")}` as Integrity,
    shasum: "0".repeat(40) as Shasum,
    size: BYTES.length,
    unpackedSize: 1,
    fileCount: 1,
  },
  manifest: {},
};

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** A store whose sources answer as `answers` says; every address asked for is kept. */
async function fetched(
  sources: readonly string[],
  answers: Readonly<Record<string, Uint8Array>>,
): Promise<{ asked: string[]; got: string | null; code: string | null }> {
  const folder = mkdtempSync(path.join(tmpdir(), "imprint-tarballs-"));
  const blobs = openBlobStore(nodeFiles(), folder);
  const asked: string[] = [];
  const answer = async (address: string): Promise<AsyncIterable<Uint8Array>> => {
    asked.push(address);
    const bytes = answers[address];
    if (bytes === undefined) throw new ImprintError("MISSING_FILE", "not there");
    return once(bytes);
  };
  const store = openTarballStore({
    sources: async () => sources,
    openBlob: async (hash) => {
      const file = await blobs.open(hash);
      if (file === null) return null;
      const stream = ReadableStream.from(file.stream()) as ReadableStream<Uint8Array>;
      return { size: file.size, stream };
    },
    putBlob: (bytes, { sha512, size }) => blobs.put(bytes, { hash: sha512, size }),
    fromGit: (url, ref) => answer(`${url ?? "own"} ${ref}`),
    fromHttps: (url) => answer(url),
  });
  try {
    const { stream } = await store.open(RELEASE);
    return { asked, got: await new Response(stream).text(), code: null };
  } catch (error) {
    return { asked, got: null, code: error instanceof ImprintError ? error.code : String(error) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const TEMPLATE = "https://cdn.example/{scope}/{name}/{version}/{file}";
const FILLED = "https://cdn.example/%40alice/foo/1.0.0/alice-foo-1.0.0.tgz";
const REF = `refs/tarballs/${SHA512.toString("hex").slice(0, 64)}`;

it("an https template is filled, percent-encoded, and its bytes are served", async () => {
  expect(await fetched([TEMPLATE], { [FILLED]: BYTES })).toEqual({ asked: [FILLED], got: BYTES.toString(), code: null });
});

it("B2 T8 where a source has nothing, or other bytes, more or fewer, the next one is asked", async () => {
  const lying = Buffer.from("the bytes that were forged");
  for (const first of [{}, { [FILLED]: lying }, { [FILLED]: Buffer.concat([BYTES, BYTES]) }, { [FILLED]: BYTES.subarray(1) }]) {
    const result = await fetched([TEMPLATE, "git"], { ...first, [`own ${REF}`]: BYTES });
    expect(result).toEqual({ asked: [FILLED, `own ${REF}`], got: BYTES.toString(), code: null });
  }
});

it("T11 where no source has the signed bytes, nothing is served, and a lie is named before an absence", async () => {
  const other = "git+https://other.example/tarballs.git";
  const result = await fetched([other, TEMPLATE], { [FILLED]: Buffer.from("x") });
  expect(result).toEqual({ asked: [`https://other.example/tarballs.git ${REF}`, FILLED], got: null, code: "TARBALL_MISMATCH" });
  expect((await fetched([TEMPLATE], {})).code).toBe("MISSING_FILE");
});
