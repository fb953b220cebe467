/**
 * Child processes that cannot outlive us or escape us.
 *
 * `git fetch` starts git-remote-https, index-pack and rev-list; killing git alone leaves them downloading. So each run
 * has a process group of its own, and the group is killed. The price: Ctrl-C no longer reaches them by itself, hence
 * the signal handlers, there only while a child runs, and only to pass the signal on.
 */
import { spawn } from "node:child_process";
import type { ChildProcess, SpawnOptions } from "node:child_process";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
const alive = new Set<ChildProcess>();

/** Kills a child with everything that it started. */
export function killGroup(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  if (process.platform === "win32") {
    spawn("taskkill", ["/pid", String(child.pid), "/t", "/f"], { stdio: "ignore", windowsHide: true }).on("error", () => child.kill());
    return;
  }
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    child.kill("SIGKILL"); // the group is gone or was never made
  }
}

function killAll(): void {
  for (const child of alive) killGroup(child);
}

function onSignal(signal: NodeJS.Signals): void {
  killAll();
  for (const name of SIGNALS) process.removeListener(name, onSignal);
  // without a listener of the program's own, do what would have happened without ours
  if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
}

function watch(child: ChildProcess): void {
  if (alive.size === 0) {
    process.on("exit", killAll);
    for (const name of SIGNALS) process.on(name, onSignal);
  }
  alive.add(child);
  const forget = (): void => {
    if (!alive.delete(child) || alive.size > 0) return;
    process.removeListener("exit", killAll);
    for (const name of SIGNALS) process.removeListener(name, onSignal);
  };
  child.once("error", forget);
  child.once("exit", forget);
}

/** Starts a program in a process group of its own, with three pipes. */
export function spawnGroup(program: string, args: readonly string[], options: SpawnOptions): ChildProcess {
  const child = spawn(program, args, { ...options, shell: false, windowsHide: true, detached: process.platform !== "win32" });
  watch(child);
  return child;
}
