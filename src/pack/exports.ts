/** The targets of `exports`, by node's rules: https://nodejs.org/api/packages.html#package-entry-points */
import { LIMITS } from "../format/limits.ts";
import { isJsonObject } from "../format/json.ts";
import type { JsonValue } from "../format/json.ts";
import { quote } from "./refuse.ts";

/**
 * Conditions that node, TypeScript and bundlers set without being asked. Others (`source`, `bun`, `@scope/dev`, …) are
 * for the author's own checkout or one host; good packages leave those dangling, and nobody is hurt.
 */
const COMMON_CONDITIONS: ReadonlySet<string> = new Set([
  "default",
  "import",
  "require",
  "node",
  "node-addons",
  "module-sync",
  "types",
  "browser",
  "module",
  "development",
  "production",
]);
export type Findings = {
  /** Refused: something breaks. */
  readonly problems: readonly string[];
  /** Shown only. */
  readonly warnings: readonly string[];
};

/** More targets than any package has; each pattern is held against every file. */
const MAX_TARGETS = LIMITS.exportTargets;

/** Whether `file` is `pattern` with each `*` replaced by one and the same text, which node allows to hold slashes. */
function matches(pattern: string, file: string): boolean {
  const parts = pattern.split("*");
  const fixed = pattern.length - (parts.length - 1);
  const length = (file.length - fixed) / (parts.length - 1);
  const first = parts[0] ?? "";
  if (!Number.isInteger(length) || length < 1) return false;
  return file === parts.join(file.slice(first.length, first.length + length));
}

function isThere(target: string, files: ReadonlySet<string>): boolean {
  const path = target.slice(2);
  if (path.includes("*")) return [...files].some((file) => matches(path, file));
  // `"./lib/": "./lib/"`, dropped by node 17 but still in old packages: a folder.
  if (path.endsWith("/") || path === "") return [...files].some((file) => file.startsWith(path));
  return files.has(path);
}

function isLegal(target: string): boolean {
  return (
    target.startsWith("./") &&
    !target
      .slice(2)
      .split(/[/\\]/)
      .some((segment) => segment === "." || segment === ".." || segment === "node_modules")
  );
}

/** Counts are of targets: looked at, and there. */
type Walk = {
  readonly files: ReadonlySet<string>;
  readonly problems: string[];
  readonly warnings: string[];
  looked: number;
  found: number;
};

function begin(files: ReadonlySet<string>): Walk {
  return { files, problems: [], warnings: [], looked: 0, found: 0 };
}

function walkTarget(state: Walk, target: string, at: string): void {
  state.looked += 1;
  if (state.looked > MAX_TARGETS) return;
  if (!isLegal(target)) state.problems.push(`${at}: ${quote(target)} does not lead to a file of the package (it must start with ./)`);
  else if (isThere(target, state.files)) state.found += 1;
  else {
    // Good public packages lack declarations or leave a pattern without files; at run time nothing breaks.
    const harmless = target.includes("*") || at.includes(' "types');
    (harmless ? state.warnings : state.problems).push(`${at}: ${quote(target)} is not in the tarball`);
  }
}

function walk(state: Walk, target: JsonValue, at: string): void {
  if (typeof target === "string") walkTarget(state, target, at);
  else if (Array.isArray(target)) walkFallbacks(state, target as readonly JsonValue[], at);
  else if (isJsonObject(target)) {
    for (const [condition, inner] of Object.entries(target)) {
      if (COMMON_CONDITIONS.has(condition) || condition.startsWith("types@")) walk(state, inner, `${at} ${quote(condition)}`);
    }
  } else if (target !== null) state.problems.push(`${at} is neither a path, nor conditions, nor null`);
}

/** Node takes the first that is legal, bundlers the first that exists: one good target is enough. */
function walkFallbacks(state: Walk, targets: readonly JsonValue[], at: string): void {
  const tries = targets.map((target): Walk => {
    const attempt = begin(state.files);
    walk(attempt, target, at);
    state.looked += attempt.looked;
    state.found += attempt.found;
    return attempt;
  });
  if (!tries.some((attempt) => attempt.problems.length === 0)) state.problems.push(...(tries[0]?.problems ?? []));
}

/** One line for each entry of `exports` that leads nowhere: what breaks whoever imports it, and what only looks wrong. */
export function exportProblems(exports: JsonValue | undefined, files: ReadonlySet<string>): Findings {
  if (exports === undefined || exports === null) return { problems: [], warnings: [] };
  const state = begin(files);
  const keys = isJsonObject(exports) ? Object.keys(exports) : [];
  const subpaths = keys.filter((key) => key.startsWith("."));
  if (subpaths.length > 0 && subpaths.length < keys.length) {
    return { problems: ["exports mixes subpaths (./x) and conditions, which node refuses"], warnings: [] };
  }
  if (isJsonObject(exports) && subpaths.length > 0) {
    for (const [subpath, target] of Object.entries(exports)) walk(state, target, `exports ${quote(subpath)}`);
  } else walk(state, exports, "exports");
  if (state.looked > MAX_TARGETS) state.problems.push(`exports has more than ${MAX_TARGETS} targets`);
  // Not one target there: the build did not run, or `files` left it out.
  const nothing = state.found === 0 && state.looked > 0;
  return nothing
    ? { problems: [...state.problems, ...state.warnings], warnings: [] }
    : { problems: state.problems, warnings: state.warnings };
}
