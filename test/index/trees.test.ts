/** G5: git trees that no honest tool makes, on the path of what is read and beside it. Plain files have no trees. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { PackageName } from "../../src/format/names.ts";
import { recordPath, releasePath } from "../../src/format/paths.ts";
import type { Version } from "../../src/format/versions.ts";
import type { ObjectId } from "../../src/git/port.ts";
import { commitHosted, type HostedFile } from "../support/git-host.ts";
import { type TestIndex, type World, world } from "../support/world.ts";

const A = "@alice/a" as PackageName;
const B = "@alice/b" as PackageName;
const FILES = { release: releasePath(A, "1.1.0" as Version), record: recordPath(A) } as const;

let w: World;
let alice: TestIndex;
let honest: ObjectId;

beforeAll(async () => {
  w = await world();
  alice = await w.index("alice");
  await alice.publish(A, "1.0.0");
  await alice.publish(A, "1.1.0");
  await alice.publish(B, "1.0.0");
  honest = alice.head();
});
afterEach(() => alice.reset(honest));
afterAll(() => w.close());

describe.each(["system", "isomorphic"] as const)("trees that a host makes, through %s git", (kind) => {
  const all = async (): Promise<Record<string, HostedFile>> =>
    Object.fromEntries(await Promise.all(alice.paths().map(async (path) => [path, await alice.read(path)] as const)));
  const folder = FILES.record.slice(0, FILES.record.lastIndexOf("/"));

  it.each<[string, (files: Record<string, HostedFile>) => void, string]>([
    ["a link in the place of a release", (files) => void (files[FILES.release] = { mode: "120000", target: "1.0.0.json" }), FILES.release],
    ["a link in the place of a record", (files) => void (files[FILES.record] = { mode: "120000", target: "../shard.json" }), FILES.record],
    [
      "a link in the place of the folder",
      (files) => {
        for (const path of Object.keys(files).filter((file) => file.startsWith(`${folder}/`))) {
          files[path.replace(folder, "elsewhere")] = files[path] as HostedFile;
          delete files[path];
        }
        files[folder] = { mode: "120000", target: "../../elsewhere" };
      },
      FILES.record,
    ],
    [
      "a submodule in the place of the folder",
      (files) => {
        for (const path of Object.keys(files)) if (path.startsWith(`${folder}/`)) delete files[path];
        files[folder] = { mode: "160000", target: "1".repeat(40) };
      },
      FILES.record,
    ],
  ])("G5 %s: refused by name, others serve", async (_, change, file) => {
    const files = await all();
    change(files);
    commitHosted(alice.gitDir, files);
    const c = await w.consumer({ through: kind, indices: { alice: { index: alice } } });
    await c.sync();
    await expect(c.read(A)).rejects.toMatchObject({ code: "MISSING_FILE", step: "reading 6", file });
    expect(await c.verdicts(B)).toEqual({ "1.0.0": "ok" });
  });

  it("G5 links out of the tree, submodules, names that differ by case, and deep folders beside what is read: never looked at", async () => {
    const outside = join(w.folder, `outside-${kind}`);
    commitHosted(alice.gitDir, {
      ...(await all()),
      "link-out": { mode: "120000", target: outside },
      "packages/zz": { mode: "120000", target: "/etc" },
      submodule: { mode: "160000", target: "2".repeat(40) },
      "CHECKPOINT.json": "{}",
      "Trust/1.json": "{}",
      [`${"d/".repeat(900)}file`]: "x",
    });
    const c = await w.consumer({ through: kind, indices: { alice: { index: alice } } });
    const before = readdirSync(w.folder);
    await c.sync();
    expect(await c.verdicts(A)).toEqual({ "1.0.0": "ok", "1.1.0": "ok" });
    expect(c.warnings).toEqual([]);
    expect(readdirSync(w.folder).filter((name) => !before.includes(name) && !c.home.endsWith(name))).toEqual([]);
    expect(readdirSync(c.home).filter((name) => ["link-out", "submodule", ".git"].includes(name))).toEqual([]);
  });
});
