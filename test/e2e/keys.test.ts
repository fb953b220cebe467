/** Growing: keys that travel, several indices of one author, roots to look at. */
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PASSPHRASE, PLAIN, SEALED } from "../crypto/openssh-keys.ts";
import { createHostedRepository } from "../support/git-host.ts";
import { BIN, type People, people, type Person } from "../support/people.ts";

let world: People;
let kim: Person;
let index: Awaited<ReturnType<People["init"]>>;
beforeAll(async () => {
  world = await people();
  kim = world.person("kim");
  index = await world.init(kim, "@kim/*");
});
afterAll(() => world.close());

const keysOf = (who: Person): string => path.join(who.home, ".config/imprint/keys");
const packageOf = (name: string, version = "1.0.0"): string =>
  world.folderOf(`${name.replace("/", "-")}-${version}`, { "package.json": { name, version, main: "i.js" }, "i.js": "" });

describe("root show", () => {
  it("says who may do what, and which keys are here", async () => {
    const shown = await world.imprint(kim, world.folder, "root", "show");
    expect(shown.stdout).toMatch(new RegExp(`^kim   root 1, id ${index.id}, in `));
    expect(shown.stdout).toMatch(/^publishers   1 of 1: ed25519:\S+ \(here\) · @kim\/\*$/m);
    const json = JSON.parse((await world.imprint(kim, world.folder, "root", "show", "--json")).stdout) as Record<string, unknown>;
    expect(json).toMatchObject({ index: "kim", id: index.id, root: { version: 1, name: "kim", tarballs: ["git"] } });
    expect((await world.imprint(world.person("nobody"), world.folder, "root", "show")).code).toBe(3);
  });
});

describe("key", () => {
  it("list, export and import: another machine of the same author publishes", async () => {
    const listed = await world.imprint(kim, world.folder, "key", "list");
    expect(listed.stdout).toMatch(/^kim daily · publisher ed25519:\S+ · checkpoint ed25519:\S+ · index \S+ · passphrase$/m);
    expect(listed.stdout).toMatch(/^kim root · root ed25519:/m);
    const file = path.join(world.folder, "carried.json");
    expect((await world.imprint(kim, world.folder, "key", "export", "kim", "--out", file)).code).toBe(0);
    expect([readFileSync(file), statSync(file).mode & 0o777]).toEqual([readFileSync(path.join(keysOf(kim), "kim.daily.json")), 0o600]);
    expect((await world.imprint(kim, world.folder, "key", "export", "kim", "--out", file)).stderr).toMatch(/it is there already/);

    const laptop = world.person("laptop");
    const env = { IMPRINT_PASSPHRASE: "kim's passphrase" };
    expect((await world.imprint(laptop, world.folder, "key", "import", file)).stderr).toMatch(/imprint publish --index <clone>/);
    expect((await world.imprint(laptop, world.folder, "key", "import", file)).code).toBe(0);
    const clone = path.join(world.folder, "laptop-clone");
    await world.sh(laptop, world.folder, "git", ["clone", "-q", index.url, clone]);
    const done = await world.sh(laptop, packageOf("@kim/laptop"), process.execPath, [BIN, "publish", "--index", clone], env);
    expect(done.stderr).toMatch(/read back as a stranger would/);
  });

  it("a key that was rotated on one machine is imported on the second, whose file before is kept", async () => {
    const [first, second] = [world.person("rota"), world.person("rota-laptop")];
    const own = await world.init(first, "@rota/*");
    const exported = async (name: string): Promise<string> => {
      const file = path.join(world.folder, name);
      expect((await world.imprint(first, world.folder, "key", "export", "rota", "--out", file)).code).toBe(0);
      return file;
    };
    const old = await exported("rota-old.json");
    expect((await world.imprint(second, world.folder, "key", "import", old)).code).toBe(0);
    expect((await world.imprint(first, own.clone, "root", "rotate")).code).toBe(0);
    const fresh = await exported("rota-new.json");
    const done = await world.imprint(second, world.folder, "key", "import", fresh);
    expect([done.code, done.stderr]).toEqual([0, expect.stringMatching(/kept as rota\.daily\.json\.before-\d+/)]);
    const kept = readdirSync(keysOf(second)).toSorted();
    expect(kept).toEqual(["rota.daily.json", expect.stringMatching(/^rota\.daily\.json\.before-\d+$/)]);
    expect(readFileSync(path.join(keysOf(second), kept[1] ?? ""))).toEqual(readFileSync(old));
    const clone = path.join(world.folder, "rota-laptop-clone");
    await world.sh(second, world.folder, "git", ["clone", "-q", own.url, clone]);
    const published = await world.sh(second, packageOf("@rota/laptop"), process.execPath, [BIN, "publish", "--index", clone], {
      IMPRINT_PASSPHRASE: "rota's passphrase",
    });
    expect(published.stderr).toMatch(/read back as a stranger would/);
  });

  it("export --only publisher seals that key alone, with a passphrase of its own", async () => {
    const file = path.join(world.folder, "publisher-only.json");
    const made = await world.imprint(kim, world.folder, "key", "export", "kim", "--only", "publisher", "--out", file);
    expect(made.code).toBe(0);
    const { keys } = JSON.parse(readFileSync(file, "utf8")) as { keys: readonly { purpose: string }[] };
    expect(keys.map(({ purpose }) => purpose)).toEqual(["publisher"]);
    expect((await world.imprint(kim, world.folder, "key", "export", "kim", "--only", "root")).code).toBe(7);
    expect((await world.imprint(kim, world.folder, "key", "import", file)).stderr).toMatch(/NAME_TAKEN/);
    // Who holds it cannot seal an index: no checkpoint key.
    const helper = world.person("publisher-only");
    expect((await world.imprint(helper, world.folder, "key", "import", file)).code).toBe(0);
    const clone = path.join(world.folder, "helper-clone");
    await world.sh(helper, world.folder, "git", ["clone", "-q", index.url, clone]);
    const done = await world.sh(helper, packageOf("@kim/helper"), process.execPath, [BIN, "publish", "--index", clone], {
      IMPRINT_PASSPHRASE: "kim's passphrase",
    });
    expect([done.code, done.stderr]).toEqual([7, expect.stringMatching(/0 of 1 checkpoint keys are here/)]);
  });

  it("imports an OpenSSH key, encrypted or not: same key, our format", async () => {
    const who = world.person("ssh");
    const files = { plain: path.join(world.folder, "id_plain"), sealed: path.join(world.folder, "id_sealed") };
    writeFileSync(files.plain, PLAIN.file);
    writeFileSync(files.sealed, SEALED.file);
    const nowhere = await world.imprint(who, world.folder, "key", "import", files.plain);
    expect([nowhere.code, nowhere.stderr]).toEqual([2, expect.stringMatching(/--index which index/)]);
    const made = await world.imprint(who, world.folder, "key", "import", files.plain, "--index", index.id, "--name", "kims", "--json");
    const rawOf = (pub: string): string => `ed25519:${Buffer.from(pub, "base64").subarray(-32).toString("base64url")}`;
    expect(JSON.parse(made.stdout)).toMatchObject({
      name: "kims",
      kind: "daily",
      index: index.id,
      protected: true,
      keys: [{ purpose: "publisher", publicKey: rawOf(PLAIN.pub) }],
    });
    const closed = await world.imprint(who, world.folder, "key", "import", files.sealed, "--index", "kims");
    expect([closed.code, closed.stderr]).toEqual([7, expect.stringMatching(/IMPRINT_SSH_PASSPHRASE/)]);
    const env = { IMPRINT_SSH_PASSPHRASE: PASSPHRASE };
    const words = ["key", "import", files.sealed, "--index", "kims", "--purpose", "checkpoint"];
    expect((await world.sh(who, world.folder, process.execPath, [BIN, ...words], env)).code).toBe(0);
    expect(readFileSync(path.join(keysOf(who), "kims.daily.json"), "utf8")).toContain(rawOf(SEALED.pub));
    expect((await world.imprint(who, world.folder, "key", "list")).stdout).toMatch(/^kims daily · publisher \S+ · checkpoint \S+ ·/m);
    const owner = await world.imprint(kim, world.folder, "key", "import", files.plain, "--index", "kim");
    expect(owner.stderr).toMatch(/kim's root does not name ed25519:\S+ as a publisher key yet/);
  });

  it("a lost key is said in one line, and a damaged one is not used", async () => {
    const lost = world.person("lost");
    const made = await world.init(lost, "@lost/*");
    const daily = path.join(keysOf(lost), "lost.daily.json");
    const kept = readFileSync(daily);
    rmSync(daily);
    const gone = await world.imprint(lost, packageOf("@lost/x"), "publish");
    expect([gone.code, gone.stderr]).toEqual([7, expect.stringMatching(/Cannot sign for lost: no daily key file of its index/)]);
    writeFileSync(daily, kept.toString().replace(/"sealed": "..../, '"sealed": "AAAA'), { mode: 0o600 });
    const damaged = await world.imprint(lost, packageOf("@lost/x"), "publish");
    expect([damaged.code, damaged.stderr]).toEqual([7, expect.stringMatching(/wrong passphrase, or the file was changed/)]);
    expect((await world.imprint(lost, world.folder, "verify", made.clone)).stdout).toMatch(/0 releases/);
  });
});

describe("several own indices", () => {
  it("the longest grant decides which one a package goes to", async () => {
    createHostedRepository(path.join(world.folder, "host"), "kim/tools.git");
    const url = world.host.url("kim/tools.git");
    const words = ["init", "tools-index", "--name", "tools", "--packages", "@kim/tool,@kit/*", "--remote", url, "--url", url];
    const tools = await world.imprint(kim, world.folder, ...words);
    expect(tools.code).toBe(0);
    const where = async (name: string): Promise<unknown> => {
      const done = await world.imprint(kim, packageOf(name, "3.0.0"), "publish", "--json");
      return (JSON.parse(done.stdout) as readonly { index: string }[])[0]?.index;
    };
    expect([await where("@kim/tool"), await where("@kim/other"), await where("@kit/x")]).toEqual(["tools", "kim", "tools"]);
    const unclear = await world.imprint(kim, world.folder, "root", "show");
    expect([unclear.code, unclear.stderr]).toEqual([2, expect.stringMatching(/several indices \(kim, tools\); choose one with --index/)]);
    expect((await world.imprint(kim, world.folder, "root", "show", "--index", "tools")).stdout).toMatch(/^tools   root 1/);
  });
});
