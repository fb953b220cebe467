/** What a resolver saw, for the lines that `imprint run` prints when its command has ended. */
import type { Told } from "../clients/notes.ts";
import type { ImprintError } from "../errors.ts";

export type Refusal = {
  readonly number: number;
  readonly name: string;
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  /** Of SPEC.md, where one refused it. */ readonly step: string | null;
};

export type Seen = {
  readonly refusals: readonly Refusal[];
  readonly told: readonly Told[];
  /** Tarballs that clients took, as `@alice/a/a-1.0.0.tgz`. */ readonly taken: readonly string[];
  /** User-Agent headers. */ readonly clients: readonly string[];
  /** Of the last thing seen: what to ask after. */ readonly last: number;
};

export type Report = {
  refused(name: string, error: ImprintError): void;
  told(facts: Omit<Told, "number">): void;
  taken(name: string, file: string): void;
  client(userAgent: string): void;
  after(number: number): Seen;
};

const MAX_KEPT = 1000;
const MAX_CLIENTS = 20;

/** A missing package is an answer, not a refusal: clients say it well themselves. */
const NOT_LISTED: ReadonlySet<string> = new Set(["NOT_FOUND"]);

export function createReport(): Report {
  const refusals: Refusal[] = [];
  const told = new Map<string, Told & { number: number }>();
  const taken = new Map<string, number>();
  const clients = new Map<string, number>();
  let count = 0;
  const report: Report = {
    refused(name, error) {
      if (NOT_LISTED.has(error.code)) return;
      refusals.push({ number: ++count, name, code: error.code, message: error.message, hint: error.hint, step: error.step ?? null });
      if (refusals.length > MAX_KEPT) refusals.shift();
    },
    told(facts) {
      const known = told.get(facts.name);
      // The same answer again, as on the hot path: only its turn is newer.
      if (known !== undefined && known.newest === facts.newest) {
        known.number = ++count;
        return;
      }
      told.delete(facts.name);
      told.set(facts.name, { number: ++count, ...facts });
      const [oldest] = told.keys();
      if (told.size > MAX_KEPT && oldest !== undefined) told.delete(oldest);
    },
    taken(name, file) {
      const key = `${name}/${file}`;
      taken.delete(key);
      taken.set(key, ++count);
      const [oldest] = taken.keys();
      if (taken.size > MAX_KEPT && oldest !== undefined) taken.delete(oldest);
    },
    client(userAgent) {
      const shown = userAgent.slice(0, 200);
      if (!clients.has(shown) && clients.size >= MAX_CLIENTS) return;
      clients.set(shown, ++count);
    },
    after: (number) => ({
      refusals: refusals.filter((refusal) => refusal.number > number),
      told: [...told.values()].filter((one) => one.number > number),
      taken: [...taken].filter(([, at]) => at > number).map(([key]) => key),
      clients: [...clients].filter(([, at]) => at > number).map(([client]) => client),
      last: count,
    }),
  };
  return report;
}
