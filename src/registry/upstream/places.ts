/**
 * Where a request to upstream may go (THREATS S1). Tarball addresses and redirects are upstream's text, and whoever
 * changes them makes this machine ask for things that only it can reach.
 *
 * Upstream's own origin is what the user configured. Anything else must be https, must want no credentials, and must be
 * public; a registry that itself is private may point to its own host and to others in the private network, but never
 * to loopback or link-local addresses, where machines hand out secrets.
 */
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { ImprintError } from "../../errors.ts";
import { hostOf, isLoopback, isPublicAddress } from "../../storage/addresses.ts";

/** All addresses of a host name; none where it has none. */
export type ResolveHost = (host: string) => Promise<readonly string[]>;

export async function resolveBySystem(host: string): Promise<readonly string[]> {
  return lookup(host, { all: true }).then(
    (found) => found.map(({ address }) => address),
    () => [],
  );
}

export type PlaceRules = {
  readonly registry: URL;
  readonly resolveHost: ResolveHost;
  /** Names may then be known to the proxy alone. */
  readonly throughProxy: boolean;
};

/** @throws ImprintError INVALID_URL */
export async function requireAllowedPlace(url: URL, what: string, { registry, resolveHost, throughProxy }: PlaceRules): Promise<void> {
  if (url.origin === registry.origin && url.username === "" && url.password === "") return;
  const refused = (state: string): ImprintError =>
    new ImprintError("INVALID_URL", `Cannot fetch ${what}: the registry points to ${url.protocol}//${url.host.slice(0, 200)}, ${state}`);
  if (url.username !== "" || url.password !== "") throw refused("with credentials in the address");
  if (url.protocol !== "https:") throw refused("which is neither https nor its own origin");
  const host = hostOf(url);
  const own = hostOf(registry);
  if (host === own) return;
  const addresses = await addressesOf(host, resolveHost);
  if (addresses.length === 0) {
    if (throughProxy) return;
    throw new ImprintError("UPSTREAM_FAILED", `Cannot fetch ${what}: the host ${url.host} has no address`);
  }
  // One private address among public ones is a rebinding attempt, not a mistake.
  const hidden = addresses.filter((address) => !isPublicAddress(address));
  if (hidden.length === 0) return;
  const ownAddresses = await addressesOf(own, resolveHost);
  const ownIsPrivate = ownAddresses.length > 0 && ownAddresses.every((address) => !isPublicAddress(address));
  if (!ownIsPrivate || hidden.some(isThisMachine)) throw refused("whose address is private, link-local or reserved");
}

async function addressesOf(host: string, resolveHost: ResolveHost): Promise<readonly string[]> {
  if (isIP(host) !== 0) return [host];
  // Every system means itself by this name, whatever a look-up says.
  return isLoopback(host) ? ["127.0.0.1"] : resolveHost(host);
}

/** Loopback, link-local and unspecified, also as IPv4 in IPv6. */
function isThisMachine(address: string): boolean {
  const bare = address.toLowerCase().replace(/^::ffff:/, "");
  return /^(127\.|0\.|169\.254\.)/.test(bare) || bare === "::1" || bare === "::" || /^fe[89ab]/.test(bare) || address !== bare;
}
