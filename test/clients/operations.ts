/** What every client is asked to do. Each throws where it did not come out as a user would want. */
import { rmSync, statSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { Outcome } from "../support/people.ts";
import type { Client } from "../support/clients.ts";
import { BIG_BYTES, openShop, type Shop, type Street } from "./shop.ts";

/** `absent`: the client has no such command. */
export type Result = "works" | "absent";
export type Operation = (street: Street, client: Client) => Promise<Result>;

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
      if (first.code !== 0) {
        if (shop.installed("pub-cut") !== null) throw new Error("half of pub-cut lies in node_modules");
        must(await shop.run(client.commands.add("pub-cut")));
      }
      expectInstalled(shop, { "pub-cut": "1.0.0" });
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
  async "without imprint"(street, client) {
    const shop = await openShop(street, client);
    const started = Date.now();
    expectRefused(await shop.alone(client.commands.add("@alice/a")), shop, "@alice/a", started);
    return "works";
  },
};
