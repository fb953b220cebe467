/**
 * Pushing: all refs or none, each only over the value that the writer built on (THREATS C2, T14).
 */
import { ImprintError } from "../../errors.ts";
import type { GitUrl, RefUpdate, TransferLimits } from "../port.ts";
import { redactUrl } from "../url.ts";
import { judgeRejections, refusalText } from "../store/push-words.ts";
import { accessReason } from "./access.ts";
import { runRemote } from "./follow.ts";
import type { Git } from "./run.ts";

const UNREACHABLE =
  /could not resolve|failed to connect|couldn't connect|connection (?:refused|timed out|reset)|timed out|unable to access|network is unreachable|could not read from remote|hung up|early EOF|unable to connect|no route to host/iu;
const FORBIDDEN =
  /returned error: (?:401|403|404|405)|permission denied|authentication failed|not found|could not read (?:username|password)|access denied|does not appear to be a git repository/iu;

type Line = { readonly isOk: boolean; readonly ref: string; readonly summary: string };

/** Lines `<flag>\t<from>:<to>\t<summary>` of `push --porcelain`. */
function parsePorcelain(output: string): Line[] {
  return output.split("\n").flatMap((line) => {
    const [flag, names, summary] = line.split("\t");
    if (flag === undefined || flag.length !== 1 || names === undefined || summary === undefined) return [];
    return [{ isOk: flag !== "!", ref: names.slice(names.indexOf(":") + 1), summary: redactUrl(summary).slice(0, 200) }];
  });
}

/** The port's `push`. */
export async function push(
  git: Git,
  gitDir: string,
  request: { readonly url: GitUrl; readonly updates: readonly RefUpdate[]; readonly limits: TransferLimits },
): Promise<void> {
  const { url, updates, limits } = request;
  if (updates.length === 0) return;
  const what = `push to ${redactUrl(url)}`;
  const result = await runRemote(git, {
    args: [
      `--git-dir=${gitDir}`,
      "push",
      "--porcelain",
      "--atomic",
      "--no-verify",
      "--no-signed",
      "--no-follow-tags",
      "--recurse-submodules=no",
      "--receive-pack=git-receive-pack",
      ...updates.map(({ ref, expected }) => `--force-with-lease=${ref}:${expected ?? ""}`),
      "--",
      url,
      ...updates.map(({ ref, to }) => `${to ?? ""}:${ref}`),
    ],
    url,
    deadlineMs: limits.deadlineMs,
    what,
  });
  const lines = parsePorcelain(result.stdout.toString("utf8"));
  const rejected = lines.filter((line) => !line.isOk);
  const told = updates.every(({ ref }) => lines.some((line) => line.isOk && line.ref === ref));
  if (result.status === 0 && rejected.length === 0 && told) return;
  const words = [...new Set(result.stderr.split(/[\r\n]+/u).filter((line) => line.startsWith("remote: ")))]
    .slice(0, 5)
    .map((line) => redactUrl(line).trim());
  const verdict = judgeRejections(rejected, words, new Set(updates.flatMap(({ ref, to }) => (to === null ? [ref] : []))));
  if (verdict?.isRace === true) throw new ImprintError("LOST_RACE", `Cannot ${what}: ${verdict.why.ref} has moved, ${verdict.why.summary}`);
  if (verdict !== null) throw new ImprintError("PUSH_FAILED", `Cannot ${what}: ${refusalText(verdict, words)}`);
  const isUnreachable = UNREACHABLE.test(result.stderr) && !FORBIDDEN.test(result.stderr);
  throw new ImprintError(
    isUnreachable ? "UNREACHABLE" : "PUSH_FAILED",
    `Cannot ${what}: ${await accessReason(git, gitDir, url, result.stderr)}`,
  );
}
