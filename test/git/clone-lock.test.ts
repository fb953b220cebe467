/** C2: one imprint at a time in one clone, whatever became of the one before. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, expect, it } from "vitest";
import { aloneInClone } from "../../src/git/clone-lock.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "imprint-clone-lock-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const quiet = (): void => undefined;

it("C2 in turn, also after one that failed; nothing is left behind", async () => {
  let inside = 0;
  let most = 0;
  let waited = 0;
  const work = async (fails: boolean): Promise<void> => {
    most = Math.max(most, ++inside);
    await delay(5);
    inside--;
    if (fails) throw new Error("failed");
  };
  const ran = await Promise.allSettled(
    Array.from({ length: 12 }, (_, i) =>
      aloneInClone(
        dir,
        () => waited++,
        () => work(i % 3 === 0),
      ),
    ),
  );
  expect([most, waited > 0, ran.filter(({ status }) => status === "rejected").length]).toEqual([1, true, 4]);
  expect(readdirSync(dir)).toEqual([]);
});

it("C2 a lock that a killed process left counts for nothing, to any number of those who wait", async () => {
  const lock = new URL("../../src/git/clone-lock.ts", import.meta.url).href;
  const script = `const { aloneInClone } = await import(${JSON.stringify(lock)}); await aloneInClone(${JSON.stringify(dir)}, () => {}, async () => process.kill(process.pid, "SIGKILL"));`;
  const { signal } = spawnSync(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script]);
  expect([signal, existsSync(join(dir, "imprint.lock"))]).toEqual(["SIGKILL", true]);
  let inside = 0;
  const most: number[] = [];
  await Promise.all(
    Array.from({ length: 8 }, () =>
      aloneInClone(dir, quiet, async () => {
        most.push(++inside);
        await delay(2);
        inside--;
      }),
    ),
  );
  expect(most).toEqual([1, 1, 1, 1, 1, 1, 1, 1]);
  expect(readdirSync(dir)).toEqual([]);
});

it("C2 where no lock can be made it is said, and nothing is done", async () => {
  const file = join(dir, "file");
  writeFileSync(file, "");
  let ran = false;
  await expect(aloneInClone(file, quiet, async () => void (ran = true))).rejects.toMatchObject({ code: "STORAGE_FAILED" });
  expect(ran).toBe(false);
});
