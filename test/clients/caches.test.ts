/**
 * X11: what a client keeps of one project reaches no other. Two projects of one person, one HOME, all of a client's caches: one
 * takes a name from bob, the other from the public registry, which has another package of that name and version.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Client, clientOf, environmentFor, type Family, installOnPath, TESTED_AT_LENGTH, type Words } from "../support/clients.ts";
import { freePort } from "../support/free-port.ts";
import { BIN, type Outcome } from "../support/people.ts";
import { typed } from "../support/typed.ts";
import { type TestIndex, type World, world } from "../support/world.ts";

const NAME = "bob.tool_x";
const IDS = TESTED_AT_LENGTH.filter((id) => id !== "vlt");
const OFFLINE: Readonly<Record<Family, Words | null>> = {
  npm: ["install", "--offline"],
  pnpm: ["install", "--offline"],
  "yarn 1": ["install", "--offline", "--non-interactive"],
  "yarn 4": null,
  bun: ["install", "--prefer-offline"],
  deno: ["install", "--cached-only"],
  vlt: null,
};

let w: World;
let bob: TestIndex;
let alice: TestIndex;
beforeAll(async () => {
  w = await world();
  bob = await w.index("bob", { packages: ["@bob/*", NAME] });
  alice = await w.index("alice");
  await bob.publish(NAME, "1.0.0", { files: { "index.js": "module.exports = 'bob';\n" } });
  await alice.publish("@alice/a", "1.0.0");
  await w.upstream.publish(NAME, "1.0.0", { files: { "index.js": "module.exports = 'public';\n" } });
});
afterAll(() => w.close());

type Desk = {
  /** A project that trusts bob for the name, or one that trusts alice, for her own scope alone. */
  project(name: string, trusts: "bob" | "alice"): Promise<string>;
  imprint(cwd: string, ...words: Words): Promise<Outcome>;
  run(cwd: string, words: Words): Promise<Outcome>;
  alone(cwd: string, words: Words): Promise<Outcome>;
  serve(cwd: string): Promise<ChildProcess>;
  /** Without what an earlier install left in the project itself. */
  clear(cwd: string, keepLock?: boolean): void;
};

/** One person at one machine, with one client. */
async function deskOf(client: Client): Promise<Desk> {
  const top = path.join(w.folder, `desk-${client.id.replace(" ", "-")}`);
  const home = path.join(top, "home");
  const bin = installOnPath(path.join(home, "bin"), client);
  const port = String(await freePort());
  const env: NodeJS.ProcessEnv = {
    ...Object.fromEntries(
      Object.entries(process.env).filter(([key]) => !/^(npm_|pnpm_|yarn_|bun_|deno_|IMPRINT_|XDG_|GIT_|NODE_|VITEST|CI$)/i.test(key)),
    ),
    ...environmentFor(client, home),
    PATH: [bin, process.env["PATH"]].join(path.delimiter),
    GIT_CONFIG_NOSYSTEM: "1",
    IMPRINT_ALLOW_PRIVATE: "127.0.0.1",
  };
  const desk: Desk = {
    async project(name, trusts) {
      const folder = path.join(top, name);
      mkdirSync(folder, { recursive: true });
      const files = {
        ...client.files,
        "package.json": { name: "shop", version: "1.0.0", private: true, dependencies: { [NAME]: "1.0.0" } },
      };
      for (const [file, content] of Object.entries(files))
        writeFileSync(path.join(folder, file), typeof content === "string" ? content : JSON.stringify(content));
      // As a client's first use leaves it: `add` writes for the clients that the project has.
      if (client.family === "pnpm" && !existsSync(path.join(folder, "pnpm-workspace.yaml")))
        writeFileSync(path.join(folder, "pnpm-workspace.yaml"), "");
      if (client.family === "yarn 1") writeFileSync(path.join(folder, ".yarnrc"), "");
      writeFileSync(path.join(folder, ".npmrc"), `registry=${w.upstream.url}\n`);
      const { url, id } = trusts === "bob" ? bob : alice;
      const words = trusts === "bob" ? ["--packages", NAME] : [];
      const added = await desk.imprint(folder, "add", `${url}#${id}`, "--yes", ...words);
      expect([added.code, added.stderr]).toEqual([0, expect.any(String)]);
      // The port of this test: the fixed one is one for the whole machine.
      for (const file of readdirSync(folder).map((one) => path.join(folder, one)))
        if (statSync(file).isFile()) writeFileSync(file, readFileSync(file, "utf8").replaceAll("127.0.0.1:4870", `127.0.0.1:${port}`));
      return folder;
    },
    imprint: (cwd, ...words) => typed(process.execPath, [BIN, ...words], cwd, env),
    run: (cwd, words) => typed(process.execPath, [BIN, "run", "--port", port, client.called, ...words], cwd, env),
    alone: (cwd, words) => typed(path.join(bin, client.called), words, cwd, env),
    async serve(cwd) {
      const child = spawn(process.execPath, [BIN, "serve", "--port", port], { cwd, env, stdio: ["ignore", "pipe", "ignore"] });
      await once(child.stdout, "data");
      return child;
    },
    clear(cwd, keepLock = false) {
      rmSync(path.join(cwd, "node_modules"), { recursive: true, force: true });
      if (!keepLock) rmSync(path.join(cwd, client.lockfile), { force: true });
      // yarn 4 takes a folder above for the project's where there is no lockfile.
      if (!keepLock && client.family === "yarn 4") writeFileSync(path.join(cwd, "yarn.lock"), "");
    },
  };
  return desk;
}

/** Whose package lies there; null: none. */
function whose(cwd: string): string | null {
  const file = path.join(cwd, "node_modules", NAME, "index.js");
  return existsSync(file) ? (/'(\w+)'/.exec(readFileSync(file, "utf8"))?.[1] ?? "?") : null;
}

describe.each(IDS)("%s", (id) => {
  const client = clientOf(id);
  const { install, frozen } = client.commands;
  const offline = OFFLINE[client.family];

  // Twelve installs of real clients each, on machines that do other things besides.
  it.each(["run", "serve"] as const)(
    `X11 ${id}: under %s no order of projects, no lock and no offline mode mixes them`,
    { timeout: 600_000 },
    async (mode) => {
      const desk = await deskOf(client);
      const [public1, bobs, bobs2, public2, later] = [
        await desk.project(`${mode}-public-1`, "alice"),
        await desk.project(`${mode}-bobs`, "bob"),
        await desk.project(`${mode}-bobs-2`, "bob"),
        await desk.project(`${mode}-public-2`, "alice"),
        await desk.project(`${mode}-later`, "alice"),
      ];
      const server = mode === "serve" ? await desk.serve(bobs) : null;
      const asked = (cwd: string, words: Words): Promise<Outcome> => (mode === "run" ? desk.run(cwd, words) : desk.alone(cwd, words));
      const installed = async (cwd: string, words: Words, keepLock = false): Promise<string | null> => {
        desk.clear(cwd, keepLock);
        const outcome = await asked(cwd, words);
        const found = whose(cwd);
        if (found === null) return `nothing: ${outcome.stdout}${outcome.stderr}`;
        expect(outcome.code).toBe(0);
        return found;
      };
      try {
        expect(await installed(public1, install)).toBe("public");
        expect(await installed(bobs, install)).toBe("bob");
        expect(await installed(public2, install)).toBe("public");
        expect(await installed(bobs2, install)).toBe("bob");
        // Its own correct lockfile, while the caches are full of the other's.
        if (frozen !== null) {
          expect(await installed(bobs, frozen, true)).toBe("bob");
          expect(await installed(public1, frozen, true)).toBe("public");
        }
        if (offline !== null) {
          expect(await installed(bobs2, offline)).not.toBe("public");
          expect(await installed(public2, offline)).not.toBe("bob");
        }
        // A claim that comes later, in a project that had taken the public one.
        expect(await installed(later, install)).toBe("public");
        const added = await desk.imprint(later, "add", `${bob.url}#${bob.id}`, "--yes", "--packages", NAME);
        expect(added.code).toBe(0);
        const port = new RegExp(`127\\.0\\.0\\.1:4870`, "g");
        const own = /127\.0\.0\.1:(\d+)/.exec(readFileSync(path.join(bobs, ".npmrc"), "utf8"))?.[0] ?? "";
        for (const file of readdirSync(later).map((one) => path.join(later, one)))
          if (statSync(file).isFile()) writeFileSync(file, readFileSync(file, "utf8").replaceAll(port, own));
        expect(await installed(later, install)).toBe("bob");
      } finally {
        if (server !== null) {
          server.kill("SIGTERM");
          await once(server, "close");
        }
      }
    },
  );
});
