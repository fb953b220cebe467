/** Whose files are believed. */
import { writeFileSync } from "node:fs";
import path from "node:path";
import { expect, it } from "vitest";
import { nodeFiles } from "../../src/storage/files.ts";
import { ownUsers, trustsOf } from "../../src/storage/owner.ts";
import { temporaryFolder } from "./temporary.ts";

const trusts = (
  options: { readonly uid?: number; readonly env?: NodeJS.ProcessEnv; readonly safe?: readonly string[] },
  file: string,
  owner: number,
) => trustsOf({ env: options.env ?? {}, uid: options.uid ?? 1000, safeFolders: async () => options.safe ?? [] })(file, owner);

it("M1 this user's and root's files are believed, another's are not", async () => {
  expect(await trusts({}, "/tmp/.npmrc", 1000)).toBe(true);
  expect(await trusts({}, "/etc/npmrc", 0)).toBe(true);
  expect(await trusts({}, "/tmp/.npmrc", 1001)).toBe(false);
  expect(await trusts({ uid: 0 }, "/tmp/.npmrc", 1001)).toBe(false);
});

it("M1 under sudo the caller's files are believed; without root SUDO_UID says nothing", async () => {
  expect(await trusts({ uid: 0, env: { SUDO_UID: "1001" } }, "/home/x/imprint.json", 1001)).toBe(true);
  expect(await trusts({ uid: 0, env: { SUDO_UID: "1001" } }, "/home/x/imprint.json", 1002)).toBe(false);
  expect(await trusts({ uid: 1000, env: { SUDO_UID: "1001" } }, "/home/x/imprint.json", 1001)).toBe(false);
  expect(await trusts({ uid: 0, env: { SUDO_UID: "1001 " } }, "/home/x/imprint.json", 1001)).toBe(false);
  expect(ownUsers({ uid: 0, env: { SUDO_UID: "" } })).toEqual(new Set([0]));
  expect(ownUsers({ uid: undefined, env: {} })).toBe(null);
});

it("M1 a safe folder covers what is in it, not what begins like it", async () => {
  for (const safe of ["*", "/srv/team", "/srv/team/", "/srv/*"])
    expect(await trusts({ safe: [safe] }, "/srv/team/imprint.json", 1001)).toBe(true);
  for (const safe of ["/srv/tea", "/srv/team/imprint.json/x", "srv/team", "", "/", "**", "/srv/team/web"])
    expect([safe, await trusts({ safe: [safe] }, "/srv/team/imprint.json", 1001)]).toEqual([safe, false]);
  expect(await trusts({ safe: ["/srv/team"] }, "/srv/team/../other/imprint.json", 1001)).toBe(false);
});

it("M1 what is not believed is an error that names file and owner, and no part of it is read", async () => {
  const folder = temporaryFolder();
  const file = path.join(folder, "imprint.json");
  writeFileSync(file, "{}");
  const asked: string[] = [];
  const files = nodeFiles((name) => {
    asked.push(name);
    return false;
  });
  await expect(files.read(file, 100)).rejects.toMatchObject({
    code: "FOREIGN_FILE",
    message: expect.stringContaining(`${file}: it belongs to another user`),
  });
  expect(asked).toEqual([file]);
  expect(await files.read(path.join(folder, "absent"), 100)).toBe(null);
});
