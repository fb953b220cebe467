/** Names of commits, as git reads them: where a plain name may lead. */

/**
 * The part of a revision that names a ref or an id: `main` of `main~2^{commit}`. Null where there is no such part, or
 * where it is a ref in full, which means one thing.
 */
export function baseOfRevision(revision: string): string | null {
  const base = /^(.*?)(?:@\{|[\^~:]|$)/su.exec(revision)?.[1] ?? "";
  const name = base === "@" ? "HEAD" : base;
  return name === "" || name.startsWith("refs/") || name.startsWith("-") || /[\s*?[\\]|\.\./u.test(name) ? null : name;
}

/** Where git looks for a ref of that name, beside the file of that name in its own folder. */
export function possibleRefs(base: string): readonly string[] {
  return [`refs/${base}`, `refs/tags/${base}`, `refs/heads/${base}`, `refs/remotes/${base}`, `refs/remotes/${base}/HEAD`];
}
