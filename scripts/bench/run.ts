/** What `imprint run` adds to the command that it wraps: `imprint run true` against `node -e 0`. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { startGitHost } from "../../test/support/git-host.ts";
import { generateIndex } from "./generate.ts";
import { alternate, budget, line, median, timeCommand } from "./measure.ts";

export const BIN = fileURLToPath(new URL("../../dist/bin.js", import.meta.url));
const ROUNDS = 15;

export async function benchRun(): Promise<void> {
  console.log("run: what imprint run adds to a command");
  const world = mkdtempSync(path.join(tmpdir(), "imprint-bench-run-"));
  const hosted = path.join(world, "host");
  mkdirSync(hosted);
  const host = await startGitHost({ root: hosted });
  try {
    const { id } = await generateIndex(hosted, "bench.git", { packages: 50, releasesEach: 2 });
    const shop = path.join(world, "shop");
    mkdirSync(shop);
    writeFileSync(path.join(shop, "package.json"), "{}");
    const env = { ...process.env, IMPRINT_HOME: path.join(world, "home") };
    await timeCommand(process.execPath, [BIN, "add", `${host.url("bench.git")}#${id}`, "--yes"], { env, cwd: shop });
    const samples = await alternate(ROUNDS, {
      "imprint run true": () => timeCommand(process.execPath, [BIN, "run", "true"], { env, cwd: shop }),
      "node -e 0": () => timeCommand(process.execPath, ["-e", "0"], { env, cwd: shop }),
    });
    for (const [label, values] of samples) line(label, values);
    budget("overhead of imprint run", median(samples.get("imprint run true") ?? []) - median(samples.get("node -e 0") ?? []), 400, "ms");
  } finally {
    await host.close();
    rmSync(world, { recursive: true, force: true });
  }
}
