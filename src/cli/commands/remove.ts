/** `imprint remove`: an index, its claims and its lock entry leave the project. What was learnt of it is kept. */
import { ImprintError } from "../../errors.ts";
import type { DisplayName } from "../../format/decode.ts";
import type { Project, ProjectIndex } from "../../format/project.ts";
import type { Deps } from "../deps.ts";
import { mendPointing, unpointProject } from "../../project/pointing.ts";
import { lockLines } from "../views/pointed.ts";
import { requireProject, writeLock, writeProject } from "../../project/project-files.ts";

export type RemoveResult = { readonly alias: string; readonly changed: readonly string[] };

export async function remove(alias: string, deps: Deps): Promise<RemoveResult> {
  const { files, terminal } = deps;
  const { folder, project, lock } = await requireProject(deps);
  const entry = project.indices.get(alias as DisplayName);
  if (entry === undefined)
    throw new ImprintError("NOT_FOUND", `Cannot remove ${alias}: imprint.json has ${[...project.indices.keys()].join(", ") || "no index"}`);
  requireUnneeded(alias, project, entry);
  const without = <T>(map: ReadonlyMap<DisplayName, T>): ReadonlyMap<DisplayName, T> =>
    new Map([...map].filter(([name]) => name !== alias));
  const next = { ...project, indices: without(project.indices) };
  const pointed = next.indices.size === 0 ? await unpointProject(deps, folder, next) : await mendPointing(deps, folder, next);
  const changed = [...(await writeProject(files, folder, next)), ...(await writeLock(files, folder, without(lock))), ...pointed.changed];
  for (const line of lockLines(pointed)) terminal.talk(line);
  terminal.ok(changed.join(", "));
  terminal.warn(
    `${entry.packages.join(", ")} now come from the public registry, if anybody has them there; deny them under upstream.deny in imprint.json if they must not`,
  );
  return { alias, changed };
}

/** Without it, what imprint.json says of several sources would say something else. */
function requireUnneeded(alias: string, { agree, overlay = [] }: Project, { packages }: ProjectIndex): void {
  const refuse = (what: string): never => {
    throw new ImprintError("CONFIG_INVALID", `Cannot remove ${alias}: ${what}; change that in imprint.json first`);
  };
  if (agree?.of.some((one) => one === alias) === true) refuse(`agree.of names it (${agree.threshold} of ${agree.of.join(", ")})`);
  const over = overlay.filter((name) => packages.some((pattern) => (pattern as string) === name));
  if (over.length > 0) refuse(`overlay has ${over.join(", ")}, which it claims`);
}
