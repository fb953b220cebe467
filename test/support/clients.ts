/**
 * The clients of the matrix: how each is started, and how it says install, add, view and so on. Facts about a client stand
 * here and in test/clients.json, and nowhere else in the tests.
 *
 * Those of CI come with `npm ci`. The others, and the newer Node that some of them need, are installed into a cache
 * folder by `npm run test:clients`.
 */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

export type Family = "npm" | "pnpm" | "yarn 1" | "yarn 4" | "bun" | "deno" | "vlt";

export type Words = readonly string[];

/** What a client is asked to do; null where it has no such command. */
export type Commands = {
  /** Everything that package.json asks for. */
  readonly install: Words;
  /** Exactly the lockfile. */
  readonly frozen: Words | null;
  readonly add: (spec: string) => Words;
  readonly update: (name: string) => Words | null;
  readonly view: (name: string) => Words | null;
  /** Runs the program of a package that is not installed. */
  readonly exec: (spec: string, program: string) => Words | null;
  readonly global: (spec: string, folder: string) => Words | null;
  readonly signatures: Words | null;
};

export type Client = {
  /** As test/clients.json names it: `npm 12`, `bun`. */
  readonly id: string;
  readonly family: Family;
  /** npm spec that is installed. */
  readonly spec: string;
  /** Program and first arguments. */
  readonly program: Words;
  /** The name of its program on a PATH. */
  readonly called: string;
  readonly commands: Commands;
  readonly lockfile: string;
  /** Files that a project of such a user has besides package.json. */
  readonly files: Readonly<Record<string, unknown>>;
  readonly env: NodeJS.ProcessEnv;
};

const NODE_MODULES = fileURLToPath(new URL("../../node_modules", import.meta.url));
/** Outside the checkout, so that a fresh clone finds what an older one installed. */
export const CLIENTS_FOLDER = process.env["IMPRINT_CLIENTS_FOLDER"] ?? path.join(homedir(), ".cache", "imprint-clients");
const NODE_SPEC = `node-${process.platform}-${process.arch}@24.21.0`;

const NPM: Commands = {
  install: ["install"],
  frozen: ["ci"],
  add: (spec) => ["install", spec],
  update: (name) => ["update", name],
  view: (name) => ["view", name, "version"],
  exec: (spec, program) => ["exec", "--yes", `--package=${spec}`, "--", program],
  global: (spec, folder) => ["install", "--global", "--prefix", folder, spec],
  signatures: ["audit", "signatures"],
};
const PNPM: Commands = {
  install: ["install"],
  frozen: ["install", "--frozen-lockfile"],
  add: (spec) => ["add", spec],
  update: (name) => ["update", name],
  view: (name) => ["view", name, "version"],
  exec: (spec, program) => ["--package", spec, "dlx", program],
  global: (spec) => ["add", "--global", spec],
  signatures: null,
};
const YARN_1: Commands = {
  install: ["install", "--non-interactive"],
  frozen: ["install", "--frozen-lockfile", "--non-interactive"],
  add: (spec) => ["add", spec, "--non-interactive"],
  update: (name) => ["upgrade", name, "--non-interactive"],
  view: (name) => ["info", name, "version"],
  exec: () => null,
  global: (spec, folder) => ["global", "add", spec, "--prefix", folder, "--global-folder", path.join(folder, "packages")],
  signatures: null,
};
const YARN_4: Commands = {
  install: ["install", "--no-immutable"],
  frozen: ["install", "--immutable"],
  add: (spec) => ["add", spec],
  update: (name) => ["up", name],
  view: (name) => ["npm", "info", name, "--fields", "version", "--json"],
  exec: (spec, program) => ["dlx", "--quiet", "--package", spec, program],
  global: () => null,
  signatures: null,
};
const BUN: Commands = {
  install: ["install"],
  frozen: ["install", "--frozen-lockfile"],
  add: (spec) => ["add", spec],
  update: (name) => ["update", name],
  view: (name) => ["pm", "view", name, "version"],
  exec: (spec, program) => ["x", "--package", spec, program],
  global: (spec) => ["add", "--global", spec],
  signatures: null,
};
const DENO: Commands = {
  install: ["install"],
  frozen: ["install", "--frozen"],
  add: (spec) => ["add", `npm:${spec}`],
  update: (name) => ["update", "--latest", name],
  view: () => null,
  exec: (spec, program) => ["run", "--allow-all", "--quiet", `npm:${spec}/${program}`],
  global: (spec, folder) => ["install", "--global", "--allow-all", "--root", folder, `npm:${spec}`],
  signatures: null,
};
const VLT: Commands = {
  install: ["install"],
  frozen: ["ci"],
  add: (spec) => ["install", spec],
  update: (name) => ["update", name],
  view: (name) => ["view", name, "version"],
  exec: (spec, program) => ["exec", "--yes", `--package=${spec}`, program],
  global: () => null,
  signatures: null,
};

/** No telemetry, no colours, no second tries of half a minute, nothing of whoever runs the tests. */
const QUIET: NodeJS.ProcessEnv = { NO_COLOR: "1", CI: "", COREPACK_ENABLE_NETWORK: "0", COREPACK_ENABLE_STRICT: "0", DO_NOT_TRACK: "1" };

const FAMILIES: Readonly<Record<Family, Pick<Client, "commands" | "lockfile" | "files" | "env" | "called">>> = {
  npm: { commands: NPM, lockfile: "package-lock.json", files: {}, env: { npm_config_fetch_retries: "0" }, called: "npm" },
  pnpm: {
    commands: PNPM,
    lockfile: "pnpm-lock.yaml",
    files: { "pnpm-workspace.yaml": "packages: []\n" },
    env: { npm_config_fetch_retries: "0", pnpm_config_fetch_retries: "0" },
    called: "pnpm",
  },
  "yarn 1": { commands: YARN_1, lockfile: "yarn.lock", files: {}, env: {}, called: "yarn" },
  "yarn 4": {
    commands: YARN_4,
    lockfile: "yarn.lock",
    files: { ".yarnrc.yml": "nodeLinker: node-modules\nenableTelemetry: false\nenableGlobalCache: false\n", "yarn.lock": "" },
    env: { YARN_HTTP_RETRY: "0" },
    called: "yarn",
  },
  bun: { commands: BUN, lockfile: "bun.lock", files: {}, env: { BUN_CONFIG_HTTP_RETRY_COUNT: "0" }, called: "bun" },
  deno: { commands: DENO, lockfile: "deno.lock", files: { "deno.json": "{}\n" }, env: { DENO_NO_UPDATE_CHECK: "1" }, called: "deno" },
  vlt: { commands: VLT, lockfile: "vlt-lock.json", files: {}, env: {}, called: "vlt" },
};

type Where = {
  readonly family: Family;
  readonly spec: string;
  readonly file: string;
  readonly needsNewNode?: true;
  readonly inTree?: string;
};

/** Exact versions, so that test/clients.json says something. `inTree`: a devDependency, and so tested by CI. */
const CLIENTS: Readonly<Record<string, Where>> = {
  "npm 8": { family: "npm", spec: "npm@8.19.4", file: "npm/bin/npm-cli.js" },
  "npm 10": { family: "npm", spec: "npm@10.9.9", file: "npm/bin/npm-cli.js", inTree: "npm-10/bin/npm-cli.js" },
  "npm 11": { family: "npm", spec: "npm@11.19.1", file: "npm/bin/npm-cli.js", inTree: "npm-11/bin/npm-cli.js" },
  "npm 12": { family: "npm", spec: "npm@12.2.0", file: "npm/bin/npm-cli.js", needsNewNode: true },
  "pnpm 10": { family: "pnpm", spec: "pnpm@10.34.9", file: "pnpm/bin/pnpm.cjs", inTree: "pnpm-10/bin/pnpm.cjs" },
  "pnpm 11": { family: "pnpm", spec: "pnpm@11.28.11", file: "pnpm/bin/pnpm.mjs", needsNewNode: true },
  "pnpm 12": { family: "pnpm", spec: "pnpm@12.21.0", file: `@pnpm/exe.${process.platform}-${process.arch}/pnpm` },
  "yarn 1": { family: "yarn 1", spec: "yarn@1.22.22", file: "yarn/bin/yarn.js", inTree: "yarn-1/bin/yarn.js" },
  "yarn 4": { family: "yarn 4", spec: "@yarnpkg/cli-dist@4.18.1", file: "@yarnpkg/cli-dist/bin/yarn.js", inTree: "yarn-4/bin/yarn.js" },
  bun: { family: "bun", spec: "bun@1.4.5", file: "@oven/bun-*/bin/bun", inTree: "@oven/bun-*/bin/bun" },
  deno: { family: "deno", spec: "deno@2.9.6", file: "@deno/*/deno", inTree: "@deno/*/deno" },
  vlt: { family: "vlt", spec: "vlt@1.0.0-rc.23", file: "vlt/vlt.js", needsNewNode: true },
};

export const CLIENT_IDS: readonly string[] = Object.keys(CLIENTS);
const CI_IDS: readonly string[] = CLIENT_IDS.filter((id) => CLIENTS[id]?.inTree !== undefined);

/** Clients of this run. Where one cell takes half a minute, npm 11 stands for npm 10, too (`TESTED_AT_LENGTH`). */
export const TESTED_IDS: readonly string[] = process.env["IMPRINT_CLIENTS"] === "all" ? CLIENT_IDS : CI_IDS;
export const TESTED_AT_LENGTH: readonly string[] =
  process.env["IMPRINT_CLIENTS"] === "all" ? CLIENT_IDS : CI_IDS.filter((id) => id !== "npm 10");

/** @throws where it is not installed */
export function clientOf(id: string): Client {
  const where = CLIENTS[id];
  if (where === undefined) throw new Error(`no client ${id}`);
  const { family, spec } = where;
  const inTree = where.inTree === undefined ? null : findFile(NODE_MODULES, where.inTree);
  const file = inTree ?? findFile(path.join(folderOf(id), "node_modules"), where.file);
  if (file === null) throw new Error(`${id} is not installed: npm run test:clients`);
  const isScript = /\.[cm]?js$/.test(file);
  const node = where.needsNewNode === true ? newNode() : process.execPath;
  const { commands, ...rest } = FAMILIES[family];
  return { id, family, spec, program: isScript ? [node, file] : [file], commands: commandsOf(id, commands), ...rest };
}

/** What some versions do unlike their family. */
function commandsOf(id: string, commands: Commands): Commands {
  if (id === "pnpm 11" || id === "pnpm 12") return { ...commands, signatures: ["audit", "signatures"] };
  return commands;
}

/** What `npm run test:clients` puts into the cache folder: by folder, the npm spec. */
export function wantedInstalls(): ReadonlyMap<string, string> {
  const wanted = new Map([[path.join(CLIENTS_FOLDER, NODE_SPEC.replace("@", "-")), NODE_SPEC]]);
  for (const [id, { spec, inTree }] of Object.entries(CLIENTS)) if (inTree === undefined) wanted.set(folderOf(id), spec);
  return wanted;
}

function folderOf(id: string): string {
  return path.join(CLIENTS_FOLDER, (CLIENTS[id]?.spec ?? id).replaceAll(/[@/]/g, "-"));
}

function newNode(): string {
  const file = findFile(path.join(CLIENTS_FOLDER, NODE_SPEC.replace("@", "-"), "node_modules"), "node-*/bin/node");
  if (file === null) throw new Error("the newer Node is not installed: npm run test:clients");
  return file;
}

/** A relative path with `*` inside its names; the first that is there. */
function findFile(folder: string, pattern: string): string | null {
  const [first = "", ...rest] = pattern.split("/");
  const names = first.includes("*") ? namesIn(folder, new RegExp(`^${first.replaceAll("*", ".*")}$`)) : [first];
  for (const name of names) {
    const at = path.join(folder, name);
    const found = rest.length === 0 ? (existsSync(at) ? at : null) : findFile(at, rest.join("/"));
    if (found !== null) return found;
  }
  return null;
}

function namesIn(folder: string, pattern: RegExp): readonly string[] {
  return existsSync(folder) ? readdirSync(folder).filter((name) => pattern.test(name)) : [];
}

/** A folder for the PATH with only this client in it, under its own name. */
export function installOnPath(folder: string, { program, called }: Client): string {
  mkdirSync(folder, { recursive: true });
  const script = `#!/bin/sh\nexec ${program.map((word) => `'${word}'`).join(" ")} "$@"\n`;
  writeFileSync(path.join(folder, called), script, { mode: 0o755 });
  return folder;
}

/** Beside the client's own. */
export function environmentFor({ env }: Client, home: string): NodeJS.ProcessEnv {
  return {
    ...QUIET,
    ...env,
    HOME: home,
    XDG_CONFIG_HOME: path.join(home, ".config"),
    XDG_CACHE_HOME: path.join(home, ".cache"),
    XDG_DATA_HOME: path.join(home, ".local", "share"),
    XDG_STATE_HOME: path.join(home, ".local", "state"),
    PNPM_HOME: path.join(home, "pnpm"),
    BUN_INSTALL: path.join(home, "bun"),
    DENO_DIR: path.join(home, "deno"),
    npm_config_cache: path.join(home, "npm-cache"),
    npm_config_update_notifier: "false",
    npm_config_audit: "false",
    npm_config_fund: "false",
  };
}
