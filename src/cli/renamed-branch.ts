/** A host whose branch got another name: git hosts rename `main` with one click, and clones and imprint.json keep the old one. */
import { ImprintError } from "../errors.ts";
import type { GitChoice } from "../git/choice.ts";
import type { GitUrl, RefName, TransferLimits } from "../git/port.ts";
import { remoteHead } from "../git/remote.ts";
import { redactUrl, shortRef } from "../git/url.ts";

/** The host's own word, which becomes part of a command that people copy. */
const PLAIN_BRANCH = /^refs\/heads\/[A-Za-z0-9][A-Za-z0-9._/-]*$/u;

type Missing = { readonly url: GitUrl; readonly ref: RefName; readonly limits: TransferLimits };

/** What a host without `ref` calls its default branch; null where that is nothing else, or cannot be typed. */
export async function defaultBranch(git: GitChoice, { url, ref, limits }: Missing): Promise<string | null> {
  const head = await remoteHead(git, url, limits).catch(() => null);
  return head === null || head === ref || !PLAIN_BRANCH.test(head) ? null : shortRef(head);
}

/** @param next the command that follows the host to its default branch */
export async function renamedBranch(git: GitChoice, missing: Missing, next: (branch: string) => string): Promise<ImprintError | null> {
  const branch = await defaultBranch(git, missing);
  if (branch === null) return null;
  return new ImprintError(
    "BRANCH_RENAMED",
    `Cannot read index at ${redactUrl(missing.url)}: it has no ${shortRef(missing.ref)} any more, its default branch is ${branch}; ${next(branch)}`,
    { step: "reading 1" },
  );
}
