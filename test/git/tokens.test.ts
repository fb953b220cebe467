/** THREATS G8: a token is bound to its host and goes nowhere else. */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { childEnvironment } from "../../src/clients/environment.ts";
import { EMPTY_PROJECT } from "../../src/format/project.ts";
import { nodeFiles } from "../../src/storage/files.ts";
import { isImprintError } from "../../src/errors.ts";
import { openIsomorphicGit } from "../../src/git/isomorphic/repository.ts";
import type { GitRepository, GitUrl, ObjectId } from "../../src/git/port.ts";
import { createBareRepository } from "../../src/git/store/bare.ts";
import { gitEnvironment } from "../../src/git/system/environment.ts";
import { authorizationFor, parseGitTokens } from "../../src/git/tokens.ts";
import { parseGitUrl, parseRefName } from "../../src/git/url.ts";
import { scriptEnvironment } from "../../src/pack/environment.ts";
import { commitHosted, createHostedRepository, type GitHost, startGitHost } from "../support/git-host.ts";
import { LIMITS } from "./contract.ts";

const MAIN = parseRefName("refs/heads/main");
const SECRET = "s3cret-t0ken";

function folder(): string {
  const root = mkdtempSync(join(tmpdir(), "imprint-tokens-"));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  return root;
}

async function host(intercept?: (request: IncomingMessage, response: ServerResponse) => boolean): Promise<GitHost & { bare: string }> {
  const root = folder();
  const bare = createHostedRepository(root, "x.git");
  commitHosted(bare, { a: "1" });
  const served = await startGitHost({ root, ...(intercept === undefined ? {} : { intercept }) });
  onTestFinished(() => served.close());
  return { ...served, bare };
}

async function repositoryWith(tokens: string): Promise<GitRepository> {
  const gitDir = join(folder(), "cache.git");
  await createBareRepository(gitDir);
  const repository = openIsomorphicGit({ gitDir, tokens: parseGitTokens(tokens) });
  onTestFinished(() => repository.close());
  return repository;
}

const urlOf = (served: GitHost): GitUrl => parseGitUrl(served.url("x.git"), { allowFile: false });
const fetchFrom = (repository: GitRepository, url: GitUrl, keepAs = "refs/imprint/kept"): Promise<ObjectId | null> =>
  repository.fetch({ url, ref: MAIN, keepAs: parseRefName(keepAs), blobs: true, limits: LIMITS });
const sent = ({ requests }: GitHost): Set<string | undefined> => new Set(requests.map(({ headers }) => headers.authorization));
const basic = (text: string): string => `Basic ${Buffer.from(text).toString("base64")}`;

describe("G8 one token, three indices on three hosts", () => {
  test("G8 only its own host gets it, for fetches and pushes", async () => {
    const [own, second, third] = [await host(), await host(), await host()];
    const repository = await repositoryWith(`127.0.0.1:${String(own.port)}=alice:${SECRET}, elsewhere.example=other`);
    for (const [nth, one] of [own, second, third].entries())
      expect(await fetchFrom(repository, urlOf(one), `refs/imprint/k${String(nth)}`)).toMatch(/^[0-9a-f]{40}$/u);
    const to = await repository.commit({
      base: null,
      keepAs: parseRefName("refs/imprint/work"),
      message: "m",
      author: { name: "a", email: "b" },
      timeMs: 0,
      changes: [{ path: "a", content: Buffer.from("2") }],
    });
    for (const one of [own, second])
      await repository.push({ url: urlOf(one), limits: LIMITS, updates: [{ ref: parseRefName("refs/tarballs/aa"), expected: null, to }] });
    expect(sent(own)).toEqual(new Set([basic(`alice:${SECRET}`)]));
    expect([...sent(second), ...sent(third)]).toEqual([undefined, undefined]);
  });

  test("G8 a redirect to the same host keeps it", async () => {
    const own = await host((request, response) => {
      if (request.url?.startsWith("/same.git") !== true) return false;
      response.writeHead(302, { location: request.url.replace(/^\/same\.git/u, "/x.git") }).end();
      return true;
    });
    const repository = await repositoryWith(`127.0.0.1:${String(own.port)}=${SECRET}`);
    expect(await fetchFrom(repository, parseGitUrl(own.url("same.git"), { allowFile: false }))).not.toBeNull();
    expect(sent(own)).toEqual(new Set([basic(`x-access-token:${SECRET}`)]));
  });

  test.each([
    ["a loop", (at: string) => `${at}`],
    ["another page", () => "/login?next=info/refs"],
    ["another scheme", () => "ftp://127.0.0.1/x.git/info/refs?service=git-upload-pack"],
    ["an address with credentials in it", () => "http://u:p@127.0.0.1:1/x.git/info/refs?service=git-upload-pack"],
  ])("a redirect to %s is UNREACHABLE, and shows no secret", async (_, to) => {
    const own = await host((request, response) => {
      response.writeHead(302, { location: to(request.url ?? "") }).end();
      return true;
    });
    const repository = await repositoryWith(`127.0.0.1:${String(own.port)}=${SECRET}`);
    const failed = await fetchFrom(repository, urlOf(own)).catch((error: unknown) => error);
    expect(failed).toMatchObject({ code: "UNREACHABLE" });
    expect(isImprintError(failed) ? failed.message : "").not.toMatch(/s3cret|u:p@|czNj/u);
  });

  test("a POST is never redirected: a push goes where the refs were listed", async () => {
    const other = createServer((_, response) => void response.end()).listen(0, "127.0.0.1");
    await once(other, "listening");
    onTestFinished(() => void other.close());
    let asked = 0;
    other.on("request", () => asked++);
    const own = await host((request, response) => {
      if (request.method !== "POST") return false;
      response.writeHead(307, { location: `http://127.0.0.1:${String((other.address() as AddressInfo).port)}${request.url ?? ""}` }).end();
      return true;
    });
    const repository = await repositoryWith(`127.0.0.1:${String(own.port)}=${SECRET}`);
    await expect(fetchFrom(repository, urlOf(own))).rejects.toMatchObject({ code: "UNREACHABLE" });
    expect(asked).toBe(0);
  });

  test("a host that wants one says so by 401, and is told which variable; the token is in no message", async () => {
    const closed = await host((_, response) => (response.writeHead(401, { "www-authenticate": "Basic" }).end(SECRET), true));
    const repository = await repositoryWith(`127.0.0.1:${String(closed.port)}=${SECRET}`);
    const failed = await fetchFrom(repository, urlOf(closed)).catch((error: unknown) => error);
    expect(failed).toMatchObject({ code: "UNREACHABLE", message: expect.stringMatching(/answers 401; .* IMPRINT_GIT_TOKEN/u) as string });
    expect(isImprintError(failed) ? failed.message : "").not.toContain(SECRET);
  });
});

describe("which requests a token is for", () => {
  const tokens = parseGitTokens("git.example=a, git.example:8443=b:c, 127.0.0.1:80=d, [::1]:9=e, plain.example:80=f");
  test.each([
    ["https://git.example/x", "x-access-token:a"],
    ["https://GIT.example:443/x", "x-access-token:a"],
    ["https://git.example:8443/x", "b:c"],
    ["https://git.example:8444/x", null],
    ["https://sub.git.example/x", null],
    ["https://git.example.evil/x", null],
    ["https://evilgit.example/x", null],
    ["http://git.example/x", null],
    ["http://plain.example/x", null],
    ["http://127.0.0.1/x", "x-access-token:d"],
    ["http://[::1]:9/x", "x-access-token:e"],
  ])("%s: %s", (url, credentials) => {
    expect(authorizationFor(tokens, new URL(url))).toBe(credentials === null ? null : basic(credentials));
  });

  test.each([
    SECRET,
    `=${SECRET}`,
    "host=",
    `host=${SECRET}:`,
    `host=:${SECRET}`,
    `a=${SECRET},a:443=2`,
    `ho st=${SECRET}`,
    `host=${SECRET} b`,
    `http://host=${SECRET}`,
  ])("%j is a usage error that shows nothing of it", (text) => {
    try {
      parseGitTokens(text);
      expect.unreachable();
    } catch (error) {
      expect(error).toMatchObject({ code: "USAGE", message: expect.stringMatching(/^Cannot read IMPRINT_GIT_TOKEN: entry \d/u) as string });
      expect(isImprintError(error) ? error.message : "").not.toContain(SECRET);
    }
  });

  test("none, or an empty one, is no token", () => {
    expect([parseGitTokens(undefined).size, parseGitTokens(" , ").size]).toEqual([0, 0]);
  });
});

test("git, wrapped commands and lifecycle scripts don't get to see it", async () => {
  const env = { PATH: "/bin", IMPRINT_GIT_TOKEN: `host=${SECRET}` };
  const wrapped = await childEnvironment(
    { env, cwd: "/", files: nodeFiles() },
    { program: "npm", base: "http://127.0.0.1:1", project: EMPTY_PROJECT, caches: "/caches" },
  );
  for (const seen of [gitEnvironment(env), wrapped, scriptEnvironment(env)]) expect(JSON.stringify(seen)).not.toContain(SECRET);
});
