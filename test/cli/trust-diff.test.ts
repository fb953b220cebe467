/** L3: which policy counts in which folder, before and after a change, and which commit a name means. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { imprintIn, type Ran } from "./in-process.ts";

const ENV = { ...process.env, GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_NOSYSTEM: "1" };
const ALICE = "a".repeat(64);

let top: string;
let shop: string;
let home: string;
beforeEach(() => {
  top = mkdtempSync(path.join(tmpdir(), "imprint-trust-diff-"));
  [shop, home] = [path.join(top, "shop"), path.join(top, "home")];
  for (const folder of [shop, home]) mkdirSync(folder);
  git("init", "-q", "-b", "main");
});
afterEach(() => rmSync(top, { recursive: true, force: true }));

function git(...args: readonly string[]): string {
  const words = ["-C", shop, "-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "protocol.file.allow=always", ...args];
  return execFileSync("git", words, { env: ENV, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
}

/** Claims for alice; none: a policy without an index. */
function policy(...packages: readonly string[]): string {
  const alice = { id: ALICE, urls: ["https://git.example.org/alice.git"], packages };
  return `${JSON.stringify({ format: 1, indices: packages.length === 0 ? {} : { alice } }, null, 2)}\n`;
}

function write(files: Readonly<Record<string, string>>): void {
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(shop, file)), { recursive: true });
    writeFileSync(path.join(shop, file), text);
  }
}

function commit(files: Readonly<Record<string, string>> = {}): string {
  write(files);
  git("add", "-A");
  git("commit", "-q", "--allow-empty", "-m", "x");
  return git("rev-parse", "HEAD");
}

function diff(name = "HEAD", { at = ".", env = {} }: { readonly at?: string; readonly env?: NodeJS.ProcessEnv } = {}): Promise<Ran> {
  return imprintIn({ home, cwd: path.join(shop, at), env }, "trust", "diff", name);
}

const BASE = {
  "package.json": "{}",
  "imprint.json": policy("@alice/*"),
  "packages/web/package.json": "{}",
  "packages/api/package.json": "{}",
};

describe("L3 which policy counts where", () => {
  const cases: readonly (readonly [string, Readonly<Record<string, string>>, () => void, RegExp])[] = [
    [
      "adds one without indices in a folder",
      BASE,
      () => write({ "packages/web/imprint.json": policy() }),
      /widens in packages\/web: @alice\/\* comes from the public registry, before from alice/,
    ],
    [
      "adds one between the top and the packages",
      BASE,
      () => write({ "packages/imprint.json": policy() }),
      /widens in packages and 2 more folders: @alice\/\* comes from the public registry, before from alice/,
    ],
    [
      "adds one in a folder that nobody had",
      BASE,
      () => write({ "deep/er/imprint.json": policy("@eve/*") }),
      /widens in deep\/er: @eve\/\* comes from alice, before from the public registry/,
    ],
    [
      "deletes a stricter one below",
      { ...BASE, "packages/web/imprint.json": policy("@alice/*", "@web/*") },
      () => rmSync(path.join(shop, "packages/web/imprint.json")),
      /widens in packages\/web: @web\/\* comes from the public registry, before from alice/,
    ],
    [
      "moves it from the top into one package",
      BASE,
      () => renameSync(path.join(shop, "imprint.json"), path.join(shop, "packages/web/imprint.json")),
      /widens @alice\/\* comes from the public registry, before from alice/,
    ],
    [
      "moves a folder away, and its policy with it",
      { ...BASE, "packages/web/imprint.json": policy("@web/*") },
      () => renameSync(path.join(shop, "packages/web"), path.join(shop, "packages/site")),
      /widens in packages\/site: @web\/\* comes from alice, before from the public registry/,
    ],
    [
      "lowers the lock of one in a folder",
      { ...BASE, "packages/web/imprint.json": policy("@alice/*"), "packages/web/imprint.lock": lock(9) },
      () => write({ "packages/web/imprint.lock": lock(8) }),
      /widens in packages\/web: imprint\.lock lowers alice to root 1, seq 8/,
    ],
  ];
  it.each(cases)("L3 a pull request that %s, seen from the top and from anywhere", async (_, files, change, words) => {
    commit(files);
    expect((await diff()).stdout).toBe("nothing changed\n");
    change();
    for (const options of [{ at: "." }, { at: "packages/api", env: { IMPRINT_GIT: "isomorphic" } }]) {
      const ran = await diff("main", options);
      expect([ran.exit, ran.stderr]).toEqual([4, expect.stringMatching(words)]);
      expect(ran.stderr).toContain("TRUST_WIDENED");
    }
    const digest = /nobody accepted ([0-9a-f]{64})/u.exec((await diff()).stderr)?.[1] ?? "";
    expect((await diff("HEAD", { env: { IMPRINT_ACCEPT: digest } })).exit).toBe(0);
    // Consent to this is none to one more.
    write({ "another/imprint.json": policy("@eve/*") });
    expect((await diff("HEAD", { env: { IMPRINT_ACCEPT: digest } })).exit).toBe(4);
  });

  it("L3 folders are told together where one policy gives way to one other, and as data", async () => {
    commit(BASE);
    write({ "packages/imprint.json": policy("@alice/*", "@eve/*") });
    const ran = await imprintIn({ home, cwd: shop }, "trust", "diff", "HEAD", "--json");
    expect([ran.exit, JSON.parse(ran.stdout)]).toEqual([
      4,
      expect.objectContaining({
        changes: [
          {
            text: "@eve/* comes from alice, before from the public registry",
            widens: true,
            folders: ["packages", "packages/api", "packages/web"],
          },
        ],
      }),
    ]);
  });

  it("L3 one more file that says the same changes nothing; installed packages have no say", async () => {
    commit(BASE);
    write({ "packages/web/imprint.json": policy("@alice/*"), "node_modules/x/imprint.json": policy("@eve/*") });
    expect((await diff()).stdout).toBe("nothing changed\n");
  });

  it("L3 a symbolic link for a policy or its lock is refused, wherever it stands", async () => {
    commit({ ...BASE, "other.json": policy() });
    for (const [link, to] of [
      ["packages/web/imprint.json", "../../other.json"],
      ["packages/api/imprint.json", "/nowhere"],
      ["imprint.lock", "packages"],
    ] as const) {
      symlinkSync(to, path.join(shop, link));
      const ran = await diff();
      expect([ran.exit, ran.stderr]).toEqual([3, expect.stringMatching(new RegExp(`${link}: it is a symbolic link; put the file itself`))]);
      rmSync(path.join(shop, link));
    }
  });

  it("L3 a link that is there already: what it said is not known, and its end is accepted by digest", async () => {
    mkdirSync(path.join(shop, "packages/web"), { recursive: true });
    symlinkSync("../../other.json", path.join(shop, "packages/web/imprint.json"));
    commit({ ...BASE, "other.json": policy() });
    rmSync(path.join(shop, "packages/web/imprint.json"));
    for (const env of [{}, { IMPRINT_GIT: "isomorphic" }]) {
      const ran = await diff("main", { env });
      expect([ran.exit, ran.stderr]).toEqual([
        4,
        expect.stringMatching(
          /widens in packages\/web: what counted .* not known: packages\/web\/imprint\.json at main is a symbolic link/,
        ),
      ]);
    }
  });

  it("L3 a folder that becomes a symbolic link, and a name that only some disks tell apart", async () => {
    commit(BASE);
    renameSync(path.join(shop, "packages/web"), path.join(top, "outside"));
    symlinkSync(path.join(top, "outside"), path.join(shop, "packages/web"));
    expect((await diff()).stderr).toMatch(/packages\/web: it leads to .*outside by a symbolic link[\s\S]*CONFIG_INVALID/);
    git("checkout", "-q", "-f", "HEAD");
    rmSync(path.join(shop, "packages/web"), { recursive: true, force: true });
    git("checkout", "-q", "-f", "HEAD", "--", ".");
    write({ "packages/web/Imprint.json": policy() });
    expect((await diff()).stderr).toMatch(/packages\/web\/Imprint\.json: write its name as imprint\.json[\s\S]*CONFIG_INVALID/);
  });

  it("L3 a broken policy stops it now; one that was broken before is told", async () => {
    commit({ ...BASE, "packages/web/imprint.json": "{" });
    expect((await diff()).stderr).toMatch(/Cannot read .*packages\/web\/imprint\.json[\s\S]*CONFIG_INVALID/);
    write({ "packages/web/imprint.json": policy("@alice/*") });
    expect((await diff()).stderr).toMatch(
      /widens in packages\/web: what counted .* not known: Cannot read packages\/web\/imprint\.json at HEAD/,
    );
  });

  it("L3 a submodule that is added or moves is told; one that stays is not", async () => {
    const other = path.join(top, "other");
    execFileSync("git", ["init", "-q", "-b", "main", other], { env: ENV });
    writeFileSync(path.join(other, "imprint.json"), policy());
    const inOther = (...args: readonly string[]): string =>
      execFileSync("git", ["-C", other, "-c", "user.name=x", "-c", "user.email=x@example.org", ...args], { env: ENV, encoding: "utf8" });
    inOther("add", "-A");
    inOther("commit", "-q", "-m", "x");
    const before = commit(BASE);
    git("submodule", "add", "-q", other, "vendored");
    const added = commit();
    const words = /widens in vendored: another repository stands there, and it changed/;
    for (const env of [{}, { IMPRINT_GIT: "isomorphic" }]) expect((await diff(before, { env })).stderr).toMatch(words);
    expect((await diff(added)).stdout).toBe("nothing changed\n");
    inOther("commit", "-q", "--allow-empty", "-m", "y");
    execFileSync("git", ["-C", path.join(shop, "vendored"), "pull", "-q"], { env: ENV });
    commit();
    expect((await diff(added)).stderr).toMatch(words);
  });

  function lock(seq: number): string {
    const root = { version: 1, digest: "c".repeat(64) };
    return `${JSON.stringify({ format: 1, indices: { alice: { id: ALICE, root, seq, checkpoint: "d".repeat(64) } } }, null, 2)}\n`;
  }
});

describe("L3 a name that means several commits is an error that spells each", () => {
  let first: string;
  beforeEach(() => {
    first = commit(BASE);
    commit({ "imprint.json": policy() });
  });

  it.each([
    ["a branch and a tag", "rel", ["refs/tags/rel", "refs/heads/rel"]],
    ["a branch named HEAD", "HEAD", ["refs/heads/HEAD"]],
    ["a tag named HEAD", "HEAD", ["refs/tags/HEAD"]],
    ["a branch and a remote one", "origin/main", ["refs/heads/origin/main", "refs/remotes/origin/main"]],
    ["a ref beside the branches", "base", ["refs/base", "refs/heads/base"]],
    ["the head of a remote", "origin", ["refs/heads/origin", "refs/remotes/origin/HEAD"]],
  ])("L3 %s", async (_, name, refs) => {
    for (const ref of refs) git("update-ref", ref, first);
    const spelled = new RegExp(`${refs.join(" and ")}; write the one that you mean, or the whole id[\\s\\S]*USAGE`, "u");
    for (const env of [{}, { IMPRINT_GIT: "isomorphic" }]) {
      const ran = await diff(name, { env });
      expect([ran.exit, ran.stderr]).toEqual([2, expect.stringMatching(spelled)]);
    }
    expect((await diff(`${name}~0`)).stderr).toMatch(spelled);
    expect((await diff(refs.at(-1))).stderr).toMatch(/widens @alice/);
  });

  it("L3 the beginning of an id that is also a branch, or begins several ids", async () => {
    const short = first.slice(0, 8);
    expect((await diff(short)).stderr).toMatch(/widens @alice/);
    git("update-ref", `refs/heads/${short}`, "HEAD");
    expect((await diff(short)).stderr).toMatch(new RegExp(`refs/heads/${short} and ${first}; write the one`));
    expect((await diff(`v1-0-g${short}`)).stderr).toMatch(/widens @alice/);
    // Two of a thousand commits begin with the same four digits.
    const one = (at: number): string => `commit refs/many/${String(at)}\ncommitter x <x> ${String(at)} +0000\ndata 0\n\n`;
    execFileSync("git", ["-C", shop, "fast-import", "--quiet"], {
      env: ENV,
      input: Array.from({ length: 1000 }, (_, at) => one(at)).join(""),
    });
    const ids = git("for-each-ref", "--format=%(objectname)", "refs/many").split("\n");
    const starts = ids.map((id) => id.slice(0, 4));
    const [four = ""] = starts.filter((start, at) => starts.indexOf(start) !== at);
    const both = ids.filter((id) => id.startsWith(four));
    expect((await diff(four)).stderr).toMatch(new RegExp(`(?=.*${both[0] ?? ""})(?=.*${both[1] ?? ""}).*write the one`));
  });

  it("L3 files of git's own folder that are no refs do not count", async () => {
    for (const name of ["config", "info"]) {
      git("update-ref", `refs/heads/${name}`, first);
      expect((await diff(name)).stderr).toMatch(/widens @alice/);
    }
    expect(readFileSync(path.join(shop, ".git", "config"), "utf8")).not.toBe("");
  });
});
