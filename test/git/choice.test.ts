/** IMPRINT_GIT: which git answers, decided once and only when asked. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { chooseGit } from "../../src/git/choice.ts";
import { openGit } from "../../src/git/open.ts";
import { remoteHead } from "../../src/git/remote.ts";
import { createBareRepository } from "../../src/git/store/bare.ts";
import { parseGitUrl, parseRefName } from "../../src/git/url.ts";
import { commitHosted, createHostedRepository, startGitHost } from "../support/git-host.ts";
import { LIMITS } from "./contract.ts";

/** A PATH with a git on it that says this, and counts how often it is asked. */
function pathWith(version: string | null): { readonly PATH: string; readonly calls: () => number } {
  const dir = mkdtempSync(join(tmpdir(), "imprint-choice-"));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const log = join(dir, "calls");
  writeFileSync(log, "");
  if (version !== null) writeFileSync(join(dir, "git"), `#!/bin/sh\necho x >> '${log}'\necho '${version}'\n`, { mode: 0o755 });
  return { PATH: dir, calls: () => readFileSync(log, "utf8").length / 2 };
}

describe("which git", () => {
  test.each([
    ["auto", "git version 2.34.0", "system"],
    ["auto", "git version 2.47.1 (Apple Git-1)", "system"],
    ["auto", "git version 3.0.0", "system"],
    ["auto", "git version 2.33.9", "isomorphic"],
    ["auto", "something else", "isomorphic"],
    ["auto", null, "isomorphic"],
    ["system", null, "system"],
    ["isomorphic", "git version 2.47.1", "isomorphic"],
  ])("IMPRINT_GIT=%s and %j on the PATH: %s", async (setting, version, kind) => {
    const { PATH } = pathWith(version);
    expect(await chooseGit({ PATH, IMPRINT_GIT: setting }).kind()).toBe(kind);
    if (setting === "auto") for (const unset of [{}, { IMPRINT_GIT: "" }]) expect(await chooseGit({ PATH, ...unset }).kind()).toBe(kind);
  });

  test("it is asked for once, and not before something is read", async () => {
    const { PATH, calls } = pathWith("git version 2.33.0");
    const choice = chooseGit({ PATH });
    const dir = mkdtempSync(join(tmpdir(), "imprint-choice-"));
    onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
    let made = 0;
    const repository = openGit(choice, {
      async gitDir(kind) {
        made++;
        return join(dir, kind);
      },
    });
    expect([calls(), made]).toEqual([0, 0]);
    const ref = parseRefName("refs/heads/main");
    expect(await Promise.all([repository.head(ref), repository.head(ref), choice.kind()])).toEqual([null, null, "isomorphic"]);
    await repository.close();
    expect([calls(), made]).toEqual([1, 1]);
  });

  test.each(["sytem", "git", "AUTO", "system "])("IMPRINT_GIT=%j is a usage error", (setting) => {
    expect(() => chooseGit({ IMPRINT_GIT: setting })).toThrow(expect.objectContaining({ code: "USAGE" }) as Error);
  });

  test("a token that can't be read is a usage error only where it is used", () => {
    const choice = chooseGit({ IMPRINT_GIT_TOKEN: "nonsense" });
    expect(() => choice.tokens()).toThrow(expect.objectContaining({ code: "USAGE" }) as Error);
  });
});

test("the embedded git asks by the fetch that it was given, and by no other way: listing, fetching, pushing", async () => {
  const root = mkdtempSync(join(tmpdir(), "imprint-choice-"));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  commitHosted(createHostedRepository(root, "x.git"), { a: "1" });
  const host = await startGitHost({ root });
  onTestFinished(() => host.close());
  let asked = 0;
  const choice = chooseGit({ IMPRINT_GIT: "isomorphic" }, false, (url, init) => {
    asked++;
    return fetch(url, init);
  });
  const url = parseGitUrl(host.url("x.git"), { allowFile: false });
  const [ref, keepAs] = [parseRefName("refs/heads/main"), parseRefName("refs/imprint/head")];
  await remoteHead(choice, url, LIMITS);
  expect([asked > 0, asked]).toEqual([true, host.requests.length]);
  const gitDir = join(root, "cache.git");
  await createBareRepository(gitDir);
  const repository = openGit(choice, { gitDir });
  onTestFinished(() => repository.close());
  const head = await repository.fetch({ url, ref, keepAs, blobs: true, limits: LIMITS });
  const other = parseRefName("refs/heads/other");
  if (head !== null) await repository.push({ url, updates: [{ ref: other, expected: null, to: head }], limits: LIMITS });
  expect([head === null, asked]).toEqual([false, host.requests.length]);
});
