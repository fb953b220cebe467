/** The user's `safe.directory` settings: folders of other users whose contents the user trusts. */
import { createGit, runGit } from "./system/run.ts";

/** Only the user's and the system's configuration count: a repository must not declare itself safe. Without git: none. */
export async function safeDirectories(env: NodeJS.ProcessEnv): Promise<readonly string[]> {
  const git = createGit({ program: "git", env, gitDir: null });
  const folders: string[] = [];
  for (const scope of ["--system", "--global"]) {
    const args = ["config", scope, "--includes", "-z", "--get-all", "safe.directory"];
    const answer = await runGit(git, { args, what: "read safe.directory" }).catch(() => null);
    if (answer?.status !== 0) continue;
    for (const folder of answer.stdout.toString("utf8").split("\0").slice(0, -1)) {
      // An empty value takes back what stood before it.
      if (folder === "") folders.length = 0;
      else folders.push(folder);
    }
  }
  return folders;
}
