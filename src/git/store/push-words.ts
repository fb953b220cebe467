/** What hosts say when they refuse an update of a ref: somebody was faster, the branch is protected, or no such ref may be. */
const RACE =
  /stale info|fetch first|non-fast-forward|cannot lock ref|failed to lock|incorrect old value|but expected|failed to update ref/iu;
const BYSTANDER = /atomic (?:push|transaction) fail/iu;
/** A hook that judges all refs at once says nothing about one of them. */
const WHOLE_PUSH = /pre-receive/iu;
/** GitHub (GH006, GH013), GitLab, Gitea and Forgejo, Bitbucket, and git's own. */
const PROTECTED =
  /protected branch|\bGH006\b|\bGH013\b|repository rule violations|not allowed to (?:push|change) .*(?:branch|ref)|branch is protected|restricted to|not permitted to (?:update|push)|currently checked out|prohibited by/iu;

export type Rejection = { readonly ref: string; readonly summary: string };

export type Verdict = {
  readonly isRace: boolean;
  readonly why: Rejection;
  /** What the author may do about it, to follow the host's own words; null: nothing that we know of. */
  readonly advice: string | null;
};

/**
 * The rejection that tells, and what it means; null where there is none. Others fell with it. Of a transaction that fails
 * in the last moment git's report says only that it failed; why, it says in `words`, for people.
 *
 * @param deleted refs that were to go: a host that keeps them has not refused their names
 */
export function judgeRejections(
  rejected: readonly Rejection[],
  words: readonly string[],
  deleted: ReadonlySet<string> = new Set(),
): Verdict | null {
  const reasons = rejected.filter(({ summary }) => !BYSTANDER.test(summary));
  const race = reasons.find(({ summary }) => RACE.test(summary));
  const why = race ?? reasons[0] ?? rejected[0];
  if (why === undefined) return null;
  const inWords = reasons.length === 0 ? words.find((line) => RACE.test(line)) : undefined;
  if (race !== undefined || inWords !== undefined)
    return { isRace: true, why: inWords === undefined ? why : { ref: why.ref, summary: inWords }, advice: null };
  return { isRace: false, why, advice: adviceOn(reasons, words, deleted) };
}

function adviceOn(reasons: readonly Rejection[], words: readonly string[], deleted: ReadonlySet<string>): string | null {
  const custom = reasons.find(
    ({ ref, summary }) => !/^refs\/(?:heads|tags)\//u.test(ref) && !deleted.has(ref) && !WHOLE_PUSH.test(summary),
  );
  if (custom !== undefined)
    return `it takes only branches and tags, not ${custom.ref}; imprint root tarballs 'git+<url>' puts tarballs into a repository that does`;
  const isProtected = [...reasons.map(({ summary }) => summary), ...words].some((line) => PROTECTED.test(line));
  return isProtected ? "the branch is protected there; imprint publish --propose makes a pull request of it" : null;
}

/** The host's words and ours, for one line. */
export function refusalText({ why, advice }: Verdict, words: readonly string[]): string {
  const said = [why.summary, ...words].join("; ").slice(0, advice === null ? 600 : 300);
  return advice === null ? said : `${advice} (${said})`;
}
