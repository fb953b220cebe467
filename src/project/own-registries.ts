/** Which registries of a user's npm settings are this resolver itself, not one behind it. */
import { parseResolverAddress } from "../clients/resolver-address.ts";

export function isOwnRegistry(env: NodeJS.ProcessEnv): (registry: string) => boolean {
  const running = originOf(env["IMPRINT_REGISTRY"] ?? "");
  return (registry) => parseResolverAddress(registry) !== null || (running !== null && originOf(registry) === running);
}

function originOf(address: string): string | null {
  return URL.canParse(address) ? new URL(address).origin : null;
}
