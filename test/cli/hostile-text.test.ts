/** S3, D1: what packages, their authors and hosts say, on a terminal and in a browser. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Version } from "../../src/format/versions.ts";
import { commitHosted } from "../support/git-host.ts";
import { type TestIndex, type World, world } from "../support/world.ts";
import { imprintIn } from "./in-process.ts";

const ESCAPES = "\u001B[2J\u001B]0;owned\u0007\u009B31m\u202E\r\nfake line\u2028";
const HTML = `<script>alert(1)</script><img src=x onerror=alert(1)>`;
/** Tags, selectors, fillers, joiners, the blank of Braille. */
const HIDDEN = "\u{E0001}\u{E0061}\uFE0E\u{E0100}\u3164\u115F\uFFA0\u2066\u2800\u034F";
const HOSTILE = `${ESCAPES}${HIDDEN}${HTML}`;
/** All that could move a cursor, set a title, turn the direction, begin a line of its own, or stand there unseen. */
const CONTROL = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]/u;

let w: World;
let alice: TestIndex;
let shop: string;
let home: string;

beforeAll(async () => {
  w = await world();
  alice = await w.index("alice");
  const packageJson = {
    description: HOSTILE,
    license: HOSTILE,
    homepage: HOSTILE,
    keywords: ["words", HOSTILE],
    author: { name: HOSTILE },
    dependencies: { "@alice/old": HOSTILE },
  };
  await alice.publish("@alice/words", "1.0.0", { packageJson, files: { "README.md": HOSTILE } });
  await alice.publish("@alice/words", "1.1.0", { packageJson });
  await alice.publish("@alice/words", "1.2.0", { packageJson });
  await alice.amend("@alice/words", () => ({
    deprecated: new Map([["1.0.0" as Version, HOSTILE]]),
    yanked: new Map([["1.1.0" as Version, HOSTILE]]),
  }));
  shop = await w.projectFolder("shop", { indices: { alice: { index: alice } }, upstream: { allow: [] } });
  home = join(w.folder, "visitor");
  mkdirSync(home);
});
afterAll(() => w.close());

describe("S3 on a terminal", () => {
  it.each([
    [["sync"]],
    [["list"]],
    [["view", "@alice/words"]],
    [["view", "@alice/words@1.0.0"]],
    [["view", "@alice/words@1.1.0"]],
    [["search", "words"]],
    [["why", "@alice/words"]],
    [["trust", "show"]],
    [["trust", "history"]],
    [["doctor"]],
    [["view", `@alice/${ESCAPES}${HIDDEN}`]],
    [["why", `x${ESCAPES}${HIDDEN}`]],
    [["add", `https://host.example/${ESCAPES}${HIDDEN}`]],
    [["add", `https://host.example/x${HIDDEN}.git#${"a".repeat(64)}`]],
    [["-C", `nowhere${HIDDEN}`, "list"]],
  ])("S3, D1 imprint %j prints no control character but line ends", async (argv) => {
    const { stdout, stderr } = await imprintIn({ home, cwd: shop }, ...argv);
    for (const line of `${stdout}\n${stderr}`.split("\n")) expect(line).not.toMatch(CONTROL);
  });

  it.each([
    [["list"]],
    [["view", "@alice/words"]],
    [["view", "@alice/words@1.1.0"]],
    [["search", "words"]],
    [["why", "@alice/words"]],
    [["trust", "show"]],
    [["doctor"]],
    [["view", `@alice/${ESCAPES}${HIDDEN}`]],
    [["why", `x${HIDDEN}`]],
  ])("D1 imprint %j --json escapes them, and is the same data", async (argv) => {
    const { stdout, stderr } = await imprintIn({ home, cwd: shop }, ...argv, "--json");
    expect(stdout).not.toBe("");
    for (const line of `${stdout}\n${stderr}`.split("\n")) expect(line).not.toMatch(CONTROL);
    for (const line of stdout.trim().split("\n")) expect(() => JSON.parse(line) as unknown).not.toThrow();
    if (argv[0] === "view" && argv[1] === "@alice/words") expect(stdout).toContain("\\udb40\\udc61");
  });

  it("S3 what is said is still readable there, on lines of its own", async () => {
    const { stdout } = await imprintIn({ home, cwd: shop }, "view", "@alice/words");
    expect(stdout).toContain(HTML);
    expect(stdout.split("\n").filter((line) => line.startsWith("fake line"))).toEqual([]);
  });

  it("S3 verify names a file whose text is hostile without repeating its controls", async () => {
    const honest = alice.head();
    const files = await Promise.all(alice.paths().map(async (file) => [file, await alice.read(file)] as const));
    commitHosted(alice.gitDir, { ...Object.fromEntries(files), "packages/00/\\033[2Jfake.json": "{}" });
    const { exit, stdout, stderr } = await imprintIn({ home, cwd: shop }, "verify", `${alice.url}#${alice.id}`);
    alice.reset(honest);
    expect([exit, stdout + stderr]).toEqual([4, expect.stringContaining("fake.json")]);
    for (const line of `${stdout}\n${stderr}`.split("\n")) expect(line).not.toMatch(CONTROL);
  });
});

describe("S3 in a browser", () => {
  it.each([
    "/@alice%2fwords",
    "/@alice/words/1.2.0",
    "/@alice/words/latest",
    "/-/v1/search?text=words",
    "/-/package/@alice%2fwords/dist-tags",
    "/",
    `/${encodeURIComponent(HTML)}`,
    `/@alice/words/${encodeURIComponent(HTML)}`,
    `/-/v1/search?text=${encodeURIComponent(HTML)}`,
  ])("S3 %s is answered with JSON, never as a page", async (path) => {
    const c = await w.consumer({ indices: { alice: { index: alice } }, upstream: { allow: [] } });
    const { headers, json } = await c.get(path, { accept: "text/html,application/xhtml+xml,*/*;q=0.8" });
    expect(headers.get("content-type")).toMatch(/^application\/(json|vnd\.npm\.install-v1\+json)(;|$)/u);
    expect(json).not.toBeNull();
  });

  it("S3 an error is one line, whatever was asked for", async () => {
    const c = await w.consumer({ indices: { alice: { index: alice } }, upstream: { allow: [] } });
    const { json } = await c.get(`/@alice/words/${encodeURIComponent(ESCAPES)}`);
    expect(json.error).not.toMatch(CONTROL);
  });

  it.each([`/@alice/words/${encodeURIComponent(HIDDEN)}`, `/${encodeURIComponent(`x${HIDDEN}`)}`])(
    "D1 the error for %s hides nothing",
    async (path) => {
      const c = await w.consumer({ indices: { alice: { index: alice } }, upstream: { allow: [] } });
      const { json, text } = await c.get(path);
      expect(json.error).not.toBe("");
      expect(text).not.toMatch(CONTROL);
    },
  );
});
