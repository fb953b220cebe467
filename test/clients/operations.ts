/** What every client is asked to do. Each throws where it did not come out as a user would want. */
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { Outcome } from "../support/people.ts";
import type { Client, Family } from "../support/clients.ts";
import { startForwardProxy } from "../support/forward-proxy.ts";
import { pointNowhere } from "../support/nobody-there.ts";
import { BIG_BYTES, CUT_BYTES, openShop, type Shop, type Street } from "./shop.ts";
import { openTrap } from "./trap.ts";

/** `absent`: the client has no such command. */
export type Result = "works" | "absent";
export type Operation = (street: Street, client: Client) => Promise<Result>;

const ELSEWHERE = "http://127.0.0.1:9/";
const NPMRC = { ".npmrc": `registry=http://127.0.0.1:4870/\n@alice:registry=${ELSEWHERE}\n` };
/** How each client is told to take one scope from elsewhere. */
const SCOPE_LINES: Readonly<Record<Family, Readonly<Record<string, string>>>> = {
  npm: NPMRC,
  pnpm: { ...NPMRC, "pnpm-workspace.yaml": `packages: []\nregistries:\n  "@alice": ${ELSEWHERE}\n` },
  "yarn 1": { ...NPMRC, ".yarnrc": `"@alice:registry" "${ELSEWHERE}"\n` },
  "yarn 4": { ".yarnrc.yml": `nodeLinker: node-modules\nnpmScopes:\n  alice:\n    npmRegistryServer: ${ELSEWHERE}\n` },
  bun: { ...NPMRC, "bunfig.toml": `[install.scopes]\nalice = "${ELSEWHERE}"\n` },
  deno: NPMRC,
  vlt: { "vlt.json": `{ "config": { "scope-registries": {\n  "@alice": "${ELSEWHERE}" } } }\n` },
};

const TREE = { "@alice/a": "^1.0.0", "pub-a": "^1.0.0" };

function must(outcome: Outcome): Outcome {
  if (outcome.code !== 0) throw new Error(`ended with ${outcome.code}\n${outcome.stdout}\n${outcome.stderr}`);
  return outcome;
}

function expectInstalled(shop: Shop, wanted: Readonly<Record<string, string>>): void {
  for (const [name, version] of Object.entries(wanted)) {
    const found = shop.installed(name);
    if (found !== version) throw new Error(`${name} is ${found ?? "not there"}, not ${version}`);
  }
}

function expectRefused(outcome: Outcome, shop: Shop, name: string, startedMs: number): void {
  if (outcome.code === 0) throw new Error(`installed ${name}, exit 0`);
  if (shop.installed(name) !== null) throw new Error(`${name} lies in node_modules`);
  const took = Date.now() - startedMs;
  if (took > 30_000) throw new Error(`took ${took} ms to refuse ${name}`);
}

/** Installed once a client; what comes after needs its lockfile. */
const lockedShops = new Map<string, Promise<Shop>>();

function lockedShop(street: Street, client: Client): Promise<Shop> {
  const made =
    lockedShops.get(client.id) ??
    (async () => {
      const shop = await openShop(street, client, { dependencies: TREE });
      must(await shop.run(client.commands.install));
      expectInstalled(shop, { "@alice/a": "1.1.0", "pub-a": "1.1.0" });
      statSync(path.join(shop.folder, client.lockfile));
      return shop;
    })();
  lockedShops.set(client.id, made);
  return made;
}

async function frozenAt(street: Street, client: Client, name: string, port: number): Promise<Result> {
  const { frozen } = client.commands;
  if (frozen === null) return "absent";
  const shop = await (await lockedShop(street, client)).colleague(name);
  must(await shop.run(frozen, { port }));
  expectInstalled(shop, { "@alice/a": "1.1.0", "pub-a": "1.1.0" });
  return "works";
}

/** A company's proxy is never told what is asked of the resolver on this machine. */
async function behindProxy(
  street: Street,
  client: Client,
  setting: (url: string) => { readonly env?: NodeJS.ProcessEnv; readonly files?: Readonly<Record<string, string>> },
): Promise<Result> {
  const proxy = await startForwardProxy();
  try {
    const { env = {}, files = {} } = setting(proxy.url);
    const shop = await openShop(street, client, { dependencies: TREE, files });
    must(await shop.run(client.commands.install, { env }));
    expectInstalled(shop, { "@alice/a": "1.1.0", "pub-a": "1.1.0" });
    const told = proxy.seen.filter((what) => what.includes(`127.0.0.1:${String(street.ports[0])}`));
    if (told.length > 0) throw new Error(`the proxy was told: ${told.slice(0, 3).join(", ")}`);
    return "works";
  } finally {
    await proxy.close();
  }
}

export const OPERATIONS: Readonly<Record<string, Operation>> = {
  async install(street, client) {
    await lockedShop(street, client);
    return "works";
  },
  "frozen install": (street, client) => frozenAt(street, client, "same-port", street.ports[0]),
  "frozen install from another port": (street, client) => frozenAt(street, client, "other-port", street.ports[1]),
  async add(street, client) {
    const shop = await openShop(street, client);
    must(await shop.run(client.commands.add("@alice/a")));
    expectInstalled(shop, { "@alice/a": "1.1.0" });
    return "works";
  },
  async update(street, client) {
    const words = client.commands.update("@alice/a");
    if (words === null) return "absent";
    const shop = await openShop(street, client, { dependencies: { "@alice/a": "1.0.0" } });
    must(await shop.run(client.commands.install));
    expectInstalled(shop, { "@alice/a": "1.0.0" });
    const manifest = path.join(shop.folder, "package.json");
    writeFileSync(manifest, readFileSync(manifest, "utf8").replace('"@alice/a": "1.0.0"', '"@alice/a": "^1.0.0"'));
    // yarn 1 wants its lockfile to know the new range first.
    must(await shop.run(client.commands.install));
    must(await shop.run(words));
    expectInstalled(shop, { "@alice/a": "1.1.0" });
    return "works";
  },
  async view(street, client) {
    const words = client.commands.view("@alice/a");
    if (words === null) return "absent";
    const shop = await openShop(street, client);
    const { stdout } = must(await shop.run(words));
    if (!stdout.includes("1.1.0")) throw new Error(`says ${stdout}`);
    return "works";
  },
  "behind a proxy": (street, client) =>
    behindProxy(street, client, (url) => ({
      env: { HTTP_PROXY: url, http_proxy: url, HTTPS_PROXY: url, https_proxy: url, NO_PROXY: "corp.example" },
    })),
  "behind a proxy of .npmrc": (street, client) =>
    behindProxy(street, client, (url) => ({
      files: { ".npmrc": `registry=http://127.0.0.1:4870/\nproxy=${url}\nhttps-proxy=${url}\nnoproxy=corp.example\n` },
    })),
  async "run without installing"(street, client) {
    const words = client.commands.exec("@alice/a", "hello");
    if (words === null) return "absent";
    const shop = await openShop(street, client);
    const { stdout } = must(await shop.run(words));
    if (!stdout.includes("hello from alice")) throw new Error(`says ${stdout}`);
    return "works";
  },
  async "global install"(street, client) {
    const shop = await openShop(street, client);
    const words = client.commands.global("@alice/a", path.join(shop.home, "global"));
    if (words === null) return "absent";
    must(await shop.run(words));
    return "works";
  },
  async missing(street, client) {
    const shop = await openShop(street, client);
    const started = Date.now();
    expectRefused(await shop.run(client.commands.add("@alice/nothing")), shop, "@alice/nothing", started);
    return "works";
  },
  async refused(street, client) {
    const shop = await openShop(street, client);
    const started = Date.now();
    const outcome = await shop.run(client.commands.add("@alice/refused"));
    expectRefused(outcome, shop, "@alice/refused", started);
    if (!/imprint refused one package:\n.*@alice\/refused: .*\(HASH_MISMATCH.*\n {2}next: /.test(outcome.stderr))
      throw new Error(`does not say what was refused: ${outcome.stderr}`);
    return "works";
  },
  async "corrupted tarball of an author"(street, client) {
    const shop = await openShop(street, client);
    const started = Date.now();
    const outcome = await shop.run(client.commands.add("@alice/corrupt"));
    expectRefused(outcome, shop, "@alice/corrupt", started);
    if (!/@alice\/corrupt: .*(TARBALL_MISMATCH|HASH_MISMATCH)/.test(outcome.stderr)) throw new Error(`does not say why: ${outcome.stderr}`);
    return "works";
  },
  async "corrupted tarball of the public registry"(street, client) {
    const shop = await openShop(street, client);
    const started = Date.now();
    expectRefused(await shop.run(client.commands.add("pub-corrupt")), shop, "pub-corrupt", started);
    return "works";
  },
  async "30 MB tarball"(street, client) {
    const shop = await openShop(street, client);
    must(await shop.run(client.commands.add("@alice/big")));
    const { size } = statSync(path.join(shop.folder, "node_modules", "@alice", "big", "big.bin"));
    if (size !== BIG_BYTES) throw new Error(`${size} bytes`);
    rmSync(shop.folder, { recursive: true, force: true });
    rmSync(shop.home, { recursive: true, force: true });
    return "works";
  },
  async "aborted download"(street, client) {
    const shop = await openShop(street, client);
    const { upstream } = street.world;
    let cut = 0;
    upstream.intercept = (request, response) => {
      if (cut > 0 || !(request.url ?? "").endsWith("pub-cut-1.0.0.tgz")) return false;
      cut++;
      const whole = upstream.tarballs.get("/pub-cut/-/pub-cut-1.0.0.tgz") ?? new Uint8Array();
      response.writeHead(200, { "content-type": "application/octet-stream", "content-length": whole.byteLength });
      response.write(whole.subarray(0, 100_000), () => response.destroy());
      return true;
    };
    try {
      const first = await shop.run(client.commands.add("pub-cut"));
      // What a client leaves behind when it fails, the next run mends.
      if (first.code !== 0) must(await shop.run(client.commands.add("pub-cut")));
      expectInstalled(shop, { "pub-cut": "1.0.0" });
      const { size } = statSync(path.join(shop.folder, "node_modules", "pub-cut", "data.bin"));
      if (size !== CUT_BYTES) throw new Error(`half of it: ${size} bytes`);
      if (cut !== 1) throw new Error("nothing was cut");
      return "works";
    } finally {
      upstream.intercept = null;
    }
  },
  async "eight at once"(street, client) {
    const shared = await openShop(street, client, { dependencies: TREE });
    const outcomes = await Promise.all(
      Array.from({ length: 8 }, async (_, i) => {
        const shop = await shared.colleague(`eight-${i}`);
        const outcome = await shop.run(client.commands.install, { port: 0 });
        if (outcome.code === 0) expectInstalled(shop, { "@alice/a": "1.1.0", "pub-a": "1.1.0" });
        return outcome;
      }),
    );
    for (const outcome of outcomes) must(outcome);
    return "works";
  },
  async "audit signatures"(street, client) {
    const { signatures } = client.commands;
    if (signatures === null) return "absent";
    const shop = await lockedShop(street, client);
    const { stdout, stderr } = must(await shop.run(signatures, { env: { NODE_OPTIONS: `--require ${street.tufStub}` } }));
    if (!/2 packages have (verified registry signatures|valid|verified)|2 (verified|valid)|audited 2 packages/i.test(stdout + stderr))
      throw new Error(`says ${stdout}${stderr}`);
    return "works";
  },
  async "without imprint"(street, client) {
    // What `add` wrote is all that stands between a forgotten word and the public registry (X8).
    const shop = await openShop(street, client);
    must(await shop.imprint("add", `${street.alice.url}#${street.alice.id}`, "--yes"));
    const nowhere = await pointNowhere(shop.folder);
    const trap = await openTrap();
    try {
      const started = Date.now();
      expectRefused(await shop.alone(client.commands.add("@alice/a"), trap.env), shop, "@alice/a", started);
      // Some clients use a proxy for their own machine, too: what they ask of the resolver's address is no leak.
      const elsewhere = trap.asked.filter((address) => !`${address.replace("http://", "")}/`.startsWith(`${nowhere}/`));
      if (elsewhere.length > 0) throw new Error(`asked ${elsewhere.join(", ")}`);
      return "works";
    } finally {
      await trap.close();
    }
  },
  async "a scope line"(street, client) {
    for (const [file, content] of Object.entries(SCOPE_LINES[client.family])) {
      const shop = await openShop(street, client, { files: { [file]: content } });
      const { code, stderr } = await shop.run(client.commands.add("@alice/a"));
      if (code !== 3 || !new RegExp(`${file.replaceAll(".", "\\.")} line \\d+ sends @alice .*SCOPE_REGISTRY`, "s").test(stderr))
        throw new Error(`ended with ${code}: ${stderr}`);
    }
    return "works";
  },
  "a release of today": (street, client) => takeYoung(street, client, {}),
  "a release of today with minAgeHours": (street, client) => takeYoung(street, client, { minAgeHours: 0 }),
  async "an install script"(street, client) {
    const shop = await openShop(street, client);
    const outcome = must(await shop.run(client.commands.add("@alice/scripted")));
    expectInstalled(shop, { "@alice/scripted": "1.0.0" });
    if (existsSync(path.join(shop.folder, "node_modules", "@alice", "scripted", "ran.txt"))) return "works";
    if (!/runs no install script before you approve it: @alice\/scripted; /.test(outcome.stderr))
      throw new Error(`did not run it, and nobody says so: ${outcome.stderr}`);
    throw new Error("did not run it, and imprint says so");
  },
};

/** Releases of minutes ago: taken, or not, and then said why. */
async function takeYoung(street: Street, client: Client, policy: Readonly<Record<string, unknown>>): Promise<Result> {
  const shop = await openShop(street, client, { index: street.young, policy });
  const { code, stderr } = await shop.run(client.commands.add("@young/y@^1.0.0"));
  const found = shop.installed("@young/y");
  const said = /holds back what is younger than a day.*@young\/y@1\.1\.0 appeared \d+ (?:minutes|hours?) ago/.test(stderr);
  if (code === 0 && found === "1.1.0") {
    if (said) throw new Error(`says that it was held back: ${stderr}`);
    return "works";
  }
  if (!said) throw new Error(`took ${found ?? "nothing"}, and nobody says why: ${stderr}`);
  throw new Error(`took ${found ?? "nothing"}, and imprint says why`);
}
