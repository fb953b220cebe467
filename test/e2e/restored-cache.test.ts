/** A folder of ours that somebody else prepared and CI restored: no program of it runs, and no byte of it is served unproven. */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Outcome, type People, people, type Person } from "../support/people.ts";

let world: People;
let carol: Person;
let shop: string;
/** What `carol` has after a first use, and what each case begins with. */
let clean: string;
let home: string;
/** A program of the attacker's makes it. */
let marker: string;
let program: string;
let id: string;

const BYTES = "module.exports = 'signed';\n";

beforeAll(async () => {
  world = await people();
  carol = world.person("carol");
  const alice = world.person("alice");
  const index = await world.init(alice, "@alice/*");
  ({ id } = index);
  for (const version of ["1.0.0", "1.1.0"]) {
    const folder = world.folderOf(`a-${version}`, { "package.json": { name: "@alice/a", version, main: "i.js" }, "i.js": BYTES });
    expect((await world.imprint(alice, folder, "publish")).code).toBe(0);
  }
  shop = world.folderOf("shop", { "package.json": { name: "shop", private: true } });
  home = path.join(world.folder, "imprint-home");
  clean = path.join(world.folder, "kept-home");
  marker = path.join(world.folder, "a-program-ran");
  program = path.join(world.folder, "evil.sh");
  writeFileSync(program, `#!/bin/sh\ntouch '${marker}'\ncat > /dev/null\n`, { mode: 0o755 });
  for (const git of ["system", "isomorphic"]) {
    expect((await imprint(git, "add", index.address, "--yes")).code).toBe(0);
    expect(await installed(git)).toEqual([0, BYTES]);
  }
  cpSync(home, clean, { recursive: true });
});
afterAll(() => world.close());

function imprint(git: string, ...words: readonly string[]): Promise<Outcome> {
  return world.sh(carol, shop, process.execPath, [binOf(), ...words], { IMPRINT_HOME: home, IMPRINT_GIT: git });
}

function binOf(): string {
  return path.resolve(import.meta.dirname, "../../dist/bin.js");
}

/** Code, and the file that npm installed. */
async function installed(git: string): Promise<readonly [number, string]> {
  for (const name of ["node_modules", "package-lock.json"]) rmSync(path.join(shop, name), { recursive: true, force: true });
  rmSync(path.join(carol.home, "npm-cache"), { recursive: true, force: true });
  const { code } = await imprint(git, "run", "--port", "0", "npm", "install", "--no-save", "@alice/a@1.1.0");
  const file = path.join(shop, "node_modules", "@alice", "a", "i.js");
  return [code, existsSync(file) ? readFileSync(file, "utf8") : ""];
}

function restored(): void {
  rmSync(home, { recursive: true, force: true });
  cpSync(clean, home, { recursive: true });
  rmSync(marker, { force: true });
}

const repository = (git: string): string => path.join(home, "cache", "v1", "git", git === "system" ? `${id}.git` : `${id}.whole.git`);

/** Keys of git's configuration that start a program, lead elsewhere, or take in another file. */
const CONFIG = (): string => `
[core]
	repositoryformatversion = 0
	bare = true
	sshCommand = ${program}
	gitProxy = ${program}
	fsmonitor = ${program}
	hooksPath = ${path.join(home, "hooks")}
	askPass = ${program}
	editor = ${program}
	pager = ${program}
	alternateRefsCommand = ${program}
	worktree = ${shop}
[protocol "ext"]
	allow = always
[protocol]
	allow = always
[url "ext::${program} "]
	insteadOf = ${world.host.url("")}
	pushInsteadOf = ${world.host.url("")}
[credential]
	helper = !${program}
[http]
	proxy = http://127.0.0.1:1
	followRedirects = true
	sslVerify = false
[remote "origin"]
	url = ext::${program}
	uploadpack = ${program}
	vcs = ext
	promisor = true
[uploadpack]
	packObjectsHook = ${program}
[filter "evil"]
	smudge = ${program}
	process = ${program}
[diff "evil"]
	textconv = ${program}
[diff]
	external = ${program}
[include]
	path = ${path.join(home, "more-config")}
[extensions]
	partialClone = origin
	worktreeConfig = true
`;
const HOOKS = [
  "post-checkout",
  "pre-auto-gc",
  "reference-transaction",
  "post-update",
  "update",
  "pre-receive",
  "fsmonitor-watchman",
  "post-index-change",
];

describe.each(["system", "isomorphic"])("M2 a restored folder, %s git", (git) => {
  it("M2 configuration, hooks and helpers of a cached repository: no program runs, and the signed bytes are installed", async () => {
    restored();
    const dir = repository(git);
    writeFileSync(path.join(dir, "config"), CONFIG());
    writeFileSync(path.join(dir, "config.worktree"), CONFIG());
    writeFileSync(path.join(home, "more-config"), CONFIG().replace(/\[include\][^[]*/, ""));
    for (const folder of [path.join(dir, "hooks"), path.join(home, "hooks")]) {
      mkdirSync(folder, { recursive: true });
      for (const hook of HOOKS) cpSync(program, path.join(folder, hook));
    }
    mkdirSync(path.join(dir, "info"), { recursive: true });
    writeFileSync(path.join(dir, "info", "attributes"), "* filter=evil diff=evil\n");
    // What is new at the host has to be fetched into it.
    const synced = await imprint(git, "sync");
    expect([synced.code, synced.stderr]).toEqual([0, expect.not.stringContaining("evil")]);
    expect(await installed(git)).toEqual([0, BYTES]);
    expect(existsSync(marker)).toBe(false);
    expect(readFileSync(path.join(dir, "config"), "utf8")).not.toContain(program);
    expect(readdirSync(dir).toSorted()).toEqual(expect.not.arrayContaining(["hooks", "info", "config.worktree"]));
  });

  it.each<readonly [string, (dir: string) => void]>([
    [
      "a repository elsewhere (commondir)",
      (dir) => writeFileSync(path.join(dir, "commondir"), `${path.join(world.folder, "elsewhere")}\n`),
    ],
    [
      "objects of another place (alternates)",
      (dir) => writeFileSync(path.join(dir, "objects", "info", "alternates"), `${path.join(world.folder, "elsewhere", "objects")}\n`),
    ],
    [
      "objects that are a link",
      (dir) => {
        cpSync(path.join(dir, "objects"), path.join(world.folder, `moved-${git}`), { recursive: true });
        rmSync(path.join(dir, "objects"), { recursive: true });
        symlinkSync(path.join(world.folder, `moved-${git}`), path.join(dir, "objects"));
      },
    ],
    [
      "refs that are a link",
      (dir) => {
        const target = path.join(world.folder, `refs-${git}`);
        mkdirSync(target);
        rmSync(path.join(dir, "refs", "imprint"), { recursive: true, force: true });
        symlinkSync(target, path.join(dir, "refs", "imprint"));
      },
    ],
    [
      "refs that name nothing",
      (dir) => {
        for (const ref of filesBelow(path.join(dir, "refs"))) writeFileSync(ref, `${"1".repeat(40)}\n`);
      },
    ],
    [
      "packs with other bytes",
      (dir) => {
        for (const file of packsOf(dir)) {
          const bytes = readFileSync(file);
          for (let at = 20; at < bytes.byteLength - 20; at += 7) bytes[at] = (bytes[at] ?? 0) ^ 0x55;
          rmSync(file);
          writeFileSync(file, bytes);
        }
      },
    ],
    [
      "packs that end early",
      (dir) => {
        for (const file of packsOf(dir)) {
          const bytes = readFileSync(file).subarray(0, statSync(file).size / 2);
          rmSync(file);
          writeFileSync(file, bytes);
        }
      },
    ],
    ["a list of boundaries that hides everything", (dir) => writeFileSync(path.join(dir, "shallow"), `${"2".repeat(40)}\n`)],
    ["a HEAD of nowhere", (dir) => writeFileSync(path.join(dir, "HEAD"), "ref: refs/heads/../../../x\n")],
  ])("M2 %s: the signed bytes, or nothing", async (_, plant) => {
    restored();
    plant(repository(git));
    await imprint(git, "sync");
    expect(await installed(git)).toEqual([0, BYTES]);
  });

  it("M2 tarballs with other bytes, and every other file of the cache turned into nonsense: the signed bytes", async () => {
    restored();
    for (const file of filesBelow(path.join(home, "cache")).filter((name) => !name.includes(`${path.sep}git${path.sep}`)))
      writeFileSync(file, "module.exports = 'evil';\n");
    expect(await installed(git)).toEqual([0, BYTES]);
  });
});

it("M2 an older trusted state, or another's, lowers nothing that imprint.lock holds", async () => {
  restored();
  for (const file of filesBelow(path.join(home, "state", "v1", "trust"))) writeFileSync(file, "{}");
  const damaged = await imprint("system", "sync");
  expect([damaged.code, damaged.stderr]).toEqual([3, expect.stringMatching(/STORAGE_FAILED/)]);
  rmSync(path.join(home, "state"), { recursive: true });
  expect(await installed("system")).toEqual([0, BYTES]);
});

it("M2 documents of the public registry that somebody else has put into the cache are asked for again", async () => {
  restored();
  const asked: string[] = [];
  const upstream = createServer((incoming, outgoing) => {
    asked.push(String(incoming.headers["if-none-match"]));
    if (incoming.headers["if-none-match"] === '"one"') return void outgoing.writeHead(304).end();
    const dist = { tarball: `${base}pub/-/pub-1.0.0.tgz`, integrity: `sha512-${"A".repeat(86)}==`, shasum: "0".repeat(40) };
    const body = {
      name: "pub",
      "dist-tags": { latest: "1.0.0" },
      versions: { "1.0.0": { name: "pub", version: "1.0.0", description: "honest", dist } },
    };
    return void outgoing
      .writeHead(200, { "content-type": "application/json", etag: '"one"', "cache-control": "max-age=0" })
      .end(JSON.stringify(body));
  });
  upstream.listen(0, "127.0.0.1");
  await once(upstream, "listening");
  const base = `http://127.0.0.1:${String((upstream.address() as AddressInfo).port)}/`;
  const file = path.join(shop, "imprint.json");
  const before = readFileSync(file, "utf8");
  try {
    const project = JSON.parse(before) as { upstream: object };
    writeFileSync(file, JSON.stringify({ ...project, upstream: { ...project.upstream, registry: base } }));
    expect((await imprint("system", "sync")).code).toBe(0);
    const look = async (): Promise<string> => {
      const script =
        "fetch(process.env.npm_config_registry + 'pub').then((r) => r.json()).then((d) => console.log(d.versions['1.0.0'].description))";
      return (await imprint("system", "run", "--port", "0", "node", "-e", script)).stdout.trim();
    };
    expect(await look()).toBe("honest");
    // This machine's own copy is asked after, and kept.
    expect(await look()).toBe("honest");
    expect(asked).toEqual(["undefined", '"one"']);
    // The same folder, as another machine would have filled it: its secret is not in it.
    rmSync(path.join(carol.home, ".local", "share", "imprint"), { recursive: true });
    expect(await look()).toBe("honest");
    expect(asked).toEqual(["undefined", '"one"', "undefined"]);
    expect(filesBelow(home).map((name) => path.basename(name))).not.toContain("machine-secret");
  } finally {
    writeFileSync(file, before);
    upstream.closeAllConnections();
    await new Promise((resolve) => upstream.close(resolve));
  }
});

function filesBelow(folder: string): readonly string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => path.join(folder, name))
    .filter((file) => statSync(file).isFile());
}

function packsOf(dir: string): readonly string[] {
  return filesBelow(path.join(dir, "objects", "pack")).filter((file) => file.endsWith(".pack"));
}
