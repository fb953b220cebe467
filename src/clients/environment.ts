/**
 * The environment of a command behind `imprint run`: this resolver as its registry, for every client. Measured: it beats
 * `registry=` in a project's .npmrc for npm 10–12, pnpm 10–12, yarn 1 and 4, bun and deno.
 */
import path from "node:path";
import { textOf } from "../format/bytes.ts";
import { isJsonObject, type JsonValue } from "../format/json.ts";
import { type PackagePattern, parsePackagePattern } from "../format/names.ts";
import type { Project } from "../format/project.ts";
import { foldersUpward, type Surroundings } from "./surroundings.ts";
import { type ClientName, clientsOf } from "./pointing/files.ts";
import { RESOLVER_HOST } from "./resolver-address.ts";
import { noProxyEnvironment } from "./no-proxy.ts";

const MAX_BYTES = 1024 * 1024;

/** Variables that hold a secret of ours, and the way that keeps it out of the environment. */
const SECRETS: Readonly<Record<string, string>> = {
  IMPRINT_PASSPHRASE: "keep it in a file of mode 600, named by IMPRINT_PASSPHRASE_FILE",
  IMPRINT_SSH_PASSPHRASE: "type it when asked",
  IMPRINT_GIT_TOKEN: "use git's credential helper, or ssh with an agent",
  IMPRINT_KEY: "import the key file, then unset it",
};

/**
 * A line for each secret of ours that the environment holds. A child that gets a cleaned copy of it can still read this process's
 * own, as any process of the same user can.
 */
export function openSecrets(env: NodeJS.ProcessEnv): readonly string[] {
  return Object.entries(SECRETS)
    .filter(([name]) => (env[name] ?? "") !== "")
    .map(([name, instead]) => `${name} is in the environment, where every program of yours can read it: ${instead}`);
}

/**
 * @param program that is started: pnpm is told where its cache is by a name that npm warns of
 * @param base of the resolver, with its policy, without a final slash
 * @param caches a folder for what clients keep of this policy: pnpm, yarn, bun and deno took a name's bytes from what another
 * project had filled, with exact versions and frozen lockfiles, too
 */
export async function childEnvironment(
  { env, cwd, files }: Surroundings,
  {
    program,
    base,
    project,
    caches,
  }: { readonly program: string; readonly base: string; readonly project: Project; readonly caches: string },
): Promise<NodeJS.ProcessEnv> {
  // Secrets of ours are no business of a wrapped command, nor of the scripts that it runs.
  const rest = Object.fromEntries(
    Object.entries(env).filter(([name]) => !Object.hasOwn(SECRETS, name) && name !== "IMPRINT_PASSPHRASE_FILE"),
  );
  const registry = `${base}/`;
  return {
    ...rest,
    IMPRINT_REGISTRY: registry,
    npm_config_registry: registry,
    NPM_CONFIG_REGISTRY: registry,
    // Lockfiles without addresses of registries lead to whichever is configured; those of git and tarballs stay.
    npm_config_omit_lockfile_registry_resolved: "true",
    pnpm_config_registry: registry,
    YARN_REGISTRY: registry,
    YARN_NPM_REGISTRY_SERVER: registry,
    YARN_UNSAFE_HTTP_WHITELIST: RESOLVER_HOST,
    BUN_CONFIG_REGISTRY: registry,
    COREPACK_NPM_REGISTRY: registry,
    VLT_REGISTRY: registry,
    ...(await cacheEnvironment(caches, program, { cwd, files })),
    ...(await noProxyEnvironment({ env, cwd, files })),
    ...(await ageExemptions(agedPatterns(project), { cwd, files })),
  };
}

async function cacheEnvironment(
  caches: string,
  program: string,
  { cwd, files }: Pick<Surroundings, "cwd" | "files">,
): Promise<NodeJS.ProcessEnv> {
  const used = new Set<ClientName>();
  for (const folder of foldersUpward(cwd)) for (const client of await clientsOf(files, folder)) used.add(client);
  return {
    pnpm_config_cache_dir: path.join(caches, "pnpm"),
    // npm warns of settings that it does not know, and pnpm 10 reads no other name.
    ...(!used.has("pnpm") && (used.has("npm") || /^np[mx]$/.test(path.basename(program)))
      ? {}
      : { npm_config_cache_dir: path.join(caches, "pnpm") }),
    YARN_GLOBAL_FOLDER: path.join(caches, "yarn"),
    // The same variable would move the cache that yarn 2 and later keep in a project.
    ...(used.has("yarn") ? {} : { YARN_CACHE_FOLDER: path.join(caches, "yarn-1") }),
    BUN_INSTALL_CACHE_DIR: path.join(caches, "bun"),
    DENO_DIR: path.join(caches, "deno"),
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
async function ageExemptions(patterns: readonly PackagePattern[], where: Pick<Surroundings, "cwd" | "files">): Promise<NodeJS.ProcessEnv> {
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
async function listIn(file: string, member: string, { cwd, files }: Pick<Surroundings, "cwd" | "files">): Promise<readonly string[]> {
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
