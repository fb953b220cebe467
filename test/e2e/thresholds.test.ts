/** Two maintainers, two checkpoint keys: what takes two signatures gets two, on two machines, and no reader takes one. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { mergeBranch, testGit } from "../support/git-host.ts";
import { type Outcome, type People, people, type Person } from "../support/people.ts";

let world: People;
let fay: Person;
let gus: { readonly who: Person; readonly clone: string };
let index: Awaited<ReturnType<People["init"]>>;

const run = (who: Person, ...args: readonly string[]): Promise<Outcome> => world.imprint(who, world.folder, ...args);
const newKey = async (who: Person, purpose: string): Promise<string> =>
  (await run(who, "key", "new", "--index", index.id, "--name", who.name, "--purpose", purpose)).stdout.trim();
const head = (): string => testGit(world.hosted("fay/index.git"), ["rev-parse", "main"]);

async function publish(who: Person, name: string, version: string, ...flags: readonly string[]): Promise<Outcome> {
  const folder = world.folderOf(`${who.name}-${name.replace("/", "-")}-${version}-${String(flags.length)}`, {
    "package.json": { name, version, main: "i.js" },
    "i.js": `module.exports = ${JSON.stringify(version)};\n`,
  });
  return world.imprint(who, folder, "publish", ...flags);
}

/** What a stranger is offered. */
async function offered(pkg: string, who: string): Promise<string> {
  const person = world.person(who);
  const shop = world.folderOf(`shop-${who}`, { "package.json": { name: "shop", version: "1.0.0", private: true } });
  expect((await world.imprint(person, shop, "add", index.address, "--yes")).code).toBe(0);
  return (await world.imprint(person, shop, "why", pkg)).stdout;
}

const merge = (branch: string): void => mergeBranch(world.hosted("fay/index.git"), branch);

beforeAll(async () => {
  world = await people();
  fay = world.person("fay");
  index = await world.init(fay, "@fay/*");
  const who = world.person("gus");
  gus = { who, clone: path.join(world.folder, "gus-clone") };
  expect((await publish(fay, "@fay/a", "1.0.0")).code).toBe(0);
  await world.sh(who, world.folder, "git", ["clone", "-q", index.url, gus.clone]);
});
afterAll(() => world.close());

describe("two publishers", () => {
  it("K7 a second maintainer, and a threshold of two: both sign each record again, then one commit", async () => {
    const key = await newKey(gus.who, "publisher");
    const file = path.join(world.folder, "join.json");
    const made = await run(fay, "root", "add-key", key, "--threshold", "2", "--out", file);
    expect(made.stderr).toMatch(/the record of @fay\/a: 1 of 2, by ed25519:/);
    expect((await run(gus.who, "root", "sign", file, "--yes")).stderr).toMatch(/1 record is signed again/);
    expect((await run(fay, "root", "apply", file)).code).toBe(0);
    expect(await offered("@fay/a", "k7")).toMatch(/1\.0\.0 ok/);
    // release files stay as one of them signed them
    const release = testGit(world.hosted("fay/index.git"), ["ls-tree", "-r", "--name-only", "main"])
      .split("\n")
      .find((line) => line.endsWith("1.0.0.json"));
    expect(testGit(world.hosted("fay/index.git"), ["show", `main:${release ?? ""}`]).match(/"signature":/g)).toHaveLength(1);
  });

  it("K5 one of them alone publishes nothing: refused with the way out", async () => {
    const before = head();
    const refused = await publish(fay, "@fay/a", "1.1.0");
    expect([refused.code, refused.stderr]).toEqual([
      3,
      expect.stringMatching(/1 of the 2 keys .*imprint publish --propose.*imprint cosign/s),
    ]);
    const yank = await run(fay, "yank", "@fay/a@1.0.0", "--reason", "x");
    expect(yank.code).not.toBe(0);
    expect(head()).toBe(before);
  });

  it("W1 a proposal by one is not sealed; cosigned by the other on its branch, it is", async () => {
    const proposed = await publish(fay, "@fay/a", "1.1.0", "--propose");
    expect(proposed.code).toBe(0);
    const branch = /pull request from (\S+);/.exec(proposed.stderr)?.[1] ?? "";
    const alone = await run(fay, "cosign", "--branch", branch);
    expect([alone.code, alone.stderr]).toEqual([0, expect.stringMatching(/your signature is there already/)]);
    merge(branch);
    const short = await run(fay, "seal");
    expect([short.code, short.stderr]).toEqual([
      4,
      expect.stringMatching(/has 1 of the 2 signatures of its publishers; another of them adds one with imprint cosign/),
    ]);
    expect(await offered("@fay/a", "w1-before")).not.toMatch(/1\.1\.0/);
    const cosigned = await world.imprint(gus.who, gus.clone, "cosign", "@fay/a@1.1.0", "--index", gus.clone);
    expect([cosigned.code, cosigned.stderr]).toEqual([0, expect.stringMatching(/signed @fay\/a@1\.1\.0 · committed/)]);
    expect((await run(fay, "seal")).code).toBe(0);
    expect(await offered("@fay/a", "w1-after")).toMatch(/1\.1\.0 ok/);
    const nothing = await world.imprint(gus.who, gus.clone, "cosign", "--index", gus.clone);
    expect([nothing.code, nothing.stderr]).toEqual([1, expect.stringMatching(/nobody proposed it there/)]);
  });

  it("cosigned on the branch of the pull request, before it is merged", async () => {
    const proposed = await publish(fay, "@fay/b", "1.0.0", "--propose", "--branch", "add-b");
    expect(proposed.code).toBe(0);
    expect((await world.imprint(gus.who, gus.clone, "cosign", "--branch", "add-b", "--index", gus.clone)).code).toBe(0);
    merge("add-b");
    expect((await run(fay, "seal")).code).toBe(0);
    expect(await offered("@fay/b", "b")).toMatch(/1\.0\.0 ok/);
    expect((await run(fay, "verify", index.clone, "--tarballs")).code).toBe(0);
  });

  it("a yank, a tag, a withdrawal: by request", async () => {
    const file = path.join(world.folder, "yank.json");
    expect((await run(fay, "yank", "@fay/a@1.0.0", "--reason", "broken", "--out", file)).stderr).toMatch(/the record of @fay\/a: 1 of 2/);
    const shown = await run(gus.who, "root", "sign", file, "--yes");
    expect(shown.stderr).toMatch(/@fay\/a 1\.0\.0 yanked/);
    expect((await run(fay, "root", "apply", file)).code).toBe(0);
    expect(await offered("@fay/a", "yank")).toMatch(/1\.0\.0 yanked/);
    const tag = path.join(world.folder, "tag.json");
    expect((await run(fay, "tag", "add", "@fay/a@1.1.0", "stable", "--out", tag)).code).toBe(0);
    expect((await run(gus.who, "root", "sign", tag, "--yes")).stderr).toMatch(/tag stable → 1\.1\.0/);
    expect((await run(fay, "root", "apply", tag)).code).toBe(0);
    const gone = path.join(world.folder, "gone.json");
    expect((await run(fay, "withdraw", "@fay/a@1.0.0", "--reason", "secret", "--yes", "--out", gone)).code).toBe(0);
    expect((await run(gus.who, "root", "sign", gone, "--yes")).stderr).toMatch(
      /1\.0\.0 withdrawn[\s\S]*removes packages\/\S+\/1\.0\.0\.json/,
    );
    expect((await run(fay, "root", "apply", gone)).code).toBe(0);
    expect(await offered("@fay/a", "gone")).toMatch(/1\.0\.0 withdrawn/);
    expect((await run(fay, "verify", index.clone)).code).toBe(0);
  });
});

describe("two checkpoint keys", () => {
  it("the request of a seal goes round before anything is released", async () => {
    const key = await newKey(gus.who, "checkpoint");
    const joined = path.join(world.folder, "checkpoint.json");
    // The new role must sign the checkpoint that names it.
    expect((await run(fay, "root", "add-key", key, "--role", "checkpoint", "--threshold", "2", "--out", joined)).stderr).toMatch(
      /nothing but the checkpoint is missing/,
    );
    const half = await run(fay, "root", "apply", joined);
    expect([half.code, half.stderr]).toEqual([7, expect.stringMatching(/the checkpoint: 1 of 2.*It now holds the checkpoint/s)]);
    expect((await run(gus.who, "root", "sign", joined, "--yes")).code).toBe(0);
    expect((await run(fay, "root", "apply", joined)).code).toBe(0);

    const before = head();
    const alone = await run(fay, "seal", "--renew");
    expect([alone.code, alone.stderr]).toEqual([7, expect.stringMatching(/1 of 2 checkpoint keys are here.*imprint seal --out/s)]);
    expect(head()).toBe(before);

    expect((await publish(fay, "@fay/a", "1.2.0", "--propose", "--branch", "a12")).code).toBe(0);
    merge("a12");
    expect((await world.imprint(gus.who, gus.clone, "cosign", "--index", gus.clone)).code).toBe(0);
    const sealed = path.join(world.folder, "seal.json");
    expect((await run(fay, "seal", "--out", sealed)).stderr).toMatch(/the checkpoint: 1 of 2/);
    const shown = await run(gus.who, "root", "sign", sealed, "--yes");
    expect(shown.stderr).toMatch(/@fay\/a 1\.2\.0 released, tag latest → 1\.2\.0[\s\S]*brings packages\/\S+\/1\.2\.0\.json/);
    // Whoever applies needs no key at all.
    expect((await run(fay, "root", "apply", sealed)).code).toBe(0);
    expect(await offered("@fay/a", "sealed")).toMatch(/1\.2\.0 ok/);
    expect((await run(fay, "verify", index.clone, "--tarballs")).code).toBe(0);
  });

  it("a seal's request that was overtaken is made again, not forced", async () => {
    const late = path.join(world.folder, "late.json");
    expect((await run(fay, "seal", "--renew", "--out", late)).code).toBe(0);
    const first = path.join(world.folder, "first.json");
    expect((await run(fay, "seal", "--renew", "--out", first)).code).toBe(0);
    for (const file of [late, first]) expect((await run(gus.who, "root", "sign", file, "--yes")).code).toBe(0);
    expect((await run(fay, "root", "apply", first)).code).toBe(0);
    const refused = await run(fay, "root", "apply", late);
    expect([refused.code, refused.stderr]).toEqual([7, expect.stringMatching(/NEEDS_SIGNATURES/)]);
    expect(JSON.parse(readFileSync(late, "utf8"))).toMatchObject({ type: "imprint.request" });
  });
});
