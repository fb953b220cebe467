/** Files beside the lockfile that a case may bring along, and changes to package.json. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { Random } from "../random.ts";
import type { Scene } from "./scene.ts";

const EVIL_INDEX = 'module.exports = "EVIL";\n';

/** Folders and a tarball without a signature. They are always there, so that a lockfile that leads to them finds them. */
export function putEvil(folder: string, { evilTarball }: Scene): void {
  for (const at of ["evil", "packages/a"]) {
    mkdirSync(path.join(folder, at), { recursive: true });
    writeFileSync(path.join(folder, at, "package.json"), JSON.stringify({ name: at === "evil" ? "evil" : "not-a", version: "1.1.0" }));
    writeFileSync(path.join(folder, at, "index.js"), EVIL_INDEX);
  }
  writeFileSync(path.join(folder, "evil.tgz"), evilTarball);
  writeFileSync(
    path.join(folder, "evil.patch"),
    "diff --git a/index.js b/index.js\n--- a/index.js\n+++ b/index.js\n@@ -1 +1 @@\n-x\n+EVIL\n",
  );
}

export function changeBeside(folder: string, lockfile: string, random: Random, { evilIntegrity, trap }: Scene): string {
  const put = (name: string, content: string): void => writeFileSync(path.join(folder, name), content);
  const manifest = (edit: (json: Record<string, unknown>) => void): void => {
    const json = JSON.parse(readFileSync(path.join(folder, "package.json"), "utf8")) as Record<string, unknown>;
    edit(json);
    put("package.json", JSON.stringify(json, null, 2));
  };
  const target = random.pick([
    "npm:evil@1.0.0",
    "file:evil",
    "link:evil",
    "file:evil.tgz",
    `${trap}evil.tgz`,
    "./evil",
    "patch:@alice/a@npm%3A1.1.0#./evil.patch",
    "github:evil/evil",
  ]);
  const kinds: readonly (readonly [string, () => void])[] = [
    ["bun.lockb", () => put("bun.lockb", "\0")],
    [
      "npm-shrinkwrap.json",
      () =>
        put(
          "npm-shrinkwrap.json",
          JSON.stringify({
            lockfileVersion: 3,
            packages: { "": {}, "node_modules/@alice/a": { version: "1.1.0", resolved: `${trap}evil.tgz`, integrity: evilIntegrity } },
          }),
        ),
    ],
    [
      "pnpm-lock.main.yaml",
      () =>
        put(
          "pnpm-lock.main.yaml",
          `lockfileVersion: '9.0'\npackages:\n  '@alice/a@1.1.0':\n    resolution: {integrity: ${evilIntegrity}}\n`,
        ),
    ],
    ["package.json overrides", () => manifest((json) => (json["overrides"] = { "@alice/a": target }))],
    [
      "package.json resolutions",
      () => manifest((json) => (json["resolutions"] = { [random.pick(["@alice/a", "**/@alice/b", "@alice/a/@alice/b"])]: target })),
    ],
    ["package.json dependency", () => manifest((json) => ((json["dependencies"] as Record<string, string>)["@alice/a"] = target))],
    ["package.json patches", () => manifest((json) => (json["patchedDependencies"] = { "@alice/a@1.1.0": "evil.patch" }))],
    ["package.json workspaces", () => manifest((json) => (json["workspaces"] = ["evil", "packages/*"]))],
    ["pnpm-workspace.yaml", () => put("pnpm-workspace.yaml", `packages: []\noverrides:\n  '@alice/a': ${target}\n`)],
    ["deno.json", () => put("deno.json", JSON.stringify({ imports: { "@alice/a": target }, links: ["./evil"] }))],
    [
      "hidden lockfile",
      () => {
        mkdirSync(path.join(folder, "node_modules", "@alice", "a"), { recursive: true });
        writeFileSync(path.join(folder, "node_modules", ".package-lock.json"), readFileSync(path.join(folder, lockfile)));
      },
    ],
  ];
  const [name, change] = random.pick(kinds);
  change();
  return name;
}
