/** G7: addresses that would run a program, read a file or give a secret away, wherever an address may stand. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { PackageName } from "../../src/format/names.ts";
import { imprintIn } from "../cli/in-process.ts";
import { type TestIndex, type World, world } from "../support/world.ts";

let w: World;
let alice: TestIndex;
let marker: string;
let shops = 0;

beforeAll(async () => {
  w = await world();
  marker = join(w.folder, "ran");
  alice = await w.index("alice");
  await alice.publish("@alice/a", "1.0.0");
});
afterAll(() => w.close());

const hostile = (): readonly string[] => [
  `ext::sh -c touch% ${marker}`,
  `ext::sh%20-c%20touch%20${marker}`,
  `--upload-pack=touch ${marker}`,
  `--upload-pack=touch\t${marker}`,
  `-u`,
  `https://127.0.0.1:1/x\n--upload-pack=touch`,
  `file://${join(w.folder, "hosted", "alice.git")}`,
  `fd::17`,
  `https://user:hunter2@127.0.0.1:1/alice.git`,
  `ssh://-oProxyCommand=touch${marker}/x`,
];

describe("G7 in imprint.json", () => {
  it.each([...Array(10).keys()])("G7 hostile address %i stops sync before it is asked, and shows no secret", async (at) => {
    const address = hostile()[at] as string;
    const shop = await w.projectFolder(`shop-${String(++shops)}`, { indices: { alice: { index: alice } } });
    const file = join(shop, "imprint.json");
    writeFileSync(file, readFileSync(file, "utf8").replace(JSON.stringify(alice.url), JSON.stringify(address)));
    const home = join(w.folder, `home-g7-${String(shops)}`);
    mkdirSync(home);
    const { exit, stderr, stdout } = await imprintIn({ home, cwd: shop }, "sync");
    expect(exit).toBeGreaterThan(0);
    expect(stderr).toMatch(/INVALID_URL|CONFIG_INVALID/u);
    expect(stdout + stderr).not.toContain("hunter2");
    expect(existsSync(marker)).toBe(false);
  });
});

describe("G7 in a root", () => {
  it.each([...Array(10).keys()])(
    "G7 (system, isomorphic) hostile address %i as a mirror or a place of tarballs is not asked",
    async (at) => {
      const address = (hostile()[at] as string).replaceAll(/[ \t\n]/gu, "%20");
      const name = `g7x${String(at)}`;
      const make = (): Promise<TestIndex> => w.index(name, { root: () => ({ mirrors: [address], tarballs: [`git+${address}`] }) });
      // What cannot even be an address is no root: its own author is told so.
      if (!/^[a-z]+:/u.test(address)) return expect(make()).rejects.toMatchObject({ code: "INVALID_DOCUMENT" });
      const index = await make();
      const pkg = `@${name}/a` as PackageName;
      await index.publish(pkg, "1.0.0");
      for (const through of ["system", "isomorphic"] as const) {
        const c = await w.consumer({ through, indices: { [name]: { index } } });
        await c.sync();
        expect(await c.verdicts(pkg)).toEqual({ "1.0.0": "ok" });
        const answer = await c.get(`/${pkg}/-/a-1.0.0.tgz`);
        // An honest host that cannot be reached is all that one of them could be.
        const expected = address.startsWith("https://127.0.0.1:1/x") ? [503, "UNREACHABLE"] : [403, "MISSING_FILE"];
        expect([answer.status, answer.json.code, answer.text.includes("hunter2")]).toEqual([...expected, false]);
        index.down();
        await c.sync().catch(() => null);
        expect(c.warnings.some(({ message }) => message.includes("hunter2"))).toBe(false);
        index.up();
        expect(existsSync(marker)).toBe(false);
      }
    },
  );
});
