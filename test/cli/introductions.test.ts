/** What an index's packages depend on elsewhere: claims or denials, by a consumer's word and never by an index's. */
import { execFileSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { add, type AddOptions } from "../../src/cli/commands/add.ts";
import { sync } from "../../src/cli/commands/sync.ts";
import { why } from "../../src/cli/commands/why.ts";
import { treeLines } from "../../src/cli/views/why.ts";
import type { Deps } from "../../src/cli/deps.ts";
import type { IndexId } from "../../src/format/digest.ts";
import type { PackagePattern } from "../../src/format/names.ts";
import { parseProject, type Project } from "../../src/format/project.ts";
import type { Introduction } from "../../src/format/root.ts";
import { addCommand, introducerOf, openIntroductions } from "../../src/registry/introductions.ts";
import { imprintIn } from "./in-process.ts";
import { silentTerminal, type TestIndex, type World, world } from "../support/world.ts";

let w: World;
let bob: TestIndex;
beforeAll(async () => {
  w = await world();
  bob = await w.index("bob");
  await bob.publish("@bob/x", "1.0.0");
});
afterAll(() => w.close());

const introduction = (packages: readonly string[], to: { readonly id: string; readonly url: string } = bob): Introduction => ({
  id: to.id as IndexId,
  url: to.url,
  packages: packages as readonly PackagePattern[],
});

let count = 0;
async function introducing(...introductions: readonly Introduction[]): Promise<TestIndex> {
  const name = `alice${String(++count)}`;
  const index = await w.index(name, { root: () => ({ introductions }) });
  await index.publish(`@${name}/a`, "1.0.0");
  return index;
}

type Shop = { readonly folder: string; readonly deps: Deps; readonly said: string[]; project(): Promise<Project> };

/** @param answers questions (a part of each) that somebody at a terminal says yes to; null: nobody is there */
async function shop(answers: readonly string[] | null = null, indices: Parameters<World["projectFolder"]>[1] = {}): Promise<Shop> {
  const folder = await w.projectFolder(`shop-${String(++count)}`, indices);
  const said: string[] = [];
  const deps = w.deps({ home: join(folder, "home"), cwd: folder, env: { IMPRINT_ALLOW_PRIVATE: "127.0.0.1" } });
  const terminal = {
    ...silentTerminal(said),
    interactive: answers !== null,
    askYes: async (question: string) => {
      said.push(`? ${question}`);
      return answers?.some((part) => question.includes(part)) ?? false;
    },
  };
  return { folder, deps: { ...deps, terminal }, said, project: async () => parseProject(await readFile(join(folder, "imprint.json"))) };
}

const adding = (index: TestIndex, more: Partial<AddOptions> = {}): AddOptions => ({
  url: `${index.url}#${index.id}`,
  as: undefined,
  packages: [],
  yes: true,
  npmrc: false,
  ...more,
});

describe("add", () => {
  it("X4 --yes denies every introduced name and says how to trust its index", async () => {
    const alice = await introducing(introduction(["@bob/*", "bobs-tool"]));
    const { deps, said, project } = await shop();
    const result = await add(adding(alice), deps);
    expect(result.introductions).toMatchObject([{ id: bob.id, claimed: [], denied: ["@bob/*", "bobs-tool"] }]);
    expect((await project()).upstream.deny).toEqual(["@bob/*", "bobs-tool"]);
    expect(said.join("\n")).toContain(`imprint add '${bob.url}#${bob.id}' --packages '@bob/*'`);
  });

  it("X4 a yes claims scoped names and locks the other index; unscoped ones are asked for one by one", async () => {
    const alice = await introducing(introduction(["@bob/*", "bobs-tool", "react"]));
    const { deps, folder, project } = await shop(["Add alice", "Take @bob/*", "Take bobs-tool"]);
    const result = await add(adding(alice, { yes: false }), deps);
    expect(result.introductions).toMatchObject([{ claimed: ["@bob/*", "bobs-tool"], denied: ["react"], refused: null }]);
    const { indices, upstream } = await project();
    expect(indices.get(bob.name)).toMatchObject({ id: bob.id, urls: [bob.url], packages: ["@bob/*", "bobs-tool"] });
    expect(upstream.deny).toEqual(["react"]);
    expect(
      Object.keys((JSON.parse(await readFile(join(folder, "imprint.lock"), "utf8")) as { indices: object }).indices).toSorted(),
    ).toEqual([alice.name, "bob"].toSorted());
  });

  it("X4 a no at the terminal denies", async () => {
    const alice = await introducing(introduction(["@bob/*"]));
    const { deps, project } = await shop(["Add alice"]);
    await add(adding(alice, { yes: false }), deps);
    expect((await project()).upstream.deny).toEqual(["@bob/*"]);
  });

  it("X4 --introductions claim asks nobody, and takes neither * nor unscoped names", async () => {
    const alice = await introducing(introduction(["@bob/*", "react", "*"]));
    const { deps, project } = await shop();
    await add(adding(alice, { introductions: "claim" }), deps);
    const { indices, upstream } = await project();
    expect(indices.get(bob.name)?.packages).toEqual(["@bob/*"]);
    expect(upstream).toMatchObject({ allow: ["*"], deny: ["react"] });
  });

  it("X4 an introduction of * alone neither claims nor switches the public registry off", async () => {
    const alice = await introducing(introduction(["*"]));
    const { deps, project, said } = await shop();
    await add(adding(alice), deps);
    const { indices, upstream } = await project();
    expect([[...indices.keys()], upstream.deny]).toEqual([[alice.name], []]);
    expect(said.join("\n")).toMatch(/introduces \* \(every name\) of .*: ignored/);
  });

  it("X4 names that are claimed or denied already are left alone, whoever introduces them", async () => {
    const carol = await w.index("carol");
    const mallory = await introducing(introduction(["@carol/secret", "@carol/*", "@denied/x"]));
    const { deps, project, said } = await shop(null, { indices: { carol: { index: carol } }, upstream: { deny: ["@denied/*"] } });
    const result = await add(adding(mallory, { introductions: "claim" }), deps);
    expect(result.introductions).toEqual([]);
    const { indices, upstream } = await project();
    expect([indices.get(carol.name)?.packages, upstream.deny, indices.size]).toEqual([["@carol/*"], ["@denied/*"], 2]);
    expect(said.join("\n")).not.toContain("depends on");
  });

  it.each([
    ["G7 a command as an address", "ext::sh -c true".replaceAll(" ", "%20")],
    ["G7 an option as an address", "--upload-pack=true"],
    ["G7 credentials in the address", "https://user:hunter2@host.example/x.git"],
    ["G7 a file", "file:///etc/passwd"],
  ])("%s is not followed, not shown, and its names are denied", async (_, url) => {
    const alice = await introducing(introduction(["@bob/*"], { id: bob.id, url }));
    const { deps, project, said } = await shop();
    const result = await add(adding(alice, { introductions: "claim" }), deps);
    expect(result.introductions).toMatchObject([
      { url: null, claimed: [], denied: ["@bob/*"], add: null, refused: expect.stringMatching(/INVALID_URL/) },
    ]);
    expect((await project()).upstream.deny).toEqual(["@bob/*"]);
    expect(said.join("\n")).not.toContain(url);
  });

  it("S1 an introduced address leads to no private machine", async () => {
    const alice = await introducing(introduction(["@bob/*"]));
    const { deps, project } = await shop();
    const result = await add(adding(alice, { introductions: "claim" }), { ...deps, privateHosts: new Set() });
    expect(result.introductions[0]?.refused).toMatch(/INVALID_URL/);
    expect((await project()).upstream.deny).toEqual(["@bob/*"]);
  });

  it("an introduction whose id is another's, or whose name is taken, is refused with its reason and denied", async () => {
    const wrong = await introducing(introduction(["@bob/*"], { id: "0".repeat(64), url: bob.url }));
    const first = await shop();
    expect((await add(adding(wrong, { introductions: "claim" }), first.deps)).introductions[0]?.refused).toMatch(/WRONG_ID/);
    expect((await first.project()).upstream.deny).toEqual(["@bob/*"]);
    const right = await introducing(introduction(["@bob/*"]));
    const second = await shop();
    expect((await add(adding(right, { as: "bob", introductions: "claim" }), second.deps)).introductions[0]?.refused).toMatch(/NAME_TAKEN/);
  });

  it("what an introduced index introduces itself is only said", async () => {
    const far = await w.index("far", { root: () => ({ introductions: [introduction(["@bob/*"])] }) });
    const alice = await introducing(introduction(["@far/*"], far));
    const { deps, project, said } = await shop();
    await add(adding(alice, { introductions: "claim" }), deps);
    const { indices, upstream } = await project();
    expect([indices.has(far.name), indices.has(bob.name), upstream.deny]).toEqual([true, false, []]);
    expect(said.join("\n")).toMatch(/it depends on @bob\/\* of .* in turn/);
  });
});

it("X4 the command line takes --introductions claim or deny, and nothing else", async () => {
  const alice = await introducing(introduction(["@bob/*"]));
  const type = async (how: string) => {
    const { folder, project } = await shop();
    const env = { IMPRINT_ALLOW_PRIVATE: "127.0.0.1" };
    const ran = await imprintIn(
      { home: join(folder, "home"), cwd: folder, env },
      "add",
      `${alice.url}#${alice.id}`,
      "--yes",
      "--json",
      "--introductions",
      how,
    );
    return { ran, project: await project() };
  };
  const claimed = await type("claim");
  expect(JSON.parse(claimed.ran.stdout)).toMatchObject({ added: true, introductions: [{ id: bob.id, claimed: ["@bob/*"], denied: [] }] });
  expect([...claimed.project.indices.keys()].toSorted()).toEqual([alice.name, bob.name].toSorted());
  const denied = await type("deny");
  expect([denied.project.indices.size, denied.project.upstream.deny]).toEqual([1, ["@bob/*"]]);
  expect((await type("follow")).ran.exit).toBe(2);
});

describe("afterwards", () => {
  it("X4 sync says in one line what is introduced since, and nothing once it is settled", async () => {
    const alice = await w.index(`alice${String(++count)}`);
    const { deps, folder, said } = await shop();
    await add(adding(alice), deps);
    await alice.changeRoot(() => ({ introductions: [introduction(["@bob/*"])] }));
    await sync({ frozen: false, only: [] }, deps);
    expect(said.filter((line) => line.includes("depends on @bob/*"))).toEqual([
      expect.stringContaining(`imprint add '${bob.url}#${bob.id}' --packages '@bob/*', or list them under upstream.deny`),
    ]);
    said.length = 0;
    const file = join(folder, "imprint.json");
    const text = await readFile(file, "utf8");
    await writeFile(file, text.replace(/"deny": \[\]/, '"deny": ["@bob/*"]'));
    await sync({ frozen: false, only: [] }, deps);
    expect(said.filter((line) => line.includes("depends on @bob/*"))).toEqual([]);
  });

  it("X4 a denied introduced name is never requested upstream, and the 403 says how to trust its index", async () => {
    const alice = await introducing(introduction(["@bob/*"]));
    await w.upstream.publish("@bob/x", "6.6.6");
    const consumer = await w.consumer({ indices: { [alice.name]: { index: alice } }, upstream: { deny: ["@bob/*"] } });
    await consumer.sync();
    const before = w.upstream.requests.length;
    const answer = await consumer.get("/@bob%2fx");
    expect(answer.status).toBe(403);
    expect(answer.json.error).toContain(`imprint add '${bob.url}#${bob.id}' --packages '@bob/*'`);
    expect((await consumer.get("/@bob/x/-/x-6.6.6.tgz")).status).toBe(403);
    expect(w.upstream.requests.slice(before)).toEqual([]);
  });
});

it("X4 why says who introduces a denied name, and how to trust its index", async () => {
  const alice = await introducing(introduction(["@bob/*"]));
  const { deps } = await shop();
  await add(adding(alice), deps);
  const { answer, tree } = await why("@bob/x", deps);
  expect([answer, treeLines(tree).join("\n")]).toEqual([
    "refused",
    expect.stringContaining(`${alice.name} introduces its index; to trust that, too: imprint add '${bob.url}#${bob.id}'`),
  ]);
  expect(treeLines((await why("@carol/x", deps)).tree).join("\n")).not.toContain("introduces");
});

describe("introductions", () => {
  const project = parseProject(Buffer.from('{"format":1,"indices":{},"upstream":{"deny":["@bob/*"]}}'));
  const elsewhere = { id: "0".repeat(64), url: "https://host.example/bob.git" };
  const root = { introductions: [introduction(["@bob/x", "@eve/y"], elsewhere), introduction(["@bob/*", "*"], elsewhere)] } as never;

  it("X4 only what imprint.json has no answer for is open", () => {
    expect(openIntroductions(project, root).map(({ packages }) => packages)).toEqual([["@eve/y"]]);
  });

  it("the closest introduction is named, and * names nobody", () => {
    expect(introducerOf("@bob/x" as never, [["alice", root]])?.introduction.packages).toEqual(["@bob/x"]);
    expect(introducerOf("react" as never, [["alice", root]])).toBeNull();
  });

  it("a line to paste has unscoped names only where there is nothing else", () => {
    expect(addCommand(introduction(["react", "@bob/*"], elsewhere))).toMatch(/--packages '@bob\/\*'$/);
    expect(addCommand(introduction(["bobs-tool"], elsewhere))).toMatch(/--packages 'bobs-tool'$/);
  });

  it("G7 the command is one command for a shell, whatever the address holds", () => {
    const url = "https://host.example/a';echo${IFS}owned;'$(echo${IFS}owned)";
    const command = addCommand(introduction(["@bob/*"], { id: "0".repeat(64), url })) ?? "";
    const words = execFileSync("sh", ["-c", `set -- ${command}; for word; do printf '%s\\n' "$word"; done`], { encoding: "utf8" });
    expect(words.trimEnd().split("\n")).toEqual(["imprint", "add", `${url}#${"0".repeat(64)}`, "--packages", "@bob/*"]);
  });
});
