/**
 * `imprint publish --workspaces`: all packages of a workspace whose version is new, in one commit and one push.
 *
 * All of them are packed and checked before anything is signed: either the whole set is released or nothing of it, so
 * that no package is out there whose sibling failed to build.
 */
import { openSecrets } from "../../clients/environment.ts";
import { ImprintError } from "../../errors.ts";
import { type Gap, type Sibling, siblingGaps } from "../../pack/order.ts";
import { type Candidate, prepare, runAfter } from "../candidates.ts";
import type { Deps } from "../deps.ts";
import { clean } from "../../format/text.ts";
import { type Plan, type Planned, type PlanOptions, planWorkspaces, SKIPPED, type Skipped } from "../workspace-plan.ts";
import { openFor, type PublishedRelease, publishGroup, type PublishOptions } from "./publish.ts";

export type PublishWorkspacesOptions = PlanOptions & {
  readonly tag: string | undefined;
  readonly dryRun: boolean;
  readonly push: boolean;
  readonly propose: PublishOptions["propose"];
};

export type WorkspacesResult = {
  /** Every package of the workspace; those to publish first, in the order in which they are packed. */
  readonly plan: readonly {
    readonly name: string | null;
    readonly version: string | null;
    readonly folder: string;
    readonly index: string | null;
    readonly skipped: Skipped | null;
  }[];
  readonly releases: readonly PublishedRelease[];
};

export async function publishWorkspaces(options: PublishWorkspacesOptions, deps: Deps): Promise<WorkspacesResult> {
  for (const line of openSecrets(deps.env)) deps.terminal.warn(line);
  const planned = await planWorkspaces(options, deps);
  const plan = linesOf(planned);
  show(plan, deps);
  const { own } = planned;
  if (own === null) {
    deps.terminal.talk("nothing to publish");
    return { plan, releases: [] };
  }
  const candidates: Candidate[] = [];
  const names = planned.packages.filter(({ skipped }) => skipped === null).map(({ name }) => name);
  const index = await openFor(own, names, options, deps);
  try {
    for (const one of planned.packages) if (one.skipped === null) candidates.push(await prepareOne(one, options, deps));
    requireInstallable(planned, candidates, deps);
    const releases = await publishGroup(index, candidates, options, deps);
    if (!options.dryRun && options.push && options.propose === null) await runAfter(candidates, deps);
    return { plan, releases };
  } finally {
    await Promise.all([...candidates.map(({ cleanup }) => cleanup()), index.open.repository.close()]);
  }
}

function linesOf({ packages, others }: Plan): WorkspacesResult["plan"] {
  const all = [...packages.map((one) => ({ ...one, index: one.own?.name ?? null })), ...others.map((one) => ({ ...one, index: null }))];
  const lines = all.map(({ name, version, folder, index, skipped }) => ({ name, version, folder, index, skipped }));
  return [...lines.filter(({ skipped }) => skipped === null), ...lines.filter(({ skipped }) => skipped !== null)];
}

function show(plan: WorkspacesResult["plan"], { terminal }: Deps): void {
  for (const { name, version, folder, index, skipped } of plan) {
    // The root of a workspace is nearly always private, and nobody asks why.
    if (folder === "." && skipped === "private") continue;
    const label = `${name ?? folder}${version === null ? "" : `@${version}`}`;
    const what = skipped === null ? `to publish to ${index ?? ""}` : `skipped: ${SKIPPED[skipped]}`;
    terminal.talk(clean(`${skipped === null ? "+" : "·"} ${label}  ${what}`));
  }
}

async function prepareOne(one: Planned, { tag }: PublishWorkspacesOptions, deps: Deps): Promise<Candidate> {
  const candidate = await prepare(one.member.dir, tag, deps, { name: one.name });
  if (candidate.version === one.version) return candidate;
  await candidate.cleanup();
  throw new ImprintError(
    "PACKAGE_REFUSED",
    `Cannot publish ${one.name}@${one.version}: packed, it is version ${candidate.version}; its scripts must not change the version`,
  );
}

/** @throws ImprintError PACKAGE_REFUSED where somebody could never install one of `candidates` */
function requireInstallable({ packages, own }: Plan, candidates: readonly Candidate[], { terminal }: Deps): void {
  const siblings = new Map<string, Sibling>();
  for (const one of packages) siblings.set(one.name, siblingOf(one, own));
  const gaps = siblingGaps(
    candidates.map(({ name, facts: { packageJson } }) => ({ name, packageJson })),
    siblings,
  );
  for (const { text } of gaps.filter(({ isElsewhere }) => isElsewhere)) terminal.warn(clean(text));
  const refused = gaps.filter(({ isElsewhere }: Gap) => !isElsewhere);
  if (refused.length > 0)
    throw new ImprintError(
      "PACKAGE_REFUSED",
      `Cannot publish the workspaces: nobody could install them${refused.map(({ text }) => `\n  - ${clean(text)}`).join("")}`,
    );
}

function siblingOf({ name, version, released, skipped, own }: Planned, target: Plan["own"]): Sibling {
  const available = skipped === null ? [...released, version] : released;
  if (own === null)
    return { version, available, why: "it is outside the names of your index; it must be released elsewhere", isElsewhere: true };
  if (own.id !== target?.id)
    return { version, available, why: `it belongs to your index ${own.name}; publish it there too`, isElsewhere: true };
  const why =
    skipped === "private"
      ? "that package is private, and nobody can install it"
      : skipped === "root"
        ? "it is not released yet; publish the workspace's root first: imprint publish ."
        : skipped === "withdrawn"
          ? "that version is withdrawn; raise its version"
          : `it is not released, and --filter leaves it out; add --filter '${name}'`;
  return { version, available, why, isElsewhere: false };
}
