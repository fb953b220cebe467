/**
 * The policies that one resolver answers, each opened when it is first asked for and by its own project's rules.
 *
 * A policy is served if a folder has it now: one that this process was started for or was told of (`imprint serve` in a second
 * terminal), or one that the user's commands remembered. The address is all that a client says; what lies in the folder decides
 * whether it still holds. Everything else is refused, in words that name the folder and the command.
 */
import { ImprintError } from "../errors.ts";
import { type Policy, policyOf } from "../format/policy.ts";
import type { Project } from "../format/project.ts";
import type { Served } from "../http/app.ts";
import type { KnownProject } from "../project/known-projects.ts";
import type { Registry } from "../registry/port.ts";
import { createReport, type Report } from "./report.ts";

/** What a project is served by, beside its imprint.json: the words of the command that was started for it. */
export type Rules = {
  readonly strict: boolean;
  readonly offline: boolean;
  readonly allowFile: boolean;
  /** An index is asked for news when it was last asked longer ago than this. */
  readonly syncAfterMs: number;
};

/** What happens while a policy is served, for the terminal of whoever started it. JSON. */
export type ServeEvent =
  | { readonly kind: "answered"; readonly name: string; readonly what: string; readonly source: string; readonly detail: string }
  | { readonly kind: "refused"; readonly name: string; readonly code: string; readonly message: string }
  | { readonly kind: "warned"; readonly line: string }
  | { readonly kind: "said"; readonly line: string };

/** A folder whose policy is served for as long as whoever told of it stays. */
export type Told = { readonly folder: string; readonly rules: Rules; readonly say: (event: ServeEvent) => void };

/** A project with its indices open, and the registry that they make. */
export type OpenedPolicy = { readonly project: Project; readonly registry: Registry; close(): Promise<void> };

export type PolicyPorts = {
  /** imprint.json of a folder, as it lies there now. @throws ImprintError */
  readonly readProject: (folder: string) => Promise<Project>;
  /** Opens it. @throws ImprintError where it cannot be served */
  readonly open: (told: Told, report: Report) => Promise<OpenedPolicy>;
  /** Changes whenever imprint.json or imprint.lock of the folder do. */
  readonly stampOf: (folder: string) => Promise<string>;
  /** Projects that were not told of, but that may be served; null: none may. */
  readonly known: (() => Promise<readonly KnownProject[]>) | null;
  /** For projects that were only remembered. */
  readonly otherwise: Pick<Told, "rules" | "say">;
};

export type Policies = {
  /** @throws ImprintError WRONG_ADDRESS, CONFIG_INVALID and others of opening it */
  served(policy: Policy | null): Promise<Served>;
  /** @returns what ends it */
  tell(told: Told): () => void;
  /** What was seen under a policy; null where it was never served. */
  reportOf(policy: Policy): Report | null;
  /** Looks whether files changed, and opens anew what did. */
  refresh(): Promise<void>;
  close(): Promise<void>;
};

type Entry = {
  readonly told: Told;
  readonly report: Report;
  opened: OpenedPolicy;
  stamp: string;
  /** A stamp that could not be opened, so that its error is said once. */ refused: string | null;
};

export function createPolicies(ports: PolicyPorts): Policies {
  const told: Told[] = [];
  const entries = new Map<Policy, Promise<Entry>>();
  const reports = new Map<Policy, Report>();
  const live = new Map<Policy, Entry>();

  const reportFor = (policy: Policy): Report => {
    const report = reports.get(policy) ?? createReport();
    reports.set(policy, report);
    return report;
  };

  /** Who has that policy now; those who were told of first, the newest of them before the others. */
  const toldOf = async (policy: Policy, remembered: readonly KnownProject[]): Promise<Told | null> => {
    const others = remembered
      .filter(({ policies }) => policies.includes(policy))
      .map(({ folder }): Told => ({ folder, ...ports.otherwise }));
    for (const one of [...told.toReversed(), ...others]) if ((await currentPolicy(one.folder)) === policy) return one;
    return null;
  };
  const currentPolicy = async (folder: string): Promise<Policy | null> => {
    try {
      return policyOf(await ports.readProject(folder));
    } catch (error) {
      if (error instanceof ImprintError) return null; // its own commands say what is wrong with it
      throw error;
    }
  };

  const open = async (policy: Policy): Promise<Entry> => {
    const remembered = (await ports.known?.()) ?? [];
    const found = await toldOf(policy, remembered);
    if (found === null) throw await wrongAddress(policy, remembered);
    const report = reportFor(policy);
    const stamp = await ports.stampOf(found.folder);
    const opened = await ports.open(found, report);
    const entry: Entry = { told: found, report, opened, stamp, refused: null };
    if (policyOf(opened.project) === policy) {
      live.set(policy, entry);
      return entry;
    }
    await opened.close(); // changed between two looks
    throw await wrongAddress(policy, remembered);
  };

  const wrongAddress = async (policy: Policy | null, remembered: readonly KnownProject[]): Promise<ImprintError> => {
    if (policy === null) {
      const own = told.length === 1 ? ` (here: ${(told[0] as Told).folder})` : "";
      return new ImprintError(
        "WRONG_ADDRESS",
        `Cannot answer: this address names no policy; in the project's folder${own} run imprint sync, which writes the address that does`,
      );
    }
    const owner = remembered.find(({ policies }) => policies.includes(policy))?.folder;
    return new ImprintError(
      "WRONG_ADDRESS",
      owner === undefined
        ? "Cannot answer: the address is of a project that this resolver does not serve; in the project's folder run imprint serve, or imprint run before the command"
        : `Cannot answer: the address is of ${owner} before its imprint.json changed; run there imprint sync, which writes the new one`,
    );
  };

  const entryOf = (policy: Policy): Promise<Entry> => {
    const known = entries.get(policy);
    if (known !== undefined) return known;
    const opening = open(policy);
    entries.set(policy, opening);
    opening.catch(() => entries.delete(policy));
    return opening;
  };

  const drop = async (policy: Policy, entry: Entry): Promise<void> => {
    entries.delete(policy);
    live.delete(policy);
    await entry.opened.close();
  };

  const refreshOne = async (policy: Policy, entry: Entry): Promise<void> => {
    const { folder, say } = entry.told;
    const stamp = await ports.stampOf(folder);
    if (stamp === entry.stamp || stamp === entry.refused) return;
    entry.refused = stamp;
    const project = await ports.readProject(folder);
    if (policyOf(project) !== policy) {
      say({ kind: "said", line: "imprint.json changed, and the address with it: imprint sync writes the new one" });
      return drop(policy, entry);
    }
    const next = await ports.open(entry.told, entry.report);
    const before = entry.opened;
    entry.opened = next;
    entry.stamp = stamp;
    say({ kind: "said", line: "imprint.json or imprint.lock changed: reloaded" });
    await before.close();
  };

  return {
    async served(policy) {
      if (policy === null) throw await wrongAddress(null, []);
      const entry = await entryOf(policy);
      const registry = following(entry, () => live.get(policy) === entry);
      return { registry, observe: (userAgent) => entry.report.client(userAgent) };
    },
    tell(one) {
      told.push(one);
      return () => {
        told.splice(told.indexOf(one), 1);
        // Whoever else has that policy is asked again, by his own rules.
        for (const [policy, entry] of live) if (entry.told === one) void drop(policy, entry);
      };
    },
    reportOf: (policy) => reports.get(policy) ?? null,
    async refresh() {
      for (const [policy, entry] of live)
        await refreshOne(policy, entry).catch((error: unknown) => {
          const why = error instanceof Error ? error.message : "it cannot be read";
          entry.told.say({ kind: "warned", line: `still serving with the last good imprint.json: ${why}` });
        });
    },
    async close() {
      await Promise.all([...live].map(([policy, entry]) => drop(policy, entry)));
    },
  };
}

/** The registry of an entry as it is at each question: reloading replaces it, and what was kept of the former is not repeated. */
function following(entry: Entry, isLive: () => boolean): Registry {
  const now = (): Registry => entry.opened.registry;
  return {
    async packument(...request) {
      const asked = entry.opened;
      const { again, ...answered } = await asked.registry.packument(...request);
      return { ...answered, again: () => isLive() && asked === entry.opened && again?.() === true };
    },
    version: (...request) => now().version(...request),
    distTags: (...request) => now().distTags(...request),
    tarball: (...request) => now().tarball(...request),
    keys: (...request) => now().keys(...request),
    attestations: (...request) => now().attestations(...request),
    audit: (...request) => now().audit(...request),
    search: (...request) => now().search(...request),
  };
}
