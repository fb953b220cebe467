/** X7 what the commands say of names with several sources, and that they keep imprint.json fit to be read. */
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { agedPatterns } from "../../src/clients/environment.ts";
import type { DisplayName } from "../../src/format/decode.ts";
import { formatProject, parseProject, type Project } from "../../src/format/project.ts";
import type { DistTag, Version } from "../../src/format/versions.ts";
import { openIntroductions } from "../../src/registry/introductions.ts";
import { policyChanges } from "../../src/registry/policy-change.ts";
import { publicHits, reasonNotToAsk } from "../../src/registry/public-search.ts";
import { scopeOwners } from "../../src/registry/claims.ts";
import { type TestIndex, type World, world } from "../support/world.ts";
import { imprintIn, type Ran } from "./in-process.ts";

let w: World;
let alice: TestIndex;
let bob: TestIndex;
let cwd: string;
let home: string;

beforeAll(async () => {
  w = await world({ startMs: Date.now() - 86_400_000 });
  [alice, bob] = [await w.index("alice", { packages: ["*"] }), await w.index("bob", { packages: ["*"] })];
  for (const index of [alice, bob]) {
    for (const version of ["1.0.0", "1.1.0"])
      await index.publish("@shared/x", version, { packageJson: { description: "what both looked at" }, files: { "i.js": version } });
    await index.publish("@shared/x", "2.0.0", { files: { "i.js": index.name } });
  }
  await bob.publish("@shared/x", "3.0.0");
  await bob.amend("@shared/x", () => ({ yanked: new Map([["1.1.0" as Version, "slow"]]) }));
  await alice.publish("lodash", "4.1.0", { packageJson: { description: "patched" } });
  await alice.publish("lodash", "4.2.0");
  await alice.publish("lodash", "4.3.0");
  await alice.amend("lodash", ({ tags }) => ({
    yanked: new Map([["4.2.0" as Version, "hole"]]),
    tags: new Map([...tags, ["latest" as DistTag, "4.3.0" as Version]]),
  }));
  for (const version of ["4.0.0", "4.1.0", "4.2.0"])
    await w.upstream.publish("lodash", version, { packageJson: { description: "public" } });
  cwd = await w.projectFolder("shop", {
    indices: { alice: { index: alice, packages: ["lodash"] }, bob: { index: bob, packages: [] } },
    agree: { names: ["@shared/x", "nowhere"], of: ["alice", "bob"], threshold: 2 },
    overlay: ["lodash"],
  });
  home = path.join(w.folder, "home");
  expect((await imprint("sync")).exit).toBe(0);
});
afterAll(() => w.close());

const imprint = (...argv: readonly string[]): Promise<Ran> =>
  imprintIn({ home, cwd, env: { NO_PROXY: "127.0.0.1", no_proxy: "127.0.0.1" } }, ...argv);

describe("why", () => {
  it("X7 who votes for what, version by version", async () => {
    const { stdout } = await imprint("why", "@shared/x");
    expect(stdout.split("\n")).toEqual([
      "@shared/x comes from what alice, bob agree on",
      "├ imprint.json: 2 of alice, bob must agree on it, each by a host that answers; no other source may",
      "├ indices",
      expect.stringMatching(/^│ ├ alice votes: revision \d+$/),
      expect.stringMatching(/^│ └ bob votes: revision \d+$/),
      "├ tags latest → 1.0.0",
      "└ versions",
      "  ├ 1.0.0 agreed by alice, bob",
      expect.stringMatching(/^ {2}│ └ alice, bob: sha512-.*…, \d+ bytes$/),
      "  ├ 1.1.0 not offered: yanked by bob (slow)",
      expect.stringMatching(/^ {2}│ └ alice, bob: /),
      "  ├ 2.0.0 not offered: not the same bytes and manifest in alice as in bob",
      expect.stringMatching(/^ {2}│ ├ alice: /),
      expect.stringMatching(/^ {2}│ └ bob: /),
      "  └ 3.0.0 not offered: only in bob",
      expect.stringMatching(/^ {4}└ bob: /),
      "",
    ]);
  });

  it("X7 absent from both; and a machine that has verified neither", async () => {
    expect((await imprint("why", "nowhere")).stdout).toMatch(/^nowhere does not exist\n[\s\S]*NOT_FOUND: .*none of alice, bob has it/);
    const { stdout } = await imprintIn({ home: path.join(w.folder, "stranger"), cwd }, "why", "@shared/x");
    expect(stdout).toMatch(/^@shared\/x is refused\n[\s\S]*alice has no vote: .*NEVER_SYNCED[\s\S]*next: imprint sync/);
  });

  it("X7 what an overlay replaces and hides, once that is known here", async () => {
    w.upstream.requests.length = 0;
    const before = (await imprint("why", "lodash")).stdout;
    expect(before).toMatch(
      /^lodash comes from alice over the public registry\n├ imprint\.json: alice claims lodash\n├ imprint\.json: overlay has lodash/,
    );
    expect(before).toMatch(/public registry: what it has is not on this machine; imprint view lodash asks it/);
    expect(w.upstream.requests).toEqual([]);
    expect((await imprint("view", "lodash")).exit).toBe(0);
    const after = (await imprint("why", "lodash")).stdout;
    expect(after).toMatch(
      /replaced by alice's: 4\.1\.0\n[^\n]*hidden, as alice yanked, withdrew or broke them: 4\.2\.0\n[^\n]*1 other version\n/,
    );
    const { stdout } = await imprintIn({ home: path.join(w.folder, "stranger"), cwd }, "why", "lodash");
    expect(stdout).toMatch(/cannot be served yet[\s\S]*the public registry is not asked/);
  });
});

describe("view, list, search, doctor, sync", () => {
  it("X7 view shows the merged versions, each with what became of it", async () => {
    const agreed = JSON.parse((await imprint("view", "@shared/x", "--json")).stdout);
    expect(agreed).toMatchObject({
      source: "alice+bob",
      tags: { latest: "1.0.0" },
      shown: { version: "1.0.0", description: "what both looked at" },
    });
    expect(agreed.shown.signers).toHaveLength(2);
    expect(agreed.versions.map((one: { version: string; state: string }) => `${one.version} ${one.state}`)).toEqual([
      "3.0.0 refused",
      "2.0.0 refused",
      "1.1.0 yanked",
      "1.0.0 ok",
    ]);
    expect((await imprint("view", "@shared/x@9.0.0")).exit).toBe(1);
    expect((await imprint("view", "@shared/x@2.0.0")).stdout).toMatch(/nothing of it can be installed/);
    const over = JSON.parse((await imprint("view", "lodash", "--json")).stdout);
    expect(over).toMatchObject({ source: "alice+upstream", tags: { latest: "4.3.0" } });
    expect(over.versions.map((one: { version: string; state: string }) => `${one.version} ${one.state}`)).toEqual([
      "4.3.0 ok",
      "4.2.0 yanked",
      "4.1.0 ok",
      "4.0.0 ok",
    ]);
    expect(JSON.parse((await imprint("view", "lodash@4.1.0", "--json")).stdout).shown.description).toBe("patched");
    expect(JSON.parse((await imprint("view", "lodash@4.0.0", "--json")).stdout).shown.description).toBe("public");
    expect((await imprint("view", "lodash@9.0.0")).exit).toBe(1);
  });

  it("X7 list says what stands over the public registry, and who must agree", async () => {
    const { stdout } = await imprint("list");
    expect(stdout).toMatch(/^alice {2}lodash {2}over the public registry: lodash {2}signed/m);
    expect(stdout).toMatch(/^@shared\/x nowhere {2}where 2 of alice, bob agree$/m);
    expect(JSON.parse((await imprint("list", "--json")).stdout)).toMatchObject([
      { alias: "alice", overlay: ["lodash"], agree: { threshold: 2 } },
      { alias: "bob", overlay: [], agree: { of: ["alice", "bob"] } },
    ]);
  });

  it("X7 search finds an agreed name once, as it is agreed on, and an overlaid one", async () => {
    const found = JSON.parse((await imprint("search", "shared", "--json")).stdout);
    expect(found.hits.map((hit: { name: string; version: string; source: string }) => [hit.name, hit.version, hit.source])).toEqual([
      ["@shared/x", "1.0.0", "alice+bob"],
    ]);
    const over = JSON.parse((await imprint("search", "lodash", "--json")).stdout);
    expect([over.total, over.hits[0].source]).toEqual([1, "alice"]);
  });

  it("X7 doctor finds agreed names that nobody can install, and indices without a vote; nothing is outside a claim", async () => {
    const { stdout } = await imprint("doctor");
    expect(stdout).toMatch(/! no version of nowhere is the same in 2 of alice, bob/);
    expect(stdout).not.toMatch(/outside its claim/);
    const stranger = await imprintIn({ home: path.join(w.folder, "stranger"), cwd }, "doctor");
    expect(stranger.stdout).toMatch(/! bob has no vote on what alice, bob must agree on/);
  });
});

describe("audit", () => {
  const locked = async (packages: Readonly<Record<string, readonly [string, string]>>): Promise<Record<string, string>> => {
    const entries = Object.entries(packages).map(([name, [version, integrity]]) => [
      `node_modules/${name}`,
      { version, integrity, resolved: `http://127.0.0.1:4870/${name}/-/x-${version}.tgz` },
    ]);
    await writeFile(
      path.join(cwd, "package-lock.json"),
      JSON.stringify({ name: "shop", lockfileVersion: 3, packages: Object.fromEntries(entries) }),
    );
    const { stdout } = await imprint("audit", "--json");
    const { packages: found } = JSON.parse(stdout) as {
      packages: { name: string; source: string; status: string; reason: string | null; warnings: string[] }[];
    };
    return Object.fromEntries(found.map((one) => [one.name, [one.source, one.status, one.reason ?? one.warnings.join("; ")].join(" | ")]));
  };
  const integrityOf = async (index: TestIndex, name: string, version: string): Promise<string> =>
    (await index.release(name, version)).doc.dist.integrity;
  const publicIntegrity = (version: string): string => w.upstream.packuments.get("lodash")?.versions[version]?.dist.integrity ?? "";

  it("X7 agreed names against what is agreed, overlaid ones against whoever has that version", async () => {
    expect(
      await locked({
        "@shared/x": ["1.0.0", await integrityOf(alice, "@shared/x", "1.0.0")],
        lodash: ["4.1.0", await integrityOf(alice, "lodash", "4.1.0")],
      }),
    ).toEqual({ "@shared/x": "alice+bob | signed | ", lodash: "alice | signed | " });
    expect(await locked({ "@shared/x": ["1.1.0", await integrityOf(alice, "@shared/x", "1.1.0")] })).toEqual({
      "@shared/x": "alice+bob | signed | yanked: yanked by bob (slow)",
    });
    expect((await locked({ "@shared/x": ["2.0.0", await integrityOf(alice, "@shared/x", "2.0.0")] }))["@shared/x"]).toMatch(
      /refused \| 2 of alice, bob must agree on it: not the same bytes/,
    );
    expect((await locked({ "@shared/x": ["1.0.0", publicIntegrity("4.0.0")] }))["@shared/x"]).toMatch(
      /refused \| the locked integrity is not/,
    );
    // Under a number of the index's, upstream's bytes are not what was signed.
    expect((await locked({ lodash: ["4.1.0", publicIntegrity("4.1.0")] }))["lodash"]).toMatch(/refused \| the locked integrity is not/);
    expect((await locked({ lodash: ["4.0.0", publicIntegrity("4.0.0")] }))["lodash"]).toMatch(/^upstream \| /);
  });
});

describe("imprint.json stays fit to be read", () => {
  it("X7 remove refuses an index that an agreement or an overlay needs; add does not take such a claim away", async () => {
    const before = await readFile(path.join(cwd, "imprint.json"), "utf8");
    const bobs = await imprint("remove", "bob");
    expect([bobs.exit, bobs.stderr]).toEqual([3, expect.stringMatching(/Cannot remove bob: agree\.of names it \(2 of alice, bob\)/)]);
    const added = await imprint("add", `${alice.url}#${alice.id}`, "--yes", "--packages", "@alice/*");
    expect([added.exit, added.stderr]).toEqual([3, expect.stringMatching(/overlay\[0\] is not a name that exactly one index claims/)]);
    expect(await readFile(path.join(cwd, "imprint.json"), "utf8")).toBe(before);
    const over = await w.projectFolder("over", { indices: { alice: { index: alice, packages: ["lodash"] } }, overlay: ["lodash"] });
    const removed = await imprintIn({ home, cwd: over }, "remove", "alice");
    expect([removed.exit, removed.stderr]).toEqual([3, expect.stringMatching(/overlay has lodash, which it claims/)]);
  });

  it("X7 what is read is what is written", async () => {
    const bytes = await readFile(path.join(cwd, "imprint.json"));
    expect(Buffer.from(formatProject(parseProject(bytes))).toString()).toBe(bytes.toString());
  });
});

describe("trust diff", () => {
  it("X7 L1 an overlay that is added, an agreement that is weakened or left out: each is said, and widens", async () => {
    const now = parseProject(await readFile(path.join(cwd, "imprint.json")));
    const { agree, overlay: _, ...plain } = now;
    if (agree === undefined) throw new Error("there is an agreement");
    const said = (before: Project, after: Project): readonly string[] =>
      policyChanges({ project: before, lock: new Map() }, { project: after, lock: new Map() }).map(
        ({ text, widens }) => `${text}${widens ? " !" : ""}`,
      );
    expect(said({ ...plain, agree }, now)).toEqual(["lodash comes from alice over the public registry, before from alice !"]);
    expect(said(now, { ...now, agree: { ...agree, threshold: 1 } })).toEqual(
      agree.names.map((name) => `${name} comes from what 1 of alice, bob agree on, before from what 2 of alice, bob agree on !`),
    );
    expect(said({ ...plain, agree }, plain)).toEqual(
      agree.names.map((name) => `${name} comes from the public registry, before from what 2 of alice, bob agree on !`),
    );
  });
});

describe("rules that look at names", () => {
  it("X7 X9 scope lines, introductions, public search and clients' age gates know them", async () => {
    const project = parseProject(await readFile(path.join(cwd, "imprint.json")));
    expect(scopeOwners(project)("@shared")).toBe("alice+bob");
    await writeFile(path.join(cwd, ".npmrc"), "@shared:registry=https://example.org/\n");
    const ran = await imprint("run", "true");
    expect([ran.exit, ran.stderr]).toEqual([3, expect.stringMatching(/sends @shared to a registry of its own, but alice\+bob answers/)]);
    await writeFile(path.join(cwd, ".npmrc"), "");
    const { doc } = (await alice.state()).roots[0];
    const introductions = [{ id: bob.id, url: "https://example.org/i.git", packages: ["@shared/x", "lodash", "@new/*"] as never }];
    expect(openIntroductions(project, { ...doc, introductions }).map(({ packages }) => packages)).toEqual([["@new/*"]]);
    expect(reasonNotToAsk(project, "@shared/x")).toMatch(/indices agree on @shared\/x/);
    expect(reasonNotToAsk(project, "lodash")).toBeNull();
    const hit = (name: string): object => ({ package: { name, version: "1.0.0", description: "" } });
    expect(publicHits(project, { objects: ["@shared/x", "lodash", "react"].map(hit) as never }).hits.map(({ name }) => name)).toEqual([
      "react",
    ]);
    const aged = (...aliases: string[]): readonly string[] =>
      agedPatterns({
        ...project,
        indices: new Map(
          [...project.indices].map(([alias, entry]) => [alias, aliases.includes(alias) ? { ...entry, minAgeHours: 1 } : entry]),
        ),
      });
    // Not lodash: its public versions are not held back here. Not what one voter of two holds back.
    expect([aged("alice" as DisplayName), aged("alice", "bob")]).toEqual([[], ["@shared/x", "nowhere"]]);
  });
});
