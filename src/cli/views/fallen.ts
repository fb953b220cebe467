/** Releases that their authors took back, and that a lockfile still holds: by name and reason, with what to do. */
import type { FallenRelease } from "../../audit/fallen.ts";
import { clean } from "../../format/text.ts";

export function fallenLines(fallen: readonly FallenRelease[]): readonly string[] {
  const said = new Set<string>();
  for (const { name, version, state, reason, alias, lockfile } of fallen) {
    const why = reason === "" ? "" : ` (${reason})`;
    const next = state === "withdrawn" ? "install another version" : "it goes on working; install another version when you can";
    said.add(clean(`${state} by ${alias}: ${name} ${version}${why}, and ${lockfile} has it: ${next}; imprint why ${name}`));
  }
  return [...said];
}
