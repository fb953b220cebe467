/** What was changed in lockfiles, in words. */
import type { Pointed } from "../../project/pointing.ts";

export function lockLines({ locks }: Pick<Pointed, "locks">): readonly string[] {
  return locks.map(
    ({ file, count }) => `${file}: ${count} ${count === 1 ? "address" : "addresses"} of registries changed, no version and no hash`,
  );
}
