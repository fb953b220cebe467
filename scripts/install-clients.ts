/**
 * Installs the clients of the matrix that are no devDependencies, and the newer Node that some of them need, into a cache
 * folder: each alone, by exact version, without running its scripts. What is there already stays.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { wantedInstalls } from "../test/support/clients.ts";

for (const [folder, spec] of wantedInstalls()) {
  if (existsSync(folder)) continue;
  console.error(`installing ${spec}…`);
  // Beside its place, and moved there when it is whole: a killed install leaves nothing that looks like one.
  const half = `${folder}.${process.pid}`;
  mkdirSync(half, { recursive: true });
  writeFileSync(path.join(half, "package.json"), '{ "private": true }\n');
  const { status } = spawnSync("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", spec], {
    cwd: half,
    stdio: ["ignore", "inherit", "inherit"],
    shell: process.platform === "win32",
  });
  if (status !== 0) {
    rmSync(half, { recursive: true, force: true });
    console.error(`✗ cannot install ${spec}`);
    process.exit(1);
  }
  renameSync(half, folder);
}
