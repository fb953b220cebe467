/** `imprint sync` says what is new, in words. */
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { PackagePattern } from "../../src/format/names.ts";
import type { Version } from "../../src/format/versions.ts";
import type { SyncedIndex } from "../../src/cli/commands/sync.ts";
import { imprintIn, type Ran } from "./in-process.ts";
import { publicKeyOf, strangerKey, type TestIndex, type World, world } from "../support/world.ts";

let w: World;
let alice: TestIndex;
let shop: string;

beforeAll(async () => {
  w = await world({ startMs: Date.now() - 40 * 86_400_000 });
  alice = await w.index("alice");
  await alice.publish("@alice/a", "1.0.0");
  await alice.publish("@alice/a", "1.1.0");
  await alice.publish("@alice/unread", "1.0.0");
  shop = await w.projectFolder("shop", { indices: { alice: { index: alice } } });
});
afterAll(() => w.close());

const imprint = (...argv: readonly string[]): Promise<Ran> => imprintIn({ home: path.join(w.folder, "home"), cwd: shop }, ...argv);
/** What stands below the index's own line. */
const news = ({ stderr }: Ran): string[] =>
  stderr
    .split("\n")
    .filter((line) => line.startsWith("  "))
    .map((line) => line.trim());

describe("imprint sync", () => {
  it("says nothing the first time, and nothing where nothing changed", async () => {
    const first = await imprint("sync");
    expect([first.exit, news(first), first.stderr]).toEqual([0, [], expect.stringMatching(/alice has news/)]);
    expect(news(await imprint("sync"))).toEqual([]);
  });

  it("names releases, yanks, deprecations, withdrawals and tags of packages that this machine has read; counts the others", async () => {
    expect((await imprint("why", "@alice/a")).exit).toBe(0);
    await alice.publish("@alice/a", "1.2.0");
    await alice.amend("@alice/a", () => ({
      yanked: new Map([["1.1.0" as Version, "slow"]]),
      deprecated: new Map([["1.0.0" as Version, "old"]]),
    }));
    await alice.publish("@alice/unread", "1.1.0");
    await alice.publish("@alice/fresh", "1.0.0");
    expect(news(await imprint("sync"))).toEqual([
      "@alice/a 1.2.0 released, 1.1.0 yanked, 1.0.0 deprecated, tag latest → 1.2.0",
      "@alice/fresh is new",
      "and 1 more package changed",
    ]);
    await alice.publish("@alice/a", "2.0.0", { tag: "beta" });
    await alice.amend("@alice/a", ({ releases }) => ({
      yanked: new Map(),
      deprecated: new Map(),
      withdrawn: new Map([["1.0.0" as Version, "stolen"]]),
      releases: new Map([...releases].filter(([version]) => version !== "1.0.0")),
    }));
    expect(news(await imprint("sync"))).toEqual(["@alice/a 2.0.0 released, 1.0.0 withdrawn, 1.1.0 unyanked, tag beta → 2.0.0"]);
  });

  it("says what a new root changes: keys, names, mirrors, introductions", async () => {
    const key = publicKeyOf(strangerKey());
    await alice.changeRoot(({ roles, publishers }) => ({
      roles: { ...roles, checkpoint: { keys: [...roles.checkpoint.keys, key], threshold: 1 } },
      publishers: publishers.map((entry) => ({ ...entry, packages: [...entry.packages, "left-padder" as PackagePattern] })),
      introductions: [{ id: alice.id, url: "https://bob.example/index.git", packages: ["@bob/*" as PackagePattern] }],
    }));
    const [line, ...others] = news(await imprint("sync"));
    expect(others).toEqual([]);
    expect(line).toMatch(
      /^root 2: checkpoint key ed25519:.{4}….{3} added, it may publish left-padder, it introduces @bob\/\* at https:\/\/bob\.example\/index\.git#[0-9a-f]{64}; imprint add takes it, or deny it upstream$/,
    );
    await alice.changeRoot(({ roles }) => ({
      roles: { ...roles, checkpoint: { keys: roles.checkpoint.keys.filter((one) => one !== key), threshold: 1 } },
      introductions: [],
    }));
    expect(news(await imprint("sync"))[0]).toMatch(/^root 3: checkpoint key .* removed, it no longer introduces @bob/);
    // G7 what an index says of addresses is shown without the credentials that stand in them.
    await alice.changeRoot(() => ({
      mirrors: ["https://user:hunter2@mirror.example/index.git"],
      introductions: [{ id: alice.id, url: "https://user:hunter2@eve.example/index.git", packages: ["@eve/*" as PackagePattern] }],
    }));
    const said = await imprint("sync");
    expect(news(said)[0]).toMatch(/^root 4: .*mirror\.example.*@eve\/\* at https:.*eve\.example/);
    expect(`${said.stdout}${said.stderr}`).not.toContain("hunter2");
  });

  it("what an index publishes outside its claim is no news; a squashed host hides nothing of what was read", async () => {
    const wide = await w.index("wide", { packages: ["*"] });
    await wide.publish("@wide/x", "1.0.0");
    const cwd = await w.projectFolder("wide-shop", { indices: { wide: { index: wide, packages: ["@wide/*"] } } });
    const run = (...argv: readonly string[]): Promise<Ran> => imprintIn({ home: path.join(w.folder, "home-wide"), cwd }, ...argv);
    await run("sync");
    await run("why", "@wide/x");
    await wide.publish("elsewhere", "1.0.0");
    expect(news(await run("sync"))).toEqual([]);
    await wide.publish("@wide/x", "1.1.0");
    wide.squash();
    expect(news(await run("sync"))).toEqual(["@wide/x 1.1.0 released, tag latest → 1.1.0"]);
  });

  it("--json has the same as data", async () => {
    await alice.publish("@alice/a", "2.1.0");
    const [synced] = JSON.parse((await imprint("sync", "--json")).stdout) as SyncedIndex[];
    expect(synced?.news).toMatchObject({
      roots: [],
      packages: [{ name: "@alice/a", released: ["2.1.0"], tags: { latest: "2.1.0" } }],
      added: [],
      more: 0,
    });
  });
});
