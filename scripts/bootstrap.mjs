#!/usr/bin/env node
// Sets everything up on a fresh clone and runs one job: demo, test, thorough, clients, check, bench, vectors or fuzz.
// Plain JavaScript without dependencies, because nothing is installed yet when it starts.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
const [job = "", ...rest] = process.argv.slice(2);
const started = performance.now();

const script = (file) => [process.execPath, ["--import", "tsx", path.join("scripts", file), ...rest]];
const tool = (name, args) => ["npx", ["--no-install", name, ...args]];
const jobs = {
  demo: [script("demo.ts")],
  test: [tool("vitest", ["run", "--config", "test/vitest.config.ts", ...(rest.length === 0 ? ["--coverage"] : rest)])],
  thorough: [tool("vitest", ["run", "--config", "test/vitest.config.ts", ...(rest.length === 0 ? ["test/faults", "test/e2e"] : rest)])],
  clients: [script("install-clients.ts"), tool("vitest", ["run", "--config", "test/vitest.config.ts", "test/clients"])],
  bench: [script("bench.ts")],
  vectors: [script("vectors.ts")],
  fuzz: [script("fuzz.ts")],
  check: [
    tool("oxfmt", ["-c", "scripts/oxfmt.json", "--check", "src", "scripts", "test"]),
    tool("oxlint", ["-c", "scripts/oxlint.json", "--type-aware", "--deny-warnings", "src", "scripts", "test"]),
    tool("tsc", ["-p", "test/tsconfig.json"]),
    tool("knip", ["--config", "scripts/knip.json"]),
    tool("publint", ["--strict"]),
    [process.execPath, ["--import", "tsx", "scripts/rooms.ts"]],
    [process.execPath, ["--import", "tsx", "scripts/vectors.ts", "--check"]],
  ],
};

requireVersions();
const steps = jobs[job];
if (steps === undefined) fail(`no such job: ${job || "(none)"}; one of ${Object.keys(jobs).join(", ")}`);
install();
run("npx", ["--no-install", "tsc", "-p", "."], "building");
if (job === "thorough") process.env.IMPRINT_TESTS = "thorough";
if (job === "clients") process.env.IMPRINT_CLIENTS = "all";
for (const [command, args] of steps) run(command, args);

function requireVersions() {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 19)) fail(`Node ${process.versions.node} is too old: install 20.19 or newer`);
  const git = spawnSync("git", ["--version"], { encoding: "utf8" });
  const [, gitMajor = 0, gitMinor = 0] = (/(\d+)\.(\d+)/.exec(git.stdout ?? "") ?? []).map(Number);
  if (gitMajor < 2 || (gitMajor === 2 && gitMinor < 34)) fail("git is missing or older than 2.34: install it");
}

/** `npm ci` once for each package-lock.json: a stamp in node_modules tells what is installed. */
function install() {
  const stamp = path.join(root, "node_modules", ".imprint-stamp");
  const wanted = createHash("sha256")
    .update(readFileSync(path.join(root, "package-lock.json")))
    .digest("hex");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return;
  run("npm", ["ci", "--no-audit", "--no-fund", "--ignore-scripts"], "installing dependencies");
  writeFileSync(stamp, wanted);
  process.stderr.write(`installed in ${((performance.now() - started) / 1000).toFixed(1)} s\n`);
}

function run(command, args, label) {
  if (label !== undefined) process.stderr.write(`${label}…\n`);
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: "inherit", shell: process.platform === "win32" });
  if (error !== undefined) fail(`cannot run ${command}: ${error.message}`);
  if (status !== 0) process.exit(status ?? 1);
}

function fail(message) {
  process.stderr.write(`✗ ${message}\n`);
  process.exit(1);
}
