/** A file that is read while it is written, and has no name before it is right. */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { expect, it } from "vitest";
import { nodeFiles } from "../../src/storage/files.ts";
import { openSpool } from "../../src/storage/spool.ts";
import { temporaryFolder } from "./temporary.ts";

it("is read while it grows, and named at once when it is kept", async () => {
  const file = path.join(temporaryFolder(), "a", "b", "spooled");
  const spool = await openSpool(file);
  await spool.append(Buffer.from("hello "));
  expect((await spool.read(1, 3)).toString()).toBe("ell");
  await spool.append(Buffer.from("world"));
  expect([spool.size(), (await spool.read(6, 100)).toString()]).toEqual([11, "world"]);
  expect(existsSync(file)).toBe(false);
  expect(await nodeFiles().list(path.dirname(file))).toEqual([]);
  await spool.keep();
  expect(readFileSync(file, "utf8")).toBe("hello world");
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect((await spool.read(0, 5)).toString()).toBe("hello");
  await spool.drop();
  await spool.close();
  expect(existsSync(file)).toBe(true);
});

it("what is dropped leaves nothing", async () => {
  const file = path.join(temporaryFolder(), "spooled");
  const spool = await openSpool(file);
  await spool.append(Buffer.from("x"));
  await spool.drop();
  await spool.close();
  await spool.close();
  expect(readdirSync(path.dirname(file))).toEqual([]);
});

it("names path and errno where it cannot be", async () => {
  await expect(openSpool("/dev/null/x/y")).rejects.toMatchObject({
    code: "STORAGE_FAILED",
    message: expect.stringMatching(/^Cannot write \/dev\/null\/x\/y: E/),
  });
  const file = path.join(temporaryFolder(), "spooled");
  const spool = await openSpool(file);
  await spool.close();
  await expect(spool.append(Buffer.from("x"))).rejects.toMatchObject({ code: "STORAGE_FAILED" });
});
