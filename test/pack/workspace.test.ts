/** The packages of a workspace, as each package manager lists them. */
import { mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readWorkspace } from "../../src/pack/workspace.ts";

let root: string;
beforeEach(async () => {
  root = await realpath(await mkdtemp(path.join(tmpdir(), "imprint-test-")));
  await mkdir(path.join(root, ".git"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function workspace(rootJson: object, files: Readonly<Record<string, string>> = {}): Promise<void> {
  const packages = ["packages/a", "packages/b", "tools/c", "packages/a/node_modules/x"].map((dir) => [
    `${dir}/package.json`,
    `{"name":"${path.basename(dir)}"}`,
  ]);
  for (const [file, content] of [
    ["package.json", JSON.stringify(rootJson)],
    ["packages/none/readme.md", ""],
    ...packages,
    ...Object.entries(files),
  ] as const) {
    await mkdir(path.dirname(path.join(root, file)), { recursive: true });
    await writeFile(path.join(root, file), content);
  }
}

const listed = async (): Promise<readonly string[]> =>
  (await readWorkspace(root)).map(({ dir, isRoot }) => (isRoot ? "root" : path.relative(root, dir) || "."));

test.each<readonly [string, object, Readonly<Record<string, string>>, readonly string[]]>([
  ["a list", { workspaces: ["packages/*"] }, {}, ["packages/a", "packages/b", "root"]],
  [
    "an object, of yarn 1 and bun",
    { workspaces: { packages: ["./packages/*", "tools/c"], nohoist: [] } },
    { "bun.lock": "" },
    ["packages/a", "packages/b", "tools/c", "root"],
  ],
  ["what is left out again", { workspaces: ["**", "!packages/b"] }, {}, ["packages/a", "tools/c", "root"]],
  [
    "pnpm's file, not the field",
    { workspaces: ["packages/*"] },
    { "pnpm-workspace.yaml": "packages:\n  - 'tools/**'\n" },
    ["tools/c", "root"],
  ],
  [
    "the field, not another's file",
    { workspaces: ["packages/b"], packageManager: "yarn@4.0.0" },
    { "pnpm-workspace.yaml": "packages: ['tools/*']" },
    ["packages/b", "root"],
  ],
  ["no match", { workspaces: ["nowhere/*"] }, {}, ["root"]],
])("%s", async (_, rootJson, files, expected) => {
  await workspace(rootJson, files);
  expect(await listed()).toEqual(expected);
});

test.each<readonly [string, object, Readonly<Record<string, string>>, string, RegExp]>([
  ["no field", {}, {}, "USAGE", /package\.json has no workspaces \(with npm/],
  [
    "pnpm without its file",
    { packageManager: "pnpm@10.0.0", workspaces: ["packages/*"] },
    {},
    "USAGE",
    /no pnpm-workspace\.yaml with packages \(with pnpm: packageManager/,
  ],
  ["a file of settings only", {}, { "pnpm-workspace.yaml": "nodeLinker: hoisted\n" }, "USAGE", /no pnpm-workspace\.yaml with packages/],
  ["a file that is not YAML", {}, { "pnpm-workspace.yaml": "packages: [\n" }, "PACKAGE_REFUSED", /Cannot read .*pnpm-workspace\.yaml/],
  ["one name twice", { workspaces: ["packages/*"] }, { "packages/d/package.json": '{"name":"a"}' }, "PACKAGE_REFUSED", /'a'/],
])("refuses %s", async (_, rootJson, files, code, words) => {
  await workspace(rootJson, files);
  await expect(readWorkspace(root)).rejects.toMatchObject({ code, message: expect.stringMatching(words) as string });
});
