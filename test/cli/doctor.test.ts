/** `imprint doctor`: a healthy project has nothing to say, and each thing that goes wrong is named with what mends it. */
import { chmod, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { add } from "../../src/cli/commands/add.ts";
import { doctor, doctorLines } from "../../src/cli/commands/doctor.ts";
import { sync } from "../../src/cli/commands/sync.ts";
import type { Deps } from "../../src/cli/deps.ts";
import type { Finding } from "../../src/cli/doctor/finding.ts";
import { checkAgeGates } from "../../src/cli/doctor/clients.ts";
import { checkClientVersions } from "../../src/cli/doctor/client-versions.ts";
import { clientFacts } from "../../src/cli/doctor/gather-clients.ts";
import { checkClock } from "../../src/cli/doctor/clock.ts";
import { checkLookAlikes, type Known, skeletonOf } from "../../src/cli/doctor/look-alikes.ts";
import { checkCache, checkFolders, checkGit, checkNode, checkSecrets } from "../../src/cli/doctor/machine.ts";
import { checkReached } from "../../src/cli/doctor/places.ts";
import { temporaryFolder } from "../storage/temporary.ts";
import { type TestIndex, type World, world } from "../support/world.ts";
import { imprintIn } from "./in-process.ts";

const DAY_MS = 86_400_000;

let w: World;
let alice: TestIndex;
beforeAll(async () => {
  // The files on disk have real times: the world's clock runs beside them.
  w = await world({ startMs: Date.now() - 3 * DAY_MS });
  alice = await w.index("alice");
  await alice.publish("@alice/a", "1.0.0");
  w.pass(2 * DAY_MS);
});
afterAll(() => w.close());

type Shop = {
  readonly folder: string;
  readonly home: string;
  readonly deps: Deps;
  /** Findings that are not ok. */
  amiss(more?: Partial<Deps>, online?: boolean): Promise<readonly Finding[]>;
  edit(file: string, change: (text: string) => string): Promise<void>;
  /** `imprint sync` */
  sync(): Promise<unknown>;
};

let count = 0;
/** A project that trusts alice and whatever else, as `add` makes it. */
async function shop(...others: readonly (readonly [TestIndex, ...string[]])[]): Promise<Shop> {
  const folder = join(w.folder, `doctor-${String(++count)}`);
  const home = join(w.folder, `doctor-home-${String(count)}`);
  await mkdir(folder);
  await writeFile(join(folder, "package.json"), '{ "dependencies": { "@alice/a": "1", "left-pad": "1" } }');
  const deps = w.deps({ home, cwd: folder, env: { IMPRINT_ALLOW_PRIVATE: "127.0.0.1" } });
  for (const [index, ...packages] of [[alice] as const, ...others])
    await add({ url: `${index.url}#${index.id}`, as: undefined, packages, yes: true, npmrc: true }, deps);
  return {
    folder,
    home,
    deps,
    amiss: async (more = {}, online = false) =>
      (await doctor({ online }, { ...deps, ...more })).findings.filter(({ level }) => level !== "ok"),
    sync: () => sync({ frozen: false, only: [] }, deps),
    async edit(file, change) {
      const at = join(folder, file);
      await writeFile(at, change(await readFile(at, "utf8").catch(() => "")));
    },
  };
}

/** The one finding that is amiss. */
async function only(findings: Promise<readonly Finding[]>): Promise<Finding> {
  const found = await findings;
  expect(found.map(({ title }) => title)).toHaveLength(1);
  return found[0] as Finding;
}

describe("a project", () => {
  it("that is healthy has nothing amiss, asks no host, and changes nothing", async () => {
    const { amiss, folder } = await shop();
    const before = await readFile(join(folder, "imprint.lock"), "utf8");
    alice.down();
    try {
      expect(await amiss()).toEqual([]);
    } finally {
      alice.up();
    }
    expect(await readFile(join(folder, "imprint.lock"), "utf8")).toBe(before);
  });

  it("T4 whose index is stale says so, by maxAgeDays or by its owner's promise", async () => {
    const { amiss, edit } = await shop();
    await edit("imprint.json", (text) => text.replace('"ref"', '"maxAgeDays": 1, "ref"'));
    expect(await only(amiss())).toMatchObject({ level: "warning", title: "alice is stale", fix: "imprint sync alice" });
    const promised = await w.index("promised", { root: () => ({ refreshDays: 1 }) });
    const other = await shop([promised, "@promised/*"]);
    const later = w.nowMs() + 2 * DAY_MS;
    expect((await other.amiss({ nowMs: () => later })).map(({ title }) => title)).toContain("promised is stale");
  });

  it("whose index was never verified here says so, and damage of what was seen is a problem", async () => {
    const fresh = await shop();
    await rm(fresh.deps.layout.trustedState(alice.id), { recursive: true });
    expect((await fresh.amiss())[0]).toMatchObject({
      level: "warning",
      title: "alice was never verified on this machine",
      fix: "imprint sync alice",
    });
    const damaged = await shop();
    const cell = damaged.deps.layout.trustedState(alice.id);
    await writeFile(join(cell, "1"), "{}");
    const [finding] = await damaged.amiss();
    expect(finding).toMatchObject({ level: "problem", title: "what this machine has seen of alice cannot be read" });
    expect(finding?.fix).toContain(`rm -r '${cell}' && imprint sync alice`);
  });

  it("X5 an index that publishes outside its claim is named with what it publishes", async () => {
    const wide = await w.index("wide", { packages: ["@wide/*", "react"] });
    await wide.publish("@wide/a", "1.0.0");
    const within = await shop([wide]);
    expect(await within.amiss()).toEqual([]);
    await wide.publish("react", "99.0.0");
    await sync({ frozen: false, only: [] }, within.deps);
    expect(await only(within.amiss({}, true))).toMatchObject({
      level: "note",
      title: "wide publishes a package outside its claim",
      detail: expect.stringMatching(/^react: ignored/),
      fix: expect.stringContaining("--packages '@wide/*,react'"),
    });
  });

  it("X4 introductions that are neither claimed nor denied are named with the command", async () => {
    const introducing = await w.index("introducing");
    await introducing.publish("@introducing/a", "1.0.0");
    const settled = await shop([introducing]);
    expect(await settled.amiss()).toEqual([]);
    await introducing.changeRoot(() => ({
      introductions: [{ id: alice.id, url: "https://host.example/bob.git", packages: ["@bob/*" as never] }],
    }));
    await sync({ frozen: false, only: [] }, settled.deps);
    expect(await only(settled.amiss())).toMatchObject({
      level: "warning",
      fix: `imprint add 'https://host.example/bob.git#${alice.id}' --packages '@bob/*'`,
    });
  });

  it("a claim that nothing is there for is a note", async () => {
    const { amiss } = await shop([await w.index("void"), "@void/*"]);
    expect(await only(amiss())).toMatchObject({ level: "note", title: "void has nothing of what it claims by @void/*" });
  });

  it("what is not on this machine is not looked at before --online", async () => {
    const { amiss, deps } = await shop();
    await rm(deps.layout.repositories, { recursive: true });
    expect(await only(amiss())).toMatchObject({
      level: "note",
      title: "what alice publishes was not looked at",
      fix: "imprint doctor --online",
    });
    expect(await amiss({}, true)).toEqual([]);
  });

  it("a list that its host broke is a warning, with --online", async () => {
    const broken = await w.index("broken");
    await broken.publish("@broken/a", "1.0.0");
    const { amiss, deps } = await shop([broken]);
    const shard = broken.paths().find((path) => path.endsWith("/shard.json")) ?? "";
    await rm(deps.layout.repositories, { recursive: true });
    await broken.flip(shard);
    expect(await only(amiss({}, true))).toMatchObject({
      level: "warning",
      title: "what broken publishes cannot be read",
      detail: expect.stringMatching(/(HASH_MISMATCH|MISSING_FILE)\)$/),
    });
  });

  it("N1 look-alike scopes of two indices, and a dependency that looks like a claimed name, are warnings", async () => {
    const twin = await w.index("a1ice");
    await twin.publish("@a1ice/a", "1.0.0");
    expect(await only((await shop([twin])).amiss())).toMatchObject({
      level: "warning",
      title: "@a1ice (a1ice) and @alice (alice) look alike",
    });
    const { amiss, edit } = await shop();
    await edit("package.json", () => '{ "dependencies": { "@al-ice/a": "1" } }');
    expect((await only(amiss())).title).toBe("@alice (alice) and @al-ice (the public registry, in package.json) look alike");
  });

  it("an index that names other addresses is a note, and set-url mends it", async () => {
    const moved = await w.index("moved", { root: () => ({ mirrors: ["https://new.example/moved.git"] }) });
    await moved.publish("@moved/a", "1.0.0");
    const { amiss, edit } = await shop([moved]);
    expect(await only(amiss())).toMatchObject({
      level: "note",
      fix: `imprint set-url moved '${moved.url}' 'https://new.example/moved.git'`,
    });
    await edit("imprint.json", (text) => text.replace(`"${moved.url}"`, `"${moved.url}", "https://new.example/moved.git"`));
    expect(await amiss()).toEqual([]);
  });

  it("--online finds a host that does not answer", async () => {
    const { amiss } = await shop();
    expect(await amiss({}, true)).toEqual([]);
    alice.down();
    try {
      expect(await only(amiss({}, true))).toMatchObject({ level: "problem", title: `${alice.url} does not answer for alice` });
      expect(await amiss()).toEqual([]);
      // Two words that contradict each other: no host is asked.
      expect(await amiss({ offline: true }, true)).toEqual([]);
    } finally {
      alice.up();
    }
  });

  it("imprint.lock without an entry, with one too many, for another index, behind and ahead", async () => {
    const changing = await w.index("changing");
    await changing.publish("@changing/a", "1.0.0");
    const { amiss, deps, edit, folder } = await shop([changing]);
    const lock = await readFile(join(folder, "imprint.lock"), "utf8");
    await changing.renew();
    await sync({ frozen: false, only: [] }, deps);
    const newer = await readFile(join(folder, "imprint.lock"), "utf8");
    await edit("imprint.lock", () => lock);
    expect(await only(amiss())).toMatchObject({ level: "note", title: "imprint.lock is behind what this machine has seen of changing" });
    await edit("imprint.lock", () =>
      newer.replace(/("changing": \{[^}]*\}[^}]*"seq": )(\d+)/, (_, head: string, seq: string) => `${head}${String(Number(seq) + 1)}`),
    );
    expect(await only(amiss())).toMatchObject({
      level: "note",
      title: "this machine is behind imprint.lock for changing",
      fix: "imprint sync changing",
    });
    await edit("imprint.lock", () => newer.replace("changing", "gone"));
    expect((await amiss()).map(({ title }) => title)).toEqual([
      "imprint.lock has an entry for gone, which is no index here",
      "imprint.lock has no entry for changing",
    ]);
    await edit("imprint.lock", () => newer.replace(changing.id, "1".repeat(64)));
    expect((await amiss()).map(({ title }) => title)).toContain("imprint.lock is for another changing");
  });

  it("that cannot be read is a problem, with the place", async () => {
    const { amiss, edit } = await shop();
    await edit("imprint.json", (text) => `<<<<<<< HEAD\n${text}`);
    expect(await only(amiss())).toMatchObject({
      level: "problem",
      title: "this project cannot be read",
      detail: expect.stringMatching(/line 1.*CONFIG_INVALID/),
    });
  });
});

describe("clients", () => {
  it("X9 scope lines of a claimed scope are problems, each with file and line", async () => {
    const { amiss, edit, folder } = await shop();
    await edit(".npmrc", (text) => `${text}@other:registry=https://other.example/\n`);
    expect(await amiss()).toEqual([]);
    await edit(".npmrc", (text) => `${text}@alice:registry=https://other.example/\n`);
    await writeFile(join(folder, "bunfig.toml"), '[install.scopes]\nalice = "https://other.example/"\n');
    const found = await amiss({
      env: { ...w.deps({ home: folder, cwd: folder }).env, "npm_config_@alice:registry": "https://other.example/" },
    });
    expect(found.map(({ level, fix }) => [level, fix])).toEqual([
      ["problem", "unset npm_config_@alice:registry"],
      ["problem", `remove ${join(folder, ".npmrc")} line 6`],
      ["problem", `remove ${join(folder, "bunfig.toml")} line 2`],
    ]);
  });

  it("X8 an .npmrc or .yarnrc.yml that does not point at the resolver is a warning with the command", async () => {
    const { amiss, edit } = await shop();
    await edit(".npmrc", () => "");
    expect(await only(amiss())).toMatchObject({
      level: "warning",
      title: ".npmrc names no registry",
      fix: expect.stringMatching(
        /^npm config set registry http:\/\/127\.0\.0\.1:4870\/~[0-9a-f]{20}\/ --location=project && imprint sync$/,
      ),
    });
    await edit(".npmrc", () => "registry=https://user:hunter2@corp.example/\n");
    const named = await only(amiss());
    expect([named.level, named.title, named.detail?.includes("hunter2")]).toEqual(["warning", ".npmrc names another registry", false]);
    await edit(".npmrc", () => "registry=http://127.0.0.1:4999/\n");
    expect((await only(amiss())).level).toBe("note");
  });

  it("X10 an address of another policy, or of none, is a problem; sync mends it, and whatever else is behind", async () => {
    const { amiss, edit, sync: mend } = await shop();
    for (const address of ["http://127.0.0.1:4870/", `http://127.0.0.1:4870/~${"0".repeat(20)}/`]) {
      await edit(".npmrc", () => `registry=${address}\n`);
      expect((await amiss())[0]).toMatchObject({
        level: "problem",
        title: ".npmrc names an address that is not this project's",
        fix: "imprint sync",
      });
      await mend();
      expect(await amiss()).toEqual([]);
    }
    await edit(".yarnrc.yml", () => "nodeLinker: node-modules\n");
    expect(await amiss()).toMatchObject([
      { level: "warning", title: ".yarnrc.yml names no registry", fix: "imprint sync" },
      { level: "warning", title: ".imprint/.gitignore is behind imprint.json", fix: "imprint sync" },
    ]);
    await mend();
    await edit("yarn.lock", () => `resolved "http://127.0.0.1:5123/~${"0".repeat(20)}/x/-/x-1.0.0.tgz"\n`);
    expect(await only(amiss())).toMatchObject({
      level: "warning",
      title: expect.stringMatching(/yarn\.lock are behind imprint\.json/),
      fix: "imprint sync",
    });
    await mend();
    expect(await amiss()).toEqual([]);
  });

  it("a fresh release in a project of pnpm, without minAgeHours, is a note; with it pnpm is told, and deno cannot be", async () => {
    const young = await w.index("young");
    await young.publish("@young/a", "1.0.0");
    const { amiss, edit, sync: mend } = await shop([young]);
    await edit("package.json", () => '{ "dependencies": { "@young/a": "1" } }');
    expect(await amiss()).toEqual([]);
    await edit("pnpm-lock.yaml", () => "");
    await mend();
    expect(await only(amiss({}, true))).toMatchObject({
      level: "note",
      detail: expect.stringMatching(/^@young\/a@1\.0\.0: /),
      fix: expect.stringMatching(/minAgeHours/),
    });
    await edit("imprint.json", (text) => text.replaceAll('"ref"', '"minAgeHours": 0, "ref"'));
    expect(await amiss({}, true)).toEqual([]);
    await edit("deno.json", () => "{}");
    expect(await only(amiss({}, true))).toMatchObject({
      level: "note",
      title: "deno cannot be told that imprint.json decides how old releases must be",
    });
  });

  it("a lockfile of vlt, which asks past the resolver, is a warning", async () => {
    const { amiss, edit } = await shop();
    await edit("vlt-lock.json", () => "{}");
    expect(await only(amiss())).toMatchObject({ level: "warning", fix: expect.stringContaining("rm vlt-lock.json") });
  });

  it("a gate is only said for clients that are used", () => {
    expect(checkAgeGates({ clients: [], aged: ["alice"], fresh: ["@alice/a@1.0.0"] })[0]?.level).toBe("ok");
    expect(checkAgeGates({ clients: ["deno"], aged: [], fresh: ["@alice/a@1.0.0"] })[0]?.fix).toContain("npm:@alice/a");
  });
});

describe("the machine", () => {
  it("a clock behind what was signed, or behind our own files, is a warning", async () => {
    const { amiss, deps } = await shop();
    const early = w.nowMs() - 10 * DAY_MS;
    const found = await amiss({ nowMs: () => early });
    expect(found.map(({ level, title }) => [level, title])).toEqual([
      ["warning", "alice is signed more than a day ahead of this machine's clock"],
      ["warning", "this machine wrote files that its clock says are of the future"],
    ]);
    expect(deps.nowMs()).toBeGreaterThan(early);
    expect(checkClock({ indices: [], newestFileMs: 2 * DAY_MS, nowMs: DAY_MS })[0]?.level).toBe("ok");
    expect(checkClock({ indices: [], newestFileMs: 2 * DAY_MS + 1, nowMs: DAY_MS })[0]?.level).toBe("warning");
  });

  it("secrets that others may read are problems", async () => {
    const { amiss, deps } = await shop();
    await mkdir(deps.layout.keys, { recursive: true });
    const file = join(deps.layout.keys, "alice.daily.json");
    await writeFile(file, "{}", { mode: 0o600 });
    expect(await amiss()).toEqual([]);
    for (const mode of [0o644, 0o640, 0o604]) {
      await chmod(file, mode);
      expect(await only(amiss())).toMatchObject({ level: "problem", fix: `chmod 600 '${file}'` });
    }
    expect(checkSecrets([{ file, mode: null }])[0]?.level).toBe("ok");
  });

  it("state of a resolver that is gone is a note, of a living one none", async () => {
    const { amiss, deps } = await shop();
    await mkdir(deps.layout.resolvers, { recursive: true });
    const file = join(deps.layout.resolvers, "x.json");
    await writeFile(file, JSON.stringify({ pid: process.pid }), { mode: 0o600 });
    expect(await amiss()).toEqual([]);
    for (const pid of [2 ** 22 + 1, -1, "all"]) {
      await writeFile(file, JSON.stringify({ pid }), { mode: 0o600 });
      expect(await only(amiss())).toMatchObject({ level: "note", fix: `rm '${file}'` });
    }
  });

  it("leftovers and a large cache are notes", async () => {
    const { amiss, deps } = await shop();
    await mkdir(deps.layout.blobs, { recursive: true });
    await writeFile(join(deps.layout.blobs, ".imprint-tmp-1-x"), "");
    expect(await only(amiss())).toMatchObject({ level: "note", fix: "imprint cache prune" });
    expect(checkCache({ bytes: 5 * 1024 ** 3, leftovers: 0 })[0]?.level).toBe("ok");
    expect(checkCache({ bytes: 5 * 1024 ** 3 + 1, leftovers: 0 })[0]).toMatchObject({
      level: "note",
      fix: "imprint cache prune --max-size 1GB",
    });
  });

  it("programs that are too old, or not there, are named", async () => {
    expect([checkNode("20.19.0"), checkNode("24.0.0"), checkNode("20.18.3"), checkNode("18.20.0")].map(([one]) => one?.level)).toEqual([
      "ok",
      "ok",
      "problem",
      "problem",
    ]);
    expect(checkGit({ fault: null, isChosenEmbedded: false, needsSsh: ["alice"] })[0]?.level).toBe("ok");
    expect(checkGit({ fault: "Cannot run git", isChosenEmbedded: false, needsSsh: [] })[0]).toMatchObject({
      level: "note",
      fix: "install git 2.34 or newer",
    });
    expect(checkGit({ fault: null, isChosenEmbedded: true, needsSsh: ["alice"] })[0]).toMatchObject({
      level: "problem",
      fix: "unset IMPRINT_GIT",
    });
    const { amiss, deps } = await shop();
    const found = await amiss({ env: { ...deps.env, PATH: temporaryFolder() } });
    expect(found.map(({ title }) => title)).toContain("the embedded git is used");
  });

  it("folders that cannot be written to are problems", async () => {
    const home = join(temporaryFolder(), "home");
    const deps = w.deps({ home, cwd: w.folder });
    expect((await doctor({ online: false }, deps)).worst).toBe("note"); // not there yet, and could be made
    await writeFile(home, "a file");
    const { findings } = await doctor({ online: false }, deps);
    expect(findings.filter(({ level }) => level === "problem").map(({ title }) => title)).toContain(
      `${deps.layout.state} cannot be written to`,
    );
    expect(checkFolders([{ path: "/x", isWritable: true, isLoose: false }])[0]?.level).toBe("ok");
    expect(checkFolders([{ path: "/x", isWritable: true, isLoose: true }])[0]).toMatchObject({
      level: "problem",
      fix: "chmod -R go-w '/x'",
    });
    expect(checkFolders([{ path: "/x", isWritable: false, isLoose: false }])[0]).toMatchObject({
      level: "problem",
      fix: expect.stringContaining("chown"),
    });
  });
});

describe("places", () => {
  const own = { url: "https://old.example/a.git", isMirror: false };
  const mirror = { url: "https://new.example/a.git", isMirror: true };

  it("an address that is dead while a mirror answers may have moved", () => {
    expect(
      checkReached("alice", [
        { ...own, error: "gone" },
        { ...mirror, error: null },
      ])[0],
    ).toMatchObject({
      level: "warning",
      detail: "gone; it may have moved: https://new.example/a.git answers",
      fix: "imprint set-url alice 'https://new.example/a.git'",
    });
    expect(
      checkReached("alice", [
        { ...own, error: null },
        { ...mirror, error: "gone" },
      ]).map(({ level }) => level),
    ).toEqual(["ok", "note"]);
  });
});

describe("look-alikes", () => {
  const known = (name: string, from: string): Known => ({ name: name as Known["name"], from });

  it.each([
    ["left-pad", "leftpad"],
    ["left_pad", "left.pad"],
    ["Left-Pad", "left-pad"],
    ["paypal", "paypa1"],
    ["modern", "modem"],
    ["g0od", "good"],
  ])("N1 %s and %s", (one, other) => {
    expect(skeletonOf(one)).toBe(skeletonOf(other));
    expect(checkLookAlikes([known(one, "alice"), known(other, "bob")])[0]).toMatchObject({
      level: "warning",
      title: `${one} (alice) and ${other} (bob) look alike`,
    });
  });

  it("N1 names behind one scope are compared, those of one source and those that differ are not", () => {
    expect(checkLookAlikes([known("@x/left-pad", "alice"), known("@x/leftpad", "bob")])[0]?.level).toBe("warning");
    expect(
      checkLookAlikes([known("left-pad", "alice"), known("leftpad", "alice"), known("right-pad", "bob"), known("@x/left-pad", "bob")]),
    ).toHaveLength(1);
    expect(checkLookAlikes([known("left-pad", "alice"), known("right-pad", "bob")])[0]?.level).toBe("ok");
  });

  it("N1 many pairs are cut, too many names are not compared, and both are said", () => {
    const many = Array.from({ length: 30 }, (_, i) => [
      known(`pad-${String.fromCharCode(97 + (i % 26)).repeat(2 + i)}`, "alice"),
      known(`pad_${String.fromCharCode(97 + (i % 26)).repeat(2 + i)}`, "bob"),
    ]).flat();
    expect(checkLookAlikes(many)).toHaveLength(20);
    expect(checkLookAlikes(many)[0]?.detail).toContain("more pairs are not shown");
    expect(checkLookAlikes(Array.from({ length: 50_001 }, () => known("x", "alice")))[0]).toMatchObject({ level: "note" });
  });
});

describe("the command", () => {
  it("exits 0 for notes, 1 for a problem, 1 for warnings only with --strict, and prints JSON or lines", async () => {
    const home = temporaryFolder();
    const cwd = join(home, "shop");
    await mkdir(cwd);
    await writeFile(join(cwd, "package.json"), "{}");
    const type = (...argv: readonly string[]) => imprintIn({ home, cwd }, ...argv);
    const nothing = await type("doctor", "--strict");
    expect([nothing.exit, nothing.stdout]).toEqual([0, expect.stringMatching(/^· no imprint\.json counts here\n/)]);
    expect((await type("add", `${alice.url}#${alice.id}`, "--yes", "--no-npmrc")).exit).toBe(0);
    const warned = await type("doctor");
    expect([warned.exit, warned.stdout]).toEqual([0, expect.stringMatching(/^! \.npmrc names no registry\n .*\n {2}fix: npm config set/)]);
    expect((await type("doctor", "--strict")).exit).toBe(1);
    await writeFile(join(cwd, ".npmrc"), "registry=http://127.0.0.1:4870/\n@alice:registry=https://other.example/\n");
    const problem = await type("doctor", "--json");
    expect([problem.exit, JSON.parse(problem.stdout)]).toEqual([
      1,
      { worst: "problem", findings: expect.arrayContaining([expect.objectContaining({ level: "problem", fix: expect.any(String) })]) },
    ]);
    expect((await type("doctor", "-g")).stdout).toMatch(/no imprint\.json counts here/);
  });

  it("shows the worst first, and no control characters", () => {
    const finding = (level: Finding["level"], title: string): Finding => ({ level, title, detail: null, fix: null });
    const findings = [finding("ok", "a"), finding("note", "b"), finding("problem", "c\u001B[31m"), finding("warning", "d")];
    expect(doctorLines({ findings, worst: "problem" })).toEqual(["✗ c [31m", "! d", "· b", "✓ 1 check is well"]);
  });
});

describe("clients of versions that need something", () => {
  it.each([
    ["npm", "6.14.18", "warning", /imprint audit does not read/],
    ["npm", "12.2.0", "note", /imprint run only/],
    ["pnpm", "9.15.0", "note", /older than what imprint is tested with/],
    ["yarn", "3.8.7", "note", /1 and 4/],
    ["bun", "1.1.45", "warning", /bun\.lockb/],
    ["deno", "1.46.3", "warning", /no deno install/],
  ] as const)("%s %s is named, with what to do", (client, version, level, words) => {
    expect(checkClientVersions([{ client, version, file: "x.lock" }])).toEqual([
      { level, title: expect.stringMatching(words), detail: null, fix: expect.stringMatching(/./) },
    ]);
  });

  it("others, and what tells no version, are fine; one that is not there is a note", () => {
    for (const [client, version] of [
      ["npm", "11.0.0"],
      ["pnpm", "12.0.0"],
      ["yarn", "1.22.22"],
      ["yarn", "4.18.1"],
      ["bun", "1.2.0"],
      ["deno", "2.9.6"],
      ["npm", "nonsense"],
    ] as const)
      expect(checkClientVersions([{ client, version, file: "x.lock" }]).map((finding) => finding.level)).toEqual(["ok"]);
    expect(checkClientVersions([{ client: "bun", version: null, file: "bun.lock" }])).toEqual([
      { level: "note", title: "bun.lock is of bun, which is not on the PATH", detail: null, fix: "install bun, or remove bun.lock" },
    ]);
  });

  it("are found by lockfile, with the pinned version, else that of the PATH; the project's own client is not run", async () => {
    const folder = temporaryFolder();
    const bin = join(folder, "bin");
    await mkdir(bin);
    const mark = join(folder, "ran");
    await writeFile(
      join(bin, "yarn"),
      '#!/bin/sh\n[ "$YARN_IGNORE_PATH" = 1 ] && [ -z "$IMPRINT_PASSPHRASE" ] && pwd > "$MARK" && echo 4.1.0\n',
      { mode: 0o755 },
    );
    for (const file of ["yarn.lock", "pnpm-lock.yaml", "bun.lock"]) await writeFile(join(folder, file), "");
    await writeFile(join(folder, "package.json"), '{ "packageManager": "pnpm@9.1.2+sha512.abc" }');
    const env = { PATH: `${bin}:/bin`, MARK: mark, IMPRINT_PASSPHRASE: "secret" };
    expect(await clientFacts({ files: w.deps({ home: folder, cwd: folder }).files, env }, folder)).toEqual([
      { client: "pnpm", file: "pnpm-lock.yaml", version: "9.1.2+sha512.abc" },
      { client: "yarn", file: "yarn.lock", version: "4.1.0" },
      { client: "bun", file: "bun.lock", version: null },
    ]);
    expect((await readFile(mark, "utf8")).trim()).not.toBe(folder);
  });
});

it("a claim that the root grants to nobody is named; a name or scope within a grant, or around one, is not", async () => {
  const { amiss, edit } = await shop();
  await edit("imprint.json", (text) => text.replace('"@alice/*"', '"@alice/*", "@alice/one", "@bob/*", "left-pad"'));
  const titles = (await amiss()).map(({ title }) => title);
  expect(titles).toContain("alice is claimed for @bob/*, left-pad, which its root lets nobody publish");
  expect((await (await shop()).amiss()).map(({ title }) => title).join("")).not.toMatch(/lets nobody publish/);
});
