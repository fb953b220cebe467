/** All daily keys of a large index rotated: every record signed again, one commit, one push; against git's part of it alone. */
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { sealKeyFile } from "../../src/crypto/key-file.ts";
import type { DisplayName } from "../../src/format/decode.ts";
import { startGitHost, testGitAsync } from "../../test/support/git-host.ts";
import { generateIndex } from "./generate.ts";
import { alternate, budget, line, median, timeCommand } from "./measure.ts";
import { BIN } from "./run.ts";

const SIZE = { packages: 10_000, releasesEach: 3 };
const ROUNDS = 3;

export async function benchRotate(): Promise<void> {
  console.log(`rotate: the daily keys of an index of ${SIZE.packages} packages and ${SIZE.packages * SIZE.releasesEach} releases`);
  const world = mkdtempSync(path.join(tmpdir(), "imprint-bench-rotate-"));
  const hosted = path.join(world, "host");
  mkdirSync(hosted);
  const host = await startGitHost({ root: hosted });
  try {
    const { id, keys } = await generateIndex(hosted, "bench.git", SIZE);
    const url = host.url("bench.git");
    const [home, clone] = [path.join(world, "home"), path.join(world, "clone")];
    mkdirSync(path.join(home, "config", "keys"), { recursive: true });
    for (const [kind, purposes] of [
      ["daily", ["publisher", "checkpoint"]],
      ["root", ["root"]],
    ] as const) {
      const stored = purposes.map((purpose) => ({ purpose, key: keys[purpose] }));
      const file = { kind, name: "bench" as DisplayName, index: id, keys: stored };
      const sealed = await sealKeyFile(file, "", (count) => new Uint8Array(randomBytes(count)));
      writeFileSync(path.join(home, "config", "keys", `bench.${kind}.json`), sealed, { mode: 0o600 });
    }
    const known = { format: 1, indices: [{ id, name: "bench", path: clone }] };
    writeFileSync(path.join(home, "config", "indices.json"), `${JSON.stringify(known, null, 2)}\n`);
    await testGitAsync(clone, ["clone", "--quiet", "--bare", url, clone]);
    const env = { ...process.env, IMPRINT_HOME: home, IMPRINT_PASSPHRASE: "" };
    let serial = 0;
    const samples = await alternate(ROUNDS, {
      "imprint root rotate": () => timeCommand(process.execPath, [BIN, "root", "rotate"], { env, cwd: world }),
      // What git needs for such a change by itself.
      "git clone --bare, the same index": () =>
        timeCommand("git", ["clone", "--quiet", "--bare", url, path.join(world, `again-${String(++serial)}`)], { cwd: world }),
    });
    for (const [label, values] of samples) line(label, values);
    budget("imprint root rotate", median(samples.get("imprint root rotate") ?? []), 10_000, "ms");
  } finally {
    await host.close();
    rmSync(world, { recursive: true, force: true });
  }
}
