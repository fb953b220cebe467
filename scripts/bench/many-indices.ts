/**
 * First use of 200 indices whose host takes 50 ms to answer each request, one more at a host that stays silent. The baseline is
 * git itself: as many shallow clones, 16 at a time.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { createIndex } from "../../src/index/create.ts";
import type { DisplayName } from "../../src/format/decode.ts";
import type { PackagePattern } from "../../src/format/names.ts";
import { generatePrivateKey } from "../../src/crypto/ed25519.ts";
import { limiter } from "../../src/index/limiter.ts";
import { commitHosted, createHostedRepository, startGitHost } from "../../test/support/git-host.ts";
import { BIN } from "../../test/support/people.ts";
import { budget, timeCommand } from "./measure.ts";

const [INDICES, LATENCY_MS, AT_ONCE, BUDGET_S] = [200, 50, 16, 30];

export async function benchManyIndices(): Promise<void> {
  console.log(
    `many-indices: first sync of ${String(INDICES)} indices, ${String(LATENCY_MS)} ms a request, beside a host that stays silent`,
  );
  const folder = mkdtempSync(path.join(tmpdir(), "imprint-many-"));
  const root = path.join(folder, "host");
  mkdirSync(root);
  const host = await startGitHost({ root, latencyMs: LATENCY_MS });
  const sockets = new Set<Socket>();
  const silent = createServer((socket) => void sockets.add(socket.on("error", () => undefined))).listen(0, "127.0.0.1");
  await once(silent, "listening");
  try {
    const urls: string[] = [];
    const indices: Record<string, unknown> = {
      "a-silent": {
        id: "0".repeat(64),
        urls: [`http://127.0.0.1:${String((silent.address() as AddressInfo).port)}/index.git`],
        packages: ["@silent/*"],
      },
    };
    for (let i = 0; i < INDICES; i++) {
      const name = `i${String(i)}`;
      const keys = { root: generatePrivateKey(), publisher: generatePrivateKey(), checkpoint: generatePrivateKey() };
      const packages = [`@${name}/*`] as readonly string[] as readonly PackagePattern[];
      const made = createIndex({ name: name as DisplayName, packages, keys, nowMs: Date.now() });
      const dir = createHostedRepository(root, `${name}.git`);
      commitHosted(dir, Object.fromEntries(made.files.map((file) => [file.path, file.content as Uint8Array])));
      urls.push(host.url(`${name}.git`));
      indices[name] = { id: made.id, urls: urls.slice(-1), packages };
    }
    const shop = path.join(folder, "shop");
    mkdirSync(shop);
    writeFileSync(path.join(shop, "imprint.json"), `${JSON.stringify({ format: 1, indices }, null, 2)}\n`);

    const env = { PATH: process.env["PATH"], HOME: folder, GIT_CONFIG_NOSYSTEM: "1" };
    const started = performance.now();
    const within = limiter(AT_ONCE);
    await Promise.all(
      urls.map((url, i) =>
        within(() => timeCommand("git", ["clone", "-q", "--depth", "1", "--bare", url, path.join(folder, `c${String(i)}`)], { env })),
      ),
    );
    const clones = (performance.now() - started) / 1000;
    const { seconds, lines } = await firstSync(shop, env);
    console.log(`  git, ${String(INDICES)} shallow clones: ${clones.toFixed(1)} s`);
    console.log(`  imprint sync, the last of them verified: ${seconds.toFixed(1)} s, ${(seconds / clones).toFixed(2)} × git`);
    for (const line of lines) console.log(`    without a terminal: ${line}`);
    budget(`all ${String(INDICES)} verified`, seconds, BUDGET_S, "s");
  } finally {
    for (const socket of sockets) socket.destroy();
    silent.close();
    await host.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Until the last one that answers is in imprint.lock; what waits for the silent one is ended then. */
async function firstSync(cwd: string, env: NodeJS.ProcessEnv): Promise<{ seconds: number; lines: readonly string[] }> {
  const started = performance.now();
  const child = spawn(process.execPath, [BIN, "sync"], { cwd, env, stdio: ["ignore", "ignore", "pipe"] });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const ended = once(child, "close");
  while (locked(cwd) < INDICES) {
    if (child.exitCode !== null) throw new Error(`imprint sync ended before the last index:\n${stderr}`);
    await delay(50);
  }
  const seconds = (performance.now() - started) / 1000;
  child.kill();
  await ended;
  return { seconds, lines: stderr.split("\n").filter((line) => line.startsWith("synced ")) };
}

function locked(cwd: string): number {
  const file = path.join(cwd, "imprint.lock");
  if (!existsSync(file)) return 0;
  return Object.keys((JSON.parse(readFileSync(file, "utf8")) as { readonly indices: object }).indices).length;
}
