/**
 * A tree of some 300 public packages, installed by npm with an empty cache: from the public registry directly, through a
 * warm `imprint serve`, and through a warm Verdaccio, in turn. Wall time, and what the two servers' CPU cost.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import npmFetch from "npm-registry-fetch";
import { npmOf } from "../../test/support/people.ts";
import { alternate, line, median, timeCommand } from "./measure.ts";
import { startCountingMirror } from "./servers/counting-mirror.ts";
import { type Running, startImprint, startVerdaccio } from "./servers/start.ts";

const ROUNDS = 3;
const TREE = { eslint: "^9.0.0", jest: "^29.0.0", express: "^5.0.0" };
/** Of Linux, in which /proc counts. */
const TICKS_A_SECOND = 100;

export async function benchInstall(): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), "imprint-bench-install-"));
  const registry = process.env["npm_config_registry"] ?? npmFetch.pickRegistry("x");
  const servers: Running[] = [];
  const closers: (() => Promise<void>)[] = [];
  try {
    const mirror = await startCountingMirror(registry);
    closers.push(() => mirror.close());
    const project = path.join(folder, "project");
    mkdirSync(project);
    writeFileSync(path.join(project, "imprint.json"), JSON.stringify({ format: 1, indices: {}, upstream: { registry: mirror.url } }));
    const imprint = await startImprint(project, path.join(folder, "home"));
    servers.push(imprint);
    const verdaccio = await startVerdaccio(path.join(folder, "verdaccio"), mirror.url);
    servers.push(verdaccio);
    const [node, npm] = npmOf(11);
    let packages = 0;
    const install = async (from: string): Promise<number> => {
      const shop = mkdtempSync(path.join(folder, "shop-"));
      writeFileSync(path.join(shop, "package.json"), JSON.stringify({ private: true, dependencies: TREE }));
      const cache = path.join(shop, "cache");
      const args = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent", `--registry=${from}`, `--cache=${cache}`];
      const ms = await timeCommand(node, args, { cwd: shop });
      const lock = JSON.parse(readFileSync(path.join(shop, "package-lock.json"), "utf8")) as { packages: object };
      packages = Object.keys(lock.packages).length - 1;
      rmSync(shop, { recursive: true, force: true });
      return ms;
    };
    const cpu = new Map<string, number[]>();
    const asked = new Map<string, string[]>();
    /** The install, and how many milliseconds of CPU its server took. */
    const through = (label: string, server: Running) => async (): Promise<number> => {
      const before = cpuMs(server.pid);
      mirror.taken();
      const ms = await install(`${server.base}/`);
      cpu.set(label, [...(cpu.get(label) ?? []), cpuMs(server.pid) - before]);
      const { documents, unchanged, tarballs } = mirror.taken();
      asked.set(label, [...(asked.get(label) ?? []), `${documents}+${unchanged}+${tarballs}`]);
      return ms;
    };
    const samples = await alternate(ROUNDS, {
      "the public registry directly": () => install(registry),
      "through imprint, warm": through("imprint", imprint),
      "through verdaccio, warm": through("verdaccio", verdaccio),
    });
    console.log(`install: ${packages} packages (${Object.keys(TREE).join(", ")}), npm 11, empty cache of its own each time`);
    for (const [label, values] of samples) line(label, values);
    // The first, uncounted round warmed them up.
    for (const [label, values] of cpu) line(`${label}'s CPU an install`, values.slice(1));
    console.log("  asked upstream, round by round, the first of them cold: documents + unchanged documents + tarballs");
    for (const [label, rounds] of asked) console.log(`    ${label}: ${rounds.join("  ")}`);
    const wall = (label: string): number => median([...samples].find(([name]) => name.includes(label))?.[1] ?? []);
    const spent = (label: string): number => median(cpu.get(label)?.slice(1) ?? []);
    console.log(`  imprint ÷ directly: ${(wall("imprint") / wall("directly")).toFixed(2)} ×`);
    console.log(
      `  imprint ÷ verdaccio: ${(wall("imprint") / wall("verdaccio")).toFixed(2)} × wall, ${(spent("imprint") / spent("verdaccio")).toFixed(2)} × CPU`,
    );
  } finally {
    for (const server of servers) await server.stop();
    for (const close of closers) await close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Of a process, user and system together. */
function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_A_SECOND;
}
