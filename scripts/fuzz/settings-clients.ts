/** Real clients that are asked for a claimed name, and two registries that write down who asked them. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { childEnvironment } from "../../src/clients/environment.ts";
import { EMPTY_PROJECT } from "../../src/format/project.ts";
import { nodeFiles } from "../../src/storage/files.ts";
import { openTrap } from "../../test/clients/trap.ts";
import { type Client, clientOf, environmentFor } from "../../test/support/clients.ts";

/** The name that is asked for; the index alice answers for its scope. */
const NAME = "@alice/a";

export const CLIENTS = {
  npm: { id: "npm 11", words: ["install", "--ignore-scripts"] },
  npm10: { id: "npm 10", words: ["install", "--ignore-scripts"] },
  pnpm: { id: "pnpm 10", words: ["install", "--no-frozen-lockfile"] },
  yarn1: { id: "yarn 1", words: ["install", "--non-interactive", "--no-lockfile"] },
  yarn4: { id: "yarn 4", words: ["install", "--no-immutable"] },
  bun: { id: "bun", words: ["install"] },
  deno: { id: "deno", words: ["install"] },
} as const satisfies Record<string, { readonly id: string; readonly words: readonly string[] }>;

export type ClientName = keyof typeof CLIENTS;
export const CLIENT_NAMES = Object.keys(CLIENTS) as readonly ClientName[];

export type Bench = {
  /** Address of the registry where settings under test lead, with a final slash. */
  readonly elsewhere: string;
  /** Folders and environment of one case; nothing is in them but what the client needs. */
  place(name: ClientName): Place;
  /** Lets the client install the claimed name as below `imprint run`. */
  ask(name: ClientName, place: Place): Promise<Asked>;
  close(): Promise<void>;
};

export type Place = { readonly top: string; readonly folder: string; readonly home: string; readonly env: NodeJS.ProcessEnv };

export type Asked = {
  /** Requests for the claimed scope that reached another registry or left this machine. */ readonly leaked: readonly string[];
  /** Whether the resolver was asked for the claimed name. */ readonly resolver: boolean;
  readonly output: string;
};

/** Longer than any of these clients takes for one refused name. */
const PATIENCE_MS = 60_000;

export async function openBench(): Promise<Bench> {
  const [resolver, elsewhere] = [await openRegistry(), await openRegistry()];
  const outside = await openTrap();
  const top = mkdtempSync(path.join(tmpdir(), "imprint-settings-"));
  let cases = 0;
  return {
    elsewhere: elsewhere.url,
    place(name) {
      const at = path.join(top, String(++cases));
      const [folder, home] = [path.join(at, "work", "shop"), path.join(at, "home")];
      for (const one of [folder, path.join(home, ".config")]) mkdirSync(one, { recursive: true });
      const client = clientOf(CLIENTS[name].id);
      const manifest = { name: "shop", version: "1.0.0", private: true, dependencies: { [NAME]: "^1.0.0" } };
      writeFileSync(path.join(folder, "package.json"), JSON.stringify(manifest));
      for (const [file, content] of Object.entries(client.files))
        if (file !== "pnpm-workspace.yaml") writeFileSync(path.join(folder, file), String(content));
      return { top: at, folder, home, env: environmentOf(client, at, home, outside.env) };
    },
    async ask(name, { folder, home, env }) {
      const before = [resolver, elsewhere, outside].map(({ asked }) => asked.length);
      const client = clientOf(CLIENTS[name].id);
      const child = await childEnvironment(
        { env, cwd: folder, files: nodeFiles() },
        { program: client.called, base: resolver.url.slice(0, -1), project: EMPTY_PROJECT, caches: path.join(home, "caches") },
      );
      const [program = "", ...first] = client.program;
      // Started itself: a shell would drop variables with an @ in their names.
      const output = await run(program, [...first, ...CLIENTS[name].words], { cwd: folder, env: { ...child, HOME: home } });
      const [ours = [], others = [], left = []] = [resolver, elsewhere, outside].map(({ asked }, at) => asked.slice(before[at]));
      return {
        leaked: [...others, ...left].filter((url) => /alice/iu.test(url)),
        resolver: ours.some((url) => /alice/iu.test(url)),
        output,
      };
    },
    async close() {
      await Promise.all([resolver.close(), elsewhere.close(), outside.close()]);
      rmSync(top, { recursive: true, force: true });
    },
  };
}

/** The user's own settings are left out. Requests that leave this machine go to a proxy that never answers. */
function environmentOf(client: Client, top: string, home: string, outside: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(
    ([key]) => !/^(npm_|pnpm_|yarn_|bun_|deno_|IMPRINT_|XDG_|GIT_|NODE_|VITEST|INIT_CWD|PREFIX)/iu.test(key),
  );
  // Both yarns would go through such a proxy for this machine, too.
  const { YARN_HTTP_PROXY: _yarn, npm_config_proxy: _npm, ...proxies } = outside;
  return {
    ...Object.fromEntries(inherited),
    ...proxies,
    ...environmentFor(client, home),
    // A fetch of packuments is not tried again, so that a case ends at once.
    npm_config_fetch_retries: "0",
    PREFIX: path.join(top, "prefix"),
    TMPDIR: top,
  };
}

type Registry = { readonly url: string; readonly asked: readonly string[]; close(): Promise<void> };

async function openRegistry(): Promise<Registry> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(decodeURIComponent(request.url ?? ""));
    response.writeHead(404, { "content-type": "application/json" }).end('{"error":"not found"}');
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/`,
    asked,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function run(
  program: string,
  words: readonly string[],
  { cwd, env }: { readonly cwd: string; readonly env: NodeJS.ProcessEnv },
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, words, { cwd, env, stdio: ["ignore", "pipe", "pipe"], detached: true });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text: string) => (output += text));
    const timer = setTimeout(() => {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    }, PATIENCE_MS);
    child.once("error", reject);
    child.once("close", () => {
      clearTimeout(timer);
      resolve(output);
    });
  });
}
