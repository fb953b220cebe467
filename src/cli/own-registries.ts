/** Addresses in a user's npm settings that are this resolver itself, not a registry behind it. */
import type { Deps } from "./deps.ts";
import { DEFAULT_REGISTRY } from "./project-files.ts";

export function ownRegistries({ env }: Pick<Deps, "env">): readonly string[] {
  const running = env["IMPRINT_REGISTRY"];
  return running === undefined ? [DEFAULT_REGISTRY] : [DEFAULT_REGISTRY, running];
}
