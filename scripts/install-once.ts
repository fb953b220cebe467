/** Installs a tool of the tests or the benchmarks into a cache folder: alone, by exact version, without running its scripts. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";

/** @throws where it can't be installed; what is there already stays */
export function installOnce(folder: string, spec: string, overrides: Readonly<Record<string, string>> = {}): void {
  if (existsSync(folder)) return;
  console.error(`installing ${spec}…`);
  // Beside its place, and moved there when it is whole: a killed install leaves nothing that looks like one.
  const half = `${folder}.${process.pid}`;
  mkdirSync(half, { recursive: true });
  writeFileSync(path.join(half, "package.json"), JSON.stringify({ private: true, overrides }));
  const { status } = spawnSync("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", spec], {
    cwd: half,
    stdio: ["ignore", "inherit", "inherit"],
    shell: process.platform === "win32",
  });
  if (status === 0) renameSync(half, folder);
  else {
    rmSync(half, { recursive: true, force: true });
    throw new Error(`cannot install ${spec}`);
  }
}
