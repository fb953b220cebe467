/** One case of a seed: an honest tarball, changed in one to three ways. */
import { type Random, randomOf, seedOfCase } from "../random.ts";
import { ARCHIVE_CHANGES } from "./archive-changes.ts";
import { CONTENT_CHANGES } from "./content-changes.ts";
import { finish, honestDraft } from "./draft.ts";
import { type Change, HEADER_CHANGES } from "./header-changes.ts";

export type TarballCase = {
  readonly n: number;
  /** Of the package; no other case of the run has it. */
  readonly name: string;
  /** Of the first change. */
  readonly kind: string;
  readonly how: readonly string[];
  readonly bytes: Uint8Array;
};

const CHANGES: Readonly<Record<string, Change>> = { ...HEADER_CHANGES, ...ARCHIVE_CHANGES, ...CONTENT_CHANGES };
const KINDS = Object.keys(CHANGES);

export function caseOf(seed: number, n: number): TarballCase {
  const random = randomOf(seedOfCase(seed, n));
  const name = `case-${String(n)}`;
  const draft = honestDraft(name, random);
  const count = random.pick([1, 1, 1, 1, 2, 2, 3]);
  const kinds = Array.from({ length: count }, (_none, at) => (at === 0 ? (KINDS[n % KINDS.length] ?? "") : kindOf(random)));
  const how = kinds.map((kind) => CHANGES[kind]?.(draft, random) ?? "");
  return { n, name, kind: kinds[0] ?? "", how, bytes: finish(draft) };
}

function kindOf(random: Random): string {
  return random.pick(KINDS);
}
