/**
 * Which addresses a download may go to (THREATS S1): a root's `tarballs` template is an attacker's text, and we may run
 * where `http://169.254.169.254/` hands out credentials.
 */
import { BlockList, isIP } from "node:net";

const V4: readonly (readonly [string, number])[] = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
];
/** Of IPv6 only 2000::/3 is public; in it, tunnels that carry an IPv4 address, and documentation, are not. */
const V6: readonly (readonly [string, number])[] = [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["3fff::", 20],
];

function listOf(family: "ipv4" | "ipv6", subnets: readonly (readonly [string, number])[]): BlockList {
  const list = new BlockList();
  for (const [net, prefix] of subnets) list.addSubnet(net, prefix, family);
  return list;
}

const RESERVED_V4 = listOf("ipv4", V4);
const RESERVED_V6 = listOf("ipv6", V6);
const UNICAST_V6 = listOf("ipv6", [["2000::", 3]]);

/** Whether an IP address is reachable for everyone: not loopback, private, link-local, reserved or a tunnel to these. */
export function isPublicAddress(address: string): boolean {
  const family = isIP(address);
  if (family === 0) return false;
  if (family === 4) return !RESERVED_V4.check(address, "ipv4");
  const bare = address.replace(/%.*$/u, "");
  return UNICAST_V6.check(bare, "ipv6") && !RESERVED_V6.check(bare, "ipv6");
}

/** The host of a URL without the brackets of IPv6. */
export function hostOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/gu, "");
}

/** Whether a host means this machine by name or number. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host.endsWith(".localhost") || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}
