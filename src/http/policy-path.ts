/** The policy that an address names: the first part of the path, `/~<policy>/…`. */
import { isPolicy, type Policy } from "../format/policy.ts";

export type PolicyPath = {
  readonly policy: Policy | null;
  /** Of the address, as `/~1f…`; empty without a policy. */ readonly prefix: string;
  readonly path: string;
};

/** @param rawPath path below the base, undecoded. No package name begins with `~`, so nothing else is meant by it. */
export function splitPolicy(rawPath: string): PolicyPath {
  const [, prefix, named, path] = /^(\/~([^/]*))(\/.*)?$/s.exec(rawPath) ?? [];
  if (prefix === undefined || named === undefined) return { policy: null, prefix: "", path: rawPath };
  return isPolicy(named) ? { policy: named, prefix, path: path ?? "/" } : { policy: null, prefix: "", path: rawPath };
}
