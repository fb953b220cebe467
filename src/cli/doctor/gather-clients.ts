/**
 * Which package managers a project uses, and of which version. They are asked outside the project and without its files,
 * since a project may bring a client of its own (`yarnPath`, corepack), and doctor runs nobody's code.
 */
import { execFile } from "node:child_process";
import { access } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { textOf } from "../../format/bytes.ts";
import { LOCKFILES_OF } from "../../pack/choose.ts";
import type { Deps } from "../deps.ts";
import type { ClientFacts, ClientName } from "./client-versions.ts";

const run = promisify(execFile);
const MAX_BYTES = 1024 * 1024;
const DEADLINE_MS = 5000;

const LOCKFILES: readonly (readonly [file: string, client: ClientName])[] = [...LOCKFILES_OF, ["deno.lock", "deno"]];

export async function clientFacts(deps: Pick<Deps, "files" | "env">, folder: string): Promise<readonly ClientFacts[]> {
  const manifest =
    textOf((await deps.files.read(path.join(folder, "package.json"), MAX_BYTES).catch(() => null)) ?? new Uint8Array()) ?? "";
  const [, pinned = "", pinnedVersion = ""] = /"packageManager"\s*:\s*"(npm|pnpm|yarn|bun|deno)@(\d[0-9A-Za-z.+-]*)"/.exec(manifest) ?? [];
  const facts: ClientFacts[] = [];
  for (const [file, client] of LOCKFILES) {
    const isThere = await access(path.join(folder, file)).then(
      () => true,
      () => false,
    );
    if (!isThere || facts.some((one) => one.client === client)) continue;
    facts.push({ client, file, version: client === pinned ? pinnedVersion : await versionOf(client, deps.env) });
  }
  return facts;
}

async function versionOf(client: ClientName, env: NodeJS.ProcessEnv): Promise<string | null> {
  const quiet = Object.fromEntries(Object.entries(env).filter(([name]) => !/^IMPRINT_/i.test(name)));
  try {
    const { stdout } = await run(client, ["--version"], {
      cwd: path.parse(process.execPath).root, // another user's settings could lie in any folder for temporary files
      env: { ...quiet, COREPACK_ENABLE_NETWORK: "0", YARN_IGNORE_PATH: "1" },
      timeout: DEADLINE_MS,
      maxBuffer: 65_536,
    });
    return /(\d+\.\d+\.\d+[0-9A-Za-z.+-]*)/.exec(stdout)?.[1] ?? null;
  } catch {
    return null; // not there, or nothing that tells its version: the same to us
  }
}
