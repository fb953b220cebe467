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
  const ask = async (key: string): Promise<string | null> => {
    try {
      const { stdout } = await run("git", ["config", "--get", key], { cwd, env: bare });
      return stdout.trim() === "" ? null : stdout.trim().replace(/[<>\n]/g, " ");
    } catch {
      return null; // not set, or no git: the same to us
    }
  };
  const [name, email] = await Promise.all([ask("user.name"), ask("user.email")]);
  return { name: name ?? NEUTRAL.name, email: email ?? NEUTRAL.email };
}
