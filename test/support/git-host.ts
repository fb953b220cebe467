/**
 * A git host for tests: `git http-backend` behind node:http on 127.0.0.1, and a way to make what it serves.
 *
 * It is as honest as the repositories under `root`; a test makes it lie by rewriting those, or by taking a request over
 * with `intercept` (stall, trickle, endless data, redirect).
 */
import { type ChildProcessByStdio, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { buffer } from "node:stream/consumers";
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
  /** False: its answers have no Date, for worlds with a clock of their own (default true). */
  readonly sendDate?: boolean;
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

/** The commit of a branch, as git would say, without starting git. */
export function headOf(gitDir: string, branch = "main"): string {
  const ref = `refs/heads/${branch}`;
  const loose = join(gitDir, ref);
  if (existsSync(loose)) return readFileSync(loose, "utf8").trim();
  const packed = readFileSync(join(gitDir, "packed-refs"), "utf8").split("\n");
  const line = packed.find((entry) => entry.endsWith(` ${ref}`));
  if (line === undefined) throw new Error(`no ${ref} in ${gitDir}`);
  return line.slice(0, 40);
}

/** Objects never change: what was read of them once is known. Path to blob, by commit; and bytes, by blob. */
const trees = new Map<string, ReadonlyMap<string, string>>();
const blobs = new Map<string, Buffer>();

/** A plain file of the branch main as it is now, or null. */
export function hostedFile(gitDir: string, path: string): Buffer | null {
  const head = headOf(gitDir);
  let files = trees.get(head);
  if (files === undefined) {
    const lines = testGit(gitDir, ["ls-tree", "-r", "-z", head]).split("\0");
    const plain = lines.filter((line) => line.startsWith("100644 "));
    files = new Map(plain.map((line) => [line.slice(line.indexOf("\t") + 1), line.slice(12, 52)]));
    trees.set(head, files);
  }
  const blob = files.get(path);
  if (blob === undefined) return null;
  let bytes = blobs.get(blob);
  if (bytes === undefined) {
    const { status, stdout } = spawnSync("git", [`--git-dir=${gitDir}`, "cat-file", "blob", blob], { maxBuffer: 1 << 28 });
    if (status !== 0) return null;
    bytes = stdout;
    blobs.set(blob, bytes);
  }
  return bytes;
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

type Answer = { readonly status: number; readonly headers: readonly (readonly [string, string])[]; readonly body: Buffer };
type Cgi = { readonly options: GitHostOptions; readonly children: Set<number>; readonly answers: Map<string, Promise<Answer>> };

/** Starts the CGI program for one request. */
function startCgi(request: IncomingMessage, { options, children }: Cgi): ChildProcessByStdio<Writable, Readable, null> {
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
  child.stdin.on("error", () => undefined);
  child.stdout.on("error", () => undefined);
  return child;
}

/** The head of a CGI answer, and where its body begins; null while it is not all there. */
function readHead(bytes: Buffer): (Omit<Answer, "body"> & { readonly length: number }) | null {
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0) return null;
  const lines = bytes
    .toString("latin1", 0, end)
    .split("\r\n")
    .map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()] as const);
  const isStatus = ([name]: readonly [string, string]): boolean => name.toLowerCase() === "status";
  const status = lines.find(isStatus)?.[1] ?? "200";
  return { status: Number.parseInt(status, 10), headers: lines.filter((line) => !isStatus(line)), length: end + 4 };
}

/** Answers one request as git does, in flat memory. */
async function stream(child: ChildProcessByStdio<Writable, Readable, null>, response: ServerResponse): Promise<void> {
  response.once("close", () => child.stdout.destroy());
  let head = Buffer.alloc(0);
  let started = false;
  child.stdout.on("data", (chunk: Buffer) => {
    let body = chunk;
    if (!started) {
      head = Buffer.concat([head, chunk]);
      const read = readHead(head);
      if (read === null) return;
      started = true;
      response.statusCode = read.status;
      for (const [name, value] of read.headers) response.setHeader(name, value);
      body = head.subarray(read.length);
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

async function whole(child: ChildProcessByStdio<Writable, Readable, null>): Promise<Answer> {
  const chunks: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  await once(child, "close");
  const bytes = Buffer.concat(chunks);
  const read = readHead(bytes);
  return read === null ? { status: 500, headers: [], body: Buffer.alloc(0) } : { ...read, body: bytes.subarray(read.length) };
}

/** All that the lists of refs and capabilities depend on, as one string. */
function refsOf(dir: string): string {
  if (!existsSync(join(dir, "HEAD"))) return "";
  const loose = readdirSync(join(dir, "refs"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));
  return [join(dir, "HEAD"), join(dir, "packed-refs"), join(dir, "config"), ...loose.toSorted()]
    .map((file) => `${file}\0${existsSync(file) ? readFileSync(file, "latin1") : ""}\0`)
    .join("");
}

/**
 * Git answers two of three requests from refs and settings alone. Each costs two processes, and processes are most of what
 * these tests wait for: the same question about the same refs gets git's own answer from before.
 */
async function serveByGit(request: IncomingMessage, response: ServerResponse, cgi: Cgi): Promise<void> {
  const { pathname, search } = new URL(request.url ?? "/", "http://host");
  const isList = request.method === "GET" && pathname.endsWith("/info/refs");
  if (!isList && !pathname.endsWith("/git-upload-pack")) {
    const child = startCgi(request, cgi);
    request.pipe(child.stdin);
    return stream(child, response);
  }
  const asked = isList ? Buffer.alloc(0) : await buffer(request);
  if (!isList && !asked.includes("command=ls-refs")) {
    const child = startCgi(request, cgi);
    child.stdin.end(asked);
    return stream(child, response);
  }
  const dir = join(cgi.options.root, decodeURIComponent(pathname).replace(/\/(?:info\/refs|git-upload-pack)$/, ""));
  const key = [pathname, search, request.headers["git-protocol"], asked.toString("latin1"), refsOf(dir)].join("\0");
  let answer = cgi.answers.get(key);
  if (answer === undefined) {
    const child = startCgi(request, cgi);
    child.stdin.end(asked);
    answer = whole(child);
    cgi.answers.set(key, answer);
  }
  const { status, headers, body } = await answer;
  response.statusCode = status;
  for (const [name, value] of headers) response.setHeader(name, value);
  response.end(body);
}

/** Serves every bare repository under `root` on a free port of 127.0.0.1. */
export async function startGitHost(options: GitHostOptions): Promise<GitHost> {
  const requests: GitHostRequest[] = [];
  const children = new Set<number>();
  const cgi: Cgi = { options, children, answers: new Map() };
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? "/", "http://host");
    requests.push({ method: request.method ?? "", path: url.pathname, query: url.search, headers: request.headers });
    if (options.latencyMs !== undefined) await delay(options.latencyMs);
    if ((await options.intercept?.(request, response)) === true) return;
    await serveByGit(request, response, cgi);
  };
  const server = createServer((request, response) => {
    response.on("error", () => undefined);
    response.sendDate = options.sendDate !== false;
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
