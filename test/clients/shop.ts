/** One place for the matrix: an author, a public registry, and shops whose owners use all kinds of clients. */
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { resolverAddress } from "../../src/clients/resolver-address.ts";
import { policyOf } from "../../src/format/policy.ts";
import { tarballRef } from "../../src/format/tarball-source.ts";
import { parseProject } from "../../src/format/project.ts";
import { freePort } from "../support/free-port.ts";
import { BIN, type Outcome } from "../support/people.ts";
import { type Client, environmentFor, installOnPath } from "../support/clients.ts";
import { commitHosted } from "../support/git-host.ts";
import { writeTufStub } from "../support/tuf-stub.ts";
import { registryKey } from "../support/upstream.ts";
import { type TestIndex, type World, world } from "../support/world.ts";

export type Street = {
  readonly world: World;
  /** Releases of months ago. */
  readonly alice: TestIndex;
  /** Releases of minutes ago. */
  readonly young: TestIndex;
  /** For `node --require`. */
  readonly tufStub: string;
  /** Two ports that nobody else has. */
  readonly ports: readonly [number, number];
  close(): Promise<void>;
};

export const BIG_BYTES = 30 * 1024 * 1024;
export const CUT_BYTES = 300_000;
const BIN_FILE = { "hello.js": '#!/usr/bin/env node\nconsole.log("hello from alice");\n', "index.js": "module.exports = 'a';\n" };

export async function openStreet(): Promise<Street> {
  const [old, fresh] = [await world(), await world({ startMs: Date.now() - 600_000 })];
  const alice = await old.index("alice");
  const theirs = registryKey();
  old.upstream.keys = { keys: [theirs.listed] };
  for (const version of ["1.0.0", "1.1.0"]) {
    await old.upstream.publish("pub-a", version, {
      files: { "index.js": `module.exports = ${JSON.stringify(version)};\n` },
      edit: (entry) => theirs.sign(entry),
    });
    await alice.publish("@alice/a", version, {
      packageJson: { main: "index.js", bin: { hello: "hello.js" }, dependencies: { "pub-a": "^1.0.0" } },
      files: BIN_FILE,
    });
  }
  await alice.publish("@alice/big", "1.0.0", { files: { "big.bin": new Uint8Array(randomBytes(BIG_BYTES)) } });
  await alice.publish("@alice/refused", "1.0.0");
  await alice.flip(alice.paths().find((file) => file.includes("@alice+refused/1.0.0")) ?? "");
  const tarball = await alice.publish("@alice/corrupt", "1.0.0", { files: { "index.js": "module.exports = 'good';\n" } });
  replaceTarball(alice, tarball);
  await old.upstream.publish("pub-corrupt", "1.0.0", { files: { "index.js": "1;\n" } });
  const [served] = [...old.upstream.tarballs].filter(([at]) => at.startsWith("/pub-corrupt/"));
  // Another valid tarball under the same address: only its integrity tells.
  if (served !== undefined) old.upstream.tarballs.set(served[0], old.upstream.tarballs.get("/pub-a/-/pub-a-1.0.0.tgz") ?? served[1]);
  await old.upstream.publish("pub-cut", "1.0.0", { files: { "data.bin": new Uint8Array(randomBytes(CUT_BYTES)) } });
  await alice.publish("@alice/scripted", "1.0.0", {
    packageJson: { scripts: { postinstall: "node mark.js" } },
    files: { "mark.js": 'require("node:fs").writeFileSync("ran.txt", "ran");\n' },
  });
  const young = await fresh.index("young");
  for (const version of ["1.0.0", "1.1.0"]) await young.publish("@young/y", version);
  return {
    world: old,
    alice,
    young,
    tufStub: writeTufStub(old.folder),
    ports: [await freePort(), await freePort()],
    async close() {
      await old.close();
      await fresh.close();
    },
  };
}

/** The host gives another commit under the tarball's ref. */
function replaceTarball(index: TestIndex, tarball: Uint8Array): void {
  const ref = tarballRef(createHash("sha512").update(tarball).digest("hex") as Parameters<typeof tarballRef>[0]);
  const other = Uint8Array.from(tarball);
  other[other.length >> 1] = (other[other.length >> 1] ?? 0) ^ 1;
  commitHosted(index.gitDir, { "package.tgz": other }, { ref });
}

export type Shop = {
  readonly folder: string;
  readonly home: string;
  /** The client behind `imprint run`. */
  run(words: readonly string[], options?: { readonly port?: number; readonly env?: NodeJS.ProcessEnv }): Promise<Outcome>;
  /** The client alone, as when somebody forgets `imprint run`. */
  alone(words: readonly string[], env?: NodeJS.ProcessEnv): Promise<Outcome>;
  imprint(...words: readonly string[]): Promise<Outcome>;
  /** Version of what lies in node_modules; null: nothing. */
  installed(name: string): string | null;
  /** A colleague: the same committed files, an empty HOME. */
  colleague(name: string): Promise<Shop>;
};

let shops = 0;

/** A project of somebody who uses `client`, with imprint.json for these indices. */
export async function openShop(
  street: Street,
  client: Client,
  options: {
    readonly dependencies?: Readonly<Record<string, string>>;
    readonly index?: TestIndex;
    readonly policy?: Readonly<Record<string, unknown>>;
    readonly files?: Readonly<Record<string, unknown>>;
  } = {},
): Promise<Shop> {
  const index = options.index ?? street.alice;
  const name = `shop-${String(++shops)}-${client.id.replace(" ", "-")}`;
  const folder = await street.world.projectFolder(name, { indices: { [index.name]: { index } } });
  const project = JSON.parse(readFileSync(path.join(folder, "imprint.json"), "utf8")) as { indices: Record<string, object> };
  project.indices[index.name] = { ...project.indices[index.name], ...options.policy };
  const manifest = { name: "shop", version: "1.0.0", private: true, dependencies: options.dependencies ?? {} };
  const files: Readonly<Record<string, unknown>> = {
    ...client.files,
    "package.json": manifest,
    "imprint.json": project,
    ".npmrc": `registry=${resolverAddress(policyOf(parseProject(Buffer.from(JSON.stringify(project)))))}\nfetch-retries=0\n`,
    ...options.files,
  };
  for (const [file, content] of Object.entries(files))
    writeFileSync(path.join(folder, file), typeof content === "string" ? content : `${JSON.stringify(content, null, 2)}\n`);
  return shopIn(street, client, folder, path.join(street.world.folder, `${name}-home`));
}

function shopIn(street: Street, client: Client, folder: string, home: string): Shop {
  const bin = installOnPath(path.join(home, "bin"), client);
  const env = (extra: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => ({
    ...Object.fromEntries(
      Object.entries(process.env).filter(([key]) => !/^(npm_|pnpm_|yarn_|bun_|deno_|IMPRINT_|XDG_|GIT_|NODE_|VITEST)/i.test(key)),
    ),
    ...environmentFor(client, home),
    // pnpm installs globally only where its folder is on the PATH.
    PATH: [bin, path.join(home, "pnpm"), path.join(home, "pnpm", "bin"), process.env["PATH"]].join(path.delimiter),
    GIT_CONFIG_NOSYSTEM: "1",
    ...extra,
  });
  const shop: Shop = {
    folder,
    home,
    run: (words, { port = street.ports[0], env: extra } = {}) =>
      typed(process.execPath, [BIN, "run", "--port", String(port), client.called, ...words], folder, env(extra)),
    alone: (words, extra) => typed(client.called, words, folder, env(extra)),
    imprint: (...words) => typed(process.execPath, [BIN, ...words], folder, env()),
    installed(name) {
      const file = path.join(folder, "node_modules", name, "package.json");
      return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version : null;
    },
    async colleague(name) {
      const at = `${folder}-${name}`;
      mkdirSync(at);
      for (const file of ["package.json", "imprint.json", ".npmrc", client.lockfile, ...Object.keys(client.files)])
        if (existsSync(path.join(folder, file))) cpSync(path.join(folder, file), path.join(at, file));
      return shopIn(street, client, at, `${home}-${name}`);
    },
  };
  return shop;
}

/** Milliseconds; a client that hangs longer than people wait has failed. */
const PATIENCE_MS = 90_000;

function typed(program: string, words: readonly string[], cwd: string, env: NodeJS.ProcessEnv): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    // A group of its own, ended whole: some clients leave children behind.
    const child = spawn(program, words, { cwd, env, stdio: ["ignore", "pipe", "pipe"], detached: true });
    const out = { stdout: "", stderr: "" };
    for (const stream of ["stdout", "stderr"] as const)
      child[stream].setEncoding("utf8").on("data", (text: string) => (out[stream] += text));
    const timer = setTimeout(() => {
      out.stderr += `\nended after ${String(PATIENCE_MS)} ms`;
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    }, PATIENCE_MS);
    child.once("error", reject);
    child.once("close", (code) => {
      clearTimeout(timer);
      resolve({ code: code ?? 1, ...out });
    });
  });
}
