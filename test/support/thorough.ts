/**
 * `npm test` samples the steps, sizes and moments of exhaustive tests; `npm run test:thorough` tries all of them. A sample is
 * the same in each run, so that a failure is caused by the change.
 */
export const IS_THOROUGH = process.env["IMPRINT_TESTS"] === "thorough";

/** Distance between two sampled steps: 1 in a thorough run. */
export function stride(sampled: number): number {
  return IS_THOROUGH ? 1 : sampled;
}

/** All in a thorough run; else `sampled` of them, spread evenly, the first and the last among them. */
export function some<T>(items: readonly T[], sampled: number): readonly T[] {
  if (IS_THOROUGH || items.length <= sampled) return items;
  const apart = (items.length - 1) / Math.max(1, sampled - 1);
  return items.filter((_, at) => Array.from({ length: sampled }, (_none, i) => Math.round(i * apart)).includes(at));
}
