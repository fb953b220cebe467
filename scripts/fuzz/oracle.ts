/**
 * What a reader may make of a mutated index: exactly what is honest, or a refusal.
 *
 * Without a key nobody may make it believe another checkpoint than those that were signed, an older one than it believed,
 * or any package otherwise than that checkpoint has it. With a stolen checkpoint key other trees may be shown, but no
 * record that its publishers did not sign; and whatever a publisher lists, no release that is not this one's.
 */
import { isImprintError } from "../../src/errors.ts";
import type { PackageName } from "../../src/format/names.ts";
import { type PackageView, readPackage } from "../../src/index/package-reader.ts";
import { readState } from "../../src/index/sync.ts";
import { requireOrder, type TrustedState } from "../../src/index/trust.ts";
import type { IndexCase } from "./cases.ts";
import { type Honest, type HonestState, judgementsOf, recordKey, snapshotOf } from "./honest.ts";
import type { Random } from "./random.ts";

/** A reader believed what nobody signed. */
export class WrongAcceptance extends Error {
  override readonly name = "WrongAcceptance";
}

/** How a case ended: `accepted`, or the code of the refusal. */
export type Ending = string;

export async function judgeIndex(honest: Honest, one: IndexCase, random: Random): Promise<readonly Ending[]> {
  const snapshot = snapshotOf(one.files);
  let state: TrustedState;
  try {
    state = await readState(snapshot, honest.id, one.before?.state ?? null);
    if (one.before !== null) requireOrder(one.before.state, state);
    requireNoStepBack(honest, one.before, state);
  } catch (error) {
    return [codeOf(error)];
  }
  const known = requireHonestState(honest, state, one.forger !== "nobody");
  const endings: Ending[] = [];
  for (const name of new Set([...one.touched, random.pick(honest.names), honest.absent])) {
    try {
      requireHonestPackage(honest, known, name, await readPackage(snapshot, state, name), one.forger);
      endings.push("accepted");
    } catch (error) {
      endings.push(codeOf(error));
    }
  }
  return endings;
}

/** Who believed a newer honest state may not be made to believe an older one. */
function requireNoStepBack({ states }: Honest, before: HonestState | null, state: TrustedState): void {
  const now = states.findIndex((one) => one.state.checkpoint.digest === state.checkpoint.digest);
  if (before !== null && now >= 0 && now < states.indexOf(before)) throw new WrongAcceptance("an older state than the reader believed");
}

/** The honest state that it is; null where it is none and need not be. */
export function requireHonestState(honest: Honest, state: TrustedState, stolen: boolean): HonestState | null {
  if (state.id !== honest.id) throw new WrongAcceptance(`a state of index ${state.id}`);
  for (const root of state.roots)
    if (!honest.roots.has(root.digest))
      throw new WrongAcceptance(`root ${String(root.doc.version)} with digest ${root.digest}, which nobody signed`);
  const { index, root } = state.checkpoint.doc;
  if (index !== honest.id || root.digest !== state.roots.at(-1)?.digest) throw new WrongAcceptance("a checkpoint of another index or root");
  const known = honest.states.find((one) => one.state.checkpoint.digest === state.checkpoint.digest) ?? null;
  if (known === null && !stolen) throw new WrongAcceptance(`a checkpoint with digest ${state.checkpoint.digest}, which nobody signed`);
  return known;
}

/**
 * @param known the honest state that is believed; null: one of a thief's
 * @param forger whose keys the thief has
 */
export function requireHonestPackage(
  honest: Honest,
  known: HonestState | null,
  name: PackageName,
  view: PackageView | null,
  forger: IndexCase["forger"],
): void {
  const expected = known?.packages.get(name);
  if (view === null) {
    if (expected !== undefined) throw new WrongAcceptance(`${name} is absent, the checkpoint lists it`);
    return;
  }
  if (forger !== "its publisher" && !honest.records.has(recordKey(name, view.record)))
    throw new WrongAcceptance(`a record of ${name} that nobody signed`);
  const found = judgementsOf(view);
  for (const [version, judgement] of found) {
    const essence = /^(?:ok|yanked) ([^]*)$/u.exec(judgement)?.[1];
    if (essence !== undefined && !(honest.releases.has(essence) && essence.startsWith(`${name}@${version} `)))
      throw new WrongAcceptance(`${name}@${version} as nobody signed it: ${judgement}`);
  }
  if (known === null) return;
  if (expected === undefined) throw new WrongAcceptance(`${name} is there, the checkpoint does not list it`);
  const differs = [...new Set([...expected.keys(), ...found.keys()])].find((version) => expected.get(version) !== found.get(version));
  if (differs !== undefined)
    throw new WrongAcceptance(`${name}@${differs}: ${String(found.get(differs))}, the checkpoint has ${String(expected.get(differs))}`);
}

export function codeOf(error: unknown): Ending {
  if (isImprintError(error)) return error.code;
  throw error;
}
