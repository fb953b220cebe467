/**
 * Runs each client in a project that points at a stopped resolver. Prints its seconds, its exit code and whether it installed
 * the package; the client's own `--version` is the baseline. Skips clients that are not installed; `npm run test:clients`
 * installs all 12.
 */
import { rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { openShop, openStreet, type Shop, type Street } from "../../test/clients/shop.ts";
import { type Client, CLIENT_IDS, clientOf } from "../../test/support/clients.ts";
import { pointNowhere } from "../../test/support/nobody-there.ts";
import type { Outcome } from "../../test/support/people.ts";

type Timed = Outcome & { readonly seconds: number };
const LIMIT_SECONDS = 3;

export async function benchNobody(): Promise<void> {
  console.log("nobody: a plain client after imprint add, and no resolver (seconds, exit code)");
  const street = await openStreet();
  try {
    for (const id of CLIENT_IDS) {
      // vlt is refused by run, and no line of ours reaches it.
      if (id === "vlt") continue;
      const client = installedClient(id);
      if (client === null) {
        console.log(`  ${id.padEnd(8)} is not installed: npm run test:clients`);
        continue;
      }
      for (const one of [await afresh(street, client), await withLock(street, client)]) say(id, one);
    }
  } finally {
    await street.close();
  }
}

type Row = {
  readonly what: string;
  readonly ended: Timed;
  readonly started: Timed;
  readonly installed: string | null;
  /** The version in the lockfile. pnpm 10, pnpm 11 and yarn 4 install it from their own stores without a request. */
  readonly locked: string | null;
};

function say(id: string, { what, ended, started, installed, locked }: Row): void {
  const isRight = installed === null ? ended.code !== 0 : installed === locked;
  const good = isRight && ended.seconds - started.seconds < LIMIT_SECONDS;
  if (!good) process.exitCode = 1;
  const times = ended.seconds / started.seconds;
  const found = installed === null ? "" : `, ${installed} ${installed === locked ? "as locked, from its own store" : "installed"}`;
  console.log(
    `  ${good ? "✓" : "✗"} ${id.padEnd(8)} ${what.padEnd(18)} ${ended.seconds.toFixed(1)} s, ${times.toFixed(1)} × --version, exit ${String(ended.code)}${found}`,
  );
}

/** @alice/a is asked for the first time. */
async function afresh(street: Street, client: Client): Promise<Row> {
  const shop = await openShop(street, client);
  await pointed(street, shop);
  return row(shop, "adds a package", client.commands.add("@alice/a"), null);
}

/** @alice/a was installed under `run`: a lockfile, and whatever the client keeps. */
async function withLock(street: Street, client: Client): Promise<Row> {
  const shop = await openShop(street, client, { dependencies: { "@alice/a": "^1.0.0" } });
  const { code, stderr } = await shop.run(client.commands.install);
  if (code !== 0) throw new Error(`${client.id} did not install: ${stderr}`);
  const locked = shop.installed("@alice/a");
  rmSync(path.join(shop.folder, "node_modules"), { recursive: true, force: true });
  await pointed(street, shop);
  return row(shop, "frozen, after run", client.commands.frozen ?? client.commands.install, locked);
}

async function row(shop: Shop, what: string, words: readonly string[], locked: string | null): Promise<Row> {
  const started = await timed(() => shop.alone(["--version"]));
  return { what, started, ended: await timed(() => shop.alone(words)), installed: shop.installed("@alice/a"), locked };
}

async function pointed(street: Street, shop: Shop): Promise<void> {
  // As a project is before imprint has written anything there.
  writeFileSync(path.join(shop.folder, ".npmrc"), "");
  const { code, stderr } = await shop.imprint("add", `${street.alice.url}#${street.alice.id}`, "--yes");
  if (code !== 0) throw new Error(`imprint add: ${stderr}`);
  await pointNowhere(shop.folder);
}

async function timed(run: () => Promise<Outcome>): Promise<Timed> {
  const from = performance.now();
  const outcome = await run();
  return { ...outcome, seconds: (performance.now() - from) / 1000 };
}

function installedClient(id: string): Client | null {
  try {
    return clientOf(id);
  } catch {
    return null;
  }
}
