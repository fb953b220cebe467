/** Servers to be measured: each a process of its own on a free port of this machine, ended by its pid. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { freePort } from "../../../test/support/free-port.ts";
import { fileURLToPath } from "node:url";
import { CLIENTS_FOLDER } from "../../../test/support/clients.ts";
import { installOnce } from "../../install-once.ts";
import { BIN } from "../run.ts";

export type Running = { readonly base: string; readonly pid: number; stop(): Promise<void> };

const READY = fileURLToPath(new URL("ready.ts", import.meta.url));
/** One of its dependencies asks for a dist-tag that not every mirror has. */
const VERDACCIO = { spec: "verdaccio@6.8.0", overrides: { "node-fetch": "2.7.0" } };

function running(child: ChildProcess, base: string): Running {
  const closed = once(child, "close");
  return {
    base,
    pid: child.pid ?? 0,
    async stop() {
      child.kill("SIGTERM");
      await closed;
    },
  };
}

/** A process whose first line on stdout is its address. */
async function printing(
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<Running> {
  const child = spawn(process.execPath, args, { ...options, stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(child.stdout.setEncoding("utf8"), "data")) as [string];
  child.stdout.resume();
  return running(child, line.trim().replace(/\/$/, ""));
}

export function startReady(kind: "hono" | "node", folder: string): Promise<Running> {
  return printing(["--import", "tsx", READY, kind, folder]);
}

export function startImprint(project: string, home: string): Promise<Running> {
  return printing([BIN, "serve", "--quiet", "--port", "0"], { cwd: project, env: { ...process.env, IMPRINT_HOME: home } });
}

/** Null where nginx is not installed: it is a baseline, not a need. */
export async function startNginx(folder: string, documents: string): Promise<Running | null> {
  const port = await freePort();
  mkdirSync(folder, { recursive: true });
  const config = path.join(folder, "nginx.conf");
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${folder}/${kind};`).join(" ");
  writeFileSync(
    config,
    `${process.getuid?.() === 0 ? "user root; " : ""}daemon off; worker_processes 1; pid ${folder}/pid; error_log stderr crit; events { worker_connections 1024; }
     http { access_log off; ${temporary} types { application/json json; } keepalive_requests 1000000;
       server { listen 127.0.0.1:${port}; root ${documents}; gzip_static always; location / { try_files $uri.json =404; } } }\n`,
  );
  const child = spawn("nginx", ["-p", folder, "-c", config], { stdio: ["ignore", "ignore", "inherit"] });
  const failed = await Promise.race([once(child, "error").then(() => true), answers(`http://127.0.0.1:${port}/`).then(() => false)]);
  return failed ? null : running(child, `http://127.0.0.1:${port}`);
}

/** Verdaccio in front of `upstream`, with a storage of its own. */
export async function startVerdaccio(folder: string, upstream: string): Promise<Running> {
  const installed = path.join(CLIENTS_FOLDER, VERDACCIO.spec.replace("@", "-"));
  installOnce(installed, VERDACCIO.spec, VERDACCIO.overrides);
  mkdirSync(folder, { recursive: true });
  const port = await freePort();
  const config = path.join(folder, "config.yaml");
  writeFileSync(
    config,
    `storage: ${folder}/storage
uplinks:
  public:
    url: ${upstream}
    maxage: 60m
packages:
  "**":
    access: $all
    proxy: public
log: { type: stdout, format: json, level: fatal }
middlewares: { audit: { enabled: false } }
web: { enable: false }
`,
  );
  const program = path.join(installed, "node_modules", "verdaccio", "bin", "verdaccio");
  const child = spawn(process.execPath, [program, "--config", config, "--listen", `127.0.0.1:${port}`], { stdio: "ignore" });
  await answers(`http://127.0.0.1:${port}/-/ping`);
  return running(child, `http://127.0.0.1:${port}`);
}

async function answers(url: string): Promise<void> {
  for (let tries = 0; tries < 300; tries++) {
    try {
      await (await fetch(url)).arrayBuffer();
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  throw new Error(`nothing answers at ${url}`);
}
