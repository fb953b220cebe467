/** Keys and signatures that npm's own check reads: what this resolver serves, it says that it has verified. */
import { createHash, createPublicKey, verify } from "node:crypto";
import { chmodSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { bridgeKeyIn } from "../../src/registry/bridge.ts";
import { nodeFiles } from "../../src/storage/files.ts";
import { registryKey } from "../support/upstream.ts";
import { type LooseJson, type TestConsumer, type TestIndex, type World, world } from "../support/world.ts";

const KEYS = "/-/npm/v1/keys";

let w: World;
let alice: TestIndex;
let c: TestConsumer;
const theirs = registryKey();

beforeAll(async () => {
  w = await world();
  alice = await w.index("alice");
  await alice.publish("@alice/foo", "1.0.0");
  await alice.publish("@alice/foo", "1.1.0");
  await w.upstream.publish("signed", "1.0.0", {
    edit: (entry) => {
      theirs.sign(entry);
      Object.assign(entry.dist, {
        attestations: { url: `${w.upstream.url}-/npm/v1/attestations/signed@1.0.0`, provenance: { predicateType: "x" } },
      });
    },
  });
  await w.upstream.publish("@scope/signed", "1.0.0");
});
beforeEach(async () => {
  w.upstream.up();
  w.upstream.intercept = null;
  w.upstream.keys = { keys: [theirs.listed] };
  w.upstream.requests.length = 0;
  c = await w.consumer({ indices: { alice: { index: alice } } });
});
afterAll(() => w.close());

/** npm's own check, as pacote does it. */
function isValid(keys: readonly LooseJson[], { name, version, dist }: LooseJson): boolean {
  const [{ keyid, sig }] = dist.signatures;
  const { key } = keys.find((listed) => listed.keyid === keyid) as { key: string };
  const publicKey = createPublicKey({ key: Buffer.from(key, "base64"), format: "der", type: "spki" });
  return verify("sha256", Buffer.from(`${name}@${version}:${dist.integrity}`), publicKey, Buffer.from(sig, "base64"));
}

describe("keys", () => {
  it("are upstream's, and this resolver's own in the form that npm and pnpm read", async () => {
    const { keys } = (await c.get(KEYS)).json;
    expect(keys).toHaveLength(2);
    expect(keys[0]).toEqual(theirs.listed);
    const [, { key, keyid }] = keys;
    expect(keys[1]).toEqual({ expires: null, keyid, keytype: "ecdsa-sha2-nistp256", scheme: "ecdsa-sha2-nistp256", key });
    expect(keyid).toBe(`SHA256:${createHash("sha256").update(Buffer.from(key, "base64")).digest("base64")}`);
    expect(key).toMatch(/^[A-Za-z0-9+/]+=*$/);
  });

  it("are ours alone where upstream signs nothing, is down, or answers with something else", async () => {
    w.upstream.keys = null;
    expect((await c.get(KEYS)).json.keys).toHaveLength(1);
    for (const body of ["<html>", "[]", '{"keys":{}}', "{}"]) {
      const other = await w.consumer();
      w.upstream.intercept = (_, response) => response.end(body) !== undefined;
      expect([body, (await other.get(KEYS)).json.keys.length]).toEqual([body, 1]);
    }
    w.upstream.down();
    expect((await (await w.consumer()).get(KEYS)).json.keys).toHaveLength(1);
  });

  it("of an upstream that is down now are those that it listed before, also after a restart", async () => {
    const { keys } = (await c.get(KEYS)).json;
    w.upstream.down();
    const later = await c.again({ nowMs: () => Date.now() + 1e9 });
    expect((await later.get(KEYS)).json.keys).toEqual(keys);
  });

  it("nobody else speaks for ours: an entry upstream with its id is left out", async () => {
    const { keys: before } = (await c.get(KEYS)).json;
    w.upstream.keys = { keys: [{ ...(theirs.listed as object), keyid: before[1].keyid }, "nonsense", null] };
    const { keys } = (await (await c.again({ nowMs: () => Date.now() + 1e9 })).get(KEYS)).json;
    expect(keys).toEqual([before[1]]);
  });
});

describe("signatures", () => {
  it("stand on every own version, in full packuments and version manifests; not in abbreviated ones", async () => {
    const { keys } = (await c.get(KEYS)).json;
    const { versions } = (await c.get("/@alice/foo")).json;
    for (const version of ["1.0.0", "1.1.0"]) {
      expect(isValid(keys, versions[version])).toBe(true);
      expect(isValid(keys, (await c.get(`/@alice/foo/${version}`)).json)).toBe(true);
      expect(isValid(keys, { ...versions[version], version: "9.9.9" })).toBe(false);
    }
    expect(isValid(keys, (await c.get("/@alice/foo/latest")).json)).toBe(true);
    const short = (await c.get("/@alice/foo", { accept: "application/vnd.npm.install-v1+json" })).json;
    expect(short.versions["1.0.0"].dist.signatures).toBeUndefined();
  });

  it("one document has one ETag for as long as this resolver runs; one called like a form is no form", async () => {
    const full = await c.get("/@alice/foo");
    expect((await c.get("/@alice/foo")).headers.get("etag")).toBe(full.headers.get("etag"));
    await c.get("/@alice/foo", { accept: "application/vnd.npm.install-v1+json" });
    for (const tag of ["a", "f", "v", "v 1.0.0"]) expect((await c.get(`/@alice/foo/${encodeURIComponent(tag)}`)).status).toBe(404);
  });

  it("of upstream pass unchanged, with attestations and time", async () => {
    const original = w.upstream.packuments.get("signed");
    const { versions, time } = (await c.get("/signed")).json;
    const { tarball: _, ...dist } = versions["1.0.0"].dist;
    const { tarball: __, ...expected } = original?.versions["1.0.0"]?.dist ?? { tarball: "" };
    expect([dist, time]).toEqual([expected, original?.time]);
    expect(isValid((await c.get(KEYS)).json.keys, versions["1.0.0"])).toBe(true);
  });
});

describe("attestations", () => {
  it("of upstream are passed on, in both spellings of a scope", async () => {
    const asked: string[] = [];
    w.upstream.intercept = (request, response) => {
      asked.push(request.url ?? "");
      response.end(JSON.stringify({ attestations: [{ predicateType: "x" }] }));
      return true;
    };
    expect((await c.get("/-/npm/v1/attestations/signed@1.0.0")).json).toEqual({ attestations: [{ predicateType: "x" }] });
    for (const at of ["@scope%2fsigned@1.0.0", "@scope/signed@1.0.0", "%40scope%2Fsigned@1.0.0-rc.1+b"])
      expect((await c.get(`/-/npm/v1/attestations/${at}`)).status).toBe(200);
    expect(asked).toEqual([
      "/-/npm/v1/attestations/signed@1.0.0",
      "/-/npm/v1/attestations/@scope%2fsigned@1.0.0",
      "/-/npm/v1/attestations/@scope%2fsigned@1.0.0-rc.1%2Bb",
    ]);
  });

  it("of claimed names are 404 without asking; odd paths are refused", async () => {
    expect((await c.get("/-/npm/v1/attestations/@alice%2ffoo@1.0.0")).json.code).toBe("NOT_FOUND");
    for (const at of ["signed@..%2f..", "signed@1.0.0%2f..", "signed@", "@1.0.0", "signed", "a%2fb@1.0.0", "signed@1.0.0/x", "signed@%00"])
      expect([at, [400, 404].includes((await c.get(`/-/npm/v1/attestations/${at}`)).status)]).toEqual([at, true]);
    expect(w.upstream.requests).toEqual([]);
  });
});

describe("the key on disk", () => {
  const fileOf = (consumer: TestConsumer): string => consumer.layout.bridgeKey;

  it("is made once, for its owner alone, and stays", async () => {
    const [, first] = (await c.get(KEYS)).json.keys;
    expect(statSync(fileOf(c)).mode & 0o777).toBe(0o600);
    const [, second] = (await (await c.again()).get(KEYS)).json.keys;
    expect(second).toEqual(first);
  });

  it("made by ten at once is one", async () => {
    const file = `${fileOf(c)}-raced`;
    const keys = await Promise.all(Array.from({ length: 10 }, () => bridgeKeyIn(nodeFiles(), file)()));
    expect(new Set(keys.map(({ listed }) => listed.keyid)).size).toBe(1);
  });

  it.each([
    ["cut", (text: string) => text.slice(0, 40)],
    ["emptied", () => ""],
    [
      "another kind",
      () => "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n",
    ],
  ])("%s is made anew", async (_, spoil) => {
    const [, first] = (await c.get(KEYS)).json.keys;
    writeFileSync(fileOf(c), spoil(readFileSync(fileOf(c), "utf8")));
    const again = await c.again();
    const [, second] = (await again.get(KEYS)).json.keys;
    expect(second.keyid).not.toBe(first.keyid);
    const { keys } = (await again.get(KEYS)).json;
    expect(isValid(keys, (await again.get("/@alice/foo/1.0.0")).json)).toBe(true);
    chmodSync(fileOf(c), 0o600);
  });
});
