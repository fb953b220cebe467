/** Where a root's new tarballs go, and what an author has to upload first. */
import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import { addressesOf, type NewTarball, placeOf, requireUploaded, type TarballPlace } from "../../src/cli/tarball-places.ts";
import type { Deps } from "../../src/cli/deps.ts";
import { ImprintError } from "../../src/errors.ts";
import type { Integrity, Shasum } from "../../src/format/decode.ts";
import { parsePackageName } from "../../src/format/names.ts";
import { parseVersion } from "../../src/format/versions.ts";
import type { TarballStore } from "../../src/index/tarballs.ts";
import type { TrustedState } from "../../src/index/trust.ts";

const BYTES = new TextEncoder().encode("a tarball");
const TARBALL: NewTarball = {
  name: parsePackageName("@alice/foo"),
  version: parseVersion("1.0.0"),
  dist: {
    integrity: `sha512-${createHash("sha512").update(BYTES).digest("base64")}` as Integrity,
    shasum: "0".repeat(40) as Shasum,
    size: BYTES.length,
    unpackedSize: 1,
    fileCount: 1,
  },
  read: async () => BYTES,
};
const FILES: TarballPlace = { kind: "files", sources: ["https://files.example.org/{scope}/{file}", "https://mirror.example.org/{sha512}"] };
const deps = {} as Deps;

function stateOf(...tarballs: readonly string[]): Pick<TrustedState, "roots"> {
  return { roots: [{ doc: { tarballs } }] } as unknown as Pick<TrustedState, "roots">;
}

it.each<[readonly string[], TarballPlace["kind"]]>([
  [["git"], "same push"],
  [["https://files.example.org/{file}", "git"], "same push"],
  [["git+https://b.example.org/x.git", "https://files.example.org/{file}"], "repository"],
  [["https://files.example.org/{file}"], "files"],
])("%j: %s", (sources, kind) => {
  expect(placeOf({ allowFile: false }, stateOf(...sources))).toMatchObject({ kind, sources });
});

it("a root that names a local folder, or a program, is refused", () => {
  for (const source of ["git+file:///srv/x.git", "git+ext::x"])
    expect(() => placeOf({ allowFile: false }, stateOf(source))).toThrow(expect.objectContaining({ code: "INVALID_URL" }) as Error);
});

it("what is uploaded passes; what is not, or is something else, is named with its address", async () => {
  const here: TarballStore = { open: async () => ({ size: 1, stream: new Blob([BYTES]).stream() }) };
  await expect(requireUploaded(deps, FILES, [TARBALL], here)).resolves.toBeUndefined();
  for (const code of ["MISSING_FILE", "TARBALL_MISMATCH"] as const) {
    const away: TarballStore = {
      open: async () => {
        throw new ImprintError(code, "Cannot serve @alice/foo@1.0.0: not those bytes");
      },
    };
    await expect(requireUploaded(deps, FILES, [TARBALL], away)).rejects.toMatchObject({
      code: "PUSH_FAILED",
      message: expect.stringMatching(
        /^Cannot publish @alice\/foo@1\.0\.0: its tarball is not at https:\/\/files\.example\.org\/.*alice-foo-1\.0\.0\.tgz or https:\/\/mirror\.example\.org\/[0-9a-f]{128} \(not those bytes\); pack it, upload alice-foo-1\.0\.0\.tgz there/,
      ) as string,
    });
    await expect(requireUploaded(deps, { kind: "same push", sources: ["git"] }, [TARBALL], away)).resolves.toBeUndefined();
  }
  expect(addressesOf({ kind: "same push", sources: ["git"] }, TARBALL)).toEqual([]);
});
