/**
 * Runs of git that talk to a host, and the redirects that they may follow.
 *
 * Git can follow redirects to every host or to none. We tell it none (`http.followRedirects=false`): libcurl would send
 * what `.netrc` and the credential helpers hold for the other host, on a path and a query that the first host chose
 * (THREATS G9). A run that failed at a redirect is asked again with git's own trace, which says where the redirect leads;
 * on the same scheme, host and port the run is then repeated there, as git would have done. Hosts do that for renamed
 * repositories and for addresses without `.git`.
 */
import { LIMITS } from "../../format/limits.ts";
import { ImprintError } from "../../errors.ts";
import type { GitUrl } from "../port.ts";
import { placeAfterRedirect } from "../redirect.ts";
import { type Git, type GitResult, type GitRun, runGit } from "./run.ts";

const MAX_REDIRECTS = LIMITS.gitRedirects;
const REDIRECTED = /The requested URL returned error: 30[12378]\b/u;

/** By address, for as long as the process runs: where its host keeps the repository. */
const moved = new WeakMap<Git, Map<GitUrl, GitUrl>>();

/** `runGit` to `request.url`, wherever on its host that is. */
export async function runRemote(git: Git, request: GitRun & { readonly url: GitUrl; readonly deadlineMs: number }): Promise<GitResult> {
  const until = performance.now() + request.deadlineMs;
  const known = moved.get(git) ?? new Map<GitUrl, GitUrl>();
  moved.set(git, known);
  const run = (url: GitUrl, change: Partial<GitRun>): Promise<GitResult> =>
    runGit(git, {
      ...request,
      args: request.args.map((arg) => (arg === request.url ? url : arg)),
      url,
      ...change,
      deadlineMs: Math.max(1, until - performance.now()),
    });
  let url = known.get(request.url) ?? request.url;
  for (let hops = 0; ; hops++) {
    const result = await run(url, {});
    if (result.status === 0 || !REDIRECTED.test(result.stderr)) return result;
    if (hops >= MAX_REDIRECTS)
      throw new ImprintError("UNREACHABLE", `Cannot ${request.what}: more than ${String(MAX_REDIRECTS)} redirects`);
    const traced = await run(url, {
      args: [...request.args.filter((arg) => arg.startsWith("--git-dir=")), "ls-remote", "--quiet", "--", url, "HEAD"],
      env: { ...request.env, GIT_TRACE_CURL: "1", GIT_TRACE_CURL_NO_DATA: "1" },
    });
    const at = lastRedirect(traced.stderr);
    if (at === null)
      throw new ImprintError(
        "UNREACHABLE",
        `Cannot ${request.what}: the host redirects in the middle of an exchange, which is not followed`,
      );
    url = placeAfterRedirect({ asked: url, location: at, suffix: "/info/refs?service=git-upload-pack", what: request.what }) as GitUrl;
    known.set(request.url, url);
  }
}

/** The `Location` of a redirect in git's trace; null where the trace has none, as for a POST. */
function lastRedirect(trace: string): string | null {
  const headers = [...trace.matchAll(/<= Recv header: ([^\r\n]*)/gu)].map(([, header = ""]) => header);
  const status = headers.findLastIndex((header) => /^HTTP\/[0-9.]+ 30[12378]\b/u.test(header));
  if (status < 0) return null;
  return /^location:\s*(\S.*?)\s*$/iu.exec(headers.slice(status).find((header) => /^location:/iu.test(header)) ?? "")?.[1] ?? null;
}
