/** Which git: the one on the PATH, or the embedded one. `IMPRINT_GIT=auto|system|isomorphic`, `auto` unless set. */
import { ImprintError, isImprintError } from "../errors.ts";
import type { HttpFetch } from "./port.ts";
import { requireGit } from "./system/run.ts";
import { type GitTokens, parseGitTokens } from "./tokens.ts";

export type GitKind = "system" | "isomorphic";

export type GitChoice = {
  /** Decided when first asked, once: starting git takes milliseconds that a warm run has better use for. */
  kind(): Promise<GitKind>;
  /** Credentials for the embedded git; the system's has its helpers. @throws ImprintError USAGE */
  tokens(): GitTokens;
  /** How the embedded git asks; the system's reads the user's proxy by itself. */
  readonly fetch: HttpFetch;
  readonly env: NodeJS.ProcessEnv;
  /** No host is asked for anything. */
  readonly offline: boolean;
};

/** @throws ImprintError USAGE where IMPRINT_GIT is none of the three */
export function chooseGit(env: NodeJS.ProcessEnv, offline = false, fetch: HttpFetch = globalThis.fetch): GitChoice {
  const setting = env["IMPRINT_GIT"] ?? "";
  if (!["", "auto", "system", "isomorphic"].includes(setting))
    throw new ImprintError("USAGE", `Cannot use IMPRINT_GIT=${JSON.stringify(setting.slice(0, 40))}: auto, system or isomorphic`);
  let kind: Promise<GitKind> | null = null;
  return {
    kind: () => (kind ??= setting === "system" || setting === "isomorphic" ? Promise.resolve(setting) : detect(env)),
    tokens: () => parseGitTokens(env["IMPRINT_GIT_TOKEN"]),
    fetch,
    env,
    offline,
  };
}

async function detect(env: NodeJS.ProcessEnv): Promise<GitKind> {
  try {
    await requireGit(env);
    return "system";
  } catch (error) {
    if (isImprintError(error, "GIT_MISSING")) return "isomorphic";
    throw error;
  }
}
