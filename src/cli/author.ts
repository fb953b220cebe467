/** Who stands as author on commits. Decides nothing: signatures do; people read it in `git log`. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Deps } from "./deps.ts";

const run = promisify(execFile);

export type Author = { readonly name: string; readonly email: string };

const NEUTRAL: Author = { name: "imprint", email: "imprint@localhost" };

/** git's own user where one is set, else a neutral one: publishing must not fail for want of an e-mail address. */
export async function authorOf({ env, cwd, git }: Pick<Deps, "env" | "cwd" | "git">): Promise<Author> {
  if ((await git.kind()) !== "system") return NEUTRAL;
  // tokens and passphrases are no business of git's, or of what its configuration runs
  const bare = Object.fromEntries(Object.entries(env).filter(([name]) => !/^IMPRINT_/iu.test(name)));
  try {
    // one question for both: each start of git costs as much as signing a release
    const { stdout } = await run("git", ["config", "-z", "--get-regexp", "^user[.](name|email)$"], { cwd, env: bare });
    const settings = new Map(stdout.split("\0").map((entry) => entry.split("\n", 2) as [string, string | undefined]));
    const valueOf = (key: string): string | null => settings.get(key)?.trim().replace(/[<>]/g, " ") || null;
    return { name: valueOf("user.name") ?? NEUTRAL.name, email: valueOf("user.email") ?? NEUTRAL.email };
  } catch {
    return NEUTRAL; // neither is set
  }
}
