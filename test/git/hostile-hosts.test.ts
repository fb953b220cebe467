/** Hosts that send git elsewhere (G9), and hosts that never end (T15), to either git. */
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { once } from "node:events";
import path from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, onTestFinished, test } from "vitest";
import { chooseGit } from "../../src/git/choice.ts";
import { openIsomorphicGit } from "../../src/git/isomorphic/repository.ts";
import type { GitRepository, GitUrl, HttpFetch, ObjectId, TransferLimits } from "../../src/git/port.ts";
import { createBareRepository } from "../../src/git/store/bare.ts";
import { remoteBranches, remoteHead } from "../../src/git/remote.ts";
import { openSystemGit } from "../../src/git/system/repository.ts";
import { parseGitTokens } from "../../src/git/tokens.ts";
import { parseGitUrl, parseRefName } from "../../src/git/url.ts";
import { testAuthority } from "../support/certificates.ts";
import { commitHosted, createHostedRepository, type GitHost, startGitHost } from "../support/git-host.ts";
import { ENDLESS_REFS, endlessFetch, type Intercept, startTrap, type Trap } from "../support/hostile-host.ts";
import { LIMITS } from "./contract.ts";

const MAIN = parseRefName("refs/heads/main");
const KEPT = parseRefName("refs/imprint/kept");
const SECRET = "s3cret";

const NO_TRAP: Trap = { url: "http://localhost:1", seen: [], close: async () => {} };

function folder(): string {
  const made = mkdtempSync(path.join(tmpdir(), "imprint-hostile-"));
  onTestFinished(() => rmSync(made, { recursive: true, force: true, maxRetries: 5 }));
  return made;
}

type User = {
  readonly repository: GitRepository;
  /** Hosts that a credential helper or askpass was asked for. */
  askedFor(): string;
};
type Kind = "system" | "isomorphic";

/**
 * A user who has credentials for every host there is: in `.netrc`, in a credential helper, by askpass, in
 * IMPRINT_GIT_TOKEN. And whose own configuration lets git follow everything.
 */
async function userOf(kind: Kind, trap: Trap, own: string, ca?: string): Promise<User> {
  const home = folder();
  const log = path.join(home, "asked");
  const gitDir = path.join(home, "cache.git");
  await createBareRepository(gitDir);
  const [ownHost, trapHost] = [new URL(own).host, new URL(trap.url).host];
  if (kind === "isomorphic") {
    const tokens = parseGitTokens(`${ownHost}=own-${SECRET},${trapHost}=trap-${SECRET}`);
    const repository = openIsomorphicGit({ gitDir, tokens });
    onTestFinished(() => repository.close());
    return { repository, askedFor: () => "" };
  }
  const script = (name: string, text: string): string => {
    const file = path.join(home, name);
    writeFileSync(file, `#!/bin/sh\n${text}\n`);
    chmodSync(file, 0o700);
    return file;
  };
  const helper = script("helper", `cat >>'${log}'\necho username=u\necho password=${SECRET}`);
  const askpass = script("askpass", `echo "$1" >>'${log}'\necho ${SECRET}`);
  writeFileSync(path.join(home, ".netrc"), `machine localhost login u password ${SECRET}\nmachine 127.0.0.1 login u password own\n`, {
    mode: 0o600,
  });
  writeFileSync(
    path.join(home, ".gitconfig"),
    `[credential]\n\thelper = ${helper}\n[http]\n\tfollowRedirects = true\n[http "${new URL(own).origin}"]\n\tfollowRedirects = true\n[fetch]\n\turiProtocols = http,https\n`,
  );
  const env = {
    PATH: process.env["PATH"],
    HOME: home,
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_ASKPASS: askpass,
    ...(ca === undefined ? {} : { GIT_SSL_CAINFO: ca }),
  };
  const repository = openSystemGit({ gitDir, env });
  onTestFinished(() => repository.close());
  return { repository, askedFor: () => (existsSync(log) ? readFileSync(log, "utf8") : "") };
}

async function hostWith(intercept?: Intercept, filter = true): Promise<GitHost & { readonly bare: string; readonly head: ObjectId }> {
  const root = folder();
  const bare = createHostedRepository(root, "x.git");
  const head = commitHosted(bare, { a: "1" }) as ObjectId;
  const host = await startGitHost({ root, filter, ...(intercept === undefined ? {} : { intercept }) });
  onTestFinished(() => host.close());
  return { ...host, bare, head };
}

async function trapOf(options: Parameters<typeof startTrap>[0] = {}): Promise<Trap> {
  const trap = await startTrap(options);
  onTestFinished(() => trap.close());
  return trap;
}

const addressOf = (host: GitHost, repo = "x.git"): GitUrl => parseGitUrl(host.url(repo), { allowFile: false });
const fetchFrom = (repository: GitRepository, url: GitUrl, limits: Partial<TransferLimits> = {}): Promise<ObjectId | null> =>
  repository.fetch({ url, ref: MAIN, keepAs: KEPT, blobs: true, limits: { ...LIMITS, ...limits } });

async function pushTo(repository: GitRepository, url: GitUrl): Promise<void> {
  const author = { name: "a", email: "b" };
  const changes = [{ path: "a", content: Buffer.from("2") }];
  const to = await repository.commit({ base: null, keepAs: parseRefName("refs/imprint/work"), message: "m", author, timeMs: 0, changes });
  await repository.push({ url, limits: LIMITS, updates: [{ ref: parseRefName("refs/heads/new"), expected: null, to }] });
}

type Step = { readonly matches: (method: string, url: string) => boolean; readonly run: "fetch" | "push"; readonly status: number };
const STEPS: Readonly<Record<string, Step>> = {
  "the first request": { matches: (_, url) => url.includes("/info/refs"), run: "fetch", status: 302 },
  "the first request, for good": { matches: (_, url) => url.includes("/info/refs"), run: "fetch", status: 301 },
  "what is posted": { matches: (method) => method === "POST", run: "fetch", status: 307 },
  "a push's first request": { matches: (_, url) => url.includes("service=git-receive-pack"), run: "push", status: 302 },
  "a push": { matches: (_, url) => url.endsWith("/git-receive-pack"), run: "push", status: 308 },
};

describe.each(["system", "isomorphic"] as const)("G9 redirects, through %s git", (kind) => {
  describe.each(Object.entries(STEPS))("of %s", (_, { matches, run, status }) => {
    test.each([
      ["the same repository elsewhere", (url: string) => url],
      ["a path and a query of its own", () => "/admin/delete?everything=yes&x=/info/refs?service=git-upload-pack"],
      ["a page of its own", () => "/admin/delete?everything=yes"],
    ])("G9 to another host, %s: nothing is asked there, and no credential of its is asked for", async (_name, to) => {
      const trap = await trapOf();
      const host = await hostWith((request, response) => {
        const url = request.url ?? "";
        if (!matches(request.method ?? "", url)) return false;
        request.resume();
        response.writeHead(status, { location: trap.url + to(url) }).end();
        return true;
      });
      const { repository, askedFor } = await userOf(kind, trap, host.url("x.git"));
      const work = run === "fetch" ? fetchFrom(repository, addressOf(host)) : pushTo(repository, addressOf(host));
      await expect(work).rejects.toMatchObject({ code: expect.stringMatching(/^(?:UNREACHABLE|PUSH_FAILED)$/u) as string });
      expect([trap.seen, askedFor()]).toEqual([[], ""]);
    });
  });

  test("G9 the message names both hosts, no secret, and what to do", async () => {
    const trap = await trapOf();
    const host = await hostWith((request, response) => {
      response.writeHead(302, { location: `${trap.url.replace("//", "//u:p@")}${request.url ?? ""}` }).end();
      return true;
    });
    const { repository } = await userOf(kind, trap, host.url("x.git"));
    const message = await fetchFrom(repository, addressOf(host)).then(String, (error: Error) => error.message);
    expect(message).toContain(`the host redirects to ${trap.url}`);
    expect(message).toContain("use that address");
    expect(message).not.toContain("u:p@");
  });

  test.each(["another port", "another scheme"])("G9 %s of one host is another host", async (what) => {
    const authority = testAuthority();
    const ca = path.join(folder(), "ca.pem");
    writeFileSync(ca, authority.ca);
    const trap = await trapOf(what === "another port" ? {} : { tls: authority });
    const host = await hostWith((request, response) => {
      response.writeHead(302, { location: trap.url + (request.url ?? "") }).end();
      return true;
    });
    const own = host.url("x.git").replace("127.0.0.1", "localhost");
    const { repository, askedFor } = await userOf(kind, trap, own, ca);
    await expect(fetchFrom(repository, parseGitUrl(own, { allowFile: false }))).rejects.toMatchObject({ code: "UNREACHABLE" });
    expect([trap.seen, askedFor()]).toEqual([[], ""]);
  });

  test("G9 on its own host a moved repository is found, with what git itself would send there", async () => {
    const trap = await trapOf();
    const host = await hostWith((request, response) => {
      if (request.url?.startsWith("/old") !== true) return false;
      response.writeHead(301, { location: request.url.replace(/^\/old[^/]*/u, "/x.git") }).end();
      return true;
    });
    const { repository } = await userOf(kind, trap, host.url("old"));
    expect(await fetchFrom(repository, addressOf(host, "old"))).toBe(host.head);
    await pushTo(repository, addressOf(host, "old.git"));
    expect(trap.seen).toEqual([]);
  });

  test("G9 on its own host, a page with a query that only ends like a repository's is refused", async () => {
    const trap = await trapOf();
    const asked: string[] = [];
    const host = await hostWith((request, response) => {
      asked.push(request.url ?? "");
      response.writeHead(302, { location: "/admin?do=delete&x=/info/refs?service=git-upload-pack" }).end();
      return true;
    });
    const { repository } = await userOf(kind, trap, host.url("x.git"));
    await expect(fetchFrom(repository, addressOf(host))).rejects.toMatchObject({ code: "UNREACHABLE" });
    expect(asked.filter((url) => url.startsWith("/admin"))).toEqual([]);
  });

  test("G9 the dumb protocol: neither a redirect of a file nor alternates lead to another host", async () => {
    const trap = await trapOf();
    const asked: string[] = [];
    const host = await hostWith((request, response) => {
      const url = request.url ?? "";
      asked.push(url);
      if (url.includes("/info/refs")) response.writeHead(200, { "content-type": "text/plain" }).end(`${"1".repeat(40)}\trefs/heads/main\n`);
      else if (url.endsWith("/HEAD")) response.end("ref: refs/heads/main\n");
      else if (url.endsWith("alternates")) response.end(`${trap.url}/x.git/objects\n`);
      else if (url.endsWith("/objects/info/packs")) response.end("\n");
      else response.writeHead(302, { location: trap.url + url }).end();
      return true;
    });
    const { repository, askedFor } = await userOf(kind, trap, host.url("x.git"));
    await expect(fetchFrom(repository, addressOf(host))).rejects.toMatchObject({ code: "UNREACHABLE" });
    expect(asked.length).toBeGreaterThan(0);
    expect([trap.seen, askedFor()]).toEqual([[], ""]);
  });

  test("G9 no pack is fetched from an address that the host names", async () => {
    const trap = await trapOf();
    const bodies: string[] = [];
    const host = await hostWith(async (request, response) => {
      if (request.method === "GET" && request.url?.includes("/info/refs") === true) {
        const line = (text: string): string => (text.length + 4).toString(16).padStart(4, "0") + text;
        const said = ["version 2\n", "ls-refs\n", "fetch=shallow filter packfile-uris\n", "bundle-uri\n", "object-format=sha1\n"].map(line);
        response.writeHead(200, { "content-type": "application/x-git-upload-pack-advertisement" });
        response.end(`${line("# service=git-upload-pack\n")}0000${said.join("")}0000`);
        return true;
      }
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const sent = Buffer.concat(chunks);
      bodies.push((request.headers["content-encoding"] === "gzip" ? gunzipSync(sent) : sent).toString("latin1"));
      if (bodies.at(-1)?.includes("command=ls-refs") !== true) return (response.writeHead(500).end(), true);
      response.writeHead(200, { "content-type": "application/x-git-upload-pack-result" });
      response.end(`003d${"1".repeat(40)} refs/heads/main\n0000`);
      return true;
    });
    const { repository } = await userOf(kind, trap, host.url("x.git"));
    await expect(fetchFrom(repository, addressOf(host))).rejects.toMatchObject({ code: "UNREACHABLE" });
    // The embedded git fetches by version 1, in which there is no such thing.
    expect(bodies.length).toBe({ system: 2, isomorphic: 1 }[kind]);
    expect(bodies.filter((body) => /packfile-uris|bundle-uri/u.test(body))).toEqual([]);
  });
});

test("G9 from https to http, through system git and isomorphic git alike, nothing is asked", async () => {
  const authority = testAuthority();
  const ca = path.join(folder(), "ca.pem");
  writeFileSync(ca, authority.ca);
  const trap = await trapOf();
  const server = createServer(authority, (request, response) =>
    response.writeHead(302, { location: trap.url + (request.url ?? "") }).end(),
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const own = `https://localhost:${String((server.address() as AddressInfo).port)}/x.git`;
  const { repository, askedFor } = await userOf("system", trap, own, ca);
  await expect(fetchFrom(repository, parseGitUrl(own, { allowFile: false }))).rejects.toMatchObject({
    code: "UNREACHABLE",
    message: expect.stringContaining("redirects to") as string,
  });
  // Node's own fetch takes authorities from the environment of the process alone: this stands for it.
  const fetch: HttpFetch = async (url) => new Response(null, { status: 302, headers: { location: trap.url + url.pathname + url.search } });
  const gitDir = path.join(folder(), "cache.git");
  await createBareRepository(gitDir);
  const embedded = openIsomorphicGit({ gitDir, fetch });
  onTestFinished(() => embedded.close());
  await expect(fetchFrom(embedded, parseGitUrl(own, { allowFile: false }))).rejects.toMatchObject({ code: "UNREACHABLE" });
  expect([trap.seen, askedFor()]).toEqual([[], ""]);
});

describe.each(["system", "isomorphic"] as const)("T15 hosts that never end, through %s git", (kind) => {
  const MIB = 1024 * 1024;
  /** Bytes that a host gets rid of before it is cut off: what is held of them, and what is on its way. */
  const most = { system: 224 * MIB, isomorphic: 48 * MIB }[kind];

  test.each(Object.entries(ENDLESS_REFS))("T15 a list of refs without end, by %s: cut off before it is stored", async (name, make) => {
    const flood = make();
    const host = await hostWith(flood.intercept);
    const { repository } = await userOf(kind, NO_TRAP, host.url("x.git"));
    await expect(
      fetchFrom(repository, addressOf(host), { maxBytes: 2 ** 31, maxObjects: 5_000_000, deadlineMs: 120_000 }),
    ).rejects.toMatchObject({
      code: expect.stringMatching(/^(?:TOO_LARGE|UNREACHABLE)$/u) as string,
    });
    // of a bomb, what is packed and not yet sent counts, too
    expect(flood.sent()).toBeLessThan(name.includes("gzip") ? 4 * most : most);
  });

  test.each(["version 0", "version 2"] as const)("T15 a look at branches and at HEAD, by %s", async (version) => {
    const env = { PATH: process.env["PATH"], HOME: folder(), GIT_CONFIG_NOSYSTEM: "1", IMPRINT_GIT: kind };
    for (const look of [remoteBranches, remoteHead]) {
      const flood = ENDLESS_REFS[version]();
      const host = await hostWith(flood.intercept);
      const limits = { maxBytes: 2 ** 31, maxObjects: 5_000_000, deadlineMs: 120_000 };
      await expect(look(chooseGit(env), addressOf(host), limits)).rejects.toMatchObject({ code: "TOO_LARGE" });
      expect(flood.sent()).toBeLessThan(most);
    }
  });

  test("T15 refs without end once they were listed well", async () => {
    const flood = ENDLESS_REFS["version 0"]();
    // The first fetch lists and fetches by a request each of the embedded git, and by one of system git's, which is new.
    const honest = { system: 2, isomorphic: 3 }[kind];
    let listings = 0;
    const host = await hostWith((request, response) => {
      if (request.url?.includes("/info/refs") === true) listings++;
      return listings > honest && flood.intercept(request, response);
    });
    const { repository } = await userOf(kind, NO_TRAP, host.url("x.git"));
    const limits = { maxBytes: 2 ** 31, maxObjects: 5_000_000, deadlineMs: 120_000 };
    await expect(fetchFrom(repository, addressOf(host), limits)).resolves.toBe(host.head);
    commitHosted(host.bare, { a: "2" });
    await expect(fetchFrom(repository, addressOf(host), limits)).rejects.toMatchObject({ code: "TOO_LARGE" });
    expect(flood.sent()).toBeLessThan(most);
  });

  test.each(["progress", "bytes", "objects"] as const)("T15 a fetch without end, of %s, is cut off", async (what) => {
    const flood = endlessFetch(what);
    const host = await hostWith(flood.intercept);
    const { repository } = await userOf(kind, NO_TRAP, host.url("x.git"));
    const limits = { maxBytes: 32 * MIB, maxObjects: 1_000_000, deadlineMs: 120_000 };
    await expect(fetchFrom(repository, addressOf(host), limits)).rejects.toMatchObject({ code: "TOO_LARGE" });
    expect(flood.sent()).toBeLessThan(256 * MIB);
  });

  test("T15 a reader's sync takes no more memory than a reader's sync needs", async () => {
    const flood = endlessFetch("objects");
    const host = await hostWith(flood.intercept);
    const { repository } = await userOf(kind, NO_TRAP, host.url("x.git"));
    // as many as a transfer may bring: it is not their number that ends it
    const limits = { maxBytes: 2 ** 31, maxObjects: 5_000_000, deadlineMs: 120_000 };
    await expect(repository.fetch({ url: addressOf(host), ref: MAIN, keepAs: KEPT, blobs: false, limits })).rejects.toMatchObject({
      code: "TOO_LARGE",
    });
  });

  test("T15 a byte now and then ends at the deadline", async () => {
    const host = await hostWith((_, response) => {
      response.writeHead(200, { "content-type": "application/x-git-upload-pack-advertisement" });
      const drip = setInterval(() => response.write("0"), 20);
      response.once("close", () => clearInterval(drip));
      return true;
    });
    const { repository } = await userOf(kind, NO_TRAP, host.url("x.git"));
    await expect(fetchFrom(repository, addressOf(host), { deadlineMs: 1000 })).rejects.toMatchObject({
      code: expect.stringMatching(/^(?:TIMED_OUT|UNREACHABLE)$/u) as string,
    });
  });
});
