/**
 * Addresses of registries in lockfiles. Those of a resolver, and those that lead a claimed name elsewhere, are taken out of
 * npm's, pnpm's, yarn 4's and deno's, which then ask the registry that is configured; yarn 1 and bun cannot do without, and get
 * the address of the policy. Hashes stay, so no other bytes than the locked ones are ever accepted.
 *
 * Lockfiles are changed as text, an address at a time: what a client wrote around them stays byte for byte.
 */
import path from "node:path";
import { LIMITS } from "../format/limits.ts";
import type { Files } from "../storage/files.ts";
import { textIn } from "./pointing/files.ts";
import { parseResolverAddress } from "./resolver-address.ts";

export type LockRules = {
  /** With a final slash: what the address of a resolver becomes where there must be one. */
  readonly address: string;
  /** Whether an index answers for a name. */
  readonly isClaimed: (name: string) => boolean;
  /** The registry behind the resolver, where imprint.json names one: its addresses are the resolver's now. */
  readonly upstream: string | undefined;
};

export type LockChange = { readonly file: string; readonly text: string; /** Addresses changed. */ readonly count: number };

type Rewriter = (text: string, isMoved: (url: string) => string | null) => { readonly text: string; readonly count: number };

const REWRITERS: Readonly<Record<string, Rewriter>> = {
  "package-lock.json": dropJsonMember("resolved"),
  "npm-shrinkwrap.json": dropJsonMember("resolved"),
  "deno.lock": dropJsonMember("tarball"),
  "pnpm-lock.yaml": dropMatches(/,?[ \t]*tarball:[ \t]*["']?(https?:[^\s,"'}]+)["']?/g, (url) => url),
  "yarn.lock": (text, isMoved) => (text.includes("__metadata:") ? dropArchiveUrls(text, isMoved) : replaceUrls(text, isMoved)),
  "bun.lock": replaceUrls,
};

/** What must be written so that no lockfile of the folder leads to another resolver's address, or past its index. */
export async function planLocks(files: Pick<Files, "read">, folder: string, rules: LockRules): Promise<readonly LockChange[]> {
  const changes: LockChange[] = [];
  for (const [file, rewrite] of Object.entries(REWRITERS)) {
    const before = await textIn(files, path.join(folder, file), LIMITS.lockfileBytes);
    if (before === null) continue;
    const { text, count } = rewrite(before, (url) => movedUrl(url, rules));
    if (count > 0) changes.push({ file, text, count });
  }
  return changes;
}

/** Where an address of a tarball, or of a registry, should lead instead; null: it stays. */
function movedUrl(url: string, { address, isClaimed, upstream }: LockRules): string | null {
  const [, base = "", rest = ""] = /^(https?:\/\/[^/]+\/(?:~[0-9a-f]+\/)?)(.*)$/.exec(url) ?? [];
  const ours = parseResolverAddress(base) !== null;
  if (ours) return base === address ? null : `${address}${rest}`;
  if (upstream !== undefined && url.startsWith(withSlash(upstream))) return `${address}${url.slice(withSlash(upstream).length)}`;
  const [, name, file] = /\/((?:@[^/]+(?:\/|%2f))?[^/]+)\/-\/((?:@[^/]+\/)?[^/]+)$/i.exec(url) ?? [];
  if (name === undefined || file === undefined) return null;
  const plain = name.replace(/%2f/i, "/").replace(/^%40/, "@");
  return isClaimed(plain) ? `${address}${plain}/-/${file}` : null;
}

function withSlash(url: string): string {
  return url.endsWith("/") ? url : `${url}/`;
}

/** Members of that name that hold an address which moved, with their commas, as clients lay them out: one a line. */
function dropJsonMember(member: string): Rewriter {
  const any = new RegExp(`(,?)(\\r?\\n?[ \\t]*)"${member}"[ \\t]*:[ \\t]*"(https?:[^"\\\\]*)"(,?)`, "g");
  return (text, isMoved) => {
    let count = 0;
    const after = text.replace(any, (whole, before: string, _space: string, url: string, behind: string) => {
      if (isMoved(url.split("#")[0] ?? "") === null) return whole;
      count++;
      return before === "," && behind === "," ? "," : "";
    });
    return { text: after, count };
  };
}

const dropArchiveUrls = dropMatches(/::__archiveUrl=([^"&\s]+)/g, (encoded) => {
  try {
    return decodeURIComponent(encoded);
  } catch {
    return ""; // no address: yarn says so itself
  }
});

/** Whole matches whose first group is an address that moved. */
function dropMatches(pattern: RegExp, urlOf: (group: string) => string): Rewriter {
  return (text, isMoved) => {
    let count = 0;
    const after = text.replace(pattern, (whole, group: string) => {
      if (isMoved(urlOf(group)) === null) return whole;
      count++;
      return "";
    });
    return { text: after, count };
  };
}

/** Addresses between quotes; a hash behind one stays. */
function replaceUrls(text: string, isMoved: (url: string) => string | null): ReturnType<Rewriter> {
  let count = 0;
  const after = text.replace(/"(https?:[^"\\#\s]*)(#[0-9a-f]*)?"/g, (whole, url: string, hash: string | undefined) => {
    const moved = isMoved(url);
    if (moved === null) return whole;
    count++;
    return `"${moved}${hash ?? ""}"`;
  });
  return { text: after, count };
}
