/** The catalogue of errors: every code can be met, says what to do next, and names only commands that exist. */
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { trustDiffLines } from "../src/cli/commands/trust-diff.ts";
import { warnStale } from "../src/cli/consumer.ts";
import { openKeysOf } from "../src/cli/key-store.ts";
import type { ProjectFiles } from "../src/project/project-files.ts";
import { readKeyFileHeader, openKeyFile, sealKeyFile } from "../src/crypto/key-file.ts";
import { generatePrivateKey } from "../src/crypto/ed25519.ts";
import { CATALOGUE, type ErrorCode, ImprintError } from "../src/errors.ts";
import { utf8 } from "../src/format/bytes.ts";
import { parseCheckpoint } from "../src/format/checkpoint.ts";
import type { DisplayName } from "../src/format/decode.ts";
import type { Digest, IndexId } from "../src/format/digest.ts";
import { formatPublicKey } from "../src/format/keys.ts";
import { LIMITS } from "../src/format/limits.ts";
import { type PackageName, type PackagePattern, parsePackageName } from "../src/format/names.ts";
import { CHECKPOINT_PATH, recordPath, releasePath } from "../src/format/paths.ts";
import { EMPTY_PROJECT, parseProject } from "../src/format/project.ts";
import type { Version } from "../src/format/versions.ts";
import type { Policy } from "../src/format/policy.ts";
import { createPolicies } from "../src/serve/policies.ts";
import { advanceBranch, describeClone, initClone } from "../src/git/clone.ts";
import type { ObjectId } from "../src/git/port.ts";
import { parseGitUrl, parseRefName } from "../src/git/url.ts";
import { parseRegistryPath } from "../src/http/path.ts";
import { createIndex } from "../src/index/create.ts";
import { amendRecord, parsePackageSpec } from "../src/index/amend.ts";
import { requireNoRegress } from "../src/index/memory.ts";
import { requireSound, setThreshold } from "../src/index/root/edits.ts";
import { requireFewReleases } from "../src/index/package-reader.ts";
import { commitSource } from "../src/index/source.ts";
import { readState } from "../src/index/sync.ts";
import { lockEntryOf, requireFloor, requireOrder, verifyCheckpoint } from "../src/index/trust.ts";
import { checkPublishable } from "../src/pack/check.ts";
import { runCommand } from "../src/pack/command.ts";
import { inspectTarball } from "../src/pack/inspect.ts";
import { runLifecycle } from "../src/pack/run.ts";
import { requireNoConflicts } from "../src/registry/claims.ts";
import { openUpstreamClient } from "../src/registry/upstream/client.ts";
import { openExchange } from "../src/registry/upstream/exchange.ts";
import { npmOptions } from "../src/registry/upstream/npm-options.ts";
import { resolveSpecs } from "../src/registry/upstream/resolve.ts";
import { openBlobStore } from "../src/storage/blobs.ts";
import { openCell } from "../src/storage/cell.ts";
import { download } from "../src/storage/download.ts";
import { nodeFiles } from "../src/storage/files.ts";
import { imprintIn, type Ran } from "./cli/in-process.ts";
import { createHostedRepository, testGit } from "./support/git-host.ts";
import { makePackage } from "./support/tarball.ts";
import { LIMITS_OF_TESTS, type Answer, type TestConsumer, type TestIndex, type World, world } from "./support/world.ts";

const NO_ID = "0".repeat(64);
const UNUSED_PORT = 1;
const AUTHOR = { name: "Test", email: "test@example.org" };
const HELLO = "@alice/hello";

let w: World;
let alice: TestIndex;
/** A project that trusts alice, with no lock. */
let shop: string;

beforeAll(async () => {
  w = await world();
  alice = await w.index("alice");
  await alice.publish(HELLO, "1.0.0");
  shop = await w.projectFolder("shop", { indices: { alice: { index: alice } } });
});
afterAll(() => w.close());

let folders = 0;
function folder(files: Readonly<Record<string, string | Uint8Array>> = {}): string {
  const made = mkdtempSync(path.join(w.folder, `folder-${String(++folders)}-`));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(made, name)), { recursive: true });
    writeFileSync(path.join(made, name), content);
  }
  return made;
}

/** `imprint …` of somebody who has nothing yet, unless `home` says who. */
function imprint(
  cwd: string,
  argv: readonly string[],
  { home = folder(), env = {} }: { readonly home?: string; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<Ran> {
  return imprintIn({ home, cwd, env }, ...argv);
}

function project(...claims: readonly (readonly string[])[]): Uint8Array {
  const indices = Object.fromEntries(
    claims.map((packages, i) => [`index${String(i)}`, { id: NO_ID, urls: ["https://example.org/index.git"], packages }]),
  );
  return utf8(JSON.stringify({ format: 1, indices }));
}

async function indexWithRelease(name: string): Promise<{ readonly index: TestIndex; readonly pkg: string }> {
  const index = await w.index(name);
  await index.publish(`@${name}/x`, "1.0.0");
  return { index, pkg: `@${name}/x` };
}

/** A consumer of one index who has synced it. */
async function consumerOf(index: TestIndex): Promise<TestConsumer> {
  const consumer = await w.consumer({ indices: { [index.name]: { index } } });
  await consumer.sync();
  return consumer;
}

const keep = (count: number): Uint8Array => new Uint8Array(count).fill(7);

/** A clone with one commit on main. */
async function clone(): Promise<{ readonly dir: string; readonly head: ObjectId }> {
  const dir = path.join(folder(), "clone");
  const { head } = await initClone(dir, {
    branch: "main",
    files: [{ path: "README.md", content: utf8("x\n") }],
    message: "test",
    author: AUTHOR,
    timeMs: 0,
  });
  return { dir, head };
}

/** A resolver that was told of no project. */
const notServed = createPolicies({
  readProject: async () => EMPTY_PROJECT,
  open: () => Promise.reject(new Error("nothing to open")),
  stampOf: async () => "",
  known: null,
  otherwise: { rules: { strict: false, offline: false, allowFile: false, syncAfterMs: 0 }, say: () => undefined },
});

/** Each code as somebody would meet it: a call that throws it, a run of the command line that ends with it, or an answer over HTTP. */
const PROVOKED: Record<ErrorCode, () => unknown> = {
  NOT_FOUND: () => imprint(shop, ["remove", "nobody", "--json"]),
  DENIED: async () => (await w.consumer({ upstream: { deny: ["left-pad"] } })).get("/left-pad"),
  TOO_YOUNG: async () => {
    const { index, pkg } = await indexWithRelease("fresh");
    return (await w.consumer({ indices: { fresh: { index, minAgeHours: 876_000 } } })).get(`/${pkg}`);
  },
  NOT_AGREED: async () => {
    const { index, pkg } = await indexWithRelease("alone");
    const consumer = await w.consumer({
      indices: { alice: { index: alice }, alone: { index } },
      agree: { names: [pkg], of: ["alice", "alone"], threshold: 2 },
    });
    return consumer.get(`/${pkg}`);
  },
  PACKAGE_REFUSED: async () => checkPublishable(await inspectTarball(await makePackage({ private: true }))),
  PACKAGE_TOO_LARGE: () =>
    requireFewReleases({
      name: "@alice/a" as PackageName,
      releases: new Map(Array.from({ length: LIMITS.packageReleases + 1 }, (_, i) => [String(i), ""])) as never,
    }),
  TARBALL_REFUSED: () => inspectTarball(utf8("not a tarball")),
  TAG_REFUSED: async () => {
    const { index, pkg } = await indexWithRelease("yanked-latest");
    const { doc } = await index.record(pkg);
    amendRecord(doc, parsePackageSpec(pkg), { kind: "yank", reason: "" });
  },
  PACK_FAILED: () =>
    runLifecycle(folder({ "package.json": '{"name":"x","version":"1.0.0","scripts":{"prepublishOnly":"exit 3"}}' }), "prepublishOnly", {
      env: process.env,
      onOutput: () => {},
      command: [process.execPath, "-e", "process.exit(3)"],
    }),
  IMPORT_REFUSED: async () => {
    await w.upstream.publish("from-git", "1.0.0", { packageJson: { dependencies: { x: "git+https://git.example.org/x.git" } } });
    const settings = { registry: w.upstream.url, options: { noProxy: "127.0.0.1" } };
    const exchange = openExchange(settings, { folder: folder(), checkTarball: async () => undefined });
    const place = { exchange, folder: folder() };
    await resolveSpecs(["from-git"], npmOptions(settings, folder(), exchange), true, place).finally(() => exchange.close());
  },
  ROOT_REFUSED: async () => {
    const { doc } = (await alice.state()).roots[0];
    requireSound(setThreshold(doc, { role: "root" }, 2));
  },
  REQUEST_REFUSED: () => imprint(w.folder, ["root", "sign", "--json", path.join(folder({ "request.json": "{}\n" }), "request.json")]),
  AUDIT_FAILED: async () => {
    const locked = {
      lockfileVersion: 3,
      packages: { [`node_modules/${HELLO}`]: { version: "1.0.0", integrity: `sha512-${Buffer.alloc(64).toString("base64")}` } },
    };
    return imprint(folder({ "imprint.json": readFileSync(path.join(shop, "imprint.json")), "package-lock.json": JSON.stringify(locked) }), [
      "audit",
    ]);
  },
  COMMAND_NOT_FOUND: () => runCommand(["imprint-no-such-command"], w.folder, { env: process.env, onOutput: () => {} }),
  USAGE: () => imprint(w.folder, ["frobnicate", "--json"]),
  BAD_REQUEST: () => parseRegistryPath("/%"),
  METHOD_NOT_ALLOWED: async () => (await w.consumer()).get("/-/npm/v1/security/audits"),
  INVALID_NAME: () => parsePackageName("two words"),
  INVALID_URL: () => parseGitUrl("ext::sh -c date", { allowFile: false }),
  NEEDS_ID: () => imprint(shop, ["add", alice.url, "--yes", "--json"]),
  NEEDS_ANSWER: () => imprint(shop, ["add", `${alice.url}#${alice.id}`, "--json"]),
  CONFIG_INVALID: () => parseProject(utf8("{")),
  CONFIG_MISSING: () => imprint(folder({ "package.json": "{}" }), ["list", "--json"]),
  CLAIMS_CONFLICT: () => requireNoConflicts(parseProject(project(["@a/*"], ["@a/*"]))),
  LOOSE_FILE: () => {
    const file = path.join(w.folder, "loose-secret");
    writeFileSync(file, "secret", { mode: 0o644 });
    return nodeFiles().read(file, 100, { secret: true });
  },
  FOREIGN_FILE: () => nodeFiles(() => false).read(path.join(shop, "imprint.json"), LIMITS.projectBytes),
  SCOPE_REGISTRY: () =>
    imprint(folder({ "imprint.json": project(["@a/*"]), ".npmrc": "@a:registry=https://example.org/\n" }), ["run", "--json", "true"]),
  WRONG_ADDRESS: () => notServed.served("0".repeat(20) as Policy),
  SETTINGS_UNCLEAR: () => imprint(folder({ "imprint.json": project(["@a/*"]), "bunfig.toml": "[" }), ["run", "--json", "true"]),
  CLIENT_UNSAFE: () => imprint(shop, ["run", "vlt", "install"]),
  NOT_AN_INDEX: () => imprint(w.folder, ["verify", createHostedRepository(w.folder, "empty.git"), "--json"]),
  BRANCH_RENAMED: async () => {
    const index = await w.index("renamed");
    const home = folder();
    expect((await imprint(home, ["add", `${index.url}#${index.id}`, "--yes", "--no-npmrc"], { home })).exit).toBe(0);
    testGit(index.gitDir, ["branch", "-m", "main", "trunk"]);
    return imprint(home, ["sync", "--json"], { home });
  },
  NO_OWN_INDEX: () => imprint(w.folder, ["root", "grant", "@a/*", "--json"]),
  NOT_GRANTED: () => alice.publish("left-pad", "1.0.0"),
  FOLDER_NOT_EMPTY: () => imprint(folder({ "full/x": "" }), ["init", "full", "--json"]),
  FILE_UNREADABLE: () => imprint(w.folder, ["publish", "nowhere", "--json"]),
  STORAGE_FAILED: () => nodeFiles().writeAtomic(path.join(folder({ file: "" }), "file", "below"), utf8("x")),
  LOOP_DETECTED: async () =>
    (await w.consumer({ instance: "00112233445566ff" })).get("/is-odd", { via: "1.1 squid, 1.1 imprint-00112233445566ff" }),
  PORT_IN_USE: () => imprint(shop, ["serve", "--port", String(w.host.port), "--json"]),
  CLOCK_WRONG: async () => {
    const home = folder();
    expect((await imprint(home, ["init", "--name", "alice", "--packages", "@alice/*"], { home })).exit).toBe(0);
    const yesterday = { home, cwd: home, env: { IMPRINT_TRUST_CLOCK: "" }, nowMs: () => Date.now() - 86_400_000 };
    return imprintIn(yesterday, "seal", "--no-push", "--json");
  },
  GIT_MISSING: () => describeClone(w.folder, { git: "imprint-no-such-git" }),
  WORK_TREE: async () => {
    const { dir, head } = await clone();
    testGit(path.join(dir, ".git"), ["checkout", "--quiet", "--detach"], { env: { GIT_WORK_TREE: dir } });
    await advanceBranch(dir, { to: head, from: head, force: false });
  },
  INVALID_DOCUMENT: () => parseCheckpoint(utf8("{}\n")),
  UNSUPPORTED_FORMAT: () => parseProject(utf8('{"format":2,"indices":{}}')),
  TOO_LARGE: () => parseCheckpoint(new Uint8Array(LIMITS.checkpointBytes + 1)),
  MISSING_FILE: async () => {
    const { index, pkg } = await indexWithRelease("missing");
    await index.remove(releasePath(parsePackageName(pkg), "1.0.0" as Version));
    await (await consumerOf(index)).read(pkg);
  },
  HASH_MISMATCH: async () => {
    const { index, pkg } = await indexWithRelease("flipped");
    await index.flip(recordPath(parsePackageName(pkg)));
    await (await consumerOf(index)).read(pkg);
  },
  BAD_SIGNATURE: async () => {
    const index = await w.index("stripped");
    await index.strip(CHECKPOINT_PATH);
    await consumerOf(index);
  },
  WRONG_ID: async () => readState(await commitSource(alice.repository, alice.head(), LIMITS_OF_TESTS).open(), NO_ID as IndexId, null),
  WRONG_INDEX: async () => verifyCheckpoint(await alice.read(CHECKPOINT_PATH), (await (await w.index("other")).state()).roots),
  ROLLBACK: async () => {
    const index = await w.index("older");
    const before = await index.state();
    await index.renew();
    requireOrder(await index.state(), before);
  },
  EQUIVOCATION: async () => {
    const state = await alice.state();
    requireFloor(state, { ...lockEntryOf(state), checkpoint: NO_ID as Digest });
  },
  LOCK_MISMATCH: async () => {
    const state = await alice.state();
    requireFloor(state, { ...lockEntryOf(state), root: { version: 1, digest: NO_ID as Digest } });
  },
  NOT_LOCKED: () => imprint(shop, ["run", "--json", "--frozen", "true"]),
  RECORD_REGRESSED: async () => {
    const { index, pkg } = await indexWithRelease("regressed");
    const before = await index.record(pkg);
    await index.amend(pkg, () => ({}));
    requireNoRegress(await index.record(pkg), before);
  },
  RELEASE_REFUSED: async () => {
    const { index, pkg } = await indexWithRelease("withdrawn");
    await index.amend(pkg, () => ({ releases: new Map(), tags: new Map(), withdrawn: new Map([["1.0.0" as Version, "broken"]]) }));
    return (await consumerOf(index)).get(`/${pkg}/-/x-1.0.0.tgz`);
  },
  TARBALL_MISMATCH: () =>
    openBlobStore(nodeFiles(), folder()).put(
      (async function* () {
        yield utf8("other bytes");
      })(),
      { hash: "0".repeat(128), size: 11 },
    ),
  VERIFY_FAILED: () => {
    const keys = { root: generatePrivateKey(), publisher: generatePrivateKey(), checkpoint: generatePrivateKey() };
    const { files } = createIndex({ name: "v" as DisplayName, packages: ["*" as PackagePattern], keys, nowMs: 1 });
    const content = Object.fromEntries(files.map((file) => [file.path, file.content ?? ""]));
    return imprint(folder({ ...content, "packages/unlisted.json": "{}" }), ["verify"]);
  },
  TRUST_WIDENED: () =>
    trustDiffLines({ since: "HEAD", changes: [{ text: "an index is new", widens: true, folders: ["."] }], digest: NO_ID, ok: false }),
  STRICT: async () => {
    const index = await w.index("stale");
    const consumer = await w.consumer({ indices: { stale: { index, maxAgeDays: 1 } } });
    await consumer.sync();
    const home = folder();
    await warnStale(
      { files: EMPTY_FILES, indices: consumer.indices, close: async () => {} },
      { ...w.deps({ home, cwd: home }), strict: true, nowMs: Date.now },
    );
  },
  UNREACHABLE: () =>
    imprint(
      folder({
        "imprint.json": utf8(
          Buffer.from(project(["@a/*"]))
            .toString()
            .replace("https://example.org", `http://127.0.0.1:${String(UNUSED_PORT)}`),
        ),
      }),
      ["sync", "--json"],
    ),
  TIMED_OUT: () =>
    download("https://host.example/x", {
      maxBytes: 1,
      deadlineMs: 20,
      idleMs: 10_000,
      allowPrivate: false,
      resolveHost: async () => ["8.8.8.8"],
      fetch: () => new Promise<never>(() => {}),
    }),
  PUSH_FAILED: () =>
    alice.repository.push({
      url: parseGitUrl(w.host.url("nowhere.git"), { allowFile: false }),
      updates: [{ ref: parseRefName("refs/heads/main"), expected: null, to: alice.head() }],
      limits: LIMITS_OF_TESTS,
    }),
  OFFLINE: () => imprint(shop, ["sync", "--offline", "--json"]),
  NEVER_SYNCED: async () => (await w.consumer({ indices: { alice: { index: alice } } })).read(HELLO),
  UPSTREAM_FAILED: () =>
    openUpstreamClient({
      settings: async () => ({ registry: `http://127.0.0.1:${String(UNUSED_PORT)}/`, options: { fetchRetries: 0, noProxy: "127.0.0.1" } }),
      instance: "0".repeat(16),
    }).get("/x", { accept: "application/json", what: "x" }),
  VERSION_EXISTS: () => alice.publish(HELLO, "1.0.0"),
  LOST_RACE: async () => {
    const index = await w.index("raced");
    const before = index.head();
    await index.renew();
    await alice.repository.push({
      url: parseGitUrl(index.url, { allowFile: false }),
      updates: [{ ref: parseRefName("refs/heads/main"), expected: before, to: alice.head() }],
      limits: LIMITS_OF_TESTS,
    });
  },
  DIVERGED: async () => {
    const { dir, head } = await clone();
    const orphan = testGit(path.join(dir, ".git"), ["commit-tree", "HEAD^{tree}", "-m", "another"]) as ObjectId;
    await advanceBranch(dir, { to: orphan, from: head, force: false });
  },
  STATE_CHANGED: async () => {
    const cell = openCell(nodeFiles(), folder(), { maxBytes: 10 });
    await cell.swap(null, utf8("1"));
    await cell.swap(null, utf8("2"));
  },
  NAME_TAKEN: async () => {
    const home = folder();
    expect((await imprint(home, ["init", "--name", "alice", "--packages", "@alice/*"], { home })).exit).toBe(0);
    return imprint(home, ["init", "second", "--name", "alice", "--json"], { home });
  },
  KEY_MISSING: () => {
    const home = folder();
    const deps = w.deps({ home, cwd: home });
    return openKeysOf(deps, alice, "daily", deps);
  },
  KEY_REPLACED: async () => {
    const home = folder();
    expect((await imprint(home, ["init", "--name", "alice", "--packages", "@alice/*"], { home })).exit).toBe(0);
    const keys = path.join(home, "imprint", "config", "keys", "alice.daily.json");
    const old = readFileSync(keys);
    expect((await imprint(home, ["root", "rotate"], { home })).exit).toBe(0);
    writeFileSync(keys, old, { mode: 0o600 });
    return imprint(home, ["seal", "--no-push", "--json"], { home });
  },
  NEEDS_SIGNATURES: async () => {
    const home = folder();
    expect((await imprint(home, ["init", "--name", "alice", "--packages", "@alice/*"], { home })).exit).toBe(0);
    const key = formatPublicKey(generatePrivateKey().publicKey);
    return imprint(home, ["root", "add-key", key, "--role", "root", "--threshold", "2", "--json"], { home });
  },
  KEY_INVALID: () => readKeyFileHeader(utf8("{}\n")),
  PASSPHRASE_WRONG: async () =>
    openKeyFile(
      await sealKeyFile(
        { kind: "root", name: "alice" as DisplayName, index: alice.id, keys: [{ purpose: "root", key: generatePrivateKey() }] },
        "right",
        keep,
      ),
      "wrong",
    ),
  PASSPHRASE_NEEDED: () => imprint(folder(), ["init", "--name", "alice", "--json"], { env: { IMPRINT_PASSPHRASE: undefined } }),
};

const EMPTY_FILES: ProjectFiles = { folder: "", project: EMPTY_PROJECT, lock: new Map(), exists: false };
const CODES = Object.keys(CATALOGUE) as readonly ErrorCode[];

type Met = {
  readonly code: string;
  readonly message: string;
  /** Neither goes over HTTP: a client is told the status. */ readonly exit?: number;
  readonly hint?: string;
  readonly status?: number;
};

function isRan(value: unknown): value is Ran {
  return typeof value === "object" && value !== null && "exit" in value && "stderr" in value;
}

function isAnswer(value: unknown): value is Answer {
  return typeof value === "object" && value !== null && "status" in value && "json" in value;
}

/** What somebody met, whether it was thrown, ended a run of the command line, or answered a client. */
async function meet(provoke: () => unknown): Promise<Met> {
  let met: unknown;
  try {
    met = await provoke();
  } catch (error) {
    if (!(error instanceof ImprintError)) throw error;
    return { code: error.code, message: error.message, exit: error.exitCode, hint: error.hint };
  }
  if (isAnswer(met)) {
    const { code, error } = met.json as { code: string; error: string };
    return { code, message: error.slice(error.indexOf("Cannot "), error.indexOf(` (${code})`)), status: met.status };
  }
  if (!isRan(met)) throw new Error("nothing was thrown");
  const ran = met;
  const lines = ran.stderr.trimEnd().split("\n");
  const [what = "", next = ""] = lines.slice(lines.findLastIndex((line) => line.startsWith("✗ Cannot")));
  const [, code = ran.stderr, hint = ""] = /^ {2}([A-Z_]+); next: (.*)$/.exec(next) ?? [];
  const message = what.replace(/^✗ /, "").replace(/ \((?:reading|writing) \d+\)$/, "");
  if (ran.argv.includes("--json")) expect(JSON.parse(ran.stdout)).toMatchObject({ error: { code, message, hint } });
  return { code, message, exit: ran.exit, hint };
}

describe("every code of the catalogue", () => {
  it.each(CODES)("%s is met where it says, in one line that begins with Cannot, with its exit code and its hint", async (code) => {
    const met = await meet(PROVOKED[code]);
    const { exit, hint, http } = CATALOGUE[code];
    expect(met).toMatchObject("status" in met ? { code, status: http } : { code, exit, hint });
    expect(met.message).toMatch(/^Cannot \S/);
    if (code !== "PACKAGE_REFUSED" && code !== "TRUST_WIDENED") expect(met.message).not.toContain("\n");
  });
});

describe("the catalogue", () => {
  it("gives each code the exit code of the family that it stands under, 1 to 7", () => {
    const source = readFileSync(new URL("../src/errors.ts", import.meta.url), "utf8");
    const table = source.slice(source.indexOf("export const CATALOGUE"), source.indexOf("as const satisfies"));
    const [, ...families] = table.split(/^ {2}\/\/ (?=[1-7]: )/m);
    expect(families.map((family) => family.slice(0, 1))).toEqual(["1", "2", "3", "4", "5", "6", "7"]);
    const stands = families.flatMap((family) =>
      [...family.matchAll(/^ {2}([A-Z_]+): \{\s+exit: (\d)/gm)].map(([, code, exit]) => ({ code, exit, family: family.slice(0, 1) })),
    );
    expect(stands.map(({ code }) => code)).toEqual(CODES);
    for (const { code, exit, family } of stands) expect({ code, exit }).toEqual({ code, exit: family });
  });

  it("names in every hint a command to go on with, and none that does not exist", async () => {
    const log = vi.spyOn(console, "log").mockImplementation(() => {});
    let help: string;
    try {
      expect((await imprint(w.folder, ["--help"])).exit).toBe(0);
      help = log.mock.calls.flat().join("\n");
    } finally {
      log.mockRestore();
    }
    const commands = [...help.matchAll(/^ {2}imprint ([a-z]+)/gm)].map(([, name]) => name);
    expect(commands).toEqual(expect.arrayContaining(["init", "publish", "add", "sync", "why", "run"]));
    for (const [code, { hint }] of Object.entries(CATALOGUE)) {
      const named = [...hint.matchAll(/\bimprint ((?:root )?[a-z]+|--help)/g)].map(([, words]) => words);
      expect({ code, named: named.length > 0 }).toEqual({ code, named: true });
      for (const words of named)
        expect({
          code,
          hint,
          words,
          known:
            /^root (grant|show|sign|apply|revoke)$/.test(words ?? "") ||
            words === "--help" ||
            (words !== "root" && commands.includes(words)),
        }).toMatchObject({ known: true });
    }
  });
});
