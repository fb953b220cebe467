/**
 * Memory under attack (THREATS T15, I2): whole `imprint` commands against hosts that never end, beside the same commands
 * against honest ones. Prints for each the most that the process and all that it started held at once, and the seconds
 * until it gave up. Linux only, where /proc says so. Ends by itself.
 */
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { startGitHost } from "../../test/support/git-host.ts";
import { ENDLESS_ANSWERS, ENDLESS_REFS, endlessFetch, type Flood, growingTree, type Intercept } from "../../test/support/hostile-host.ts";
import { BIN, type People, people } from "../../test/support/people.ts";
import { startUpstream, type TestUpstream } from "../../test/support/upstream.ts";

const LIMIT_MB = 300;
const SAMPLE_MS = 10;
const ID = "0".repeat(64);

export async function benchHostileHosts(): Promise<void> {
  console.log("hostile-hosts: memory of imprint against hosts that never end (limit 300 MB, whole process tree)");
  if (process.platform !== "linux") return console.log("  only Linux says what processes hold: skipped");
  const world = await people();
  try {
    await gitHosts(world);
    await registries(world);
  } finally {
    await world.close();
  }
}

async function gitHosts(world: People): Promise<void> {
  const author = world.person("author");
  const { address } = await world.init(author, "@author/*");
  for (const git of ["system", "isomorphic"] as const) {
    const env = { IMPRINT_GIT: git };
    say(`${git}: add, an honest host`, await add(world, address, env), null);
    const attacks: readonly (readonly [string, () => Flood])[] = [
      ...Object.entries(ENDLESS_REFS).map(([name, flood]) => [`refs, ${name}`, flood] as const),
      ...(["progress", "bytes", "objects"] as const).map((kind) => [`a fetch, ${kind}`, () => endlessFetch(kind)] as const),
    ];
    for (const [name, make] of attacks) {
      const flood = make();
      const root = path.join(world.folder, "nothing");
      mkdirSync(root, { recursive: true });
      const host = await startGitHost({ root, intercept: flood.intercept });
      try {
        say(`${git}: ${name}`, await add(world, `${host.url("x.git")}#${ID}`, env), flood.sent());
      } finally {
        await host.close();
      }
    }
  }
}

let projects = 0;

function add(world: People, address: string, env: NodeJS.ProcessEnv): Promise<Measured> {
  const folder = world.folderOf(`project-${String(projects++)}`, { "package.json": "{}" });
  return measured(world, `reader-${String(projects)}`, folder, ["add", address, "--yes"], env);
}

async function registries(world: People): Promise<void> {
  const curator = world.person("curator");
  await world.init(curator, "*");
  const upstream = await startUpstream();
  try {
    for (const name of ["honest", "endless"]) await upstream.publish(name, "1.0.0");
    const run = (...words: readonly string[]): Promise<Measured> =>
      measured(world, "curator", world.folder, ["import", ...words, "--registry", upstream.url], {});
    say("import, an honest registry", await run("honest", "--deps"), null);
    for (const [name, make] of Object.entries(ENDLESS_ANSWERS)) {
      const flood = make();
      upstream.intercept = syncOnly(flood.intercept);
      say(`import, a ${name} without end`, await run("endless", ...(name === "tarball" ? [] : ["--deps"])), flood.sent());
    }
    await many(upstream, run);
    upstream.intercept = syncOnly(growingTree(() => upstream.url));
    say("import --deps, a tree that grows by 40 each", await run("grow", "--deps"), null);
  } finally {
    await upstream.close();
  }
}

/** Forty packuments that never end, asked for at once. */
async function many(upstream: TestUpstream, run: (...words: readonly string[]) => Promise<Measured>): Promise<void> {
  const dependencies = Object.fromEntries(Array.from({ length: 40 }, (_, nth) => [`endless-${String(nth)}`, "1"]));
  await upstream.publish("many", "1.0.0", { packageJson: { dependencies } });
  let sent = 0;
  upstream.intercept = (request, response) => {
    if (request.url?.startsWith("/endless-") !== true) return false;
    const one = ENDLESS_ANSWERS.packument();
    request.url = "/endless";
    const before = setInterval(() => (sent = Math.max(sent, one.sent())), 50);
    response.once("close", () => clearInterval(before));
    return one.intercept(request, response) === true;
  };
  say("import --deps, 40 packuments without end", await run("many", "--deps"), sent);
}

function syncOnly(intercept: Intercept): NonNullable<TestUpstream["intercept"]> {
  return (request, response) => intercept(request, response) === true;
}

type Measured = { readonly peakMb: number; readonly seconds: number; readonly code: number; readonly said: string };

/** One command of that person's, and the most that it and its children held at once. */
async function measured(world: People, who: string, cwd: string, words: readonly string[], env: NodeJS.ProcessEnv): Promise<Measured> {
  const { home } = world.person(who);
  const started = performance.now();
  const child = spawn(process.execPath, [BIN, ...words], {
    cwd,
    env: {
      PATH: process.env["PATH"],
      HOME: home,
      IMPRINT_PASSPHRASE: `${who}'s passphrase`,
      GIT_CONFIG_NOSYSTEM: "1",
      NO_PROXY: "127.0.0.1,localhost",
      ...env,
    },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr = (stderr + text).slice(-20_000)));
  let peak = 0;
  const sampler = setInterval(() => (peak = Math.max(peak, treeBytes(child.pid ?? 0))), SAMPLE_MS);
  const code = await new Promise<number>((resolve) => child.once("close", (status) => resolve(status ?? 1)));
  clearInterval(sampler);
  const said = stderr.split("\n").findLast((line) => line.startsWith("✗")) ?? "";
  return { peakMb: peak / 1e6, seconds: (performance.now() - started) / 1000, code, said };
}

/** Resident bytes of a process and its children, pages that they share counted once for each. */
function treeBytes(pid: number): number {
  try {
    const kb = Number(/^VmRSS:\s*(\d+)/mu.exec(readFileSync(`/proc/${String(pid)}/status`, "utf8"))?.[1] ?? 0);
    const children = readFileSync(`/proc/${String(pid)}/task/${String(pid)}/children`, "utf8")
      .split(" ")
      .filter(Boolean);
    return children.reduce((sum, one) => sum + treeBytes(Number(one)), kb * 1024);
  } catch {
    return 0; // it has ended
  }
}

/** @param sent bytes that the host wrote; null: it is honest, or writes no flood */
function say(label: string, { peakMb, seconds, code, said }: Measured, sent: number | null): void {
  const isHonest = label.includes("honest");
  const good = peakMb < LIMIT_MB && isHonest === (code === 0);
  if (!good) process.exitCode = 1;
  const wrote = sent === null ? "" : `, the host wrote ${(sent / 1e6).toFixed(0)} MB`;
  console.log(
    `  ${good ? "✓" : "✗"} ${label.padEnd(52)} ${peakMb.toFixed(0).padStart(4)} MB, ${seconds.toFixed(1)} s, exit ${String(code)}${wrote}`,
  );
  if (said !== "") console.log(`      ${said.slice(0, 200)}`);
}
