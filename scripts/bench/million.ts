/** P1 through git: 1,000,000 releases behind a host that filters, opened cold; checks counted, time and memory measured. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { costOfOpening } from "../../test/support/count-checks.ts";
import { createHostedRepository } from "../../test/support/git-host.ts";
import { makeLargeIndex } from "../../test/support/large-index.ts";
import { world } from "../../test/support/world.ts";
import { budget } from "./measure.ts";

const SIZE = { packages: 200_000, releasesEach: 5 };

export async function benchMillion(): Promise<void> {
  const w = await world();
  try {
    const started = performance.now();
    const index = makeLargeIndex(SIZE);
    const gitDir = createHostedRepository(join(w.folder, "hosted"), "large.git");
    const git = spawn("git", [`--git-dir=${gitDir}`, "-c", "core.compression=1", "fast-import", "--quiet"], {
      stdio: ["pipe", "inherit", "inherit"],
    });
    git.stdin.write("commit refs/heads/main\ncommitter bench <bench@localhost> 1767225600 +0000\ndata 5\nbench\n");
    for (const [path, bytes] of index.files())
      if (!git.stdin.write(`M 100644 inline ${path}\ndata ${String(bytes.byteLength)}\n${Buffer.from(bytes).toString()}\n`))
        await once(git.stdin, "drain");
    git.stdin.end("\n");
    const [code] = (await once(git, "close")) as [number];
    if (code !== 0) throw new Error(`git fast-import ended with ${String(code)}`);
    console.log(`open: ${String(index.releases)} releases in git, generated in ${((performance.now() - started) / 1000).toFixed(0)} s`);
    const home = join(w.folder, "reader");
    const cost = await costOfOpening(w.deps({ home, cwd: home, env: { IMPRINT_GIT: "system" } }), {
      id: index.id,
      url: w.host.url("large.git"),
      packages: "@large/*",
      sample: index.sample,
    });
    console.log(
      `  cold sync ${(cost.syncMs / 1000).toFixed(1)} s; ${cost.verdicts.join(" ")}; ${String(cost.again)} checks to read it again`,
    );
    budget("signature checks to open it", cost.sync, 3 + 1, "checks");
    budget("signature checks of its first package", cost.firstPackage, 1 + SIZE.releasesEach, "checks");
    budget("resident memory more than before", cost.grownBytes / 2 ** 20, 64, "MiB");
  } finally {
    await w.close();
  }
}
