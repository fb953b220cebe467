/** Another user of the same machine: files in shared folders, and requests to a resolver that is not theirs. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePort } from "../support/free-port.ts";
import { asOtherUser, HAS_OTHER_USER, share } from "../support/other-user.ts";
import { BIN, npmOf, type People, people, type Person } from "../support/people.ts";

let world: People;
let carol: Person;
let address: string;
/** Records what reaches it; nothing should. */
let trap: Server;
let trapUrl: string;
const trapped: string[] = [];

beforeAll(async () => {
  world = await people();
  chmodSync(world.folder, 0o755);
  carol = world.person("carol");
  const alice = world.person("alice");
  address = (await world.init(alice, "@alice/*")).address;
  const secret = world.folderOf("secret", { "package.json": { name: "@alice/secret", version: "1.0.0", main: "i.js" }, "i.js": "1;\n" });
  expect((await world.imprint(alice, secret, "publish")).code).toBe(0);
  trap = createServer((incoming, outgoing) => {
    trapped.push(`${incoming.method ?? ""} ${incoming.url ?? ""} ${incoming.headers.authorization ?? ""}`);
    outgoing.writeHead(404).end();
  });
  trap.listen(0, "127.0.0.1");
  await once(trap, "listening");
  trapUrl = `http://127.0.0.1:${String((trap.address() as AddressInfo).port)}/`;
});
afterAll(async () => {
  trap.closeAllConnections();
  await new Promise((resolve) => trap.close(resolve));
  await world.close();
});

const WRITE = "import { writeFileSync } from 'node:fs'; writeFileSync(process.argv[1], process.argv[2]);";

/** A folder like the system's for temporary files, in which the other user has written these. */
async function sharedFolder(name: string, files: Readonly<Record<string, string>>): Promise<string> {
  const folder = path.join(world.folder, name);
  mkdirSync(folder);
  share(folder);
  for (const [file, text] of Object.entries(files)) {
    const { code, stderr } = await asOtherUser(WRITE, folder, [path.join(folder, file), text]);
    expect([code, stderr]).toEqual([0, ""]);
  }
  return folder;
}

const npmrc = (): string => `registry=${trapUrl}\n//${new URL(trapUrl).host}/:_authToken=\${NPM_TOKEN}\n`;
const ASK = ["node", "-p", "process.env.npm_config_registry"];

describe.runIf(HAS_OTHER_USER)("M1 another user of this machine", () => {
  it("M1 writes settings into the folder for temporary files: never read, and no token leaves", async () => {
    const folder = await sharedFolder("tmp", { ".npmrc": npmrc(), npmrc: npmrc(), "package.json": '{"name":"theirs"}' });
    const shop = world.folderOf("quiet-shop", { "package.json": { name: "shop", private: true } });
    expect((await world.imprint(carol, shop, "add", address, "--yes")).code).toBe(0);
    const env = { TMPDIR: folder, NPM_TOKEN: "carols-token", npm_config_fetch_retries: "0" };
    const words = ["run", "--port", "0", ...npmOf(11), "view", "an-absent-package-of-nobody", "version"];
    await world.sh(carol, shop, process.execPath, [BIN, ...words], env);
    await world.sh(carol, shop, process.execPath, [BIN, "import", "an-absent-package-of-nobody@1.0.0", "--dry-run"], env);
    await world.sh(carol, shop, process.execPath, [BIN, "doctor"], env);
    expect(trapped).toEqual([]);
  });

  it.each([
    ["imprint.json", '{"format":1,"indices":{}}'],
    [".npmrc", "registry=http://127.0.0.1:1/\n"],
    [".yarnrc.yml", "npmRegistryServer: http://127.0.0.1:1\n"],
    ["pnpm-workspace.yaml", "registry: http://127.0.0.1:1\n"],
    ["bunfig.toml", '[install]\nregistry = "http://127.0.0.1:1"\n'],
  ])("M1 puts %s above a project: nothing starts, and the file and its owner are named", async (file, text) => {
    const folder = await sharedFolder(`above-${file}`, { [file]: text });
    const shop = path.join(folder, "shop");
    mkdirSync(shop);
    writeFileSync(path.join(shop, "package.json"), '{"name":"shop","private":true}');
    if (file !== "imprint.json") writeFileSync(path.join(shop, "imprint.json"), JSON.stringify({ format: 1, indices: {} }));
    for (const words of [
      ["run", "--port", "0", ...ASK],
      ["serve", "--port", "0"],
    ]) {
      const { code, stdout, stderr } = await world.imprint(carol, shop, ...words);
      expect([code, stdout, stderr]).toEqual([3, "", expect.stringMatching(/FOREIGN_FILE/)]);
      expect(stderr).toContain(`${path.join(folder, file)}: it belongs to another user (uid 65534)`);
    }
  });

  it("M1 owns imprint.json, imprint.lock or a link to one of mine: the same; git's safe.directory is the way to trust them", async () => {
    const shop = world.folderOf("their-shop", { "package.json": { name: "shop", private: true } });
    expect((await world.imprint(carol, shop, "add", address, "--yes")).code).toBe(0);
    for (const name of ["imprint.json", "imprint.lock", ".npmrc"]) {
      const file = path.join(shop, name);
      chownSync(file, 65_534, 65_534);
      const refused = await world.imprint(carol, shop, "run", "--port", "0", ...ASK);
      expect([refused.code, refused.stderr]).toEqual([3, expect.stringMatching(/FOREIGN_FILE/)]);
      expect((await world.sh(carol, shop, "git", ["config", "--global", "--replace-all", "safe.directory", shop])).code).toBe(0);
      expect((await world.imprint(carol, shop, "run", "--port", "0", ...ASK)).code).toBe(0);
      expect((await world.sh(carol, shop, "git", ["config", "--global", "--unset-all", "safe.directory"])).code).toBe(0);
      chownSync(file, 0, 0);
    }
    const linked = await sharedFolder("linked", {});
    const link = "import { symlinkSync } from 'node:fs'; symlinkSync(process.argv[1], process.argv[2]);";
    expect((await asOtherUser(link, linked, [path.join(shop, "imprint.json"), path.join(linked, "imprint.json")])).code).toBe(0);
    const refused = await world.imprint(carol, linked, "run", "--port", "0", ...ASK);
    expect([refused.code, refused.stderr]).toEqual([3, expect.stringMatching(/FOREIGN_FILE/)]);
  });

  it("M1 asks a resolver that is not theirs: 403 for every path, unless its owner said otherwise", async () => {
    const shop = world.folderOf("private-shop", { "package.json": { name: "shop", private: true } });
    expect((await world.imprint(carol, shop, "add", address, "--yes")).code).toBe(0);
    for (const [flags, theirs] of [
      [[], [403, 403, 403, 403]],
      [["--other-users"], [200, 200, 200, 403]],
    ] as const) {
      const child = spawn(process.execPath, [BIN, "serve", "--port", String(await freePort()), ...flags], {
        cwd: shop,
        env: { ...process.env, HOME: carol.home },
        stdio: ["ignore", "pipe", "ignore"],
      });
      try {
        const [line] = (await once(child.stdout.setEncoding("utf8"), "data")) as [string];
        const base = line.trim();
        const root = new URL(base).origin;
        const urls = [`${base}@alice%2fsecret`, `${base}@alice/secret/-/secret-1.0.0.tgz`, `${root}/-/ping`, `${root}/-/imprint/control`];
        const get = "for (const url of process.argv.slice(1)) console.log((await fetch(url)).status);";
        const { stdout, stderr } = await asOtherUser(
          get.replace("fetch(url)", "fetch(url, url.endsWith('control') ? { method: 'POST' } : {})"),
          "/",
          urls,
        );
        expect([stdout.trim().split("\n").map(Number), stderr]).toEqual([theirs, ""]);
        expect((await fetch(`${base}@alice%2fsecret`)).status).toBe(200);
      } finally {
        child.kill("SIGTERM");
        await once(child, "close");
      }
    }
  });

  it("M1 has the port of a resolver that died: not used, and told nothing", async () => {
    const shop = world.folderOf("dead-shop", { "package.json": { name: "shop", private: true } });
    expect((await world.imprint(carol, shop, "add", address, "--yes")).code).toBe(0);
    const port = await freePort();
    const child = spawn(process.execPath, [BIN, "serve", "--port", String(port)], {
      cwd: shop,
      env: { ...process.env, HOME: carol.home },
      stdio: ["ignore", "pipe", "ignore"],
    });
    await once(child.stdout, "data");
    const file = path.join(carol.home, ".local", "share", "imprint", "v1", "resolvers", `${String(port)}.json`);
    const { secret } = JSON.parse(readFileSync(file, "utf8")) as { secret: string };
    child.kill("SIGKILL");
    await once(child, "close");
    // Answers everything with yes, ends after the first connection has been idle, and prints what it was told.
    const squat = `
      import { createServer } from "node:http";
      const told = [];
      const server = createServer((incoming, outgoing) => {
        let body = "";
        incoming.setEncoding("utf8").on("data", (text) => (body += text)).on("end", () => {
          told.push(incoming.url, JSON.stringify(incoming.headers), body);
          if (incoming.url === "/end") { console.log(JSON.stringify(told)); setTimeout(() => process.exit(0), 10); }
          outgoing.end(JSON.stringify({ answer: '{"joined":true}', proof: "${"0".repeat(64)}" }));
        });
      });
      server.listen(${String(port)}, "127.0.0.1");`;
    const squatter = asOtherUser(squat, "/");
    await expect
      .poll(
        () =>
          fetch(`http://127.0.0.1:${String(port)}/`).then(
            ({ status }) => status,
            () => 0,
          ),
        { timeout: 20_000 },
      )
      .toBe(200);
    const run = await world.imprint(carol, shop, "run", "--port", String(port), ...ASK);
    expect([run.code, run.stderr]).toEqual([3, expect.stringMatching(/PORT_IN_USE/)]);
    await fetch(`http://127.0.0.1:${String(port)}/end`);
    const { stdout } = await squatter;
    // The system says whose process listens there: it is not even greeted.
    expect(stdout).toContain('"/end"');
    expect(stdout).not.toContain("/-/imprint/control");
    expect(stdout).not.toContain(secret);
    expect(stdout).not.toContain(shop);
  });
});
