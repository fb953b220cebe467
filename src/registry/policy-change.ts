/**
 * What a change of imprint.json and imprint.lock widens, in words: both files decide who may run code here, so a change of
 * them is reviewed as code. Pure: two pairs of files in, lines out. Nothing of the machine's own state is looked at.
 */
import type { DisplayName } from "../format/decode.ts";
import { type PackagePattern, parsePackagePattern } from "../format/names.ts";
import { EMPTY_PROJECT, type Lock, type LockEntry, type Project } from "../format/project.ts";
import { type Source, sourceOfPattern } from "./claims.ts";

export type PolicyFiles = { readonly project: Project; readonly lock: Lock };

export type PolicyChange = {
  readonly text: string;
  /** Whether more is trusted than before, or less is asked for. */
  readonly widens: boolean;
};

export const NO_POLICY: PolicyFiles = { project: EMPTY_PROJECT, lock: new Map() };

export function policyChanges(before: PolicyFiles, after: PolicyFiles): readonly PolicyChange[] {
  return [
    ...indexChanges(before.project, after.project),
    ...claimChanges(before.project, after.project),
    ...registryChange(before.project, after.project),
    ...lockChanges(before, after),
  ];
}

export type FolderChange = PolicyChange & {
  /** Where it holds, below the top of the repository: `.` is the top, and always the first. */ readonly folders: readonly string[];
};

/** The policy that counts in a folder. `at`: where it stands; `unknown`: why it could not be read. */
export type Counting = PolicyFiles & { readonly at: string; readonly unknown: string | null };

/** A folder, and what counts there before and after; null: nothing. */
export type FolderSides = { readonly folder: string; readonly before: Counting | null; readonly after: Counting | null };

/** What changes in each folder; folders where one policy gives way to one other are told together. */
export function changesByFolder(sides: readonly FolderSides[]): readonly FolderChange[] {
  const groups = new Map<string, { readonly sides: FolderSides; readonly folders: string[] }>();
  for (const side of sides) {
    const key = JSON.stringify([side.before?.at ?? null, side.after?.at ?? null]);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { sides: side, folders: [side.folder] });
    else group.folders.push(side.folder);
  }
  return [...groups.values()].flatMap(({ sides: { before, after }, folders }) => {
    const unknown = [before, after].flatMap((side): readonly PolicyChange[] =>
      side === null || side.unknown === null ? [] : [{ text: `what counted or counts there is not known: ${side.unknown}`, widens: true }],
    );
    const changes = policyChanges(before ?? NO_POLICY, after ?? NO_POLICY);
    // Another file with the same content changes nothing yet.
    return [...unknown, ...changes].map((change) => ({ ...change, folders }));
  });
}

function indexChanges(before: Project, after: Project): readonly PolicyChange[] {
  const changes: PolicyChange[] = [];
  const note = (widens: boolean, text: string): void => void changes.push({ text, widens });
  for (const [alias, now] of after.indices) {
    const old = before.indices.get(alias);
    if (old === undefined) {
      note(true, `index ${alias} is new: id ${now.id}, at ${now.urls.join(", ")}, for ${now.packages.join(" ")}`);
      continue;
    }
    if (old.id !== now.id) note(true, `index ${alias} is another one: id ${now.id}, before ${old.id}`);
    // Hosts are not trusted: another one learns what is asked for, and can do no more.
    if (old.urls.join("\n") !== now.urls.join("\n"))
      note(false, `index ${alias} is at ${now.urls.join(", ")}, before at ${old.urls.join(", ")}`);
    if (old.ref !== now.ref) note(false, `index ${alias} is read from ${now.ref}, before from ${old.ref}`);
    const days = [old.maxAgeDays, now.maxAgeDays] as const;
    if (days[0] !== days[1])
      note(
        days[0] !== undefined && (days[1] === undefined || days[1] > days[0]),
        `index ${alias} may be ${days[1] === undefined ? "of any age" : `${days[1]} days old`}, before ${days[0] === undefined ? "of any age" : `${days[0]} days`}`,
      );
    const hours = [old.minAgeHours ?? 0, now.minAgeHours ?? 0] as const;
    if (hours[0] !== hours[1])
      note(hours[1] < hours[0], `releases of ${alias} are taken after ${hours[1]} hours, before after ${hours[0]} (minAgeHours)`);
  }
  for (const [alias, old] of before.indices) if (!after.indices.has(alias)) note(false, `index ${alias} is gone: id ${old.id}`);
  return changes;
}

/** Who answers for each name and scope that either side speaks of. */
function claimChanges(before: Project, after: Project): readonly PolicyChange[] {
  const patterns = new Set<PackagePattern>(["*" as PackagePattern, ...patternsOf(before), ...patternsOf(after)]);
  return [...patterns].flatMap((pattern) => {
    const [old, now] = [sourceOfPattern(before, pattern), sourceOfPattern(after, pattern)];
    const [was, is] = [sourceText(old), sourceText(now)];
    return was === is ? [] : [{ text: `${pattern} comes from ${is}, before from ${was}`, widens: now.kind !== "denied" }];
  });
}

function patternsOf({ indices, upstream, agree, overlay = [] }: Project): readonly PackagePattern[] {
  const names = [...(agree?.names ?? []), ...overlay].map((name) => parsePackagePattern(name));
  return [...[...indices.values()].flatMap(({ packages }) => packages), ...upstream.allow, ...upstream.deny, ...names];
}

function sourceText(source: Source): string {
  switch (source.kind) {
    case "agree":
      return `what ${source.agreement.threshold} of ${source.agreement.of.join(", ")} agree on`;
    case "overlay":
      return `${source.alias} over the public registry`;
    case "index":
      return source.alias;
    case "upstream":
      return "the public registry";
    case "denied":
      return "nowhere";
  }
}

function registryChange(before: Project, after: Project): readonly PolicyChange[] {
  const [old, now] = [before.upstream.registry, after.upstream.registry];
  const text = (registry: string | undefined): string => registry ?? "npm's own setting";
  return old === now ? [] : [{ text: `public names come from ${text(now)}, before from ${text(old)}`, widens: true }];
}

/** A floor is only raised: what lowers it lets a host sell an older state. */
function lockChanges(before: PolicyFiles, after: PolicyFiles): readonly PolicyChange[] {
  return [...before.lock].flatMap(([alias, old]): readonly PolicyChange[] => {
    const now = after.lock.get(alias);
    // With its index the floor has nothing left to hold.
    if (!after.project.indices.has(alias)) return [];
    if (now === undefined) return [{ text: `imprint.lock no longer holds ${alias} at ${floorText(old)}`, widens: true }];
    if (now.id !== old.id)
      return isSameIndex(before, after, alias) ? [{ text: `imprint.lock holds ${alias} by another id`, widens: true }] : [];
    const order = now.root.version - old.root.version || now.seq - old.seq;
    if (order < 0) return [{ text: `imprint.lock lowers ${alias} to ${floorText(now)}, from ${floorText(old)}`, widens: true }];
    const isOther = now.root.version === old.root.version && now.root.digest !== old.root.digest;
    if (isOther || (order === 0 && now.checkpoint !== old.checkpoint))
      return [{ text: `imprint.lock holds another history of ${alias} at ${floorText(now)}`, widens: true }];
    return order > 0 ? [{ text: `imprint.lock raises ${alias} to ${floorText(now)}`, widens: false }] : [];
  });
}

function isSameIndex(before: PolicyFiles, after: PolicyFiles, alias: DisplayName): boolean {
  return before.project.indices.get(alias)?.id === after.project.indices.get(alias)?.id;
}

function floorText({ root, seq }: LockEntry): string {
  return `root ${root.version}, seq ${seq}`;
}
