/**
 * A web server with the files of an index, for the sparse source: an honest one, one that lies as it is told to, and a
 * real nginx.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { testAuthority } from "./certificates.ts";
import { freePort } from "./free-port.ts";
import { testGit } from "./git-host.ts";

/** Every file at a commit of a bare repository: path → bytes. */
export function treeOf(gitDir: string, commit = "refs/heads/main"): ReadonlyMap<string, Uint8Array> {
  const paths = testGit(gitDir, ["ls-tree", "-r", "--name-only", commit]).split("\n");
  const show = (file: string): Uint8Array => {
    const { status, stdout } = spawnSync("git", [`--git-dir=${gitDir}`, "cat-file", "blob", `${commit}:${file}`], { maxBuffer: 1 << 28 });
    if (status !== 0) throw new Error(`${file} cannot be read`);
    return stdout;
  };
  return new Map(paths.map((file) => [file, show(file)]));
}

/** The same files in a folder, as an upload leaves them: the checkpoint last. */
export function layOut(gitDir: string, folder: string): void {
  const files = [...treeOf(gitDir)].toSorted(([a], [b]) => Number(a === "checkpoint.json") - Number(b === "checkpoint.json"));
  for (const [file, bytes] of files) {
    mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
    writeFileSync(path.join(folder, file), bytes);
  }
}

/** A path's bytes, if it is there. */
export type StaticFiles = { get(path: string): Uint8Array | undefined };

export type StaticHost = {
  /** `sparse+http://127.0.0.1:port/` */
  readonly url: string;
  readonly port: number;
  /** Paths asked for, in order; tests may empty it. */
  readonly asked: string[];
  readonly headers: IncomingMessage["headers"][];
  files: StaticFiles;
  /** Answers a request itself and returns true, or leaves it. `n`: requests before this one. */
  intercept: ((request: IncomingMessage, response: ServerResponse, n: number) => boolean) | null;
  close(): Promise<void>;
};

export async function startStaticHost(files: StaticFiles): Promise<StaticHost> {
  let n = 0;
  const server = createServer((request, response) => {
    response.on("error", () => undefined);
    const file = decodeURIComponent((request.url ?? "/").slice(1));
    host.asked.push(request.url?.slice(1) ?? "");
    host.headers.push(request.headers);
    if (host.intercept?.(request, response, n++) === true) return;
    const bytes = host.files.get(file);
    if (bytes === undefined) return void response.writeHead(404).end("not here");
    return void response.writeHead(200, { "content-type": "application/json" }).end(bytes);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const host: StaticHost = {
    url: `sparse+http://127.0.0.1:${String(port)}/`,
    port,
    asked: [],
    headers: [],
    files,
    intercept: null,
    async close() {
      server.closeAllConnections();
      if (server.listening) await new Promise((resolve) => server.close(resolve));
    },
  };
  return host;
}

export type Nginx = {
  /** `https://localhost:port/` over the folder `www`. */
  readonly base: string;
  readonly www: string;
  /** A certificate authority for NODE_EXTRA_CA_CERTS. */
  readonly ca: string;
  /** Lines of its access log. */
  readonly log: string;
  close(): Promise<void>;
};

/** A real nginx over TLS on a free port, with its own prefix below `folder`. */
export async function startNginx(folder: string): Promise<Nginx> {
  const www = path.join(folder, "www");
  for (const made of [www, path.join(folder, "tmp")]) mkdirSync(made, { recursive: true });
  const [key, cert, ca, log, pid] = ["key.pem", "cert.pem", "ca.pem", "access.log", "nginx.pid"].map((name) => path.join(folder, name)) as [
    string,
    string,
    string,
    string,
    string,
  ];
  const authority = testAuthority();
  for (const [file, text] of [
    [ca, authority.ca],
    [cert, authority.cert],
    [key, authority.key],
  ] as const)
    writeFileSync(file, text);
  const port = await freePort();
  const temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${folder}/tmp/${kind};`).join("\n");
  const config = path.join(folder, "nginx.conf");
  const user = process.getuid?.() === 0 ? "user root;\n" : "";
  writeFileSync(
    config,
    `${user}daemon off;\nworker_processes 1;\npid ${pid};\nerror_log stderr;\nevents { worker_connections 256; }\nhttp {\n${temp}\naccess_log ${log};\ntypes { application/json json; }\ndefault_type application/octet-stream;\nserver { listen 127.0.0.1:${String(port)} ssl; ssl_certificate ${cert}; ssl_certificate_key ${key}; root ${www}; }\n}\n`,
  );
  const child = spawn("nginx", ["-p", folder, "-c", config], { stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
  const ended = once(child, "exit");
  const listening = async (): Promise<boolean> => {
    const { connect } = await import("node:net");
    return new Promise((resolve) => {
      const socket = connect(port, "127.0.0.1", () => {
        socket.destroy();
        resolve(true);
      }).on("error", () => resolve(false));
    });
  };
  for (let tries = 0; !(await listening()); tries++) {
    if (child.exitCode !== null || tries > 600) throw new Error(`nginx does not listen: ${said}`);
    await delay(50);
  }
  return {
    base: `https://localhost:${String(port)}/`,
    www,
    ca,
    log,
    async close() {
      child.kill("SIGTERM");
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
