/**
 * The main job, for real, in a temporary folder: two authors on two git servers, a project that installs from both and
 * from the public registry, and then a git host that lies. Every step is asserted; nothing is left behind.
 */
import assert from "node:assert/strict";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { styleText } from "node:util";
import { createHostedRepository, startGitHost, testGit } from "../test/support/git-host.ts";
import { BIN, people, type Person } from "../test/support/people.ts";

const started = performance.now();
const say = (text: string): void => console.log(`\n${styleText(["bold", "cyan"], `▌ ${text}`)}`);
const proven = (text: string): void => console.log(`  ${styleText("green", "✓")} ${text}`);

const world = await people({
  onTyped: ({ who, words }) => {
    const line = words.map((word) => (/[@#*\s]/.test(word) ? `'${word}'` : word)).join(" ");
    console.log(`  ${styleText("dim", `${who.name} $`)} ${line.length > 150 ? `${line.slice(0, 150)}…` : line}`);
  },
  onOutcome: (_typed, { stdout, stderr }) => {
    for (const line of `${stderr}${stdout}`.split("\n"))
      if (line.trim() !== "" && !line.includes("npm notice")) console.log(`    ${styleText("dim", line)}`);
  },
});
const { sh, imprint, person, folderOf } = world;

const bobHost = path.join(world.folder, "host-b");
mkdirSync(bobHost);
createHostedRepository(bobHost, "bob/index.git");
const secondHost = await startGitHost({ root: bobHost });

try {
  say("Two authors make an index each, on two git servers");
  const [alice, bob, carol, dave]: [Person, Person, Person, Person] = [person("alice"), person("bob"), person("carol"), person("dave")];
  const alices = await world.init(alice, "@alice/*");
  const bobsUrl = secondHost.url("bob/index.git");
  const made = await imprint(
    bob,
    world.folder,
    "init",
    "bob-index",
    "--name",
    "bob",
    "--packages",
    "@bob/*",
    "--remote",
    bobsUrl,
    "--url",
    bobsUrl,
  );
  assert.equal(made.code, 0, made.stderr);
  for (const id of [alices.id, made.stdout.trim()]) assert.match(id, /^[0-9a-f]{64}$/);
  const addresses = [alices.address, `${bobsUrl}#${made.stdout.trim()}`];
  proven("two signed indices, pushed");

  const hosted = world.hosted("alice/index.git");
  say("They publish: pack, sign, push, read back as a stranger would");
  const greet = folderOf("greet", {
    "package.json": { name: "@alice/greet", version: "1.0.0", description: "says hello", main: "index.js", license: "MIT" },
    "index.js": "module.exports = (name) => `hello ${name}`;\n",
  });
  for (const version of ["1.0.0", "1.1.0"]) {
    writeFileSync(
      path.join(greet, "package.json"),
      readFileSync(path.join(greet, "package.json"), "utf8").replace(/"version": ".*"/, `"version": "${version}"`),
    );
    const published = await imprint(alice, greet, "publish");
    assert.equal(published.code, 0, published.stderr);
    assert.equal(published.stdout.trim(), `@alice/greet@${version}`);
    if (version === "1.0.0") testGit(hosted, ["update-ref", "refs/kept/old", "refs/heads/main"]);
  }
  const shout = folderOf("shout", {
    "package.json": {
      name: "@bob/shout",
      version: "2.0.0",
      main: "index.js",
      license: "MIT",
      dependencies: { "@alice/greet": "^1.0.0", "is-number": "^7.0.0" },
    },
    "index.js":
      'const greet = require("@alice/greet");\nconst isNumber = require("is-number");\nmodule.exports = (x) => (isNumber(x) ? String(x) : `${greet(x).toUpperCase()}!`);\n',
  });
  assert.equal((await imprint(bob, shout, "publish")).code, 0);
  proven("three releases by two authors");

  say("Carol trusts both, and installs with unmodified npm");
  const shop = folderOf("carol-shop", { "package.json": { name: "shop", version: "1.0.0", private: true } });
  for (const address of addresses) assert.equal((await imprint(carol, shop, "add", address, "--yes")).code, 0);
  const installed = await imprint(carol, shop, "run", "--verbose", "npm", "install", "@bob/shout");
  assert.equal(installed.code, 0, installed.stderr);
  for (const [source, name] of [
    ["alice", "@alice/greet"],
    ["bob", "@bob/shout"],
    ["public registry", "is-number"],
  ])
    assert.match(installed.stderr, new RegExp(`${source} +${name} tarball`));
  const ran = await sh(carol, shop, "node", ["-p", "require('@bob/shout')('carol')"]);
  assert.equal(ran.stdout.trim(), "HELLO CAROL!");
  proven("one project, three sources, each name from its own");

  say("Both indices verify, the lockfile is what was signed");
  for (const address of addresses) assert.equal((await imprint(carol, shop, "verify", address, "--tarballs")).code, 0);
  const audited = await imprint(carol, shop, "audit");
  assert.equal(audited.code, 0);
  assert.match(audited.stdout, /alice 1 signed/);
  assert.match(audited.stdout, /bob 1 signed/);
  proven("verify and audit are green");

  say("Now alice's host flips one byte of a release");
  const honest = testGit(hosted, ["rev-parse", "refs/heads/main"]);
  flipByte(hosted, "1.1.0.json");
  const colleagueShop = path.join(world.folder, "dave-shop");
  cpSync(shop, colleagueShop, { recursive: true, filter: (file) => !file.includes("node_modules") });
  const stopped = await imprint(dave, colleagueShop, "run", "npm", "ci");
  assert.notEqual(stopped.code, 0);
  assert.match(stopped.stderr, /@alice\/greet: .*1\.1\.0\.json.*HASH_MISMATCH, reading 6/);
  proven("a colleague with an empty HOME stops, with package, file, step and reason");
  rmSync(path.join(shop, "node_modules"), { recursive: true });
  rmSync(path.join(carol.home, "npm-cache"), { recursive: true });
  const still = await imprint(carol, shop, "run", "--sync-after", "0", "npm", "ci");
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

  say("Alice takes a release back, and her server refuses a forged push");
  assert.equal((await imprint(alice, world.folder, "hook", "install", hosted)).code, 0);
  const early = await imprint(alice, world.folder, "yank", "@alice/greet@1.1.0");
  assert.match(early.stderr, /latest points at it/);
  assert.equal((await imprint(alice, world.folder, "tag", "add", "@alice/greet@1.0.0", "latest")).code, 0);
  assert.equal((await imprint(alice, world.folder, "yank", "@alice/greet@1.1.0", "--reason", "too loud")).code, 0);
  assert.equal((await imprint(carol, shop, "sync")).code, 0);
  assert.match((await imprint(carol, shop, "why", "@alice/greet")).stdout, /1\.1\.0 yanked \(too loud\)/);
  const forged = path.join(world.folder, "mallory-clone");
  await sh(dave, world.folder, "git", ["clone", "-q", hosted, forged]);
  writeFileSync(path.join(forged, "checkpoint.json"), "{}\n");
  await sh(dave, forged, "git", ["-c", "user.name=m", "-c", "user.email=m@example.org", "commit", "-qam", "forged"]);
  const taken = await sh(dave, forged, "git", ["push", "-q"]);
  assert.match(taken.stderr, /Cannot take the push/);
  proven("yanked for whoever installs from now on; what is not signed does not get in");

  say("Somebody steals alice's daily key and publishes; she takes it back");
  const since = /"seq": (\d+)/.exec(testGit(hosted, ["show", "refs/heads/main:checkpoint.json"]))?.[1] ?? "";
  const thief = person("mallory");
  const keys = ".config/imprint/keys";
  cpSync(path.join(alice.home, keys, "alice.daily.json"), path.join(thief.home, keys, "alice.daily.json"));
  const evil = folderOf("evil", { "package.json": { name: "@alice/greet", version: "6.6.6", main: "index.js" }, "index.js": "evil();\n" });
  const env = { IMPRINT_PASSPHRASE: "alice's passphrase" };
  await sh(thief, world.folder, "git", ["clone", "-q", alices.url, "stolen-clone"]);
  const published = await sh(thief, evil, process.execPath, [BIN, "publish", "--index", path.join(world.folder, "stolen-clone")], env);
  assert.equal(published.code, 0, published.stderr);
  const revoked = await imprint(alice, world.folder, "root", "revoke", "daily", "--since", since, "--withdraw", "@alice/greet@6.6.6");
  assert.equal(revoked.code, 0, revoked.stderr);
  assert.equal((await imprint(carol, shop, "sync")).code, 0);
  assert.match((await imprint(carol, shop, "why", "@alice/greet")).stdout, /6\.6\.6 withdrawn \(signed by a stolen key\)/);
  assert.match((await imprint(carol, shop, "trust", "diff")).stdout, /root 2: .*publisher key ed25519:\S+ removed/);
  assert.equal((await imprint(dave, colleagueShop, "run", "npm", "ci")).code, 0);
  proven("her own releases stay, the thief's is withdrawn, his key signs nothing any more");
  console.log(`\n${styleText(["bold", "green"], "The demo holds")} in ${((performance.now() - started) / 1000).toFixed(1)} s`);
} finally {
  await Promise.all([world.close(), secondHost.close()]);
}

/** What a hostile git host does: other bytes under the same path, in a new commit. */
function flipByte(gitDir: string, fileName: string): void {
  const file = testGit(gitDir, ["ls-tree", "-r", "--name-only", "refs/heads/main"])
    .split("\n")
    .find((name) => name.endsWith(`/${fileName}`));
  assert.ok(file);
  const content = testGit(gitDir, ["show", `refs/heads/main:${file}`]);
  const blob = testGit(gitDir, ["hash-object", "-w", "--stdin"], { input: `${content.replace("says hello", "says jello")}\n` });
  const env = { GIT_INDEX_FILE: path.join(gitDir, "flip-index") };
  testGit(gitDir, ["read-tree", "refs/heads/main"], { env });
  testGit(gitDir, ["update-index", "--cacheinfo", `100644,${blob},${file}`], { env });
  const commit = testGit(gitDir, [
    "commit-tree",
    testGit(gitDir, ["write-tree"], { env }),
    "-p",
    "refs/heads/main",
    "-m",
    "nothing to see",
  ]);
  testGit(gitDir, ["update-ref", "refs/heads/main", commit]);
}
