/** Roots that live: keys come and go, several people sign, and no reader sees a gap. Real commands, real processes. */
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { mergeBranch, testGit } from "../support/git-host.ts";
import { type Outcome, type People, people, type Person } from "../support/people.ts";

let world: People;
beforeAll(async () => {
  world = await people();
});
afterAll(() => world.close());

type Index = Awaited<ReturnType<People["init"]>>;
type Shown = {
  readonly root: {
    readonly version: number;
    readonly roles: Record<string, Role>;
    readonly publishers: readonly (Role & { packages: string[] })[];
  };
};
type Role = { readonly keys: readonly string[]; readonly threshold: number };

const run = (who: Person, ...args: readonly string[]): Promise<Outcome> => world.imprint(who, world.folder, ...args);
const rootOf = async (who: Person, index: string): Promise<Shown["root"]> =>
  (JSON.parse((await run(who, "root", "show", "--index", index, "--json")).stdout) as Shown).root;
const keysFolder = (who: Person): string => path.join(who.home, ".config/imprint/keys");

async function publish(who: Person, name: string, version: string, ...flags: readonly string[]): Promise<Outcome> {
  const folder = world.folderOf(`${who.name}-${name.replace("/", "-")}-${version}`, {
    "package.json": { name, version, main: "i.js" },
    "i.js": `module.exports = ${JSON.stringify(version)};\n`,
  });
  return world.imprint(who, folder, "publish", ...flags);
}

/** A consumer that has read every package of the index, and keeps its memory. */
async function reader(name: string, index: Index): Promise<(pkg: string) => Promise<Record<string, string>>> {
  const who = world.person(name);
  const shop = world.folderOf(`shop-${name}`, { "package.json": { name: "shop", version: "1.0.0", private: true } });
  const added = await world.imprint(who, shop, "add", index.address, "--yes");
  if (added.code !== 0) throw new Error(added.stderr);
  return async (pkg) => {
    const synced = await world.imprint(who, shop, "sync");
    if (synced.code !== 0) return { sync: synced.stderr };
    const why = await world.imprint(who, shop, "why", pkg);
    const versions = [...why.stdout.matchAll(/ (\d+\.\d+\.\d+) (ok|yanked|refused|withdrawn)/g)];
    return versions.length === 0
      ? { why: `${why.stdout}${why.stderr}` }
      : Object.fromEntries(versions.map(([, version, verdict]) => [version, verdict] as [string, string]));
  };
}

/** Another person with a clone of the index and a key of their own. */
async function member(name: string, index: Index, purpose: string): Promise<{ who: Person; key: string; clone: string }> {
  const who = world.person(name);
  const clone = path.join(world.folder, `${name}-clone`);
  await world.sh(who, world.folder, "git", ["clone", "-q", index.url, clone]);
  const made = await run(who, "key", "new", "--index", index.id, "--name", name, "--purpose", purpose);
  expect(made.stderr).toMatch(/imprint root add-key ed25519:/);
  return { who, key: made.stdout.trim(), clone };
}

const releaseFiles = (index: Index): string =>
  testGit(world.hosted(index.url.replace(/^.*\/([^/]+\/index\.git)$/, "$1")), ["ls-tree", "-r", "main"])
    .split("\n")
    .filter((line) => /\/[0-9]+\.[0-9]+\.[0-9]+\.json$/.test(line))
    .join("\n");

describe("keys come and go", () => {
  let ann: Person;
  let index: Index;
  let read: Awaited<ReturnType<typeof reader>>;
  beforeAll(async () => {
    ann = world.person("ann");
    index = await world.init(ann, "@ann/*");
    for (const name of ["@ann/a", "@ann/b", "@ann/c"]) expect((await publish(ann, name, "1.0.0")).code).toBe(0);
    read = await reader("anns-reader", index);
    expect(await read("@ann/a")).toEqual({ "1.0.0": "ok" });
  });

  it("K7 rotate: one command, records signed again, release files as they were, nobody sees a gap", async () => {
    const [before, files] = [await rootOf(ann, "ann"), releaseFiles(index)];
    const rotated = await run(ann, "root", "rotate", "--json");
    expect(rotated.stderr).toMatch(/3 records are signed again; no release file changes/);
    expect(JSON.parse(rotated.stdout)).toMatchObject({ index: "ann", version: 2, records: 3 });
    const after = await rootOf(ann, "ann");
    expect(after.publishers[0]?.keys).not.toEqual(before.publishers[0]?.keys);
    expect(after.roles["checkpoint"]?.keys).not.toEqual(before.roles["checkpoint"]?.keys);
    expect(after.roles["root"]).toEqual(before.roles["root"]);
    expect(releaseFiles(index)).toBe(files);
    expect(await read("@ann/a")).toEqual({ "1.0.0": "ok" });
    expect(await (await reader("anns-new-reader", index))("@ann/b")).toEqual({ "1.0.0": "ok" });
    // The old keys are gone from the file, and the new ones publish.
    const kept = readFileSync(path.join(keysFolder(ann), "ann.daily.json"), "utf8");
    expect(kept).toContain(after.publishers[0]?.keys[0]);
    expect(kept).not.toContain(before.publishers[0]?.keys[0]);
    expect((await publish(ann, "@ann/a", "1.1.0")).code).toBe(0);
    expect(await read("@ann/a")).toEqual({ "1.0.0": "ok", "1.1.0": "ok" });
    expect((await run(ann, "verify", index.clone, "--tarballs")).code).toBe(0);
  });

  it("rotate root: the next change takes the new key", async () => {
    const before = await rootOf(ann, "ann");
    expect((await run(ann, "root", "rotate", "root")).code).toBe(0);
    const after = await rootOf(ann, "ann");
    expect(after.roles["root"]?.keys).not.toEqual(before.roles["root"]?.keys);
    expect((await run(ann, "root", "set", "--refresh-days", "30")).code).toBe(0);
    expect(await read("@ann/a")).toMatchObject({ "1.1.0": "ok" });
  });

  it("a second publisher joins, publishes, and leaves; what they published stays", async () => {
    const ben = await member("ben", index, "publisher");
    expect((await run(ann, "root", "add-key", ben.key)).stderr).toMatch(/publisher key \S+ added/);
    const folder = world.folderOf("bens-d", { "package.json": { name: "@ann/d", version: "1.0.0", main: "i.js" }, "i.js": "" });
    const proposed = await world.imprint(ben.who, folder, "publish", "--propose", "--branch", "bens", "--index", ben.clone);
    expect([proposed.code, proposed.stderr]).toEqual([0, expect.stringMatching(/pull request from bens/)]);
    mergeBranch(world.hosted("ann/index.git"), "bens");
    expect((await run(ann, "seal")).code).toBe(0);
    expect(await read("@ann/d")).toEqual({ "1.0.0": "ok" });
    expect((await run(ann, "root", "remove-key", ben.key)).stderr).toMatch(/publisher key \S+ removed/);
    // His release stays as he signed it; the record, which he alone had signed, is the owner's now.
    expect(await read("@ann/d")).toEqual({ "1.0.0": "ok" });
    const again = world.folderOf("bens-d2", { "package.json": { name: "@ann/d", version: "1.1.0", main: "i.js" }, "i.js": "" });
    const refused = await world.imprint(ben.who, again, "publish", "--propose", "--branch", "bens-2", "--index", ben.clone);
    expect([refused.code, refused.stderr]).toEqual([
      7,
      expect.stringMatching(/root \d+ replaced the publisher key that is here, or took it away/),
    ]);
    expect((await run(ann, "verify", index.clone)).code).toBe(0);
  });

  it("what would lock the owner out is refused before anything is signed", async () => {
    const before = await rootOf(ann, "ann");
    const [publisher, checkpoint] = [before.publishers[0]?.keys[0] ?? "", before.roles["checkpoint"]?.keys[0] ?? ""];
    const stranger = (await run(world.person("stranger"), "key", "new", "--index", index.id, "--name", "s")).stdout.trim();
    const cases: readonly (readonly [readonly string[], RegExp, string])[] = [
      [["threshold", "2"], /would take 2 signatures of 1 key/, "ROOT_REFUSED"],
      [["threshold", "2", "--role", "root"], /would take 2 signatures of 1 key/, "ROOT_REFUSED"],
      [["threshold", "0"], /would take no signature at all/, "ROOT_REFUSED"],
      [["threshold", "9"], /a number from 1 to 8/, "USAGE"],
      [["remove-key", publisher], /would have no key/, "ROOT_REFUSED"],
      [["remove-key", checkpoint], /would have no key/, "ROOT_REFUSED"],
      [["add-key", publisher, "--role", "checkpoint"], /two roles/, "ROOT_REFUSED"],
      [["add-key", checkpoint], /two roles/, "ROOT_REFUSED"],
      [["add-key", publisher], /is a publisher key already/, "ROOT_REFUSED"],
      [["add-key", `ed25519:${"A".repeat(43)}`], /no safe Ed25519 key/, "ROOT_REFUSED"],
      [["add-key", "ed25519:abc"], /as a key/, "USAGE"],
      [["add-key", stranger, "--packages", "@nobody/*"], /grants it to nobody/, "NOT_FOUND"],
      [["remove-key", stranger], /no role of the index's root names it/, "NOT_FOUND"],
      [["rotate", "publisher", "--replace", stranger], /no such role/, "NOT_FOUND"],
      [["revoke", stranger, "--since", "0"], /names it in no role/, "NOT_FOUND"],
    ];
    for (const [words, message, code] of cases) {
      const refused = await run(ann, "root", ...words);
      expect(refused.code, words.join(" ")).not.toBe(0);
      expect(refused.stderr, words.join(" ")).toMatch(message);
      expect(refused.stderr, words.join(" ")).toContain(code);
    }
    expect(await rootOf(ann, "ann")).toEqual(before);
  });

  it("without the root key: said plainly, and publishing goes on", async () => {
    const file = path.join(keysFolder(ann), "ann.root.json");
    const kept = readFileSync(file);
    rmSync(file);
    const refused = await run(ann, "root", "grant", "left-padder");
    expect([refused.code, refused.stderr]).toEqual([
      7,
      expect.stringMatching(
        /none of its root keys is here.*Publishing goes on without them.*lost for good.*make a new one, and tell people to pin its id/s,
      ),
    ]);
    expect((await publish(ann, "@ann/b", "1.1.0")).code).toBe(0);
    writeFileSync(file, kept, { mode: 0o600 });
  });

  it("a lost daily key: whoever has the root key replaces it", async () => {
    rmSync(path.join(keysFolder(ann), "ann.daily.json"));
    expect((await publish(ann, "@ann/b", "1.2.0")).code).toBe(7);
    const rotated = await run(ann, "root", "rotate");
    expect(rotated.code).toBe(0);
    expect((await publish(ann, "@ann/b", "1.2.0")).code).toBe(0);
    expect(await read("@ann/b")).toEqual({ "1.0.0": "ok", "1.1.0": "ok", "1.2.0": "ok" });
  });
});

describe("several holders, whose keys never meet", () => {
  let cid: Person;
  let index: Index;
  let dan: Awaited<ReturnType<typeof member>>;
  const request = (name: string): string => path.join(world.folder, `${name}.request.json`);
  beforeAll(async () => {
    cid = world.person("cid");
    index = await world.init(cid, "@cid/*");
    for (const name of ["@cid/a", "@cid/b"]) expect((await publish(cid, name, "1.0.0")).code).toBe(0);
    dan = await member("dan", index, "root");
  });

  it("a root of two: both sign one file, then it is applied", async () => {
    // Dan's key must sign the root that makes it count.
    const joined = request("join");
    const made = await run(cid, "root", "add-key", dan.key, "--role", "root", "--threshold", "2", "--out", joined);
    expect(made.stderr).toMatch(/root 2, by its own root keys: 1 of 2/);
    const early = await run(cid, "root", "apply", joined);
    expect([early.code, early.stderr]).toEqual([7, expect.stringMatching(/NEEDS_SIGNATURES/)]);
    const unasked = await run(dan.who, "root", "sign", joined);
    expect([unasked.code, unasked.stderr]).toEqual([
      2,
      expect.stringMatching(/root now takes 2 of 2 keys[\s\S]*nobody is here to say yes/),
    ]);
    const signed = await run(dan.who, "root", "sign", joined, "--yes", "--json");
    expect(JSON.parse(signed.stdout)).toMatchObject({ index: index.id, by: [dan.key], missing: [] });
    expect((await run(dan.who, "root", "sign", joined, "--yes")).stderr).toMatch(/none of the keys here/);
    expect((await run(cid, "root", "apply", joined)).code).toBe(0);
    expect(await rootOf(cid, "cid")).toMatchObject({ version: 2, roles: { root: { threshold: 2 } } });
    const again = await run(cid, "root", "apply", joined);
    expect([again.code, again.stderr]).toEqual([1, expect.stringMatching(/may be applied already.*REQUEST_REFUSED/s)]);
  });

  it("one of two alone: refused with the way out, nothing written", async () => {
    const head = testGit(world.hosted("cid/index.git"), ["rev-parse", "main"]);
    const refused = await run(cid, "root", "grant", "cid-tool");
    expect([refused.code, refused.stderr]).toEqual([7, expect.stringMatching(/by the root keys of root 2: 1 of 2.*--out/s)]);
    expect(testGit(world.hosted("cid/index.git"), ["rev-parse", "main"])).toBe(head);
  });

  it("publishes of others meanwhile: a request still applies; a changed record stops it", async () => {
    const granted = request("grant");
    expect((await run(cid, "root", "grant", "cid-tool", "--out", granted)).code).toBe(0);
    expect((await publish(cid, "@cid/a", "1.1.0")).code).toBe(0);
    expect((await run(dan.who, "root", "sign", granted, "--yes")).code).toBe(0);
    expect((await run(cid, "root", "apply", granted)).code).toBe(0);
    expect((await publish(cid, "cid-tool", "1.0.0")).code).toBe(0);

    const rotated = request("rotate");
    expect((await run(cid, "root", "rotate", "publisher", "--out", rotated)).code).toBe(0);
    expect((await run(dan.who, "root", "sign", rotated, "--yes")).stderr).toMatch(/3 records are signed again/);
    expect((await publish(cid, "@cid/a", "1.2.0")).code).toBe(0);
    const late = await run(cid, "root", "apply", rotated);
    expect([late.code, late.stderr]).toEqual([1, expect.stringMatching(/record of @cid\/a was changed since.*REQUEST_REFUSED/s)]);
    rmSync(rotated);
    expect((await run(cid, "root", "rotate", "publisher", "--out", rotated)).code).toBe(0);
    expect((await run(dan.who, "root", "sign", rotated, "--yes")).code).toBe(0);
    const applied = await run(cid, "root", "apply", rotated);
    expect(applied.stderr).toMatch(/without ed25519:/);
    expect((await publish(cid, "@cid/a", "1.3.0")).code).toBe(0);
  });

  it("bad requests: of another index, of another root, changed, no request at all; nothing is signed", async () => {
    const eve = world.person("eve");
    const other = await world.init(eve, "@eve/*");
    const foreign = request("foreign");
    await run(eve, "root", "grant", "eve-tool", "--out", foreign);
    const notMine = await run(cid, "root", "sign", foreign, "--yes");
    expect([notMine.code, notMine.stderr]).toEqual([7, expect.stringMatching(new RegExp(`for index ${other.id} .*no key file here`))]);
    expect((await run(cid, "root", "apply", foreign)).stderr).toMatch(/is for index .*not for cid/);

    const good = request("good");
    await run(cid, "root", "grant", "cid-two", "--out", good);
    const text = readFileSync(good, "utf8");
    const edits: readonly (readonly [string, (text: string) => string, RegExp])[] = [
      ["a pattern widened after a signature", (t) => t.replace('"cid-two"', '"cid-tee"'), /./],
      ["an unknown type", (t) => t.replace("imprint.request", "imprint.requist"), /type/],
      ["other layout", (t) => t.replace("\n", "\n "), /canonical|bytes|exact/i],
      ["no JSON", () => "hello", /JSON/i],
      ["a root that skips a version", (t) => t.replace(/"version": 5(?=\n)/, '"version": 6'), /does not follow root/],
      [
        "a chain of another index",
        (t) => t.replace(/"roots": \[[\s\S]*?\n {2}\]/, /"roots": \[[\s\S]*?\n {2}\]/.exec(readFileSync(foreign, "utf8"))?.[0] ?? ""),
        /./,
      ],
    ];
    for (const [what, edit, message] of edits) {
      const bad = request("bad");
      writeFileSync(bad, edit(text));
      expect(readFileSync(bad, "utf8"), what).not.toBe(text);
      const outcome = await run(dan.who, "root", "sign", bad, "--yes");
      if (what !== "a pattern widened after a signature")
        expect([outcome.code, outcome.stderr], what).toEqual([1, expect.stringMatching(message)]);
      // Whatever Dan signed, Cid's signature does not cover it.
      const applied = await run(cid, "root", "apply", bad);
      expect(applied.code, what).not.toBe(0);
      rmSync(bad);
    }
    expect((await run(cid, "root", "sign", request("nowhere"), "--yes")).code).toBe(3);
    expect((await run(cid, "root", "grant", "cid-three", "--out", good)).stderr).toMatch(/NAME_TAKEN/);
    expect(existsSync(good)).toBe(true);
  });
});
