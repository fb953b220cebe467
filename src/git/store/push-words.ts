/** What hosts say when they refuse an update of a ref, and whether it means that somebody else was faster. */
const RACE =
  /stale info|fetch first|non-fast-forward|cannot lock ref|failed to lock|incorrect old value|but expected|failed to update ref/iu;
const BYSTANDER = /atomic (?:push|transaction) fail/iu;

export type Rejection = { readonly ref: string; readonly summary: string };

/**
 * The rejection that tells, and whether it was a race; null where there is none. Others fell with it. Of a transaction
 * that fails in the last moment git's report says only that it failed; why, it says in `words`, for people.
 */
export function judgeRejections(
  rejected: readonly Rejection[],
  words: readonly string[],
): { readonly isRace: boolean; readonly why: Rejection } | null {
  const reasons = rejected.filter(({ summary }) => !BYSTANDER.test(summary));
  const race = reasons.find(({ summary }) => RACE.test(summary));
  const why = race ?? reasons[0] ?? rejected[0];
  if (why === undefined) return null;
  const inWords = reasons.length === 0 ? words.find((line) => RACE.test(line)) : undefined;
  return { isRace: race !== undefined || inWords !== undefined, why: inWords === undefined ? why : { ref: why.ref, summary: inWords } };
}
