/**
 * The address under which clients ask a resolver of this machine: `http://127.0.0.1:4870/~<policy>/`. The port is fixed, so
 * that committed settings mean the same on every machine; the policy says whose question it is, so that a resolver that
 * serves another project on that port refuses it instead of answering by other rules.
 */
import { isPolicy, type Policy } from "../format/policy.ts";

export const DEFAULT_PORT = 4870;
export const RESOLVER_HOST = "127.0.0.1";

/** With a final slash, as npm writes registries. */
export function resolverAddress(policy: Policy, port: number = DEFAULT_PORT): string {
  return `http://${RESOLVER_HOST}:${port}/~${policy}/`;
}

/** `policy` is null in an address from before addresses named one. */
export type ResolverAddress = { readonly port: number; readonly policy: Policy | null };

/** What an address says, where it is one of a resolver on this machine; null where it is anybody else's. */
export function parseResolverAddress(address: string): ResolverAddress | null {
  const [, port, named] = /^http:\/\/(?:127\.0\.0\.1|localhost|\[::1\]):([0-9]{1,5})(?:\/~([0-9a-f]+))?\/*$/i.exec(address) ?? [];
  if (port === undefined) return null;
  if (named !== undefined) return isPolicy(named) ? { port: Number(port), policy: named } : null;
  // Any other server of this machine may be a registry of its own: without a policy only the fixed port is ours.
  return Number(port) === DEFAULT_PORT ? { port: DEFAULT_PORT, policy: null } : null;
}
