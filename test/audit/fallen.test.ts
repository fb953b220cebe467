/** Releases of a lockfile that were withdrawn or yanked: found without a network, and without ever failing. */
import { writeFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fallenReleases, type FallenRelease } from "../../src/audit/fallen.ts";
import type { Version } from "../../src/format/versions.ts";
import { nodeFiles } from "../../src/storage/files.ts";
import { type TestConsumer, type TestIndex, type World, world } from "../support/world.ts";

let w: World;
let alice: TestIndex;
let consumer: TestConsumer;
let folder: string;

beforeAll(async () => {
  w = await world();
  alice = await w.index("alice");
  for (const version of ["1.0.0", "1.1.0", "1.2.0"]) await alice.publish("@alice/a", version);
  const indices = { alice: { index: alice } };
  consumer = await w.consumer({ indices });
  folder = await w.projectFolder("shop", { indices });
  const entry = (version: string): object => ({ version, integrity: `sha512-${"A".repeat(86)}==` });
  const packages = {
    "node_modules/@alice/a": entry("1.0.0"),
    "node_modules/x/node_modules/@alice/a": entry("1.1.0"),
    "node_modules/y/node_modules/@alice/a": entry("1.2.0"),
    "node_modules/react": entry("1.0.0"),
  };
  await writeFile(`${folder}/package-lock.json`, JSON.stringify({ lockfileVersion: 3, packages }));
  await writeFile(`${folder}/yarn.lock`, "what is this");
});
afterAll(() => w.close());

async function fallen(read: "remembered" | "newest"): Promise<readonly FallenRelease[]> {
  const readers = new Map([...consumer.indices].map(([alias, { reader }]) => [alias, reader] as const));
  return fallenReleases({ files: nodeFiles(), folder, project: consumer.project, readers, read });
}

describe("releases that their authors took back", () => {
  it("none, before an index was ever synced and while nothing is taken back", async () => {
    expect(await fallen("newest")).toEqual([]);
    await consumer.sync();
    expect(await fallen("newest")).toEqual([]);
  });

  it("are named with version, reason and place; what this machine last read will do where no host is asked", async () => {
    await alice.amend("@alice/a", ({ releases }) => ({
      yanked: new Map([["1.1.0" as Version, "slow"]]),
      withdrawn: new Map([["1.0.0" as Version, "stolen"]]),
      releases: new Map([...releases].filter(([version]) => version !== "1.0.0")),
    }));
    await consumer.sync();
    expect(await fallen("remembered")).toEqual([]);
    const told = [
      {
        name: "@alice/a",
        version: "1.0.0",
        state: "withdrawn",
        reason: "stolen",
        alias: "alice",
        lockfile: "package-lock.json",
        path: "node_modules/@alice/a",
      },
      {
        name: "@alice/a",
        version: "1.1.0",
        state: "yanked",
        reason: "slow",
        alias: "alice",
        lockfile: "package-lock.json",
        path: "node_modules/x/node_modules/@alice/a",
      },
    ];
    expect(await fallen("newest")).toEqual(told);
    alice.down();
    expect(await fallen("remembered")).toEqual(told);
    alice.up();
  });

  it("a folder that is not there, and lockfiles that cannot be read, say nothing", async () => {
    const readers = new Map();
    expect(await fallenReleases({ files: nodeFiles(), folder: "/nowhere", project: consumer.project, readers, read: "newest" })).toEqual(
      [],
    );
    expect(await fallenReleases({ files: nodeFiles(), folder, project: consumer.project, readers, read: "newest" })).toEqual([]);
  });
});
