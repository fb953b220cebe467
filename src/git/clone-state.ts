/** An author's clone in words: what it looks like now, and what a new one is made of. */
import type { FileChange, ObjectId } from "./port.ts";

export type CloneState = {
  /** Absolute folder that `openGit` takes (of a linked work tree: the shared one). */
  readonly gitDir: string;
  readonly bare: boolean;
  /** Checked-out branch without `refs/heads/`; null where HEAD is detached. */
  readonly branch: string | null;
  /** The branch's remote, else `origin` or the only one. */
  readonly remoteName: string | null;
  /** As configured, unparsed: may hold credentials, so never print them without `redactUrl`. */
  readonly fetchUrl: string | null;
  readonly pushUrl: string | null;
  /** Null: no commit yet. */
  readonly head: ObjectId | null;
  /** Paths of signed files that differ from HEAD or aren't in it; in the middle of a merge or rebase possibly none. */
  readonly dirty: readonly string[];
  readonly inProgress: "merge" | "rebase" | null;
};

export type NewClone = {
  readonly branch: string;
  readonly files: readonly FileChange[];
  readonly message: string;
  readonly author: { readonly name: string; readonly email: string };
  readonly timeMs: number;
  readonly bare?: boolean;
  /** Puts the commit to build on into the new repository, whose git folder it is given. */
  readonly base?: (gitDir: string) => Promise<ObjectId>;
};
