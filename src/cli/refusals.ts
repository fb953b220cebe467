/** What a resolver refused, for the list that `imprint run` prints when its command has ended. */
import { timingSafeEqual } from "node:crypto";
import type { ImprintError } from "../errors.ts";

export type Refusal = {
  readonly number: number;
  readonly name: string;
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  /** Of SPEC.md, where one refused it. */ readonly step: string | null;
};

export type Refusals = {
  add(name: string, error: ImprintError): void;
  readonly all: readonly Refusal[];
  /** For another process of the same user, who knows the resolver's secret; null to anybody else. */
  after(secret: Uint8Array, token: string, number: number): readonly Refusal[] | null;
};

const MAX_KEPT = 1000;

/** A missing package is an answer, not a refusal: clients say it well themselves. */
const NOT_LISTED: ReadonlySet<string> = new Set(["NOT_FOUND"]);

export function createRefusals(): Refusals {
  const all: Refusal[] = [];
  let count = 0;
  return {
    all,
    add(name, error) {
      if (NOT_LISTED.has(error.code)) return;
      all.push({ number: ++count, name, code: error.code, message: error.message, hint: error.hint, step: error.step ?? null });
      if (all.length > MAX_KEPT) all.shift();
    },
    after(secret, token, number) {
      const given = Buffer.from(token, "hex");
      if (given.byteLength !== secret.byteLength || !timingSafeEqual(given, secret)) return null;
      return all.filter((refusal) => refusal.number > number);
    },
  };
}
