/** Names and versions that must be refused on the way in, and odd ones that must work, tarball included. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { signDocument } from "../../src/crypto/documents.ts";
import { jsonObject } from "../../src/format/json.ts";
import { fileHashOf } from "../../src/format/digest.ts";
import { isPublicName, type PackageName, parseNewPackageName, parsePackageName } from "../../src/format/names.ts";
import { packageFolder, recordPath, releasePath, shardOf, shardPath } from "../../src/format/paths.ts";
import { encodeRecord, parseRecord } from "../../src/format/record.ts";
import { parseVersion, type Version } from "../../src/format/versions.ts";
import { formatPretty } from "../../src/format/json.ts";
import { type TestIndex, type World, world } from "../support/world.ts";

const REFUSED = [
  "..",
  ".",
  "a/b",
  "%2f",
  "a%2fb",
  "a\0b",
  "a".repeat(215),
  "pâté",
  "名前",
  ".hidden",
  "trailing.",
  "node_modules",
  "favicon.ico",
  "__proto__",
  "_under",
  "-dash",
  "@/x",
  "@s/",
  "@s/..",
  "@s/.x",
  "@.s/x",
  "@s/a/b",
  "a b",
  "a\nb",
  "",
  "@__proto__/x",
];
const LEGAL = [
  "constructor",
  "con",
  "events",
  "yarn.lock",
  "a..b",
  "@x/_y",
  "JSONStream",
  "jsonstream",
  "@x/__proto__",
  "a".repeat(214),
  "@x/-",
  "toString",
];
const BAD_VERSIONS = [
  "1.0",
  "v1.0.0",
  "1.0.0+x",
  "01.0.0",
  "1.0.0-01",
  `1.0.0-${"a".repeat(123)}`,
  "9007199254740992.0.0",
  "1.0.0-",
  "",
  "latest",
  "=1.0.0",
  " 1.0.0",
];

let w: World;
let index: TestIndex;

beforeAll(async () => {
  w = await world();
  index = await w.index("odd", { packages: ["*", "@x/*"] });
  await index.publish("plain", "1.0.0");
});
afterAll(() => w.close());

describe("N2 names", () => {
  it.each(REFUSED)("N2 %j is refused at every door", async (name) => {
    expect(() => parsePackageName(name)).toThrow(expect.objectContaining({ code: "INVALID_NAME" }));
    const c = await w.consumer({ indices: { odd: { index, packages: ["*"] } } });
    const { status, json } = await c.get(`/${encodeURIComponent(name)}`);
    // An empty path is the home page; a dot segment is resolved away before any server sees it.
    if (["", ".", ".."].includes(name)) expect(status).toBe(200);
    // Names that the public registry has and no index may hold, and what browsers ask of every server: not there.
    else if (isPublicName(name) || name === "favicon.ico") expect(status).toBe(404);
    else expect([status, json.code]).toEqual([400, "INVALID_NAME"]);
    expect(c.told).toEqual([]);
  });

  it("N2 a shard that lists such a name is refused as a whole, whoever signed the tree", async () => {
    const honest = index.head();
    const shard = shardOf("plain" as PackageName);
    for (const name of ["..", "__proto__", "../../trust"]) {
      const bytes = formatPretty(
        jsonObject([
          ["plain", fileHashOf(await index.read(recordPath("plain" as PackageName)))],
          [name, "0".repeat(64)],
        ]),
      );
      await index.seal({
        files: { [shardPath(shard)]: bytes },
        checkpoint: ({ shards }) => ({ shards: new Map([...shards, [shard, fileHashOf(bytes)]]) }),
      });
      const c = await w.consumer({ indices: { odd: { index, packages: ["*"] } } });
      await c.sync();
      await expect(c.read("plain")).rejects.toMatchObject({ code: "INVALID_DOCUMENT", file: shardPath(shard) });
      expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
      index.reset(honest);
    }
  });

  it("N2 a new name is lower case; an old one may keep its capitals", () => {
    expect(() => parseNewPackageName("JSONStream")).toThrow(expect.objectContaining({ code: "INVALID_NAME" }));
    expect(parseNewPackageName("jsonstream")).toBe("jsonstream");
  });

  it("N2 legal odd names are published, read and fetched, tarball included, and none hides another", async () => {
    const tarballs = new Map<string, Uint8Array>();
    for (const name of LEGAL) tarballs.set(name, await index.publish(name, "1.0.0", { packageJson: { description: `this is ${name}` } }));
    const c = await w.consumer({ indices: { odd: { index, packages: ["*"] } } });
    for (const name of LEGAL) {
      const { status, json } = await c.get(`/${name.replace("/", "%2f")}`);
      expect([name, status, json.name, json.description]).toEqual([name, 200, name, `this is ${name}`]);
      const { pathname } = new URL(json.versions["1.0.0"].dist.tarball);
      const tarball = await c.get(pathname);
      expect([name, tarball.status]).toEqual([name, 200]);
      expect(Buffer.from(tarball.bytes).equals(Buffer.from(tarballs.get(name) as Uint8Array))).toBe(true);
    }
    const folded = index.paths().map((path) => path.toLowerCase());
    expect(new Set(folded).size).toBe(folded.length);
    expect(index.paths()).toContain(recordPath("JSONStream" as PackageName));
    expect(packageFolder("JSONStream" as PackageName)).toBe("+!j!s!o!n!stream");
  });

  it("N2 an inherited name is no package where nobody published it", async () => {
    const empty = await w.index("empty", { packages: ["*"] });
    const c = await w.consumer({ indices: { empty: { index: empty, packages: ["*"] } } });
    for (const name of ["constructor", "toString", "hasOwnProperty", "valueOf"]) expect((await c.get(`/${name}`)).status).toBe(404);
    const found = await w.consumer({ indices: { odd: { index, packages: ["*"] } } });
    for (const tag of ["constructor", "__proto__", "toString"]) expect((await found.get(`/plain/${tag}`)).status).toBe(404);
  });
});

describe("S5 versions", () => {
  it.each(BAD_VERSIONS)("S5 %j is refused on publish", (version) => {
    expect(() => parseVersion(version)).toThrow(expect.objectContaining({ code: "INVALID_NAME" }));
  });

  it.each(["1.0", "v1.0.0", "1.0.0+x", "01.0.0", `1.0.0-${"a".repeat(123)}`])(
    "S5 a record that lists %j is refused, though its publisher signed it",
    async (version) => {
      const honest = index.head();
      const record = await index.record("plain");
      const encoded = encodeRecord({
        ...record.doc,
        revision: record.doc.revision + 1,
        releases: new Map([...record.doc.releases, [version as Version, [...record.doc.releases.values()][0] as never]]),
      });
      await index.seal({ records: { plain: signDocument("package", encoded, [index.keys.publisher]) } });
      const c = await w.consumer({ indices: { odd: { index, packages: ["*"] } } });
      await c.sync();
      await expect(c.read("plain")).rejects.toMatchObject({
        code: "INVALID_DOCUMENT",
        step: "reading 6",
        file: recordPath("plain" as PackageName),
      });
      expect((await c.get("/plain")).status).toBe(403);
      index.reset(honest);
    },
  );

  it("S5 1.0.0-A beside 1.0.0-a: refused on publish and on read", async () => {
    const honest = index.head();
    await index.publish("cased", "1.0.0-A");
    await expect(index.publish("cased", "1.0.0-a", { tag: "next" })).rejects.toMatchObject({ code: "VERSION_EXISTS" });
    const { doc } = await index.record("cased");
    const both = encodeRecord({
      ...doc,
      releases: new Map([...doc.releases, ["1.0.0-a" as Version, [...doc.releases.values()][0] as never]]),
    });
    expect(() => parseRecord(signDocument("package", both, [index.keys.publisher]))).toThrow(
      expect.objectContaining({ code: "INVALID_DOCUMENT" }),
    );
    expect(releasePath("cased" as PackageName, "1.0.0-A" as Version)).toMatch(/1\.0\.0-A\.json$/);
    index.reset(honest);
  });

  it("S5 such a version in a request is not found, and nobody is asked for it", async () => {
    const c = await w.consumer({ indices: { odd: { index, packages: ["*"] } } });
    for (const version of ["1.0", "v1.0.0", "1.0.0+x", "01.0.0"])
      expect((await c.get(`/plain/${encodeURIComponent(version)}`)).status).toBe(404);
    expect(w.upstream.requests).toEqual([]);
  });
});
