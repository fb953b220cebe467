/**
 * The environment of a command behind `imprint run`: this resolver as its registry, for every client. Measured: it beats
 * `registry=` in a project's .npmrc for npm 10–12, pnpm 10–12, yarn 1 and 4, bun and deno.
 */
import path from "node:path";
import { textOf } from "../../format/bytes.ts";
import { isJsonObject, type JsonValue } from "../../format/json.ts";
import { type PackagePattern, parsePackagePattern } from "../../format/names.ts";
import type { Project } from "../../format/project.ts";
import type { Deps } from "../deps.ts";
import { foldersUpward } from "../project-files.ts";
import { noProxyEnvironment } from "./no-proxy.ts";

const MAX_BYTES = 1024 * 1024;

/** @param base origin of the resolver, without a final slash */
export async function childEnvironment(
  { env, cwd, files }: Pick<Deps, "env" | "cwd" | "files">,
  base: string,
  project: Project,
): Promise<NodeJS.ProcessEnv> {
  // Secrets of ours are no business of a wrapped command, nor of the scripts that it runs.
  const { IMPRINT_PASSPHRASE: _secret, IMPRINT_PASSPHRASE_FILE: _file, IMPRINT_GIT_TOKEN: _token, ...rest } = env;
  const registry = `${base}/`;
  return {
    ...rest,
    IMPRINT_REGISTRY: registry,
    npm_config_registry: registry,
    NPM_CONFIG_REGISTRY: registry,
    npm_config_replace_registry_host: "always",
    pnpm_config_registry: registry,
    YARN_REGISTRY: registry,
    YARN_NPM_REGISTRY_SERVER: registry,
    YARN_UNSAFE_HTTP_WHITELIST: "127.0.0.1",
    BUN_CONFIG_REGISTRY: registry,
    VLT_REGISTRY: registry,
    ...(await noProxyEnvironment({ env, cwd, files })),
    ...(await ageExemptions(agedPatterns(project), { cwd, files })),
  };
}

/**
 * Claims of the indices whose releases the resolver itself holds back until they are old enough; agreed names where whoever
 * votes has such an age. Not overlaid ones: their public versions are not held back here.
 */
export function agedPatterns({ indices, agree, overlay = [] }: Project): readonly PackagePattern[] {
  const isOverlaid = (pattern: string): boolean => overlay.some((name) => name === pattern);
  const claimed = [...indices.values()].flatMap(({ minAgeHours, packages }) => (minAgeHours === undefined ? [] : packages));
  const isAgreedAged = agree?.of.every((alias) => indices.get(alias)?.minAgeHours !== undefined) === true;
  const agreed = isAgreedAged ? agree.names.map((name) => parsePackagePattern(name)) : [];
  return [...claimed.filter((pattern) => !isOverlaid(pattern)), ...agreed];
}

/**
 * Where imprint.json says how old a release must be, clients need not ask a second time: those that can be told by
 * environment are told. Their setting would otherwise replace the project's own list, so that is kept.
 */
async function ageExemptions(patterns: readonly PackagePattern[], where: Pick<Deps, "cwd" | "files">): Promise<NodeJS.ProcessEnv> {
  if (patterns.length === 0) return {};
  const [pnpm, yarn] = await Promise.all([
    listIn("pnpm-workspace.yaml", "minimumReleaseAgeExclude", where),
    listIn(".yarnrc.yml", "npmPreapprovedPackages", where),
  ]);
  return {
    pnpm_config_minimum_release_age_exclude: JSON.stringify([...new Set([...pnpm, ...patterns])]),
    YARN_NPM_PREAPPROVED_PACKAGES: [...new Set([...yarn, ...patterns])].join(","),
  };
}

/** Strings of a list in the nearest such YAML file. */
async function listIn(file: string, member: string, { cwd, files }: Pick<Deps, "cwd" | "files">): Promise<readonly string[]> {
  for (const folder of foldersUpward(cwd)) {
    const bytes = await files.read(path.join(folder, file), MAX_BYTES);
    if (bytes === null) continue;
    const { parse } = await import("yaml");
    let value: JsonValue;
    try {
      value = parse(textOf(bytes) ?? "", { maxAliasCount: 100 }) as JsonValue;
    } catch {
      return []; // the client says what is wrong with its own file
    }
    const list = isJsonObject(value) && Object.hasOwn(value, member) ? value[member] : [];
    return Array.isArray(list) ? list.filter((item): item is string => typeof item === "string") : [];
  }
  return [];
}
