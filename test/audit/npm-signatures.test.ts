/** The public registry's own signatures, judged by what the lockfile pins. */
import { writeFile } from "node:fs/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { audit, type AuditResult } from "../../src/cli/commands/audit.ts";
import { auditLines } from "../../src/cli/views/audit.ts";
import { parseNpmKeys } from "../../src/crypto/npm-signature.ts";
import { registryKey, type UpstreamVersion } from "../support/upstream.ts";
import { type World, world } from "../support/world.ts";

let w: World;
let cwd: string;
const ours = registryKey();
const another = registryKey();

beforeAll(async () => {
  w = await world();
  const alice = await w.index("alice");
  await alice.publish("@alice/a", "1.0.0");
  cwd = await w.projectFolder("shop", { indices: { alice: { index: alice } } });
});
beforeEach(() => {
  w.upstream.packuments.clear();
  w.upstream.keys = { keys: [ours.listed] };
  w.upstream.requests.length = 0;
});
afterAll(() => w.close());

let homes = 0;
async function audited(
  integrities: Readonly<Record<string, string>>,
  { strict = false, offline = false, home = `home-${String(++homes)}` }: { strict?: boolean; offline?: boolean; home?: string } = {},
): Promise<AuditResult> {
  const packages = Object.fromEntries(
    Object.entries(integrities).map(([name, integrity]) => [`node_modules/${name}`, { version: "1.0.0", integrity }]),
  );
  await writeFile(`${cwd}/package-lock.json`, JSON.stringify({ lockfileVersion: 3, packages }));
  const deps = w.deps({ home: `${w.folder}/${home}`, cwd });
  return audit({ frozen: false, strict, lockfile: undefined }, { ...deps, offline });
}

/** Publishes 1.0.0 upstream; its integrity. */
async function publish(name: string, edit: (entry: UpstreamVersion) => void = (entry) => ours.sign(entry)): Promise<string> {
  await w.upstream.publish(name, "1.0.0", { edit });
  const entry = w.upstream.packuments.get(name)?.versions["1.0.0"];
  return entry?.dist.integrity ?? "";
}

describe("npm's own signatures", () => {
  it("valid ones are counted", async () => {
    const result = await audited({ one: await publish("one"), two: await publish("two") }, { strict: true });
    expect(result).toMatchObject({ public: 2, npmSigned: 2, refused: 0 });
    expect(auditLines(result)).toEqual(["✓ public registry 2, 2 with valid npm signatures"]);
  });

  it.each<[string, (entry: UpstreamVersion) => void, RegExp]>([
    ["of another version", (entry) => ours.sign({ ...entry, version: "1.0.1" }), /not of the locked integrity/],
    ["of another name", (entry) => ours.sign({ ...entry, name: "other" }), /not of the locked integrity/],
    ["by a key that is not listed", (entry) => another.sign(entry), /does not list/],
    ["that are none", (entry) => void (entry.dist.signatures = [{ keyid: ours.listed.keyid, sig: "AAAA" }]), /not of the locked/],
    ["that are no objects", (entry) => void (entry.dist.signatures = [1, "x"]), /does not list/],
    [
      "one good, one bad",
      (entry) => {
        ours.sign(entry);
        entry.dist.signatures = [...(entry.dist.signatures as unknown[]), { keyid: ours.listed.keyid, sig: "AAAA" }];
      },
      /not of the locked/,
    ],
  ])("refused: signatures %s", async (_, edit, why) => {
    const integrity = await publish("one", edit);
    const result = await audited({ one: integrity });
    expect(result).toMatchObject({ public: 0, refused: 1 });
    expect(result.packages[0]).toMatchObject({ npmSignature: "invalid", reason: expect.stringMatching(why) });
  });

  it("refused: a lockfile that pins other bytes than those that were signed", async () => {
    await publish("one");
    const other = await publish("two");
    expect((await audited({ one: other })).packages[0]?.reason).toMatch(/not the one that the public registry lists/);
    // Where the registry lists the same wrong integrity, its signature still tells.
    await publish("three", (entry) => {
      ours.sign(entry);
      entry.dist.integrity = other;
    });
    expect((await audited({ three: other })).packages[0]?.reason).toMatch(/not of the locked integrity/);
  });

  it("refused: a key that had expired; one that expired later is good", async () => {
    const integrity = await publish("one");
    w.upstream.keys = { keys: [{ ...ours.listed, expires: "2019-01-01T00:00:00.000Z" }] };
    expect((await audited({ one: integrity })).packages[0]?.reason).toMatch(/expired/);
    w.upstream.keys = { keys: [{ ...ours.listed, expires: "2025-01-01T00:00:00.000Z" }] };
    expect(await audited({ one: integrity })).toMatchObject({ npmSigned: 1 });
  });

  it("missing ones are a note, refused under --strict; so is a version that upstream does not have", async () => {
    const integrity = await publish("one", ({ dist }) => void delete dist.signatures);
    const result = await audited({ one: integrity, gone: integrity });
    expect(result).toMatchObject({ public: 2, npmSigned: 0, refused: 0 });
    expect(auditLines(result)).toEqual([
      "✓ public registry 2, 0 with valid npm signatures",
      "! one@1.0.0: the public registry did not sign it",
      "! gone@1.0.0: the public registry does not have it",
    ]);
    expect(await audited({ one: integrity, gone: integrity }, { strict: true })).toMatchObject({ refused: 2 });
  });

  it("a registry that lists no keys, or none that can be used, proves nothing and refuses nothing", async () => {
    const integrity = await publish("one");
    for (const keys of [null, { keys: [] }, { keys: [1, {}, { keyid: "x", key: "AAAA" }] }]) {
      w.upstream.keys = keys;
      const result = await audited({ one: integrity });
      expect(result).toMatchObject({ public: 1, npmSigned: 0, refused: 0 });
      expect(auditLines(result)).toContain("! one@1.0.0: the public registry lists no keys");
    }
    expect(parseNpmKeys([{ ...ours.listed, expires: "never" }])).toEqual([]);
  });

  it("unreachable and offline: said, no failure unless --strict; what is here already still counts", async () => {
    const integrity = await publish("one");
    expect(await audited({ one: integrity }, { home: "home-kept" })).toMatchObject({ npmSigned: 1 });
    expect(await audited({ one: integrity }, { offline: true })).toMatchObject({ public: 1, npmSigned: 0, refused: 0 });
    expect(await audited({ one: integrity }, { offline: true, strict: true })).toMatchObject({ refused: 1 });
    expect(await audited({ one: integrity }, { offline: true, home: "home-kept", strict: true })).toMatchObject({
      npmSigned: 1,
      refused: 0,
    });
    w.upstream.down();
    const result = await audited({ one: integrity });
    w.upstream.up();
    expect(result).toMatchObject({ public: 1, npmSigned: 0, refused: 0 });
    expect(auditLines(result)[1]).toMatch(/could not be asked/);
  });

  it("X6 upstream hears of public names alone, once each, and of none that is here already", async () => {
    const integrities = { one: await publish("one"), two: await publish("two"), "@alice/a": "sha512-x", "@alice/secret": "sha512-x" };
    await audited(integrities, { home: "home-asked" });
    expect(w.upstream.requests.map(({ path }) => path).toSorted()).toEqual(["/-/npm/v1/keys", "/one", "/two"]);
    w.upstream.requests.length = 0;
    w.pass(3_600_000);
    expect(await audited(integrities, { home: "home-asked" })).toMatchObject({ npmSigned: 2 });
    expect(w.upstream.requests.map(({ path }) => path)).toEqual(["/-/npm/v1/keys"]);
  });
});
