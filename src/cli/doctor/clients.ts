/** What clients are told by files and environment: scope lines (X9), registry lines (X8), lockfiles, age gates. */
import type { ScopeLine } from "../clients/scope-lines.ts";
import { type Finding, ok, orOk } from "./finding.ts";
import { DEFAULT_REGISTRY } from "../project-files.ts";

export function checkScopeLines(lines: readonly ScopeLine[]): readonly Finding[] {
  const findings = lines.map(({ scope, where }): Finding => ({
    level: "problem",
    title: `${where} sends ${scope} to a registry of its own`,
    detail: "an index is claimed for that scope, and that setting beats the registry of imprint run, which refuses to start",
    fix: where.startsWith("the environment variable") ? `unset ${where.replace("the environment variable ", "")}` : `remove ${where}`,
  }));
  return orOk(findings, "no client sends a claimed scope elsewhere");
}

/** `registry`: what the file says; null: nothing. */
export type RegistryFile = {
  readonly file: string;
  readonly registry: string | null;
  /** The command that points it here. */ readonly fix: string;
  /** The user's own is for the user to decide. */ readonly isOwn: boolean;
};

export function checkRegistryLines(files: readonly RegistryFile[]): readonly Finding[] {
  return files.map(({ file, registry, fix, isOwn }): Finding => {
    if (registry === DEFAULT_REGISTRY) return ok(`${file} points at the resolver`);
    const asked = registry === null ? "the public registry" : registry.replace(/\/\/[^/@]*@/u, "//");
    return {
      level: isOwn || (registry !== null && isLocal(registry)) ? "note" : "warning",
      title: registry === null ? `${file} names no registry` : `${file} names another registry`,
      detail: `where imprint run is forgotten, ${asked} is asked for claimed names, instead of nobody`,
      fix,
    };
  });
}

/** A resolver on a port of its own. */
function isLocal(registry: string): boolean {
  return /^http:\/\/(127\.0\.0\.1|localhost|\[::1\])[:/]/u.test(registry);
}

/** @param line as `pinnedElsewhere` says it */
export function checkPinned(line: string | null): readonly Finding[] {
  if (line === null) return [ok("no lockfile pins another port")];
  const port = /--port (\d+)/u.exec(line)?.[1] ?? "";
  return [
    { level: "warning", title: "a lockfile pins another resolver's port", detail: line, fix: `imprint run --port ${port} <command>` },
  ];
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
