/**
 * The main job, for real, in a temporary folder: two authors on two git servers, a project that installs from both and
 * from the public registry, and then a git host that lies. Every step is asserted; nothing is left behind.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { styleText } from "node:util";
import { createHostedRepository, startGitHost, testGit } from "../test/support/git-host.ts";

const BIN = fileURLToPath(new URL("../dist/bin.js", import.meta.url));
const started = performance.now();
const world = mkdtempSync(path.join(tmpdir(), "imprint-demo-"));

type Outcome = { readonly code: number; readonly stdout: string; readonly stderr: string };
type Person = { readonly name: string; readonly home: string };

const say = (text: string): void => console.log(`\n${styleText(["bold", "cyan"], `▌ ${text}`)}`);
const proven = (text: string): void => console.log(`  ${styleText("green", "✓")} ${text}`);

function person(name: string): Person {
  const home = path.join(world, "homes", name);
  mkdirSync(home, { recursive: true });
  return { name, home };
}

/** A command as that person would type it, with what it prints shown and kept. */
function shell(who: Person, cwd: string, command: string, args: readonly string[]): Promise<Outcome> {
  const typed = [command === process.execPath ? "imprint" : command, ...args.slice(command === process.execPath ? 1 : 0)].map((word) => (/[@#*\s]/.test(word) ? `'${word}'` : word)).join(" ");
  console.log(`  ${styleText("dim", `${who.name} $`)} ${typed.length > 150 ? `${typed.slice(0, 150)}…` : typed}`);
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(npm_|NPM_|IMPRINT_|XDG_)/.test(name)));
  const env = { ...inherited, HOME: who.home, IMPRINT_PASSPHRASE: `${who.name}'s passphrase`, npm_config_cache: path.join(who.home, "npm-cache"), npm_config_update_notifier: "false", npm_config_audit: "false", npm_config_fund: "false" };
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
    const out = { stdout: "", stderr: "" };
    for (const stream of ["stdout", "stderr"] as const) child[stream].setEncoding("utf8").on("data", (text: string) => (out[stream] += text));
    child.once("error", reject);
    child.once("close", (code) => {
      for (const line of `${out.stderr}${out.stdout}`.split("\n").filter((text) => text.trim() !== "" && !text.includes("npm notice"))) console.log(`    ${styleText("dim", line)}`);
      resolve({ code: code ?? 1, ...out });
    });
  });
}

const imprint = (who: Person, cwd: string, ...args: string[]): Promise<Outcome> => shell(who, cwd, process.execPath, [BIN, ...args]);

function packageFolder(name: string, version: string, extra: Record<string, unknown>, source: string): string {
  const folder = path.join(world, "packages", name.replace("/", "+"));
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, "package.json"), JSON.stringify({ name, version, main: "index.js", license: "MIT", ...extra }, null, 2));
  writeFileSync(path.join(folder, "index.js"), source);
  return folder;
}

const [aliceHost, bobHost] = [path.join(world, "host-a"), path.join(world, "host-b")];
for (const folder of [aliceHost, bobHost]) mkdirSync(folder);
createHostedRepository(aliceHost, "alice/index.git");
createHostedRepository(bobHost, "bob/index.git");
const hosts = [await startGitHost({ root: aliceHost }), await startGitHost({ root: bobHost })] as const;

try {
  say("Two authors make an index each, on two git servers");
  const [alice, bob, carol, dave] = [person("alice"), person("bob"), person("carol"), person("dave")];
  const urls = { alice: hosts[0].url("alice/index.git"), bob: hosts[1].url("bob/index.git") };
  const ids: Record<string, string> = {};
  for (const who of [alice, bob]) {
    const url = urls[who.name as "alice" | "bob"];
    const made = await imprint(who, world, "init", `${who.name}-index`, "--name", who.name, "--packages", `@${who.name}/*`, "--remote", url, "--url", url);
    assert.equal(made.code, 0, made.stderr);
    ids[who.name] = made.stdout.trim();
    assert.match(ids[who.name] ?? "", /^[0-9a-f]{64}$/);
  }
  proven("two signed indices, pushed");

  say("They publish: pack, sign, push, read back as a stranger would");
  const greet = packageFolder("@alice/greet", "1.0.0", { description: "says hello" }, "module.exports = (name) => `hello ${name}`;\n");
  for (const version of ["1.0.0", "1.1.0"]) {
    writeFileSync(path.join(greet, "package.json"), readFileSync(path.join(greet, "package.json"), "utf8").replace(/"version": ".*"/, `"version": "${version}"`));
    const published = await imprint(alice, greet, "publish");
    assert.equal(published.code, 0, published.stderr);
    assert.equal(published.stdout.trim(), `@alice/greet@${version}`);
    if (version === "1.0.0") testGit(path.join(aliceHost, "alice/index.git"), ["update-ref", "refs/kept/old", "refs/heads/main"]);
  }
  const shout = packageFolder("@bob/shout", "2.0.0", { dependencies: { "@alice/greet": "^1.0.0", "is-number": "^7.0.0" } }, "const greet = require('@alice/greet'); const isNumber = require('is-number'); module.exports = (x) => isNumber(x) ? String(x) : greet(x).toUpperCase() + '!';\n");
  assert.equal((await imprint(bob, shout, "publish")).code, 0);
  proven("three releases by two authors");

  say("Carol trusts both, and installs with unmodified npm");
  const shop = path.join(world, "carol-shop");
  mkdirSync(shop);
  writeFileSync(path.join(shop, "package.json"), JSON.stringify({ name: "shop", version: "1.0.0", private: true }));
  for (const name of ["alice", "bob"] as const) assert.equal((await imprint(carol, shop, "add", `${urls[name]}#${ids[name]}`, "--yes")).code, 0);
  const installed = await imprint(carol, shop, "run", "--verbose", "npm", "install", "@bob/shout");
  assert.equal(installed.code, 0, installed.stderr);
  for (const [source, name] of [["alice", "@alice/greet"], ["bob", "@bob/shout"], ["public registry", "is-number"]]) assert.match(installed.stderr, new RegExp(`${source} +${name} tarball`));
  const ran = await shell(carol, shop, "node", ["-p", "require('@bob/shout')('carol')"]);
  assert.equal(ran.stdout.trim(), "HELLO CAROL!");
  proven("one project, three sources, each name from its own");

  say("Both indices verify, the lockfile is what was signed");
  for (const name of ["alice", "bob"] as const) assert.equal((await imprint(carol, shop, "verify", `${urls[name]}#${ids[name]}`, "--tarballs")).code, 0);
  const audited = await imprint(carol, shop, "audit");
  assert.equal(audited.code, 0);
  assert.match(audited.stdout, /alice 1 signed/);
  assert.match(audited.stdout, /bob 1 signed/);
  proven("verify and audit are green");

  say("Now alice's host flips one byte of a release");
  const hosted = path.join(aliceHost, "alice/index.git");
  const honest = testGit(hosted, ["rev-parse", "refs/heads/main"]);
  flipByte(hosted, "1.1.0.json");
  const colleagueShop = path.join(world, "dave-shop");
  cpSync(shop, colleagueShop, { recursive: true, filter: (file) => !file.includes("node_modules") });
  const stopped = await imprint(dave, colleagueShop, "run", "npm", "ci");
  assert.notEqual(stopped.code, 0);
  assert.match(stopped.stderr, /@alice\/greet: .*1\.1\.0\.json.*HASH_MISMATCH/);
  proven("a colleague with an empty HOME stops, with package, file and reason");
  rmSync(path.join(shop, "node_modules"), { recursive: true });
  rmSync(path.join(carol.home, "npm-cache"), { recursive: true });
  const still = await imprint(carol, shop, "run", "npm", "ci");
  assert.equal(still.code, 0, still.stderr);
  assert.match(still.stderr, /alice: .*1\.1\.0\.json.*HASH_MISMATCH/);
  proven("carol's machine, which had verified it, still installs, and says that the host lies");

  say("Then the host serves an older checkpoint");
  testGit(hosted, ["update-ref", "refs/heads/main", "refs/kept/old"]);
  const rolledBack = await imprint(carol, shop, "sync");
  assert.equal(rolledBack.code, 4);
  assert.match(rolledBack.stderr, /ROLLBACK/);
  proven("ROLLBACK, exit code 4, and the verified state stays");

  say("The host is honest again");
  testGit(hosted, ["update-ref", "refs/heads/main", honest]);
  assert.equal((await imprint(carol, shop, "sync")).code, 0);
  assert.equal((await imprint(dave, colleagueShop, "run", "npm", "ci")).code, 0);
  proven("everything goes on");
  console.log(`\n${styleText(["bold", "green"], "The demo holds")} in ${((performance.now() - started) / 1000).toFixed(1)} s`);
} finally {
  await Promise.all(hosts.map((host) => host.close()));
  rmSync(world, { recursive: true, force: true, maxRetries: 5 });
}

/** What a hostile git host does: other bytes under the same path, in a new commit. */
function flipByte(gitDir: string, fileName: string): void {
  const file = testGit(gitDir, ["ls-tree", "-r", "--name-only", "refs/heads/main"]).split("\n").find((name) => name.endsWith(`/${fileName}`));
  assert.ok(file);
  const content = testGit(gitDir, ["show", `refs/heads/main:${file}`]);
  const blob = testGit(gitDir, ["hash-object", "-w", "--stdin"], { input: `${content.replace("says hello", "says jello")}\n` });
  const env = { GIT_INDEX_FILE: path.join(gitDir, "flip-index") };
  testGit(gitDir, ["read-tree", "refs/heads/main"], { env });
  testGit(gitDir, ["update-index", "--cacheinfo", `100644,${blob},${file}`], { env });
  const commit = testGit(gitDir, ["commit-tree", testGit(gitDir, ["write-tree"], { env }), "-p", "refs/heads/main", "-m", "nothing to see"]);
  testGit(gitDir, ["update-ref", "refs/heads/main", commit]);
}
