/**
 * `@scope:registry=` lines beat the environment of `imprint run`: npm would fetch a claimed scope from elsewhere without
 * asking us. Where one is set for a claimed scope, nothing is started (X9).
 */
import { homedir } from "node:os";
import path from "node:path";
import { ImprintError } from "../errors.ts";
import { textOf } from "../format/bytes.ts";
import { claimedScopes, claimsEverything } from "../registry/claims.ts";
import type { Deps } from "./deps.ts";
import type { ProjectFiles } from "./project-files.ts";

const MAX_BYTES = 1024 * 1024;
const LINE = /^\s*["']?(@[^:\s"']+):registry["']?\s*(?:=|$)/;

/** @throws ImprintError SCOPE_REGISTRY naming file and line */
export async function requireNoScopeLines(
  { project, folder }: Pick<ProjectFiles, "project" | "folder">,
  { files, cwd, env }: Pick<Deps, "files" | "cwd" | "env">,
): Promise<void> {
  const scopes = claimedScopes(project);
  const refuses = (scope: string): boolean => scopes.has(scope) || claimsEverything(project);
  for (const name of Object.keys(env)) {
    const scope = /^npm_config_(@[^:]+):registry$/i.exec(name)?.[1];
    if (scope !== undefined && refuses(scope)) throw refused(scope, `the environment variable ${name}`, scopes.get(scope));
  }
  for (const file of npmrcFiles(folder, cwd, env)) {
    const text = textOf((await files.read(file, MAX_BYTES)) ?? new Uint8Array()) ?? "";
    for (const [i, line] of text.split(/\r?\n/).entries()) {
      const scope = LINE.exec(line)?.[1];
      if (scope !== undefined && refuses(scope)) throw refused(scope, `${file} line ${i + 1}`, scopes.get(scope));
    }
  }
}

/** Project, user, global, as npm finds them. */
function npmrcFiles(folder: string, cwd: string, env: NodeJS.ProcessEnv): readonly string[] {
  const setting = (name: string): string | undefined => env[`npm_config_${name}`] ?? env[`NPM_CONFIG_${name.toUpperCase()}`];
  const home = env["HOME"] ?? homedir();
  const prefix = setting("prefix") ?? env["PREFIX"] ?? path.dirname(path.dirname(process.execPath));
  const all = [
    path.join(folder, ".npmrc"),
    path.join(cwd, ".npmrc"),
    setting("userconfig") ?? path.join(home, ".npmrc"),
    setting("globalconfig") ?? path.join(prefix, "etc", "npmrc"),
  ];
  return [...new Set(all)];
}

function refused(scope: string, where: string, alias: string | undefined): ImprintError {
  return new ImprintError(
    "SCOPE_REGISTRY",
    `Cannot start: ${where} sends ${scope} to a registry of its own, but ${alias ?? "an index"} answers for it`,
  );
}
