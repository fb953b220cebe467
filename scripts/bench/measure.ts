/** Whole processes, timed in turn with their baseline: machines are shared, so only ratios of one run mean anything. */
import { spawn } from "node:child_process";

/** Wall milliseconds of one command. @throws where it fails */
export function timeCommand(
  command: string,
  args: readonly string[],
  options: { readonly env?: NodeJS.ProcessEnv; readonly cwd?: string } = {},
): Promise<number> {
  const started = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { ...options, stdio: ["ignore", "ignore", "pipe"] });
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    child.once("error", reject);
    child.once("close", (code) =>
      code === 0 ? resolve(performance.now() - started) : reject(new Error(`${command} ${args.join(" ")} ended with ${code}\n${stderr}`)),
    );
  });
}

/**
 * A B C, C B A, A B C …: what slows the machine for a while slows all of them, and nobody always comes after the one that leaves
 * it busy. One uncounted round first.
 */
export async function alternate(
  rounds: number,
  runs: Readonly<Record<string, () => Promise<number>>>,
): Promise<ReadonlyMap<string, readonly number[]>> {
  const samples = new Map<string, number[]>(Object.keys(runs).map((label) => [label, []]));
  for (let round = 0; round <= rounds; round++) {
    const inOrder = Object.entries(runs);
    for (const [label, run] of round % 2 === 0 ? inOrder : inOrder.toReversed()) {
      const ms = await run();
      if (round > 0) samples.get(label)?.push(ms);
    }
  }
  return samples;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

export function line(label: string, values: readonly number[], unit = "ms"): void {
  console.log(
    `  ${label.padEnd(44)} ${Math.min(...values).toFixed(0)} / ${median(values).toFixed(0)} / ${Math.max(...values).toFixed(0)} ${unit} (min / median / max)`,
  );
}

/** One budget, as `✓` or `✗`. Sets the exit code where it is missed. */
export function budget(label: string, value: number, limit: number, unit: string, kind: "at most" | "at least" = "at most"): void {
  const good = kind === "at most" ? value <= limit : value >= limit;
  console.log(`  ${good ? "✓" : "✗"} ${label}: ${value.toFixed(unit === "×" ? 2 : 0)} ${unit}, budget ${kind} ${limit} ${unit}`);
  if (!good) process.exitCode = 1;
}
