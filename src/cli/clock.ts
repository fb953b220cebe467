/**
 * This machine's clock, before it is signed into times that age gates believe: a release that is dated a year ahead is held back
 * for a year, one that is dated a year back counts as old at once. Two clocks can be asked: that of the last checkpoint, and that
 * of a host on the web, which dates its answers.
 */
import { ImprintError } from "../errors.ts";
import { timestampMs } from "../format/time.ts";
import type { GitUrl } from "../git/port.ts";
import { redactUrl } from "../git/url.ts";
import type { TrustedState } from "../index/trust.ts";
import { networkOf } from "../storage/proxy.ts";
import type { Deps } from "./deps.ts";

/** A smaller difference is tolerated. A wrong time zone makes a difference of an hour or more. */
const MAX_APART_MS = 30 * 60_000;
const ASK_MS = 5000;

/** Once a command, however often it looks. */
const told = new WeakSet<object>();

/** A host's clock minus ours, in milliseconds; null where it is not on the web, or does not say. */
export type HostClock = Promise<number | null>;

export async function askClock({ env, offline, nowMs }: Pick<Deps, "env" | "offline" | "nowMs">, url: GitUrl): Promise<number | null> {
  if (offline || !/^https?:/u.test(url)) return null;
  try {
    const signal = AbortSignal.timeout(ASK_MS);
    const answer = await networkOf(env).fetch(new URL(url), {
      method: "HEAD",
      headers: { "user-agent": "git/imprint" },
      redirect: "manual",
      signal,
    });
    await answer.body?.cancel();
    const date = Date.parse(answer.headers.get("date") ?? "");
    return Number.isNaN(date) ? null : date - nowMs();
  } catch {
    return null; // the fetch that runs beside this reports a host that cannot be reached
  }
}

/**
 * @param host where the clock was asked, and what it said
 * @param state the one to build upon; null: of a new index
 * @throws ImprintError CLOCK_WRONG
 */
export async function requireClock(
  { env, nowMs, terminal }: Pick<Deps, "env" | "nowMs" | "terminal">,
  host: { readonly url: GitUrl; readonly clock: HostClock } | null,
  state: Pick<TrustedState, "checkpoint"> | null,
): Promise<void> {
  if (env["IMPRINT_TRUST_CLOCK"] === "1") return;
  const now = nowMs();
  const apart = (await host?.clock) ?? null;
  if (host !== null && apart !== null && Math.abs(apart) > MAX_APART_MS)
    throw wrong(now, `${redactUrl(host.url)} says that it is ${textOf(now + apart)}`);
  const last = state === null ? now : timestampMs(state.checkpoint.doc.time);
  if (last - now <= MAX_APART_MS) return;
  if (host === null || apart === null) throw wrong(now, `the index was signed at ${textOf(last)}, which is later`);
  if (told.has(host)) return;
  told.add(host);
  terminal.warn(`the index was last signed at ${textOf(last)}, by a clock that was wrong: times from now on are earlier`);
}

function wrong(now: number, other: string): ImprintError {
  return new ImprintError("CLOCK_WRONG", `Cannot sign: this machine's clock says that it is ${textOf(now)}, and ${other}`);
}

function textOf(ms: number): string {
  return new Date(ms).toISOString().replace(/\.[0-9]+Z$/u, "Z");
}
