/** What clients are told by files and environment: scope lines (X9), registry lines (X8), lockfiles, age gates. */
import type { ScopeLine } from "../../clients/scope-lines.ts";
import { type Finding, ok, orOk } from "./finding.ts";
import type { RegistryLine } from "../../clients/pointing/point.ts";
import { parseResolverAddress } from "../../clients/resolver-address.ts";

export function checkScopeLines(lines: readonly ScopeLine[]): readonly Finding[] {
  const findings = lines.map(({ text, fix, isRead }): Finding => ({
    level: "problem",
    title: text,
    detail: isRead
      ? "an index is claimed there, and that setting beats the registry of imprint run, which refuses to start"
      : "clients may read it otherwise than imprint does, so that imprint run refuses to start",
    fix,
  }));
  return orOk(findings, "no client sends a claimed scope elsewhere");
}

export type RegistryFacts = {
  /** Of this project's resolver. */ readonly address: string;
  readonly lines: readonly RegistryLine[];
  /** The command that mends it. */ readonly fix: string;
  /** The user's own settings are for the user to decide. */ readonly isOwn: boolean;
  /** Files that `imprint sync` would change. */ readonly behind: readonly string[];
};

export function checkRegistryLines({ address, lines, fix, isOwn, behind }: RegistryFacts): readonly Finding[] {
  const isPointed = lines.some(({ registry }) => registry !== null && parseResolverAddress(registry) !== null);
  const findings = lines.map(({ file, registry }): Finding => {
    if (registry === address) return ok(`${file} points at the resolver`);
    if (registry !== null && parseResolverAddress(registry) !== null)
      return {
        level: "problem",
        title: `${file} names an address that is not this project's`,
        detail: `a resolver refuses ${registry}: this imprint.json is answered under ${address}`,
        fix,
      };
    const asked = registry === null ? "the public registry" : registry.replace(/\/\/[^/@]*@/u, "//");
    return {
      level: isOwn || (registry !== null && isLocal(registry)) ? "note" : "warning",
      title: registry === null ? `${file} names no registry` : `${file} names another registry`,
      detail: `where imprint run is forgotten, ${asked} is asked for claimed names, instead of nobody`,
      // Sync mends what was pointed here once; the first time is for whoever said --no-npmrc to decide.
      fix: isOwn || isPointed ? fix : `npm config set registry ${address} --location=project && imprint sync`,
    };
  });
  const named = new Set(lines.map(({ file }) => file));
  const others = isPointed
    ? behind.filter((file) => !named.has(file) || lines.some((line) => line.file === file && line.registry === address))
    : [];
  if (others.length === 0) return findings;
  return [
    ...findings,
    {
      level: "warning",
      title: `${others.join(", ")} ${others.length === 1 ? "is" : "are"} behind imprint.json`,
      detail:
        "they hold an address that is refused or a port of another time, or miss what keeps caches of projects apart and ends at once where nobody listens",
      fix,
    },
  ];
}

/** A resolver on a port of its own. */
function isLocal(registry: string): boolean {
  return /^http:\/\/(127\.0\.0\.1|localhost|\[::1\])[:/]/u.test(registry);
}

/** @param left files of clients that `imprint run` refuses, by the client */
export function checkUnsafe(left: readonly string[]): readonly Finding[] {
  if (left.length === 0) return [ok("no client here asks past the resolver")];
  return [
    {
      level: "warning",
      title: `${left.join(", ")} is of vlt, which asks the public registry whatever registry it is given`,
      detail: "claimed names in its lockfile would leak, so imprint run refuses it",
      fix: `use another client here, and rm ${left.join(" ")}`,
    },
  ];
}

export type GateFacts = {
  /** Clients that the project uses, by the files that they leave. */ readonly clients: readonly ("pnpm" | "yarn" | "deno")[];
  /** Indices with and without `minAgeHours`. */
  readonly aged: readonly string[];
  /** Claimed dependencies of the project whose newest release is younger than a day, of indices without `minAgeHours`. */
  readonly fresh: readonly string[];
};

export function checkAgeGates({ clients, aged, fresh }: GateFacts): readonly Finding[] {
  const findings: Finding[] = [];
  if (aged.length > 0 && clients.includes("deno"))
    findings.push({
      level: "note",
      title: "deno cannot be told that imprint.json decides how old releases must be",
      detail: `${aged.join(", ")}: minAgeHours is set, and deno holds back what is younger than a day besides`,
      fix: '"minimumDependencyAge": { "age": "P1D", "exclude": ["npm:<name>"] } in deno.json',
    });
  if (fresh.length > 0 && clients.length > 0)
    findings.push({
      level: "note",
      title: `${clients.join(" and ")} may hold back releases that are younger than a day`,
      detail: `${fresh.join(", ")}: pnpm 11, yarn 4 and deno do, unless told otherwise`,
      fix: clients.every((client) => client === "deno")
        ? `"minimumDependencyAge": { "age": "P1D", "exclude": ["npm:${fresh[0] ?? ""}"] } in deno.json`
        : "set minAgeHours for that index in imprint.json (0 takes all at once): imprint run then tells them",
    });
  return orOk(findings, "no age gate surprises");
}
