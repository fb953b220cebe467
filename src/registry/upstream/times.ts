import { LIMITS } from "../../format/limits.ts";

/** How long upstream may take, and what it says is good for, in milliseconds; tests lower them. */
export type UpstreamTimes = {
  /** Until a connection stands. */
  readonly connectMs: number;
  /** Until the headers, and between two pieces of a body. */
  readonly idleMs: number;
  /** A document, whole. A byte a second ends here. */
  readonly documentMs: number;
  /** A tarball, whole. */
  readonly tarballMs: number;
  /** Before the second try; four times as long before the third. */
  readonly firstWaitMs: number;
  /** The longest of these, whatever Retry-After asks for. */
  readonly maxWaitMs: number;
  /** No further try begins later than this after the first: clients wait seconds, not a minute. */
  readonly patienceMs: number;
  /** An answer is not asked for again before this, where upstream does not say how long it is good for. */
  readonly freshMs: number;
  /** The longest that is believed, whatever upstream says: a mistake there must not last for a year here. */
  readonly maxFreshMs: number;
  /** Who has an older answer gets it after this, and the new one next time. */
  readonly staleAfterMs: number;
  /** A definite no is not asked for again before this. */
  readonly negativeMs: number;
  /** Where nobody answered at all, older answers are given at once for this long. */
  readonly deadMs: number;
};

export const UPSTREAM_TIMES: UpstreamTimes = {
  connectMs: LIMITS.upstreamConnectMs,
  idleMs: LIMITS.upstreamIdleMs,
  documentMs: LIMITS.upstreamDocumentMs,
  tarballMs: LIMITS.upstreamTarballMs,
  firstWaitMs: 250,
  maxWaitMs: 2000,
  patienceMs: 6000,
  // What npm's own registry says.
  freshMs: 300_000,
  maxFreshMs: 3_600_000,
  staleAfterMs: 3000,
  negativeMs: 5000,
  deadMs: 5000,
};
