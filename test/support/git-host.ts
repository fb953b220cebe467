/**
 * A git host for tests: `git http-backend` behind node:http on 127.0.0.1, and a way to make what it serves.
 *
 * It is as honest as the repositories under `root`; a test makes it lie by rewriting those, or by taking a request over
 * with `intercept` (stall, trickle, endless data, redirect).
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

export type GitHostRequest = {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly headers: IncomingMessage["headers"];
};
export type GitHost = {
  /** Address of the repository in `<root>/<repo>`. */
  url(repo: string): string;
  readonly port: number;
  /** Every request so far, in order; tests may empty it. */
  readonly requests: GitHostRequest[];
  close(): Promise<void>;
};
export type GitHostOptions = {
  readonly root: string;
  /** Serve partial clones (default true). */
  readonly filter?: boolean;
  /** Take pushes (default true). */
  readonly allowPush?: boolean;
  readonly latencyMs?: number;
  /** Answers a request itself and returns true, or leaves it. */
  readonly intercept?: (request: IncomingMessage, response: ServerResponse) => boolean | Promise<boolean>;
};

/** An environment for test runs of git: no one's configuration, a fixed identity and time. */
export function testGitEnv(extra: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("GIT_")));
  return {
    ...inherited,
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_AUTHOR_NAME: "Test",
    GIT_AUTHOR_EMAIL: "test@example.org",
    GIT_COMMITTER_NAME: "Test",
    GIT_COMMITTER_EMAIL: "test@example.org",
    GIT_AUTHOR_DATE: "1767225600 +0000",
    GIT_COMMITTER_DATE: "1767225600 +0000",
    ...extra,
  };
}

/** Runs git for a test's own purposes, and returns what it printed, trimmed. */
export function testGit(
  gitDir: string,
  args: readonly string[],
  options: { readonly input?: string | Uint8Array; readonly env?: NodeJS.ProcessEnv } = {},
): string {
  const result = spawnSync("git", [`--git-dir=${gitDir}`, ...args], {
    input: options.input ?? "",
    env: testGitEnv(options.env),
    maxBuffer: 1 << 28,
  });
  if (result.status !== 0) throw new Error(`git ${args.join(" ")}: ${result.stderr.toString()}`);
  return result.stdout.toString().trim();
}

/**
 * The same, without blocking: for whatever talks to a host that runs in this very process (`testGit` would wait for it
 * for ever).
 */
export async function testGitAsync(gitDir: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
  const child = spawn("git", [`--git-dir=${gitDir}`, ...args], { env: testGitEnv(env), stdio: ["ignore", "pipe", "pipe"] });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const [status] = (await once(child, "close")) as [number | null];
  if (status !== 0) throw new Error(`git ${args.join(" ")}: ${stderr}`);
  return stdout.trim();
}

/** Makes an empty bare repository in `<root>/<repo>` and returns its folder. */
export function createHostedRepository(root: string, repo: string): string {
  const dir = join(root, repo);
  mkdirSync(dir, { recursive: true });
  testGit(dir, ["init", "-q", "--bare", "--initial-branch=main", "--template=", dir]);
  return dir;
}

/** A file of a hosted commit: text, bytes, or a raw entry (`{mode, target}`: a symbolic link or submodule). */
export type HostedFile = string | Uint8Array | { readonly mode: "120000" | "160000" | "100755"; readonly target: string };

/** Commits exactly `files` (not on top of the parent's) to `ref` and returns the commit's id. `parent` null: an orphan. */
export function commitHosted(
  dir: string,
  files: Readonly<Record<string, HostedFile>>,
  options: { readonly ref?: string; readonly parent?: string | null; readonly message?: string } = {},
): string {
  const ref = options.ref ?? "refs/heads/main";
  const parts: Uint8Array[] = [];
  const put = (text: string): void => void parts.push(Buffer.from(text));
  put(
    `feature done\ncommit ${ref}\nmark :1\ncommitter Test <test@example.org> 1767225600 +0000\ndata <<END\n${options.message ?? "test"}\nEND\n`,
  );
  if (options.parent !== null && options.parent !== undefined) put(`from ${options.parent}\ndeleteall\n`);
  for (const [path, file] of Object.entries(files)) {
    if (typeof file === "object" && "mode" in file && file.mode === "160000") {
      put(`M 160000 ${file.target} "${path}"\n`);
      continue;
    }
    const bytes = Buffer.from(typeof file === "string" ? file : "mode" in file ? file.target : file);
    put(`M ${typeof file === "object" && "mode" in file ? file.mode : "100644"} inline "${path}"\ndata ${String(bytes.length)}\n`);
    parts.push(bytes, Buffer.from("\n"));
  }
  put("\nget-mark :1\ndone\n");
  return testGit(dir, ["fast-import", "--quiet", "--force", "--date-format=raw", "--cat-blob-fd=1"], { input: Buffer.concat(parts) });
}

/** Answers one request through the CGI program. */
async function serveByGit(
  request: IncomingMessage,
  response: ServerResponse,
  options: GitHostOptions,
  children: Set<number>,
): Promise<void> {
  const url = new URL(request.url ?? "/", "http://host");
  const config: [string, string][] = [
    ["uploadpack.allowFilter", String(options.filter ?? true)],
    ["uploadpack.allowAnySHA1InWant", String(options.filter ?? true)],
    ["http.receivepack", String(options.allowPush ?? true)],
    ["http.getanyfile", "false"],
    ["safe.directory", "*"],
    ["gc.auto", "0"],
    ["receive.autogc", "false"],
  ];
  const env: NodeJS.ProcessEnv = {
    ...testGitEnv(),
    GIT_PROJECT_ROOT: options.root,
    GIT_HTTP_EXPORT_ALL: "1",
    PATH_INFO: decodeURIComponent(url.pathname),
    QUERY_STRING: url.search.slice(1),
    REQUEST_METHOD: request.method,
    CONTENT_TYPE: request.headers["content-type"] ?? "",
    REMOTE_USER: "test",
    REMOTE_ADDR: "127.0.0.1",
    GIT_CONFIG_COUNT: String(config.length),
  };
  for (const [at, [key, value]] of config.entries()) {
    env[`GIT_CONFIG_KEY_${String(at)}`] = key;
    env[`GIT_CONFIG_VALUE_${String(at)}`] = value;
  }
  if (request.headers["content-length"] !== undefined) env["CONTENT_LENGTH"] = request.headers["content-length"];
  if (request.headers["content-encoding"] !== undefined) env["HTTP_CONTENT_ENCODING"] = request.headers["content-encoding"];
  const protocol = request.headers["git-protocol"];
  if (typeof protocol === "string") env["GIT_PROTOCOL"] = protocol;
  const child = spawn("git", ["http-backend"], { env, stdio: ["pipe", "pipe", "ignore"], detached: true });
  const pid = child.pid;
  if (pid !== undefined) children.add(pid);
  child.once("exit", () => pid !== undefined && children.delete(pid));
  response.once("close", () => child.stdout.destroy());
  child.stdin.on("error", () => undefined);
  child.stdout.on("error", () => undefined);
  request.pipe(child.stdin);
  let head = Buffer.alloc(0);
  let started = false;
  child.stdout.on("data", (chunk: Buffer) => {
    let body = chunk;
    if (!started) {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf("\r\n\r\n");
      if (end < 0) return;
      started = true;
      for (const line of head.toString("latin1", 0, end).split("\r\n")) {
        const colon = line.indexOf(":");
        const [name, value] = [line.slice(0, colon), line.slice(colon + 1).trim()];
        if (name.toLowerCase() === "status") response.statusCode = Number.parseInt(value, 10);
        else response.setHeader(name, value);
      }
      body = head.subarray(end + 4);
    }
    if (!response.write(body)) {
      child.stdout.pause();
      response.once("drain", () => child.stdout.resume());
    }
  });
  await once(child, "close");
  if (!started) response.statusCode = 500;
  response.end();
}

/** Serves every bare repository under `root` on a free port of 127.0.0.1. */
export async function startGitHost(options: GitHostOptions): Promise<GitHost> {
  const requests: GitHostRequest[] = [];
  const children = new Set<number>();
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? "/", "http://host");
    requests.push({ method: request.method ?? "", path: url.pathname, query: url.search, headers: request.headers });
    if (options.latencyMs !== undefined) await delay(options.latencyMs);
    if ((await options.intercept?.(request, response)) === true) return;
    await serveByGit(request, response, options, children);
  };
  const server = createServer((request, response) => {
    response.on("error", () => undefined);
    handle(request, response).catch(() => response.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: (repo) => `http://127.0.0.1:${String(port)}/${repo}`,
    port,
    requests,
    async close() {
      server.closeAllConnections();
      for (const pid of children) {
        try {
          process.kill(-pid, "SIGKILL");
        } catch {
          // it ended by itself
        }
      }
      if (server.listening) await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The host's merge button: a branch becomes part of main. */
export function mergeBranch(gitDir: string, branch: string): void {
  const tree = testGit(gitDir, ["merge-tree", "--write-tree", "refs/heads/main", `refs/heads/${branch}`]);
  const merged = testGit(gitDir, ["commit-tree", tree, "-p", "refs/heads/main", "-p", `refs/heads/${branch}`, "-m", "Merge"]);
  testGit(gitDir, ["update-ref", "refs/heads/main", merged]);
}
