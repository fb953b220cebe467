/**
 * Why a host let nobody in: which credential helpers git has for it, or which ssh was tried. Names only: a helper's words
 * may hold a secret, so of a command line no more is shown than the program.
 */
import { basename } from "node:path";
import type { GitUrl } from "../port.ts";
import { type Git, reasonOf, runGit } from "./run.ts";

const HTTP_REFUSED = /could not read (?:Username|Password)|Authentication failed|terminal prompts disabled|returned error: (?:401|403)/u;
const SSH_REFUSED = /Permission denied \(|Host key verification failed|Too many authentication failures|no matching host key/iu;

/** Git's reason, and where it is one of access, what was tried. */
export async function accessReason(git: Git, gitDir: string | null, url: GitUrl, stderr: string): Promise<string> {
  const reason = reasonOf(stderr);
  if (SSH_REFUSED.test(stderr)) {
    const tried = (await git.hasOwnSsh())
      ? "tried the ssh command of your environment or git configuration"
      : "tried ssh without prompts (BatchMode): the key must be in ssh-agent, or in ~/.ssh without a passphrase, and the host in known_hosts";
    return `${reason}; ${tried}`;
  }
  if (!HTTP_REFUSED.test(stderr)) return reason;
  const helpers = await credentialHelpers(git, gitDir, url).catch(() => []);
  const state = /returned error: 403/u.test(stderr) ? "the host forbids it (403)" : "the host wants credentials";
  return `${state}, and ${helpers.length === 0 ? "no credential helper is configured (git config credential.helper)" : `credential helper ${helpers.join(", ")} gave none that it takes`}`;
}

/** Names of the helpers that git asks for this address. */
async function credentialHelpers(git: Git, gitDir: string | null, url: GitUrl): Promise<readonly string[]> {
  const place = gitDir === null ? [] : [`--git-dir=${gitDir}`];
  const listed = await runGit(git, {
    args: [...place, "config", "--includes", "-z", "--get-regexp", "^credential[.](.*[.])?helper$"],
    what: "read git's configuration",
  });
  const names: string[] = [];
  for (const entry of listed.stdout.toString("utf8").split("\0")) {
    const [, of, helper] = /^credential\.(?:(.*)\.)?helper\n?(.*)$/su.exec(entry) ?? [];
    if (helper === undefined || (of !== undefined && !isFor(of, url))) continue;
    // an empty one makes git forget those before it
    if (helper === "") names.length = 0;
    else names.push(nameOf(helper));
  }
  return [...new Set(names)];
}

function isFor(pattern: string, url: GitUrl): boolean {
  const host = (text: string): string =>
    text
      .replace(/^[a-z+]+:\/\//iu, "")
      .replace(/^[^/]*@/u, "")
      .split("/", 1)[0] ?? "";
  const [wanted, own] = [host(pattern), host(url)];
  return wanted === own || (wanted.startsWith("*.") && own.endsWith(wanted.slice(1)));
}

function nameOf(helper: string): string {
  if (helper.startsWith("!")) return "(a shell command)";
  return basename(helper.split(/\s/u, 1)[0] ?? "").slice(0, 60);
}
