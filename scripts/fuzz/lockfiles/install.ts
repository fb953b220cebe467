/** Real clients: how each makes a lock, installs exactly that, and what must lie in node_modules afterwards. */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, statSync } from "node:fs";
import path from "node:path";
import { FileDigest } from "../../../src/pack/contents.ts";
import { type Client, clientOf, environmentFor } from "../../../test/support/clients.ts";
import { isClaimed, type Scene } from "./scene.ts";

export const FORMATS = ["npm", "pnpm", "yarn1", "yarn4", "bun", "deno"] as const;
export type Format = (typeof FORMATS)[number];

const IDS: Readonly<Record<Format, string>> = {
  npm: "npm 11",
  pnpm: "pnpm 10",
  yarn1: "yarn 1",
  yarn4: "yarn 4",
  bun: "bun",
  deno: "deno",
};
const FROZEN: Readonly<Record<Format, readonly string[]>> = {
  npm: ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"],
  pnpm: ["install", "--frozen-lockfile", "--ignore-scripts"],
  yarn1: ["install", "--frozen-lockfile", "--ignore-scripts", "--non-interactive"],
  yarn4: ["install", "--immutable"],
  bun: ["install", "--frozen-lockfile", "--ignore-scripts"],
  deno: ["install", "--frozen"],
};
const MAX_MS = 60_000;
/** Requests of package.json: claimed names straight and by alias, and a public one. */
export const DEPENDENCIES = { "@alice/a": "^1.0.0", claimed: "1.0.0", "pub-a": "^1.0.0", renamed: "npm:@alice/a@1.0.0" };

export function clientFor(format: Format): Client {
  return clientOf(IDS[format]);
}

/** @returns exit code and what was said */
export async function runClient(
  scene: Scene,
  format: Format,
  cwd: string,
  kind: "install" | "frozen",
): Promise<{ readonly code: number; readonly said: string }> {
  const client = clientFor(format);
  const [program = "", ...first] = client.program;
  const words = kind === "install" ? client.commands.install : FROZEN[format];
  const home = path.join(cwd, ".home");
  mkdirSync(home, { recursive: true });
  const env: NodeJS.ProcessEnv = {
    ...scene.env,
    ...environmentFor(client, home),
    // npm keeps what it fetched by address and hash: another case's can't be taken for this one's. All others start empty.
    npm_config_cache: path.join(scene.world.folder, "npm-cache"),
    npm_config_fetch_retries: "0",
    npm_config_store_dir: path.join(home, "pnpm-store"),
    YARN_CACHE_FOLDER: path.join(home, "yarn-cache"),
    YARN_ENABLE_SCRIPTS: "0",
    BUN_INSTALL_CACHE_DIR: path.join(home, "bun-cache"),
  };
  return new Promise((resolve, reject) => {
    const child = spawn(program, [...first, ...words], { cwd, env, stdio: ["ignore", "pipe", "pipe"], detached: true });
    let said = "";
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text: string) => (said += text));
    const timer = setTimeout(() => {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    }, MAX_MS);
    child.once("error", reject);
    child.once("close", (code) => {
      clearTimeout(timer);
      resolve({ code: code ?? 1, said });
    });
  });
}

/** What lies under a claimed name and was not signed. This looks for itself: no code of the audit decides here. */
export function unsignedIn(scene: Scene, cwd: string): readonly string[] {
  const faults: string[] = [];
  const seen = new Set<string>();
  const modules = (at: string): void => {
    if (!existsSync(at)) return;
    const real = realpathSync(at);
    if (seen.has(real)) return;
    seen.add(real);
    for (const name of readdirSync(real)) {
      const inner = path.join(real, name);
      if (name === ".bin") continue;
      if (name.startsWith(".")) for (const one of foldersIn(inner)) modules(path.join(inner, one, "node_modules"));
      else if (name.startsWith("@") && statSync(inner).isDirectory())
        for (const base of readdirSync(inner))
          if (!base.startsWith(".")) place(path.join(inner, base), `${name}/${base}`);
          else place(inner, name);
    }
  };
  const place = (at: string, name: string): void => {
    if (!existsSync(at)) return;
    const real = realpathSync(at);
    if (isClaimed(name)) {
      const fault = faultOf(scene, real);
      if (fault !== null) faults.push(`${path.relative(cwd, at)}: ${fault}`);
    }
    modules(path.join(real, "node_modules"));
  };
  modules(path.join(cwd, "node_modules"));
  modules(path.join(cwd, "node_modules", ".pnpm", "node_modules"));
  return faults;
}

function faultOf({ signed }: Scene, folder: string): string | null {
  if (!statSync(folder).isDirectory()) return "it is a file";
  const file = path.join(folder, "package.json");
  if (!existsSync(file)) return readdirSync(folder).some((one) => one !== "node_modules") ? "it has no package.json" : null;
  const { name, version } = JSON.parse(readFileSync(file, "utf8")) as { readonly name?: string; readonly version?: string };
  const files = signed.get(`${name ?? ""}@${version ?? ""}`);
  if (files === undefined) return `nobody signed ${name ?? "?"}@${version ?? "?"}`;
  const found = readdirSync(folder).filter((one) => one !== "node_modules");
  const wrong = [...new Set([...found, ...files.keys()])].filter((one) => digestOf(path.join(folder, one)) !== files.get(one));
  return wrong.length === 0 ? null : `${name ?? ""}@${version ?? ""} differs in ${wrong.join(", ")}`;
}

function digestOf(file: string): string | null {
  if (!existsSync(file) || !statSync(file).isFile()) return null;
  const digest = new FileDigest();
  digest.update(readFileSync(file));
  return digest.hex();
}

function foldersIn(at: string): readonly string[] {
  return !statSync(at).isDirectory()
    ? []
    : readdirSync(at, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
}
