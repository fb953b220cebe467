/** A look at a remote: its branches, where its HEAD points, and nothing of its tarballs; aliases of the user's git. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { chooseGit } from "../../src/git/choice.ts";
import { expandAlias, remoteBranches, remoteHead } from "../../src/git/remote.ts";
import { judgeRejections } from "../../src/git/store/push-words.ts";
import { parseGitUrl } from "../../src/git/url.ts";
import { commitHosted, createHostedRepository, startGitHost, testGit, testGitEnv } from "../support/git-host.ts";
import { LIMITS } from "./contract.ts";

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), "imprint-remote-"));
  onTestFinished(() => rmSync(made, { recursive: true, force: true, maxRetries: 5 }));
  return made;
}

describe.each(["system", "isomorphic"])("%s git", (git) => {
  const choice = chooseGit(testGitEnv({ IMPRINT_GIT: git }));

  test("branches, and the one that HEAD names", async () => {
    const root = folder();
    const dir = createHostedRepository(root, "a.git");
    const seen: Buffer[] = [];
    const host = await startGitHost({
      root,
      intercept: (_, response) => {
        const write = response.write.bind(response);
        response.write = (chunk: Buffer) => (seen.push(chunk), write(chunk));
        return false;
      },
    });
    onTestFinished(() => host.close());
    const url = parseGitUrl(host.url("a.git"), { allowFile: false });
    expect([...(await remoteBranches(choice, url, LIMITS))]).toEqual([]);
    expect(await remoteHead(choice, url, LIMITS)).toBeNull();
    const main = commitHosted(dir, { a: "1" });
    const side = commitHosted(dir, { a: "2" }, { ref: "refs/heads/side" });
    commitHosted(dir, { "package.tgz": "x" }, { ref: `refs/tarballs/${"0".repeat(64)}` });
    seen.length = 0;
    expect([...(await remoteBranches(choice, url, LIMITS))]).toEqual([
      ["refs/heads/main", main],
      ["refs/heads/side", side],
    ]);
    // a hundred thousand releases would be a hundred thousand lines, at every sync
    expect(Buffer.concat(seen).toString("latin1")).not.toContain("refs/tarballs/");
    testGit(dir, ["symbolic-ref", "HEAD", "refs/heads/side"]);
    expect(await remoteHead(choice, url, LIMITS)).toBe("refs/heads/side");
    testGit(dir, ["symbolic-ref", "HEAD", "refs/heads/gone"]);
    expect(await remoteHead(choice, url, LIMITS)).toBeNull();
  });

  test("a host that is not there is UNREACHABLE by its address", async () => {
    const url = parseGitUrl("http://127.0.0.1:9/gone.git", { allowFile: false });
    await expect(remoteBranches(choice, url, LIMITS)).rejects.toMatchObject({
      code: "UNREACHABLE",
      message: expect.stringContaining(url) as string,
    });
  });
});

describe("expandAlias", () => {
  test("the longest prefix wins, pushes have their own; without git there are none", async () => {
    const config = join(folder(), "config");
    writeFileSync(
      config,
      '[url "https://a.example/"]\n\tinsteadOf = gh:\n[url "https://b.example/"]\n\tinsteadOf = gh:bob/\n[url "ssh://c.example/"]\n\tpushInsteadOf = gh:\n',
    );
    const env = testGitEnv({ GIT_CONFIG_GLOBAL: config });
    const choice = chooseGit(env);
    expect(await expandAlias(choice, "gh:alice/x")).toEqual({ fetch: "https://a.example/alice/x", push: "ssh://c.example/alice/x" });
    expect(await expandAlias(choice, "gh:bob/x")).toEqual({ fetch: "https://b.example/x", push: "ssh://c.example/bob/x" });
    expect(await expandAlias(choice, "--upload-pack=x")).toEqual({ fetch: "--upload-pack=x", push: "--upload-pack=x" });
    const embedded = chooseGit({ ...env, IMPRINT_GIT: "isomorphic" });
    expect(await expandAlias(embedded, "gh:bob/x")).toEqual({ fetch: "gh:bob/x", push: "gh:bob/x" });
  });
});

describe("what a refusal means", () => {
  const TARBALL = `refs/tarballs/${"0".repeat(64)}`;
  const both = (summary: string): { ref: string; summary: string }[] => [
    { ref: TARBALL, summary },
    { ref: "refs/heads/main", summary },
  ];
  test.each<[string, { ref: string; summary: string }[], string[], RegExp | null]>([
    ["a hidden ref", [{ ref: TARBALL, summary: "deny updating a hidden ref" }], [], /only branches and tags, not refs\/tarballs/],
    ["an update hook", [{ ref: TARBALL, summary: "hook declined" }], [], /only branches and tags/],
    ["a hook over all, which says nothing", both("pre-receive hook declined"), [], null],
    ["GH006 in words", both("pre-receive hook declined"), ["remote: error: GH006: Protected branch update failed"], /is protected there/],
    [
      "GitLab in words",
      both("pre-receive hook declined"),
      ["GitLab: You are not allowed to push code to protected branches"],
      /is protected/,
    ],
    ["a branch that is checked out", [{ ref: "refs/heads/main", summary: "branch is currently checked out" }], [], /--propose/],
    ["a disk that is full", both("unpacker error"), [], null],
  ])("%s", (_, rejected, words, advice) => {
    const verdict = judgeRejections(rejected, words);
    expect(verdict?.isRace).toBe(false);
    if (advice === null) expect(verdict?.advice).toBeNull();
    else expect(verdict?.advice).toMatch(advice);
  });

  test("a host that keeps a tarball has not refused its name; a race is a race", () => {
    expect(judgeRejections([{ ref: TARBALL, summary: "deletion prohibited" }], [], new Set([TARBALL]))?.advice).toBeNull();
    expect(judgeRejections(both("stale info"), [])).toMatchObject({ isRace: true, advice: null });
  });
});
