import { describe, expect, it } from "vitest";
import { jsonObject, type JsonObject } from "../../src/format/json.ts";
import type { PackageName } from "../../src/format/names.ts";
import {
  abbreviatedPackument,
  fullPackument,
  type PackumentParts,
  type PackumentSource,
  packumentText,
  type PackumentVersion,
  tarballFileName,
  tarballUrl,
  versionManifest,
} from "../../src/format/packument.ts";
import type { Release } from "../../src/format/release.ts";
import type { Timestamp } from "../../src/format/time.ts";
import type { DistTag, Version } from "../../src/format/versions.ts";

const NAME = "@alice/hello" as PackageName;
const BASE = "http://127.0.0.1:4870";

function entry(version: string, manifest: object = {}, time = "2026-01-01T00:00:00.000Z", deprecated?: string): PackumentVersion {
  const release = {
    name: NAME,
    version: version as Version,
    dist: { integrity: "sha512-x", shasum: "00", size: 5, unpackedSize: 7, fileCount: 2 },
    manifest: jsonObject(Object.entries(manifest)),
  } as unknown as Release;
  return { release, time: time as Timestamp, deprecated };
}

function source(versions: readonly PackumentVersion[], tags: Readonly<Record<string, string>> = { latest: "1.0.0" }): PackumentSource {
  return { name: NAME, versions, tags: new Map(Object.entries(tags)) as unknown as ReadonlyMap<DistTag, Version>, maintainer: "alice" };
}

const plain = (value: JsonObject | null): Record<string, unknown> => JSON.parse(JSON.stringify(value)) as Record<string, unknown>;
const textOf = (packument: PackumentParts): string => [...packumentText(packument)].join("");
const whole = (packument: PackumentParts): Record<string, unknown> => JSON.parse(textOf(packument)) as Record<string, unknown>;
const versionOf = (packument: PackumentParts, version: string): Record<string, unknown> =>
  (whole(packument)["versions"] as Record<string, Record<string, unknown>>)[version] as Record<string, unknown>;

describe("packuments", () => {
  it("tarball addresses follow npm's convention, on the origin asked", () => {
    expect(tarballUrl(BASE, NAME, "1.0.0" as Version)).toBe(`${BASE}/@alice/hello/-/hello-1.0.0.tgz`);
    expect(tarballFileName("left-pad" as PackageName, "1.3.0" as Version)).toBe("left-pad-1.3.0.tgz");
  });

  it("the full one: versions in order, what the latest says at the top, times of all", () => {
    const packument = whole(
      fullPackument(
        source(
          [
            entry("1.10.0", { description: "ten" }, "2026-03-01T00:00:00.000Z"),
            entry("1.9.0", { description: "nine", license: "MIT" }, "2026-02-01T00:00:00.000Z", "old"),
          ],
          { latest: "1.9.0" },
        ),
        BASE,
      ),
    );
    expect(Object.keys(packument["versions"] as object)).toEqual(["1.9.0", "1.10.0"]);
    expect(packument).toMatchObject({
      _id: NAME,
      name: NAME,
      description: "nine",
      license: "MIT",
      readme: "",
      maintainers: [{ name: "alice" }],
      "dist-tags": { latest: "1.9.0" },
    });
    expect(packument["time"]).toEqual({
      created: "2026-02-01T00:00:00.000Z",
      modified: "2026-03-01T00:00:00.000Z",
      "1.9.0": "2026-02-01T00:00:00.000Z",
      "1.10.0": "2026-03-01T00:00:00.000Z",
    });
    expect((packument["versions"] as Record<string, unknown>)["1.9.0"]).toMatchObject({
      _id: `${NAME}@1.9.0`,
      deprecated: "old",
      dist: { tarball: `${BASE}/@alice/hello/-/hello-1.9.0.tgz`, fileCount: 2, unpackedSize: 7 },
    });
  });

  it("where latest is not shown, the highest version speaks; where nothing is, nobody", () => {
    expect(
      whole(fullPackument(source([entry("1.0.0", { description: "a" }), entry("2.0.0", { description: "b" })], { latest: "9.9.9" }), BASE))[
        "description"
      ],
    ).toBe("b");
    const empty = whole(fullPackument(source([], {}), BASE));
    expect(empty).toMatchObject({ versions: {}, time: {} });
    expect("description" in empty).toBe(false);
    expect(whole(abbreviatedPackument(source([], {}), BASE))["modified"]).toBeNull();
  });

  it("the short one: only what clients plan with, and times", () => {
    const packument = abbreviatedPackument(
      source([
        entry("1.0.0", { description: "x", scripts: {}, dependencies: { a: "1" }, hasInstallScript: true, hasShrinkwrap: true }),
        entry("0.9.0", {}, "2025-01-01T00:00:00.000Z"),
      ]),
      BASE,
    );
    const one = versionOf(packument, "1.0.0");
    expect(Object.keys(one).sort()).toEqual(["_hasShrinkwrap", "dependencies", "dist", "hasInstallScript", "name", "version"]);
    expect(whole(packument)).toMatchObject({ modified: "2026-01-01T00:00:00.000Z", "dist-tags": { latest: "1.0.0" } });
    expect(Object.keys(versionOf(packument, "0.9.0")).sort()).toEqual(["dist", "name", "version"]);
  });

  it("normalises: bin as text, bundledDependencies, ranges that are none", () => {
    const odd = {
      bin: "./cli.js",
      bundledDependencies: ["b"],
      dependencies: { a: "1", b: 2 },
      optionalDependencies: ["x"],
      peerDependencies: null,
      engines: "node",
      hasInstallScript: "yes",
    };
    for (const one of [
      versionOf(abbreviatedPackument(source([entry("1.0.0", odd)]), BASE), "1.0.0"),
      versionOf(fullPackument(source([entry("1.0.0", odd)]), BASE), "1.0.0"),
    ]) {
      expect(one).toMatchObject({
        bin: { hello: "./cli.js" },
        bundleDependencies: ["b"],
        dependencies: { a: "1" },
        optionalDependencies: {},
        peerDependencies: {},
        engines: "node",
      });
      expect("bundledDependencies" in one || "hasInstallScript" in one).toBe(false);
    }
    expect(versionOf(abbreviatedPackument(source([entry("1.0.0", { bin: { hi: "./hi.js" } })]), BASE), "1.0.0")["bin"]).toEqual({
      hi: "./hi.js",
    });
  });

  it("a manifest can't speak over name, version or dist", () => {
    const one = versionOf(
      fullPackument(
        source([entry("1.0.0", { name: "react", version: "9.9.9", _id: "x", dist: { tarball: "http://evil.example/" } })]),
        BASE,
      ),
      "1.0.0",
    );
    expect(one).toMatchObject({ name: NAME, version: "1.0.0", _id: `${NAME}@1.0.0`, dist: { integrity: "sha512-x" } });
  });

  it("J1 __proto__ among dependencies stays data", () => {
    const manifest = { dependencies: JSON.parse('{"__proto__": "1.0.0", "constructor": "2.0.0"}') as object };
    const packument = fullPackument(source([entry("1.0.0", manifest)]), BASE);
    expect(textOf(packument)).toContain('"dependencies":{"__proto__":"1.0.0","constructor":"2.0.0"}');
    expect(({} as Record<string, unknown>)["1.0.0"]).toBeUndefined();
  });

  it("the text in pieces is that of the whole, a piece a version", () => {
    const packument = fullPackument(source([entry("2.0.0"), entry("1.0.0", { description: 'a "quote"' })]), BASE);
    const pieces = [...packumentText(packument)];
    expect(pieces).toHaveLength(4);
    expect(JSON.stringify(JSON.parse(pieces.join("")))).toBe(pieces.join(""));
    expect(Object.keys(whole(packument))).toEqual(["_id", "name", "dist-tags", "versions", "time", "maintainers", "description", "readme"]);
    const none = [...packumentText(abbreviatedPackument(source([], {}), BASE))].join("");
    expect(none).toBe('{"name":"@alice/hello","dist-tags":{},"versions":{},"modified":null,"time":{}}');
  });

  it("a version is dressed when its turn comes", () => {
    const dressed: string[] = [];
    const packument = fullPackument(source([entry("2.0.0"), entry("1.0.0")]), BASE, (one) => {
      dressed.push(one.release.version);
      return { ...one, signatures: [{ keyid: "k", sig: "s" }] };
    });
    const pieces = packumentText(packument);
    pieces.next();
    expect(dressed).toEqual([]);
    expect(pieces.next().value).toContain('"signatures":[{"keyid":"k","sig":"s"}]');
    expect(dressed).toEqual(["1.0.0"]);
  });

  it("one version alone", () => {
    expect(plain(versionManifest(source([entry("1.0.0")]), "1.0.0" as Version, BASE))).toMatchObject({
      _id: `${NAME}@1.0.0`,
      maintainers: [{ name: "alice" }],
    });
    expect(versionManifest(source([]), "1.0.0" as Version, BASE)).toBeNull();
  });
});
