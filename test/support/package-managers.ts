/** The package managers that the tests bring along, each alone in a folder for the PATH, as if it were installed. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

export type Installed = "npm" | "pnpm" | "yarn 1" | "yarn 4" | "bun";
export const INSTALLED: readonly Installed[] = ["npm", "pnpm", "yarn 1", "yarn 4", "bun"];

/** Alias in package.json, and the program in there; bun's is a binary, in a package for each platform. */
const FROM: Readonly<Record<Exclude<Installed, "bun">, readonly [alias: string, file: string]>> = {
  npm: ["npm-11", "bin/npm-cli.js"],
  pnpm: ["pnpm-10", "bin/pnpm.cjs"],
  "yarn 1": ["yarn-1", "bin/yarn.js"],
  "yarn 4": ["yarn-4", "bin/yarn.js"],
};

// Not by require.resolve: pnpm exports no package.json.
const NODE_MODULES = fileURLToPath(new URL("../../node_modules", import.meta.url));

export function programOf(installed: Installed): string {
  return installed.replace(/ .*/, "");
}

/** The version that package.json pins. */
export function versionOf(installed: Installed): string {
  const alias = installed === "bun" ? "bun-1" : FROM[installed][0];
  return (JSON.parse(readFileSync(path.join(NODE_MODULES, alias, "package.json"), "utf8")) as { version: string }).version;
}

/** Makes `<folder>/<program>` and returns `folder`. */
export function installInto(folder: string, installed: Installed): string {
  mkdirSync(folder, { recursive: true });
  const program = path.join(folder, programOf(installed));
  const words = installed === "bun" ? [bunBinary()] : [process.execPath, path.join(NODE_MODULES, ...FROM[installed])];
  writeFileSync(program, `#!/bin/sh\nexec ${words.map((word) => `'${word}'`).join(" ")} "$@"\n`, { mode: 0o755 });
  return folder;
}

/** Its postinstall would copy it to node_modules/.bin; our installs run no scripts. */
function bunBinary(): string {
  const platform = `bun-${process.platform}-${process.arch === "arm64" ? "aarch64" : process.arch}`;
  // npm installs the one for the libc here.
  const binaries = [platform, `${platform}-musl`].map((name) => path.join(NODE_MODULES, "@oven", name, "bin", "bun"));
  const there = binaries.find((file) => existsSync(file));
  if (there === undefined) throw new Error(`no bun for ${platform} in node_modules`);
  return there;
}

/** For programs that set up a project, such as yarn 4's install: no network, no telemetry, nobody's settings. */
export const QUIET: NodeJS.ProcessEnv = {
  npm_config_registry: "http://127.0.0.1:9/",
  YARN_ENABLE_TELEMETRY: "0",
  YARN_ENABLE_GLOBAL_CACHE: "0",
  COREPACK_ENABLE_NETWORK: "0",
  CI: "1",
};
