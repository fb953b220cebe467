/** A look at a remote before anything is fetched: which branches it has, and which one its HEAD names. */
import type { GitChoice } from "./choice.ts";
import { offlineError } from "./open.ts";
import type { GitUrl, ObjectId, TransferLimits } from "./port.ts";
import { isLocalUrl } from "./url.ts";

type Listing = { readonly refs: ReadonlyMap<string, ObjectId>; readonly head: string | null };

async function list(choice: GitChoice, url: GitUrl, ref: "branches" | "HEAD", limits: TransferLimits): Promise<Listing> {
  if (choice.offline && !isLocalUrl(url)) throw offlineError("ask", url);
  if ((await choice.kind()) === "system") {
    const [{ createGit }, { listRemote }] = await Promise.all([import("./system/run.ts"), import("./system/remote.ts")]);
    return listRemote(createGit({ program: "git", env: choice.env, gitDir: null }), { gitDir: null, url, ref, limits });
  }
  const { listRemote } = await import("./isomorphic/remote.ts");
  return listRemote({ url, ref: ref === "branches" ? "refs/heads/" : ref, tokens: choice.tokens(), fetch: choice.fetch, limits });
}

/** @throws ImprintError UNREACHABLE, TIMED_OUT, TOO_LARGE, GIT_MISSING */
export async function remoteBranches(choice: GitChoice, url: GitUrl, limits: TransferLimits): Promise<ReadonlyMap<string, ObjectId>> {
  const { refs } = await list(choice, url, "branches", limits);
  return new Map([...refs].filter(([ref]) => ref.startsWith("refs/heads/")));
}

/** The branch that the remote's HEAD names, as its word; null where there is none. */
export async function remoteHead(choice: GitChoice, url: GitUrl, limits: TransferLimits): Promise<string | null> {
  return (await list(choice, url, "HEAD", limits)).head;
}

/**
 * What the user's `insteadOf` and `pushInsteadOf` make of a text, the longest first as git has it; the text itself where
 * nothing does. Only the system's git has such names. Asks no host.
 */
export async function expandAlias(choice: GitChoice, text: string): Promise<{ readonly fetch: string; readonly push: string }> {
  if ((await choice.kind()) !== "system") return { fetch: text, push: text };
  const { createGit, runGit } = await import("./system/run.ts");
  const git = createGit({ program: "git", env: choice.env, gitDir: null });
  const what = "read git's configuration";
  const { stdout } = await runGit(git, { args: ["config", "--includes", "-z", "--get-regexp", "^url[.].*insteadof$"], what });
  const rules = stdout
    .toString("utf8")
    .split("\0")
    .flatMap((entry) => {
      const [, base, kind, prefix] = /^url\.(.*)\.(pushinsteadof|insteadof)\n(.+)$/su.exec(entry) ?? [];
      return base === undefined || prefix === undefined || !text.startsWith(prefix) ? [] : [{ base, kind, prefix }];
    })
    .toSorted((one, other) => other.prefix.length - one.prefix.length);
  const apply = (kind: string): string | null => {
    const rule = rules.find((one) => one.kind === kind);
    return rule === undefined ? null : rule.base + text.slice(rule.prefix.length);
  };
  const fetch = apply("insteadof") ?? text;
  return { fetch, push: apply("pushinsteadof") ?? fetch };
}
