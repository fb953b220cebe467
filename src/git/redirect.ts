/**
 * Where a git host may send a request on: to another path on the scheme, host and port that it was asked at, and nowhere
 * else (THREATS G9). Git's own rule is wider. It follows the first redirect of a run to any host, and its credential
 * helpers and `.netrc` then answer for that host, on a path and a query that the first host chose.
 */
import { ImprintError, isImprintError } from "../errors.ts";
import { parseGitUrl, redactUrl } from "./url.ts";

/**
 * The repository's address after one redirect: the new address without `suffix`, such as
 * `/info/refs?service=git-upload-pack`, which every redirect must keep.
 *
 * @throws ImprintError UNREACHABLE where the redirect leaves the host or names something else than a repository
 */
export function placeAfterRedirect(redirect: {
  readonly asked: string;
  readonly location: string;
  readonly suffix: string;
  readonly what: string;
}): string {
  const { asked, location, suffix, what } = redirect;
  const refuse = (to: string, why: string): ImprintError =>
    new ImprintError("UNREACHABLE", `Cannot ${what}: the host redirects to ${redactUrl(to).slice(0, 200)}, ${why}`);
  if (!URL.canParse(location, asked)) throw refuse("something else", "which is no address");
  const next = new URL(location, asked);
  if (next.origin !== new URL(asked).origin)
    throw refuse(
      next.origin,
      "which is another scheme, host or port; if the repository has moved there, use that address (imprint set-url)",
    );
  if (!next.href.endsWith(suffix)) throw refuse(next.href, "which is no repository");
  try {
    return parseGitUrl(next.href.slice(0, -suffix.length), { allowFile: false, allowInsecure: next.protocol === "http:" });
  } catch (error) {
    throw isImprintError(error) ? refuse(next.href, "which is no git address") : error;
  }
}
