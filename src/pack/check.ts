/**
 * Whether a tarball should be published: all that would break for whoever installs it, said at once and before anything
 * is signed, because a release never changes.
 */
import { aliasTarget, oddDependencies } from "../format/dependencies.ts";
import { ImprintError } from "../errors.ts";
import type { JsonObject } from "../format/json.ts";
import { parseNewPackageName, parsePackageName } from "../format/names.ts";
import type { PackageName } from "../format/names.ts";
import { parseVersion } from "../format/versions.ts";
import type { Version } from "../format/versions.ts";
import type { TarballFacts } from "./inspect.ts";
import { rangeProblems } from "./ranges.ts";
import { quote } from "./refuse.ts";
import { targetProblems } from "./targets.ts";

/** Lines shown of a long list: a build that did not run breaks every target. */
const MAX_SHOWN = 20;

export type PublishOptions = {
  /** The name that it must have, where the caller knows it: a tarball of another package is refused. */
  readonly name?: PackageName;
  /** For `import` of old public packages: upper case in the name. */
  readonly allowUpperCase?: boolean;
};

export type PublishCheck = {
  /** One line each; empty if it may be published. */
  readonly problems: readonly string[];
  /** What looks wrong but breaks nothing that runs; to be shown. */
  readonly warnings: readonly string[];
  readonly name: PackageName | null;
  readonly version: Version | null;
};

export type Publishable = { readonly name: PackageName; readonly version: Version; readonly warnings: readonly string[] };

/** The part of a tarball's facts that the check reads. */
type Checked = Pick<TarballFacts, "packageJson" | "files" | "manifest" | "bundledScripts">;

function parsed<T>(packageJson: JsonObject, field: string, parse: (text: string) => T, problems: string[]): T | null {
  const value = packageJson[field];
  if (typeof value !== "string") {
    problems.push(value === undefined ? `package.json has no ${field}` : `package.json's ${field} is not a string`);
    return null;
  }
  try {
    return parse(value);
  } catch (error) {
    if (!(error instanceof ImprintError)) throw error;
    problems.push(`${field}: ${quote(value)} can't be published (${error.message})`);
    return null;
  }
}

/** What stands against publishing; throws nothing. */
export function publishProblems(facts: Checked, options: PublishOptions = {}): PublishCheck {
  const { packageJson, files, manifest } = facts;
  const problems: string[] = [];
  // npm takes "false", 0 and the like as they come; only what is plainly meant is refused.
  if (packageJson["private"] === true) problems.push("package.json says private: true; remove it if this is meant to be published");
  const name = parsed(packageJson, "name", options.allowUpperCase === true ? parsePackageName : parseNewPackageName, problems);
  const version = parsed(packageJson, "version", parseVersion, problems);
  if (name !== null && options.name !== undefined && name !== options.name)
    problems.push(`the package is named ${quote(name)}, not ${quote(options.name)}`);
  problems.push(...rangeProblems(packageJson));
  // An install script may make the files that are missing (native code, downloads): nobody can tell without running it.
  const targets = targetProblems(packageJson, new Set(files));
  const mayAppear = manifest["hasInstallScript"] === true;
  if (!mayAppear) problems.push(...targets.problems);
  const aliases = oddDependencies(manifest).flatMap((dependency): string[] => {
    const target = aliasTarget(dependency);
    return target === null || target === dependency.name
      ? []
      : [
          `dependency ${dependency.name} is ${quote(dependency.spec)}: where clients hoist it, it stands in the place of ${dependency.name}`,
        ];
  });
  const warnings = [...broughtAlong(facts), ...aliases, ...(mayAppear ? [...targets.problems, ...targets.warnings] : targets.warnings)];
  return { problems, warnings, name, version };
}

/** What a package brings beside its own files: one line each, to be shown. */
export function broughtAlong({ files, manifest, bundledScripts }: Omit<Checked, "packageJson">): readonly string[] {
  return [
    ...(manifest["hasShrinkwrap"] === true
      ? ["npm-shrinkwrap.json: npm installs below this package what it lists; pnpm, yarn, bun and deno do not read it"]
      : []),
    ...bundledScripts.map((folder) => `${quote(folder)} is bundled, and runs a script when npm installs it`),
    ...(files.some((file) => file.startsWith("node_modules/"))
      ? ["it bundles packages: yarn 4 fetches these anew, other clients take these"]
      : []),
  ];
}

/**
 * The name and version to publish under, and what to warn of.
 *
 * @throws ImprintError PACKAGE_REFUSED, with one line a problem
 */
export function checkPublishable(facts: Checked, options: PublishOptions = {}): Publishable {
  const { problems, warnings, name, version } = publishProblems(facts, options);
  if (problems.length === 0 && name !== null && version !== null) return { name, version, warnings };
  const hidden = problems.length - MAX_SHOWN;
  const lines = problems.slice(0, MAX_SHOWN).map((problem) => `\n  - ${problem}`);
  if (hidden > 0) lines.push(`\n  - and ${hidden} more`);
  throw new ImprintError(
    "PACKAGE_REFUSED",
    `Cannot publish ${name ?? "the package"}: ${problems.length === 1 ? "1 problem" : `${problems.length} problems`}${lines.join("")}`,
  );
}
