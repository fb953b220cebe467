/** What upstream's packuments say of their tarballs: the strongest hash that there is, and nothing without one. */
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { JsonValue } from "../../src/format/json.ts";
import type { PackageName } from "../../src/format/names.ts";
import { tarballsOf } from "../../src/registry/upstream/packument.ts";

const BYTES = Buffer.from("tarball");
const URL = "https://registry.example/x/-/x-1.0.0.tgz";
const digest = (algorithm: string, encoding: "base64" | "hex" = "base64"): string => createHash(algorithm).update(BYTES).digest(encoding);
const sri = (algorithm: string): string => `${algorithm}-${digest(algorithm)}`;

function found(dist: JsonValue, version = "1.0.0"): unknown {
  const [entry] = tarballsOf({ name: "x", versions: { [version]: { dist } } }, "x" as PackageName);
  return entry === undefined ? null : [entry[0], entry[1].algorithm, entry[1].hex];
}

describe("tarballs of a packument", () => {
  it.each([
    ["sha512", sri("sha512")],
    ["sha384", sri("sha384")],
    ["sha256", sri("sha256")],
    ["sha1", sri("sha1")],
    ["sha512", `${sri("sha1")} ${sri("sha512")} ${sri("sha256")}`],
    ["sha512", `${sri("sha512")}?options`],
    ["sha512", ` ${sri("sha512")}\n`],
    ["sha256", `sha512-AAAA ${sri("sha256")}`],
  ])("%s of %s", (algorithm, integrity) => {
    expect(found({ tarball: URL, integrity })).toEqual(["x-1.0.0.tgz", algorithm, digest(algorithm, "hex")]);
  });

  it("shasum alone is what old releases have", () => {
    expect(found({ tarball: URL, shasum: digest("sha1", "hex") })).toEqual(["x-1.0.0.tgz", "sha1", digest("sha1", "hex")]);
    expect(found({ tarball: URL, integrity: "md5-AAAA", shasum: digest("sha1", "hex") })).toEqual([
      "x-1.0.0.tgz",
      "sha1",
      digest("sha1", "hex"),
    ]);
  });

  it.each([
    [{ tarball: URL }],
    [{ tarball: URL, integrity: "" }],
    [{ tarball: URL, integrity: `md5-${digest("md5")}` }],
    [{ tarball: URL, integrity: 1, shasum: 2 }],
    [{ tarball: URL, integrity: "sha512-", shasum: "" }],
    [{ tarball: URL, integrity: `sha512-${digest("sha256")}` }],
    [{ tarball: "file:///etc/passwd", integrity: sri("sha512") }],
    [{ tarball: "/x.tgz", integrity: sri("sha512") }],
    [{ tarball: ["https://x"], integrity: sri("sha512") }],
    [{ integrity: sri("sha512") }],
    [null],
    ["dist"],
  ] as [JsonValue][])("%j names none", (dist) => expect(found(dist)).toBeNull());

  it("versions that SemVer refuses have theirs, too", () => {
    expect(found({ tarball: URL, integrity: sri("sha512") }, "1.0.0+build")).toEqual([
      "x-1.0.0+build.tgz",
      "sha512",
      digest("sha512", "hex"),
    ]);
  });
});
