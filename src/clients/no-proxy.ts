/**
 * A company's proxy is for the world, not for the resolver on this machine: it could not reach it, and would be told the name of
 * every package. Measured: npm, pnpm, yarn 1, bun and deno ask it, unless they are told that this machine is reached without.
 * Only a `proxy=` that yarn 1 finds in .npmrc has no exceptions.
 */
import { homedir } from "node:os";
import path from "node:path";
import { textOf } from "../format/bytes.ts";
import { foldersUpward, type Surroundings } from "./surroundings.ts";

const HERE = ["127.0.0.1", "localhost"];
const MAX_BYTES = 1024 * 1024;
const LINE = /^\s*no-?proxy\s*(?:\[\])?\s*=\s*["']?([^"'#;]*)/iu;

/** What the user has, and this machine. npm's own setting replaces NO_PROXY where it is set, so it has both. */
export async function noProxyEnvironment({ env, cwd, files }: Surroundings): Promise<NodeJS.ProcessEnv> {
  const given = ["NO_PROXY", "no_proxy", "npm_config_noproxy", "NPM_CONFIG_NOPROXY"].flatMap((name) => listed(env[name]));
  const userconfig = env["npm_config_userconfig"] ?? env["NPM_CONFIG_USERCONFIG"] ?? path.join(env["HOME"] ?? homedir(), ".npmrc");
  const npmrcs = [...new Set([...foldersUpward(cwd).map((folder) => path.join(folder, ".npmrc")), userconfig])];
  const texts = await Promise.all(npmrcs.map(async (file) => textOf((await files.read(file, MAX_BYTES)) ?? new Uint8Array()) ?? ""));
  const written = texts.flatMap((text) => text.split(/\r?\n/u).flatMap((line) => listed(LINE.exec(line)?.[1])));
  // A single * is everything; curl and git take it for that only where it stands alone.
  const direct = given.includes("*") ? "*" : [...new Set([...given, ...HERE])].join(",");
  const npm = [...new Set([...given, ...written, ...HERE])].join(",");
  return { NO_PROXY: direct, no_proxy: direct, npm_config_noproxy: npm, NPM_CONFIG_NOPROXY: npm, pnpm_config_no_proxy: npm };
}

function listed(text: string | undefined): readonly string[] {
  return (text ?? "").split(/[\s,]+/u).filter((entry) => entry !== "");
}
