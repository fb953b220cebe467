/** `imprint import`: public packages re-issued in an own index, installed with the public registry out of reach. */
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { testGit } from "../support/git-host.ts";
import { type Outcome, type People, people, type Person } from "../support/people.ts";
import { makePackage, makeTarball } from "../support/tarball.ts";
import { some } from "../support/thorough.ts";
import { registryKey, startUpstream, type TestUpstream } from "../support/upstream.ts";

type Index = Awaited<ReturnType<People["init"]>>;
type Plan = {
  readonly packages: readonly { name: string; version: string; status: string; signatures: string; size: number | null }[];
  readonly commit: string | null;
  readonly pushed: boolean;
  readonly leftOut: readonly string[];
};

let world: People;
/** Stands in for the public registry; asked for nothing by those who must not ask. */
let upstream: TestUpstream;
beforeAll(async () => {
  world = await people();
  upstream = await startUpstream();
});
afterEach(() => {
  upstream.keys = null;
});
afterAll(async () => {
  await world.close();
  await upstream.close();
});

/** A project that takes everything from that index and nothing from elsewhere. */
async function closedShop(name: string, index: Index): Promise<{ readonly who: Person; readonly folder: string }> {
  const who = world.person(name);
  const folder = world.folderOf(name, { "package.json": { name: "shop", version: "1.0.0", private: true } });
  expect((await world.imprint(who, folder, "add", index.address, "--packages", "*", "--yes")).code).toBe(0);
  const file = path.join(folder, "imprint.json");
  const project = JSON.parse(readFileSync(file, "utf8")) as { upstream: unknown };
  project.upstream = { allow: [], registry: upstream.url };
  writeFileSync(file, `${JSON.stringify(project, null, 2)}\n`);
  return { who, folder };
}

const refsOf = (repo: string): readonly string[] =>
  testGit(world.hosted(repo), ["for-each-ref", "--format=%(refname) %(objectname)"]).trim().split("\n");

describe("from the real public registry", () => {
  const serve = (app: string): string => `
    const server = require("node:http").createServer(${app}).listen(0, "127.0.0.1", async () => {
      const answer = await fetch("http://127.0.0.1:" + server.address().port + "/hello");
      console.log(await answer.text());
      server.close();
    });`;

  it.each(
    some(
      [
        {
          name: "jsonstream",
          specs: ["JSONStream@1"],
          atLeast: 3,
          script: `const stream = require("JSONStream").parse("rows.*"); stream.on("data", (row) => console.log(row)); stream.end('{"rows":["from JSONStream"]}');`,
          prints: "from JSONStream",
        },
        {
          name: "express",
          specs: ["express@5"],
          atLeast: 40,
          script: `const app = require("express")(); app.get("/hello", (_, response) => response.json({ from: "express" }));${serve("app")}`,
          prints: '{"from":"express"}',
        },
        {
          name: "fastify",
          specs: ["fastify@5"],
          atLeast: 30,
          script: `
        const app = require("fastify")(); app.get("/hello", async () => ({ from: "fastify" }));
        app.listen({ port: 0, host: "127.0.0.1" }).then(async (address) => {
          console.log(await (await fetch(address + "/hello")).text());
          await app.close();
        });`,
          prints: '{"from":"fastify"}',
        },
      ],
      1,
    ),
  )(
    "$name and all that it needs, installed and run without the public registry",
    async ({ name, specs, atLeast, script, prints }) => {
      const curator = world.person(`${name}-curator`);
      const index = await world.init(curator, "*");
      const startedMs = performance.now();
      const imported = await world.imprint(curator, world.folder, "import", ...specs, "--deps", "--json");
      const seconds = (performance.now() - startedMs) / 1000;
      expect(imported.stderr).toMatch(/read back as a stranger would/);
      const { packages, pushed } = JSON.parse(imported.stdout) as Plan;
      const bytes = packages.reduce((sum, { size }) => sum + (size ?? 0), 0);
      console.log(`${specs.join(" ")}: ${packages.length} packages, ${(bytes / 1e6).toFixed(1)} MB in ${seconds.toFixed(1)} s`);
      expect(pushed).toBe(true);
      expect(packages.length).toBeGreaterThanOrEqual(atLeast);
      expect(refsOf(`${curator.name}/index.git`).filter((ref) => ref.startsWith("refs/tarballs/"))).toHaveLength(packages.length);

      const { who, folder } = await closedShop(`${name}-shop`, index);
      upstream.requests.length = 0;
      const installed = await world.imprint(who, folder, "run", "npm", "install", ...specs);
      expect(installed.stderr).not.toMatch(/✗/);
      expect(installed.code).toBe(0);
      expect((await world.sh(who, folder, "node", ["-e", script])).stdout.trim()).toBe(prints);
      const audited = await world.imprint(who, folder, "audit");
      expect(audited.stdout).toContain(`✓ ${curator.name} ${packages.length} signed`);
      expect(upstream.requests).toEqual([]);
    },
    300_000,
  );
});

describe("from a registry that may lie", () => {
  let curator: Person;
  let index: Index;
  const importing = (...words: readonly string[]): Promise<Outcome> =>
    world.imprint(curator, world.folder, "import", "--registry", upstream.url, "--index", "mallory", ...words);
  const planOf = ({ stdout }: Outcome): readonly string[] =>
    (JSON.parse(stdout) as Plan).packages.map(({ name, version, status }) => `${status} ${name}@${version}`);
  const refs = (): readonly string[] => refsOf("mallory/index.git");
  const record = (name: string): { tags: Record<string, string>; deprecated: Record<string, string> } => {
    const tree = testGit(world.hosted("mallory/index.git"), ["ls-tree", "-r", "--name-only", "main"]).split("\n");
    const file = tree.find((line) => line.endsWith(`/+${name}/record.json`));
    return (JSON.parse(testGit(world.hosted("mallory/index.git"), ["show", `main:${file ?? ""}`])) as { signed: ReturnType<typeof record> })
      .signed;
  };

  beforeAll(async () => {
    curator = world.person("mallory");
    index = await world.init(curator, "*");
    await upstream.publish("leaf", "1.0.0");
    await upstream.publish("leaf", "1.2.0");
    await upstream.publish("tree", "1.0.0", { packageJson: { dependencies: { leaf: "^1.0.0" } } });
  });

  /** The code of a refusal, after which the host is as it was. */
  async function refusal(pattern: RegExp, ...words: readonly string[]): Promise<string | undefined> {
    const before = refs();
    const outcome = await importing(...words);
    expect(outcome.stderr).toMatch(pattern);
    expect(outcome.code).not.toBe(0);
    expect(refs()).toEqual(before);
    return /^ +([A-Z_]+); next: /mu.exec(outcome.stderr)?.[1];
  }

  it("a plan says what would be added, and adds nothing", async () => {
    const before = refs();
    const planned = await importing("tree", "--deps", "--dry-run");
    expect(planned.stdout.trim().split("\n")).toEqual(["+ leaf@1.2.0  size unknown", "+ tree@1.0.0  size unknown"]);
    expect(refs()).toEqual(before);
  });

  it("only what is new is added; again, nothing is", async () => {
    const first = await importing("leaf@1.2.0", "--json");
    expect(planOf(first)).toEqual(["new leaf@1.2.0"]);
    const second = await importing("tree", "--deps", "--json");
    expect(planOf(second)).toEqual(["present leaf@1.2.0", "new tree@1.0.0"]);
    const before = refs();
    const third = await importing("tree", "leaf", "--deps", "--json");
    expect(planOf(third)).toEqual(["present leaf@1.2.0", "present tree@1.0.0"]);
    expect((JSON.parse(third.stdout) as Plan).commit).toBeNull();
    expect(refs()).toEqual(before);
  });

  it("older versions come beside newer ones; latest stays, prefers upstream's, and deprecations are carried", async () => {
    expect((await importing("leaf@1.0.0")).stdout).toBe("leaf@1.0.0\n");
    expect(record("leaf").tags).toEqual({ latest: "1.2.0" });
    const deprecate = { edit: (entry: Record<string, unknown>) => void (entry["deprecated"] = "too old") };
    await upstream.publish("majors", "1.0.0", deprecate);
    await upstream.publish("majors", "3.0.0");
    await upstream.publish("majors", "2.0.0");
    expect((await importing("majors@1", "majors@2", "majors@3")).code).toBe(0);
    expect(record("majors")).toMatchObject({ tags: { latest: "2.0.0" }, deprecated: { "1.0.0": "too old" } });
  });

  it("what it was is written down: address, integrity, signatures", async () => {
    const key = registryKey();
    upstream.keys = { keys: [key.listed] };
    await upstream.publish("signed-leaf", "1.0.0", { edit: key.sign });
    const imported = await importing("signed-leaf", "--json");
    expect((JSON.parse(imported.stdout) as Plan).packages[0]?.signatures).toBe("verified");
    const tree = testGit(world.hosted("mallory/index.git"), ["ls-tree", "-r", "--name-only", "main"]).split("\n");
    const file = tree.find((line) => line.endsWith("+signed-leaf/1.0.0.json")) ?? "";
    const { signed } = JSON.parse(testGit(world.hosted("mallory/index.git"), ["show", `main:${file}`])) as {
      signed: { source: unknown; dist: { integrity: string } };
    };
    expect(signed.source).toEqual({
      url: `${upstream.url}signed-leaf/-/signed-leaf-1.0.0.tgz`,
      integrity: signed.dist.integrity,
      signatures: upstream.packuments.get("signed-leaf")?.versions["1.0.0"]?.dist.signatures,
    });
  });

  it("a bad signature is refused; a registry without keys is said to be one", async () => {
    const key = registryKey();
    await upstream.publish("forged", "1.0.0", { edit: registryKey().sign });
    upstream.keys = { keys: [key.listed] };
    expect(await refusal(/forged@1\.0\.0/, "forged")).toBe("BAD_SIGNATURE");
    upstream.keys = null;
    expect((await importing("forged", "--dry-run")).stderr).toMatch(/nobody could check: the registry publishes no keys/);
  });

  it("other bytes than the registry's integrity are refused, and with them all that came along", async () => {
    await upstream.publish("bad-bytes", "1.0.0", {
      edit: ({ dist }) => void (dist.integrity = `sha512-${Buffer.alloc(64).toString("base64")}`),
    });
    await upstream.publish("beside", "1.0.0");
    expect(await refusal(/bad-bytes@1\.0\.0/, "bad-bytes", "beside")).toBe("TARBALL_MISMATCH");
  });

  it("a version whose bytes changed upstream is refused", async () => {
    await upstream.publish("changing", "1.0.0");
    expect((await importing("changing")).code).toBe(0);
    await upstream.publish("changing", "1.0.0", { files: { "added.js": "" } });
    expect(await refusal(/changing@1\.0\.0: upstream has other bytes now/, "changing", "beside")).toBe("VERSION_EXISTS");
  });

  it.each([
    ["another name", { name: "other", version: "1.0.0" }],
    ["another version", { name: "says-otherwise", version: "1.0.1" }],
  ])("T10 a tarball that says %s is refused", async (_, packageJson) => {
    await upstream.publish("says-otherwise", "1.0.0", { tarball: await makePackage(packageJson) });
    expect(await refusal(/says-otherwise@1\.0\.0: its tarball says that it is/, "says-otherwise")).toBe("IMPORT_REFUSED");
  });

  it("T10 what the packument hides, the tarball says: a git dependency is refused, a missing one is named", async () => {
    const tarball = await makePackage({ name: "hides-git", version: "1.0.0", dependencies: { x: "git+https://git.example.org/x.git" } });
    await upstream.publish("hides-git", "1.0.0", { tarball });
    expect(await refusal(/hides-git@1\.0\.0: it depends on x@git/, "hides-git")).toBe("IMPORT_REFUSED");
    await upstream.publish("hides", "1.0.0", {
      tarball: await makePackage({ name: "hides", version: "1.0.0", dependencies: { y: "^2.0.0" } }),
    });
    const imported = await importing("hides", "--deps");
    expect(imported.code).toBe(0);
    expect(imported.stderr).toMatch(/hides@1\.0\.0 depends on y@\^2\.0\.0, which is not in this index/);
  });

  it("B1 a tarball that no client reads alike is refused; any one top folder will do, as @types has", async () => {
    const manifest = (name: string): string => JSON.stringify({ name, version: "1.0.0" });
    await upstream.publish("climbs", "1.0.0", { tarball: await makeTarball({ "package.json": manifest("climbs"), "../../x": "" }) });
    expect(await refusal(/climbs@1\.0\.0: its tarball is refused/, "climbs")).toBe("IMPORT_REFUSED");
    await upstream.publish("types", "1.0.0", { tarball: await makeTarball({ "package.json": manifest("types") }, { prefix: "node" }) });
    expect((await importing("types")).stderr).toMatch(/every tarball/);
  });

  it("what was yanked stays yanked, and is named; what was withdrawn is refused", async () => {
    await upstream.publish("regretted", "1.0.0");
    await upstream.publish("regretted", "2.0.0");
    expect((await importing("regretted@1", "regretted@2")).code).toBe(0);
    const amend = (...words: readonly string[]): Promise<Outcome> => world.imprint(curator, world.folder, ...words, "--index", "mallory");
    expect((await amend("yank", "regretted@1.0.0")).code).toBe(0);
    expect((await importing("regretted@1", "--json")).stderr).toMatch(/regretted@1\.0\.0 is there, but yanked/);
    expect((await amend("withdraw", "regretted@1.0.0", "--yes")).code).toBe(0);
    expect(await refusal(/withdrawn, and its number is never used again/, "regretted@1", "beside")).toBe("VERSION_EXISTS");
  });

  it("git, addresses and files are refused by name", async () => {
    await upstream.publish("from-git", "1.0.0", { packageJson: { dependencies: { x: "git+https://git.example.org/x.git" } } });
    expect(await refusal(/from-git depends on x@git\+https/, "from-git", "--deps")).toBe("IMPORT_REFUSED");
    expect(await refusal(/from-git@1\.0\.0: it depends on x@git\+https/, "from-git")).toBe("IMPORT_REFUSED");
    expect(await refusal(/a git dependency/, "git+https://git.example.org/x.git")).toBe("USAGE");
    const misspelt = await world.imprint(curator, world.folder, "import", "leaf", "--registry", "nonsense");
    expect([misspelt.code, misspelt.stderr]).toEqual([2, expect.stringMatching(/not the address of a registry/)]);
    expect(await refusal(/nowhere/, "nowhere", "leaf")).toBe("NOT_FOUND");
  });

  it("names that the root does not grant are all named, before anything is downloaded", async () => {
    const small = world.person("small");
    await world.init(small, "tree");
    upstream.requests.length = 0;
    const refused = await world.imprint(small, world.folder, "import", "--registry", upstream.url, "tree", "majors", "--deps");
    expect(refused.stderr).toMatch(/does not grant leaf, majors; run: imprint root grant 'leaf' for each/);
    expect(refused.stderr).toContain("NOT_GRANTED");
    expect(refused.code).toBe(3);
    expect(upstream.requests.filter((request) => request.path.endsWith(".tgz"))).toEqual([]);
  });

  it("of several indices the one that grants all is taken; where they differ, --index must say", async () => {
    const two = world.person("two");
    await world.init(two, "leaf");
    expect((await world.imprint(two, world.folder, "init", "second", "--name", "second", "--packages", "tree")).code).toBe(0);
    const ask = (...words: readonly string[]): Promise<Outcome> =>
      world.imprint(two, world.folder, "import", "--registry", upstream.url, "--dry-run", ...words);
    expect((await ask("tree", "--deps")).stderr).toMatch(/they fall to .*; choose one index with --index/);
    expect((await ask("tree")).stderr).toMatch(/would import 1 into second/);
    expect((await ask("leaf")).stderr).toMatch(/would import 1 into two/);
  });

  it("the user's own npm registry is asked, and no host is written where there is none to push to", async () => {
    const local = world.person("local");
    writeFileSync(path.join(local.home, ".npmrc"), `registry=${upstream.url}\n`);
    await world.init(local, "*");
    const imported = await world.imprint(local, world.folder, "import", "tree", "--deps", "--no-push", "--json");
    expect(JSON.parse(imported.stdout)).toMatchObject({ registry: upstream.url, pushed: false });
    expect(refsOf("local/index.git").filter((ref) => ref.startsWith("refs/tarballs/"))).toEqual([]);
    expect((await world.sh(local, path.join(world.folder, "local-index"), "git", ["push"])).code).toBe(0);
    expect(refsOf("local/index.git").filter((ref) => ref.startsWith("refs/tarballs/"))).toHaveLength(2);
  });

  it("aliases, bundles and optional packages install from the index alone", async () => {
    await upstream.publish("for-aix", "1.0.0", { packageJson: { os: ["aix"] } });
    await upstream.publish("mixed", "1.0.0", {
      packageJson: {
        dependencies: { other: "npm:leaf@1.0.0", inside: "1" },
        optionalDependencies: { "for-aix": "1", "not-published": "1" },
        bundleDependencies: ["inside"],
      },
      files: {
        "node_modules/inside/package.json": '{"name":"inside","version":"1.0.0"}',
        "node_modules/inside/index.js": 'module.exports = "bundled";\n',
      },
    });
    const imported = await importing("mixed", "--deps", "--json");
    expect(planOf(imported)).toEqual(["new for-aix@1.0.0", "present leaf@1.0.0", "new mixed@1.0.0"]);
    expect(imported.stderr).toMatch(/left out, the registry does not have it: not-published \(for mixed\)/);
    expect(imported.stderr).toMatch(/! mixed@1\.0\.0: it bundles packages/);
    const { who, folder } = await closedShop("mixed-shop", index);
    upstream.requests.length = 0;
    const installed = await world.imprint(who, folder, "run", "npm", "install", "mixed");
    expect(installed.code).toBe(0);
    const { version } = JSON.parse(readFileSync(path.join(folder, "node_modules/other/package.json"), "utf8")) as { version: string };
    expect(version).toBe("1.0.0");
    expect(upstream.requests).toEqual([]);
  });

  it("verify agrees with all of it, every tarball too", async () => {
    const verified = await world.imprint(curator, world.folder, "verify", index.address, "--tarballs");
    expect(verified.stderr).toBe("");
    expect(verified.code).toBe(0);
  });
});
