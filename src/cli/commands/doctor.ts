/** `imprint doctor`: what is amiss with this project and machine, each finding with what mends it. Changes nothing. */
import { isImprintError } from "../../errors.ts";
import { hasSay, labelOf, sourceOf, scopeOwners } from "../../registry/claims.ts";
import { findScopeLines } from "../../clients/scope-lines.ts";
import { type Consumer, openConsumer } from "../consumer.ts";
import type { Deps } from "../deps.ts";
import { checkClaims } from "../doctor/claims.ts";
import { checkAgeGates, checkRegistryLines, checkScopeLines, checkUnsafe } from "../doctor/clients.ts";
import { checkClientVersions } from "../doctor/client-versions.ts";
import { checkClock } from "../doctor/clock.ts";
import type { IndexFacts } from "../doctor/facts.ts";
import type { Finding, Level } from "../doctor/finding.ts";
import { checkFreshness } from "../doctor/freshness.ts";
import { clientFacts } from "../doctor/gather-clients.ts";
import { freshOf, gatherIndices, reach } from "../doctor/gather-indices.ts";
import {
  cacheFacts,
  clientsOf,
  dependenciesOf,
  folderFacts,
  gitFault,
  leftByVlt,
  newestFileMs,
  registryFacts,
  resolverFiles,
  secretModes,
  sshOnly,
} from "../doctor/gather-machine.ts";
import { checkLock } from "../doctor/lock.ts";
import { checkLookAlikes, type Known } from "../doctor/look-alikes.ts";
import { checkCache, checkFolders, checkGit, checkNode, checkResolvers, checkSecrets } from "../doctor/machine.ts";
import { checkSeveralSources } from "../doctor/several-sources.ts";
import { checkMoved, checkReached } from "../doctor/places.ts";
import { clientFolder } from "../../project/project-files.ts";
import { clean } from "../../format/text.ts";

export type DoctorResult = { readonly findings: readonly Finding[]; readonly worst: Level };

export async function doctor({ online }: { readonly online: boolean }, given: Deps): Promise<DoctorResult> {
  const isOffline = given.offline || !online;
  const deps: Deps = { ...given, offline: isOffline, git: { ...given.git, offline: isOffline } };
  const opened = await open(deps);
  const consumer = "files" in opened ? opened : null;
  try {
    const indices = consumer === null ? [] : await gatherIndices(consumer, deps);
    const findings = [
      ...(consumer === null ? [] : await projectFindings(consumer, indices, deps)),
      ...("files" in opened ? [] : [opened]),
      ...(await machineFindings(consumer, indices, deps)),
    ];
    return { findings, worst: worstOf(findings) };
  } finally {
    await consumer?.close();
  }
}

/** The project, or what keeps it from being read. */
async function open(deps: Deps): Promise<Consumer | Finding> {
  try {
    return await openConsumer(deps, () => {}); // its findings say what warnings would
  } catch (error) {
    if (!isImprintError(error)) throw error;
    const { code, message, hint } = error;
    if (code === "CONFIG_MISSING") return { level: "note", title: "no imprint.json counts here", detail: message, fix: hint };
    return { level: "problem", title: "this project cannot be read", detail: `${message} (${code})`, fix: hint };
  }
}

async function projectFindings(consumer: Consumer, indices: readonly IndexFacts[], deps: Deps): Promise<readonly Finding[]> {
  const { project, lock, folder } = consumer.files;
  const clients = clientFolder(deps, folder);
  const wanted = await dependenciesOf(deps, clients);
  const reached = deps.offline ? null : await reach(consumer, deps);
  const claimed = indices.flatMap(({ alias, entry, names }): readonly Known[] => [
    ...entry.packages.map((name) => ({ name, from: alias })),
    ...(names ?? []).filter((name) => hasSay(sourceOf(project, name), alias)).map((name) => ({ name, from: alias })),
  ]);
  const agreed = (project.agree?.names ?? []).map((name) => ({ name, from: labelOf(sourceOf(project, name)) }));
  const publicNames = wanted
    .filter((name) => sourceOf(project, name).kind === "upstream")
    .map((name) => ({ name, from: "the public registry, in package.json" }));
  return [
    ...checkFreshness(indices, deps.nowMs()),
    ...indices.flatMap(checkMoved),
    ...(reached === null ? [] : [...reached].flatMap(([alias, places]) => checkReached(alias, places))),
    ...indices.flatMap((index) => checkClaims(project, index)),
    ...(await checkSeveralSources(consumer, deps.nowMs())),
    ...checkLookAlikes([...agreed, ...claimed, ...publicNames]),
    ...checkLock(project, lock, indices),
    ...checkScopeLines(await findScopeLines({ folder: consumer.files.folder, ownerOf: scopeOwners(consumer.files.project) }, deps)),
    ...checkRegistryLines(await registryFacts(deps, folder === deps.layout.config ? null : folder, project)),
    ...checkUnsafe(await leftByVlt(clients)),
    ...checkClientVersions(await clientFacts(deps, clients)),
    ...checkAgeGates({
      clients: await clientsOf(clients),
      aged: indices.filter(({ entry }) => entry.minAgeHours !== undefined).map(({ alias }) => alias),
      fresh: await freshOf(consumer, wanted, deps.nowMs()),
    }),
  ];
}

async function machineFindings(consumer: Consumer | null, indices: readonly IndexFacts[], deps: Deps): Promise<readonly Finding[]> {
  return [
    ...checkClock({
      indices,
      newestFileMs: await newestFileMs(
        deps,
        indices.map(({ entry }) => entry.id),
      ),
      nowMs: deps.nowMs(),
    }),
    ...checkNode(process.versions.node),
    ...checkGit({
      fault: await gitFault(deps.env),
      isChosenEmbedded: deps.env["IMPRINT_GIT"] === "isomorphic",
      needsSsh: sshOnly(consumer?.files.project.indices ?? []),
    }),
    ...checkFolders(await folderFacts(deps)),
    ...checkSecrets(await secretModes(deps, process.platform)),
    ...checkResolvers(await resolverFiles(deps)),
    ...checkCache(await cacheFacts(deps)),
  ];
}

const LEVELS = ["ok", "note", "warning", "problem"] as const satisfies readonly Level[];
const MARKS: Readonly<Record<Level, string>> = { ok: "✓", note: "·", warning: "!", problem: "✗" };

function worstOf(findings: readonly Finding[]): Level {
  return LEVELS.findLast((level) => findings.some((finding) => finding.level === level)) ?? "ok";
}

/** What is amiss, the worst first, then a line for all that is well. */
export function doctorLines({ findings }: DoctorResult): readonly string[] {
  const amiss = LEVELS.toReversed()
    .filter((level) => level !== "ok")
    .flatMap((level) => findings.filter((finding) => finding.level === level))
    .flatMap(({ level, title, detail, fix }) => [
      `${MARKS[level]} ${clean(title)}`,
      ...(detail === null ? [] : [`  ${clean(detail)}`]),
      ...(fix === null ? [] : [`  fix: ${clean(fix)}`]),
    ]);
  const well = findings.filter(({ level }) => level === "ok").length;
  return [...amiss, `${MARKS.ok} ${well} ${well === 1 ? "check is" : "checks are"} well`];
}
