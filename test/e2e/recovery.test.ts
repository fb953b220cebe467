/** After a theft, as guided commands: real keys stolen, real releases by the thief, real readers with a memory of them. */
import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { signDocument } from "../../src/crypto/documents.ts";
import type { PrivateKey } from "../../src/crypto/ed25519.ts";
import { openKeyFile } from "../../src/crypto/key-file.ts";
import { encodeCheckpoint, formatShard, parseCheckpoint, parseShard } from "../../src/format/checkpoint.ts";
import { fileHashOf } from "../../src/format/digest.ts";
import type { PackageName } from "../../src/format/names.ts";
import { CHECKPOINT_PATH, recordPath, releasePath, shardOf, shardPath } from "../../src/format/paths.ts";
import { encodeRecord, type PackageRecord, parseRecord } from "../../src/format/record.ts";
import { encodeRelease, parseRelease } from "../../src/format/release.ts";
import type { Version } from "../../src/format/versions.ts";
import { commitHosted, mergeBranch, testGit } from "../support/git-host.ts";
import { type Outcome, type People, people, type Person } from "../support/people.ts";

let world: People;
beforeAll(async () => {
  world = await people();
});
afterAll(() => world.close());

type Index = Awaited<ReturnType<People["init"]>>;
const run = (who: Person, ...args: readonly string[]): Promise<Outcome> => world.imprint(who, world.folder, ...args);

async function publish(who: Person, name: string, version: string, ...flags: readonly string[]): Promise<Outcome> {
  const folder = world.folderOf(`${who.name}-${name.replace("/", "-")}-${version}`, {
    "package.json": { name, version, main: "i.js" },
    "i.js": `module.exports = ${JSON.stringify(`${who.name} ${version}`)};\n`,
  });
  return world.imprint(who, folder, "publish", ...flags);
}

type Reader = { why(pkg: string): Promise<string>; install(pkg: string): Promise<Outcome> };

async function reader(name: string, index: Index): Promise<Reader> {
  const who = world.person(name);
  const shop = world.folderOf(`shop-${name}`, { "package.json": { name: "shop", version: "1.0.0", private: true } });
  const added = await world.imprint(who, shop, "add", index.address, "--yes");
  if (added.code !== 0) throw new Error(added.stderr);
  return {
    async why(pkg) {
      const synced = await world.imprint(who, shop, "sync");
      const { stdout } = await world.imprint(who, shop, "why", pkg);
      return synced.code === 0 ? stdout : `${synced.stderr}${stdout}`;
    },
    install: (pkg) => world.imprint(who, shop, "run", "--sync-after", "0", "npm", "install", "--no-save", pkg),
  };
}

/** The daily key file, and a clone to use it in. */
async function thiefOf(victim: Person, index: Index): Promise<Person> {
  const thief = world.person(`${victim.name}s-thief`);
  const keys = path.join(thief.home, ".config/imprint/keys");
  mkdirSync(keys, { recursive: true });
  copyFileSync(path.join(victim.home, ".config/imprint/keys", `${victim.name}.daily.json`), path.join(keys, `${victim.name}.daily.json`));
  await world.sh(thief, world.folder, "git", ["clone", "-q", index.url, path.join(world.folder, `${thief.name}-clone`)]);
  return thief;
}

/** As the thief, who knows the passphrase too. */
function steal(thief: Person, victim: Person, cwd: string, ...args: readonly string[]): Promise<Outcome> {
  const env = { IMPRINT_PASSPHRASE: `${victim.name}'s passphrase` };
  return world.sh(thief, cwd, process.execPath, [path.join(import.meta.dirname, "../../dist/bin.js"), ...args], env);
}

async function seqOf(index: Index): Promise<string> {
  const text = testGit(world.hosted(index.url.split("/").slice(-2).join("/")), ["show", `main:${CHECKPOINT_PATH}`]);
  return String(parseCheckpoint(Buffer.from(`${text}\n`)).doc.seq);
}

async function stolenKeys(victim: Person): Promise<{ publisher: PrivateKey; checkpoint: PrivateKey }> {
  const file = readFileSync(path.join(victim.home, ".config/imprint/keys", `${victim.name}.daily.json`));
  const { keys } = await openKeyFile(new Uint8Array(file), `${victim.name}'s passphrase`);
  const of = (purpose: string): PrivateKey => (keys.find((entry) => entry.purpose === purpose) as { key: PrivateKey }).key;
  return { publisher: of("publisher"), checkpoint: of("checkpoint") };
}

/** What no tool would do: a record as the thief likes it, and a checkpoint over it. */
async function forge(
  victim: Person,
  index: Index,
  pkg: string,
  edit: {
    readonly record?: (record: PackageRecord) => Partial<PackageRecord>;
    /** Other bytes under an old version. */
    readonly replace?: string;
    readonly drop?: true;
    readonly breakShard?: true;
    readonly seq?: number;
    /** A record from elsewhere, as it is. */
    readonly replay?: Uint8Array;
  },
): Promise<void> {
  const hosted = world.hosted(index.url.split("/").slice(-2).join("/"));
  const show = (file: string): Uint8Array => new Uint8Array(Buffer.from(`${testGit(hosted, ["show", `main:${file}`])}\n`));
  const keys = await stolenKeys(victim);
  const name = pkg as PackageName;
  const files: Record<string, Uint8Array | null> = {};
  const before = parseRecord(show(recordPath(name)));
  let doc: PackageRecord = { ...before.doc, revision: before.doc.revision + 1, ...edit.record?.(before.doc) };
  if (edit.replace !== undefined) {
    const file = releasePath(name, edit.replace as Version);
    const release = parseRelease(show(file));
    files[file] = signDocument("release", encodeRelease({ ...release.doc, manifest: { ...release.doc.manifest, description: "evil" } }), [
      keys.publisher,
    ]);
    doc = { ...doc, releases: new Map([...doc.releases, [edit.replace as Version, fileHashOf(files[file])]]) };
  }
  const record = edit.replay ?? signDocument("package", encodeRecord(doc), [keys.publisher]);
  files[recordPath(name)] = edit.drop === true ? null : record;
  const shard = shardOf(name);
  const listed = new Map(parseShard(show(shardPath(shard)), shard));
  if (edit.drop === true) listed.delete(name);
  else listed.set(name, fileHashOf(record));
  const shardBytes = listed.size === 0 ? null : formatShard(listed);
  files[shardPath(shard)] = edit.breakShard === true ? new Uint8Array(Buffer.from("{}\n")) : shardBytes;
  const checkpoint = parseCheckpoint(show(CHECKPOINT_PATH));
  const shards = new Map(checkpoint.doc.shards);
  if (shardBytes === null) shards.delete(shard);
  else shards.set(shard, fileHashOf(shardBytes));
  const next = { ...checkpoint.doc, seq: edit.seq ?? checkpoint.doc.seq + 1, shards };
  files[CHECKPOINT_PATH] = signDocument("checkpoint", encodeCheckpoint(next), [keys.checkpoint]);
  const all = testGit(hosted, ["ls-tree", "-r", "--name-only", "main"]).split("\n");
  const kept = Object.fromEntries(all.map((file) => [file, show(file)]));
  const tree = Object.fromEntries(
    Object.entries({ ...kept, ...files }).filter((entry): entry is [string, Uint8Array] => entry[1] !== null),
  );
  commitHosted(hosted, tree, { parent: testGit(hosted, ["rev-parse", "main"]) });
}

describe("K1 a stolen daily key", () => {
  let hal: Person;
  let index: Index;
  let seen: Reader;
  let since: string;
  beforeAll(async () => {
    hal = world.person("hal");
    index = await world.init(hal, "@hal/*");
    expect((await publish(hal, "@hal/a", "1.0.0")).code).toBe(0);
    expect((await publish(hal, "@hal/b", "1.0.0")).code).toBe(0);
    seen = await reader("hals-reader", index);
    since = await seqOf(index);
    const thief = await thiefOf(hal, index);
    const clone = path.join(world.folder, `${thief.name}-clone`);
    // The owner's own release after the theft, and the thief's.
    expect((await publish(hal, "@hal/b", "1.1.0")).code).toBe(0);
    const evil = world.folderOf("evil", { "package.json": { name: "@hal/a", version: "1.0.1", main: "i.js" }, "i.js": "evil" });
    expect((await steal(thief, hal, evil, "publish", "--index", clone)).code).toBe(0);
    expect((await steal(thief, hal, world.folder, "yank", "@hal/b@1.0.0", "--reason", "ha", "--index", clone)).code).toBe(0);
    // Readers take all of it, until the key is revoked.
    expect((await seen.install("@hal/a@1.0.1")).code).toBe(0);
    expect(await seen.why("@hal/b")).toMatch(/1\.0\.0 yanked/);
  });

  it("without --since the states of the clone's history are shown; without answers nothing is signed", async () => {
    const unsaid = await run(hal, "root", "revoke", "daily");
    expect([unsaid.code, unsaid.stderr]).toEqual([
      2,
      expect.stringMatching(new RegExp(`--since ${since} .*Cannot revoke without --since`, "s")),
    ]);
    const head = testGit(world.hosted("hal/index.git"), ["rev-parse", "main"]);
    const listed = await run(hal, "root", "revoke", "daily", "--since", since, "--list", "--json");
    const { suspects } = JSON.parse(listed.stdout) as { suspects: readonly { spec: string; kind: string; stays: unknown }[] };
    expect(suspects.map(({ spec, kind, stays }) => `${kind} ${spec} ${String(stays)}`).toSorted()).toEqual([
      "record @hal/b null",
      "release @hal/a@1.0.1 null",
      "release @hal/b@1.1.0 null",
    ]);
    const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
      [[], 2, /3 of 3 have no answer .*@hal\/a@1\.0\.1.*--keep or --withdraw/s],
      [["--keep", "@hal/b@1.1.0"], 2, /2 of 3 have no answer/],
      [["--keep", "@hal/b@1.1.0", "--withdraw", "@hal/b@1.1.0"], 2, /stands in both lists/],
      [["--keep", "*", "--withdraw", "*"], 2, /stands in both lists/],
      [["--keep", "@hal/c@1.0.0", "--withdraw", "*"], 1, /did nothing to it since/],
    ];
    for (const [words, code, message] of cases) {
      const refused = await run(hal, "root", "revoke", "daily", "--since", since, ...words);
      expect([refused.code, refused.stderr], words.join(" ")).toEqual([code, expect.stringMatching(message)]);
    }
    expect((await run(hal, "root", "revoke", "daily", "--since", "1")).stderr).toMatch(/the history of .* begins later/);
    expect((await run(hal, "root", "revoke", "daily", "--since", "no-such-commit")).stderr).toMatch(/no such commit/);
    expect(testGit(world.hosted("hal/index.git"), ["rev-parse", "main"])).toBe(head);
  });

  it("the owner keeps what was theirs; the thief's is withdrawn, from caches too, and their yank undone", async () => {
    const done = await run(hal, "root", "revoke", "daily", "--since", since, "--keep", "@hal/b@1.1.0", "--withdraw", "*", "--json");
    expect([done.code, done.stderr]).toEqual([0, expect.stringMatching(/Tell your users/)]);
    expect(JSON.parse(done.stdout)).toMatchObject({ index: "hal", version: 2, request: null });
    // A reader who had seen all of it, the thief's release in its cache.
    expect(await seen.why("@hal/a")).toMatch(/1\.0\.0 ok[\s\S]*1\.0\.1 withdrawn \(signed by a stolen key/);
    expect(await seen.why("@hal/b")).toMatch(/1\.0\.0 ok[\s\S]*1\.1\.0 ok/);
    const refused = await seen.install("@hal/a@1.0.1");
    expect([refused.code === 0, (await seen.install("@hal/b@1.1.0")).code]).toEqual([false, 0]);
    // And one who had seen none.
    const fresh = await reader("hals-new-reader", index);
    expect(await fresh.why("@hal/a")).toMatch(/1\.0\.1 withdrawn/);
    expect((await run(hal, "verify", index.clone, "--tarballs")).code).toBe(0);
    expect((await publish(hal, "@hal/a", "1.0.1")).stderr).toMatch(/withdrawn, and its number is never used again/);
    expect((await publish(hal, "@hal/a", "1.0.2")).code).toBe(0);
  });

  it("the thief publishes nothing any more, and a second run says that it is done", async () => {
    const thief = world.person("hals-thief");
    const clone = path.join(world.folder, "hals-thief-clone");
    const again = world.folderOf("evil-2", { "package.json": { name: "@hal/a", version: "6.6.6", main: "i.js" }, "i.js": "evil" });
    const refused = await steal(thief, hal, again, "publish", "--index", clone);
    expect(refused.code).not.toBe(0);
    const { publishers } = (JSON.parse((await run(hal, "root", "show", "--json")).stdout) as { root: { publishers: { keys: string[] }[] } })
      .root;
    expect(publishers[0]?.keys).toHaveLength(1);
    const first = JSON.parse(testGit(world.hosted("hal/index.git"), ["show", "main:trust/1.json"])) as {
      signed: { publishers: { keys: string[] }[] };
    };
    const twice = await run(hal, "root", "revoke", first.signed.publishers[0]?.keys[0] ?? "", "--since", since, "--withdraw", "*");
    expect([twice.code, twice.stderr]).toEqual([1, expect.stringMatching(/names it in no role \(it may be revoked already\)/)]);
  });
});

describe("K1 a stolen daily key, and a colleague who went on working", () => {
  it("what the thief did is asked for, also where a colleague has signed the record since", async () => {
    const lou = world.person("lou");
    const index = await world.init(lou, "@lou/*");
    for (const version of ["1.0.0", "1.1.0"]) expect((await publish(lou, "@lou/a", version)).code).toBe(0);
    const [pat, clone] = [world.person("pat"), path.join(world.folder, "pats-clone")];
    const key = (await run(pat, "key", "new", "--index", index.id, "--name", "pat", "--purpose", "publisher")).stdout.trim();
    expect((await run(lou, "root", "add-key", key)).code).toBe(0);
    const since = await seqOf(index);
    const seen = await reader("lous-reader", index);
    expect(await seen.why("@lou/a")).toMatch(/1\.1\.0 ok/);
    const thief = await thiefOf(lou, index);
    const evil = world.folderOf("lous-evil", { "package.json": { name: "@lou/a", version: "1.1.9", main: "i.js" }, "i.js": "evil" });
    const thiefs = path.join(world.folder, `${thief.name}-clone`);
    expect((await steal(thief, lou, evil, "publish", "--index", thiefs)).code).toBe(0);
    expect((await steal(thief, lou, world.folder, "yank", "@lou/a@1.1.0", "--reason", "ha", "--index", thiefs)).code).toBe(0);
    // The colleague's record lists the thief's release and his yank, and has no signature of his.
    await world.sh(pat, world.folder, "git", ["clone", "-q", index.url, clone]);
    expect((await publish(pat, "@lou/a", "1.2.0", "--propose", "--branch", "pats", "--index", clone)).code).toBe(0);
    mergeBranch(world.hosted("lou/index.git"), "pats");
    expect((await run(lou, "seal")).code).toBe(0);
    expect(await seen.why("@lou/a")).toMatch(/1\.1\.0 yanked[\s\S]*1\.1\.9 ok[\s\S]*1\.2\.0 ok/);

    const listed = await run(lou, "root", "revoke", "daily", "--since", since, "--list", "--json");
    const { suspects } = JSON.parse(listed.stdout) as { suspects: readonly { spec: string; words: string }[] };
    expect(suspects).toEqual([
      expect.objectContaining({ spec: "@lou/a@1.1.9" }),
      expect.objectContaining({ spec: "@lou/a", words: expect.stringMatching(/^yanked 1\.1\.0, by one of them or by ed25519:/) }),
    ]);
    expect((await run(lou, "root", "revoke", "daily", "--since", since, "--withdraw", "*")).code).toBe(0);
    expect(await seen.why("@lou/a")).toMatch(/1\.0\.0 ok[\s\S]*1\.1\.0 ok[\s\S]*1\.2\.0 ok[\s\S]*1\.1\.9 withdrawn/);
    expect((await run(lou, "verify", index.clone, "--tarballs")).code).toBe(0);
  });
});

describe("K4 numbers at their end, everything withdrawn", () => {
  it("a thief who jumps revision and seq to 2^53−1 and withdraws all: undone, for readers who saw it", async () => {
    const ida = world.person("ida");
    const index = await world.init(ida, "@ida/*");
    for (const name of ["@ida/a", "@ida/b"]) expect((await publish(ida, name, "1.0.0")).code).toBe(0);
    const since = await seqOf(index);
    const seen = await reader("idas-reader", index);
    const max = Number.MAX_SAFE_INTEGER;
    await forge(ida, index, "@ida/a", {
      record: () => ({ revision: max, releases: new Map(), tags: new Map(), withdrawn: new Map([["1.0.0" as Version, "gone"]]) }),
    });
    await forge(ida, index, "@ida/b", { replace: "1.0.0", seq: max });
    expect(await seen.why("@ida/a")).toMatch(/1\.0\.0 withdrawn/);
    const stuck = await publish(ida, "@ida/a", "1.1.0");
    expect([stuck.code, stuck.stderr]).toEqual([6, expect.stringMatching(/DIVERGED/)]);
    const done = await run(ida, "root", "revoke", "daily", "--since", since, "--withdraw", "*");
    expect([done.code, done.stderr]).toEqual([0, expect.stringMatching(/comes back: @ida\/b/)]);
    expect(await seen.why("@ida/a")).toMatch(/1\.0\.0 ok/);
    expect(await seen.why("@ida/b")).toMatch(/1\.0\.0 ok/);
    expect((await seen.install("@ida/b@1.0.0")).code).toBe(0);
    expect((await publish(ida, "@ida/a", "1.1.0")).code).toBe(0);
    expect(await seen.why("@ida/a")).toMatch(/1\.1\.0 ok/);
    expect((await run(ida, "verify", index.clone, "--tarballs")).code).toBe(0);
  });
});

describe("T2c a stolen checkpoint key alone", () => {
  it("what it took away comes back: a dropped package, a replayed record, a broken shard", async () => {
    const jon = world.person("jon");
    const index = await world.init(jon, "@jon/*");
    for (const name of ["@jon/a", "@jon/b", "@jon/c"]) expect((await publish(jon, name, "1.0.0")).code).toBe(0);
    const old = new Uint8Array(
      Buffer.from(`${testGit(world.hosted("jon/index.git"), ["show", `main:${recordPath("@jon/b" as PackageName)}`])}\n`),
    );
    expect((await publish(jon, "@jon/b", "1.1.0")).code).toBe(0);
    const since = await seqOf(index);
    const seen = await reader("jons-reader", index);
    for (const name of ["@jon/a", "@jon/b", "@jon/c"]) expect(await seen.why(name)).toMatch(/ ok/);
    await forge(jon, index, "@jon/a", { drop: true });
    await forge(jon, index, "@jon/b", { replay: old });
    await forge(jon, index, "@jon/c", { breakShard: true });
    expect(await seen.why("@jon/a")).toMatch(/RECORD_REGRESSED/);
    expect(await seen.why("@jon/b")).toMatch(/RECORD_REGRESSED/);
    const done = await run(jon, "root", "revoke", "checkpoint", "--since", since);
    expect([done.code, done.stderr]).toEqual([
      0,
      expect.stringMatching(/did nothing since[\s\S]*comes back: @jon\/a, which was taken away/),
    ]);
    expect(await seen.why("@jon/a")).toMatch(/1\.0\.0 ok/);
    expect(await seen.why("@jon/b")).toMatch(/1\.1\.0 ok/);
    expect(await seen.why("@jon/c")).toMatch(/1\.0\.0 ok/);
    expect((await run(jon, "verify", index.clone, "--tarballs")).code).toBe(0);
    const { root } = JSON.parse((await run(jon, "root", "show", "--json")).stdout) as {
      root: { version: number; roles: { checkpoint: { keys: string[] } } };
    };
    expect([root.version, root.roles.checkpoint.keys.length]).toEqual([2, 1]);
    expect((await publish(jon, "@jon/c", "1.1.0")).code).toBe(0);
  });
});

describe("moving", () => {
  it("a package to another owner of the index: both roots' keys, one request", async () => {
    const kay = world.person("kay");
    const index = await world.init(kay, "@kay/*");
    for (const name of ["@kay/a", "@kay/b"]) expect((await publish(kay, name, "1.0.0")).code).toBe(0);
    const seen = await reader("kays-reader", index);
    const lea = world.person("lea");
    const key = (await run(lea, "key", "new", "--index", index.id, "--name", "lea")).stdout.trim();
    const file = path.join(world.folder, "move.json");
    expect((await run(kay, "root", "grant", "@kay/a", "--to", key, "--out", file)).stderr).toMatch(/the record of @kay\/a: 0 of 1/);
    const signed = await run(lea, "root", "sign", file, "--yes");
    expect([signed.code, signed.stderr]).toEqual([0, expect.stringMatching(/it may publish @kay\/a|publisher key \S+ added/)]);
    expect((await run(kay, "root", "apply", file)).code).toBe(0);
    expect(await seen.why("@kay/a")).toMatch(/1\.0\.0 ok/);
    expect((await publish(kay, "@kay/a", "1.1.0")).stderr).toMatch(/0 of the 1 keys/);
    expect((await publish(kay, "@kay/b", "1.1.0")).code).toBe(0);
  });

  it("a package to another index: its users change the claim, and nothing else answers meanwhile", async () => {
    const [mia, ned] = [world.person("mia"), world.person("ned")];
    const [from, to] = [await world.init(mia, "@mia/*,mia-tool"), await world.init(ned, "@ned/*")];
    expect((await publish(mia, "mia-tool", "1.0.0")).code).toBe(0);
    const who = world.person("mover");
    const shop = world.folderOf("shop-mover", { "package.json": { name: "shop", version: "1.0.0", private: true } });
    expect((await world.imprint(who, shop, "add", from.address, "--packages", "@mia/*,mia-tool", "--yes")).code).toBe(0);
    expect((await world.imprint(who, shop, "why", "mia-tool")).stdout).toMatch(/1\.0\.0 ok/);
    // The new owner is granted the name and publishes; the old one says where it went.
    expect((await run(ned, "root", "grant", "mia-tool")).code).toBe(0);
    expect((await publish(ned, "mia-tool", "1.1.0")).code).toBe(0);
    expect((await run(mia, "deprecate", "mia-tool", "moved to ned's index")).code).toBe(0);
    expect((await world.imprint(who, shop, "add", to.address, "--packages", "@ned/*,mia-tool", "--yes")).stderr).toMatch(
      /CLAIMS_CONFLICT|both claim/,
    );
    expect((await world.imprint(who, shop, "remove", "mia")).code).toBe(0);
    expect((await world.imprint(who, shop, "add", to.address, "--packages", "@ned/*,mia-tool", "--yes")).code).toBe(0);
    expect((await world.imprint(who, shop, "add", from.address, "--packages", "@mia/*", "--yes")).code).toBe(0);
    expect((await world.imprint(who, shop, "why", "mia-tool")).stdout).toMatch(/1\.1\.0 ok/);
  });
});
