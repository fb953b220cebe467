/** What opening an index costs in signature checks, counted where they are made, in node:crypto. */
import crypto from "node:crypto";
import { syncBuiltinESMExports } from "node:module";
import { openIndex } from "../../src/cli/open.ts";
import type { Deps } from "../../src/cli/deps.ts";
import type { DisplayName } from "../../src/format/decode.ts";
import type { IndexId } from "../../src/format/digest.ts";
import { type PackageName, parsePackagePattern } from "../../src/format/names.ts";
import { parseRefName } from "../../src/git/url.ts";

export type OpeningCost = {
  /** Checks of a sync by somebody who has never seen the index. */
  readonly sync: number;
  /** Checks of reading one package after it. */
  readonly firstPackage: number;
  /** Checks of reading it again. */
  readonly again: number;
  readonly verdicts: readonly string[];
  readonly syncMs: number;
  /** Bytes by which this process grew from before the sync to after the package. */
  readonly grownBytes: number;
};

export async function costOfOpening(
  deps: Deps,
  index: { readonly id: IndexId; readonly url: string; readonly packages: string; readonly sample: PackageName },
): Promise<OpeningCost> {
  const real = crypto.verify;
  let checks = 0;
  const taken = (): number => {
    const made = checks;
    checks = 0;
    return made;
  };
  const counted = (...args: unknown[]): unknown => {
    checks++;
    return (real as unknown as (...all: unknown[]) => unknown)(...args);
  };
  crypto.verify = counted as typeof crypto.verify;
  syncBuiltinESMExports();
  const entry = {
    id: index.id,
    urls: [index.url],
    ref: parseRefName("refs/heads/main"),
    packages: [parsePackagePattern(index.packages)],
  };
  const open = await openIndex(deps, "large" as DisplayName, entry, null, () => undefined);
  try {
    const [before, started] = [process.memoryUsage().rss, performance.now()];
    await open.reader.sync();
    const [sync, syncMs] = [taken(), performance.now() - started];
    const { view } = await open.reader.readPackage(index.sample);
    const firstPackage = taken();
    await open.reader.readPackage(index.sample);
    return {
      sync,
      firstPackage,
      again: taken(),
      verdicts: [...(view?.versions.values() ?? [])].map(({ verdict }) => verdict),
      syncMs,
      grownBytes: process.memoryUsage().rss - before,
    };
  } finally {
    crypto.verify = real;
    syncBuiltinESMExports();
    await open.close();
  }
}
