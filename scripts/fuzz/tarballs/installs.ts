/** Real installs: many tarballs as dependencies of one project, from a registry on this machine. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import path from "node:path";
import { type Client, clientOf, environmentFor } from "../../../test/support/clients.ts";
import { type Habits, type Reading, readingOf, sha512Of } from "./reading.ts";

export type Offered = {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** What the packument says besides name, version and dist. */
  readonly manifest: Readonly<Record<string, unknown>>;
};
export type Installer = {
  readonly id: string;
  readonly habits: Habits;
  /** Name → what lies in node_modules. A tarball that fails alone fails; it does not stop the others. */
  install(offered: readonly Offered[]): Promise<ReadonlyMap<string, Reading>>;
};
export type Registry = { readonly url: string; offer(offered: readonly Offered[]): void; close(): Promise<void> };

/** Some clients never end with some tarballs. Of one install: whatever it has, for each tarball, for each of its bytes. */
const MAX_MS = { always: 30_000, tarball: 400, byte: 0.001 } as const;
const PUBLISHED = "2024-01-01T00:00:00.000Z";

export async function openRegistry(): Promise<Registry> {
  const known = new Map<string, Offered>();
  let url = "";
  const server = createServer((request, response) => {
    const [name = "", , file] = decodeURIComponent(request.url ?? "/")
      .slice(1)
      .split("/");
    const one = known.get(name);
    if (one === undefined) response.writeHead(404, { "content-type": "application/json" }).end("{}");
    else if (file !== undefined) response.writeHead(200, { "content-type": "application/octet-stream" }).end(one.bytes);
    else response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(packumentOf(one, url)));
  });
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve));
  const address = server.address();
  url = `http://127.0.0.1:${String(typeof address === "object" && address !== null ? address.port : 0)}/`;
  return {
    url,
    offer: (offered) => {
      for (const one of offered) known.set(one.name, one);
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function packumentOf({ name, bytes, manifest }: Offered, url: string): object {
  const dist = {
    tarball: `${url}${name}/-/${name}-1.0.0.tgz`,
    integrity: sha512Of(bytes),
    shasum: createHash("sha1").update(bytes).digest("hex"),
  };
  return {
    name,
    "dist-tags": { latest: "1.0.0" },
    modified: PUBLISHED,
    time: { created: PUBLISHED, modified: PUBLISHED, "1.0.0": PUBLISHED },
    versions: { "1.0.0": { ...manifest, name, version: "1.0.0", dist } },
  };
}

const WORDS: Readonly<Record<string, readonly string[]>> = {
  npm: ["install", "--ignore-scripts"],
  pnpm: ["install", "--ignore-scripts"],
  "yarn 1": ["install", "--ignore-scripts", "--non-interactive", "--ignore-engines", "--ignore-platform"],
  "yarn 4": ["install", "--no-immutable"],
  bun: ["install", "--ignore-scripts"],
  deno: ["install"],
};

const HABITS: Readonly<Record<string, Habits>> = { npm: { renamesGitignore: true }, "yarn 4": { leavesBundles: true } };

/** Those that come with `npm ci`, and of the others those that are there. */
export function installers(
  folder: string,
  registry: Registry,
): { readonly there: readonly Installer[]; readonly missing: readonly string[] } {
  const ids = ["yarn 1", "yarn 4", "bun", "deno", "pnpm 11", "pnpm 12", "npm 12"];
  const found = ids.flatMap((id) => {
    const client = clientIfThere(id);
    return client === null ? [] : [installerOf(client, path.join(folder, id.replace(" ", "-")), registry)];
  });
  return { there: found, missing: ids.filter((id) => !found.some((one) => one.id === id)) };
}

function clientIfThere(id: string): Client | null {
  try {
    return clientOf(id);
  } catch {
    return null; // it is not installed, which the caller says
  }
}

function installerOf(client: Client, folder: string, registry: Registry): Installer {
  let count = 0;
  const install = async (offered: readonly Offered[]): Promise<ReadonlyMap<string, Reading>> => {
    if (offered.length === 0) return new Map();
    const at = path.join(folder, String(count++));
    const { code, said } = await run(client, at, registry, offered);
    if (code === 0) {
      const read = new Map(offered.map(({ name }) => [name, readingOf(path.join(at, "node_modules", name))] as const));
      rmSync(at, { recursive: true, force: true });
      return read;
    }
    rmSync(at, { recursive: true, force: true });
    const [only] = offered;
    if (offered.length === 1 && only !== undefined) return new Map([[only.name, { failed: said.trim().slice(-600) }]]);
    const half = Math.ceil(offered.length / 2);
    return new Map([...(await install(offered.slice(0, half))), ...(await install(offered.slice(half)))]);
  };
  return {
    id: client.id,
    habits: HABITS[client.family] ?? {},
    install(offered) {
      registry.offer(offered);
      return install(offered);
    },
  };
}

function run(
  client: Client,
  at: string,
  registry: Registry,
  offered: readonly Offered[],
): Promise<{ readonly code: number; readonly said: string }> {
  const home = path.join(at, ".home");
  mkdirSync(home, { recursive: true });
  const project = {
    name: "project",
    version: "1.0.0",
    private: true,
    dependencies: Object.fromEntries(offered.map(({ name }) => [name, "1.0.0"])),
  };
  const host = "127.0.0.1";
  const files: Readonly<Record<string, unknown>> = {
    ...client.files,
    "package.json": project,
    ".npmrc": `registry=${registry.url}\n`,
    ...(client.family === "yarn 4"
      ? {
          ".yarnrc.yml": `nodeLinker: node-modules\nenableTelemetry: false\nenableGlobalCache: false\nenableScripts: false\ncompressionLevel: 0\nnpmMinimalAgeGate: 0\nnpmRegistryServer: "${registry.url}"\nunsafeHttpWhitelist: ["${host}"]\n`,
        }
      : {}),
    ...(client.family === "deno" ? { "deno.json": { nodeModulesDir: "auto", minimumDependencyAge: "0" } } : {}),
  };
  for (const [file, content] of Object.entries(files))
    writeFileSync(path.join(at, file), typeof content === "string" ? content : JSON.stringify(content));
  const [program = "", ...first] = client.program;
  const kept = Object.entries(process.env).filter(([key]) => !/^(npm_|pnpm_|yarn_|bun_|deno_|XDG_|NODE_|VITEST)/iu.test(key));
  const env = {
    ...Object.fromEntries(kept),
    ...environmentFor(client, home),
    npm_config_registry: registry.url,
    npm_config_store_dir: path.join(home, "pnpm-store"),
    npm_config_fetch_retries: "0",
    YARN_CACHE_FOLDER: path.join(home, "yarn-cache"),
    BUN_INSTALL_CACHE_DIR: path.join(home, "bun-cache"),
    NPM_CONFIG_REGISTRY: registry.url,
  };
  const bytes = offered.reduce((sum, one) => sum + one.bytes.length, 0);
  const limitMs = MAX_MS.always + MAX_MS.tarball * offered.length + MAX_MS.byte * bytes;
  return new Promise((resolve, reject) => {
    const child = spawn(program, [...first, ...(WORDS[client.family] ?? ["install"])], {
      cwd: at,
      env,
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    let said = "";
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text: string) => (said += text));
    const timer = setTimeout(() => {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    }, limitMs);
    child.once("error", reject);
    child.once("close", (code) => {
      clearTimeout(timer);
      resolve({ code: code ?? 1, said });
    });
  });
}
