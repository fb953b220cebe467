/** `imprint audit` over the lockfiles that real clients write, as they are and tampered with. */
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clientOf, TESTED_AT_LENGTH } from "../support/clients.ts";
import { registryKey } from "../support/upstream.ts";
import { openShop, openStreet, type Shop, type Street } from "./shop.ts";

const IDS = TESTED_AT_LENGTH.filter((id) => id !== "vlt");
type Found = {
  readonly signed: number;
  readonly public: number;
  readonly npmSigned: number;
  readonly refused: number;
  readonly packages: readonly {
    readonly name: string;
    readonly version: string;
    readonly status: string;
    readonly reason: string | null;
    readonly line: number | null;
  }[];
};

let street: Street;
beforeAll(async () => {
  street = await openStreet();
  const key = registryKey();
  street.world.upstream.keys = { keys: [key.listed] };
  for (const entry of Object.values(street.world.upstream.packuments.get("pub-a")?.versions ?? {})) key.sign(entry);
});
afterAll(() => street.close());

async function auditIn(shop: Shop, ...flags: readonly string[]): Promise<{ readonly code: number; readonly found: Found }> {
  const { code, stdout, stderr } = await shop.imprint("audit", "--json", ...flags);
  if (!stdout.startsWith('{"lockfiles"')) throw new Error(`${stdout}\n${stderr}`);
  return { code, found: JSON.parse(stdout) as Found };
}

describe.each(IDS)("the lockfile of %s", (id) => {
  let shop: Shop;
  const client = clientOf(id);
  const file = (): string => path.join(shop.folder, client.lockfile);
  /** deno merges what has one name, whatever it is called. */
  const signed = client.family === "deno" ? 1 : 2;
  const tamper = async (
    edit: (text: string) => string,
    ...flags: readonly string[]
  ): Promise<{ readonly code: number; readonly found: Found }> => {
    const folder = path.join(shop.folder, "tampered");
    mkdirSync(folder, { recursive: true });
    const text = readFileSync(file(), "utf8");
    const edited = edit(text);
    expect(edited).not.toBe(text);
    writeFileSync(path.join(folder, client.lockfile), edited);
    return auditIn(shop, "--lockfile", path.join(folder, client.lockfile), ...flags);
  };

  beforeAll(async () => {
    shop = await openShop(street, client, { dependencies: { "@alice/a": "^1.0.0", "pub-a": "^1.0.0", renamed: "npm:@alice/a@1.0.0" } });
    const { code, stdout, stderr } = await shop.run(client.commands.install);
    expect([code, code === 0 ? "" : `${stdout}${stderr}`]).toEqual([0, ""]);
  });

  it("is what the author and the public registry signed", async () => {
    const { code, found } = await auditIn(shop);
    expect(code).toBe(0);
    const counts = new Set(found.packages.filter(({ status }) => status === "signed").map(({ name, version }) => `${name}@${version}`));
    expect(counts.size).toBe(signed);
    // yarn 4's hashes are of archives of its own: nothing that anybody signed.
    expect(found).toMatchObject({ public: 1, npmSigned: client.family === "yarn 4" ? 0 : 1, refused: 0 });
  });

  it("strict passes, but for what has no integrity in it", async () => {
    expect((await auditIn(shop, "--strict")).code).toBe(client.family === "yarn 4" ? 1 : 0);
  });

  it("with another version's number, an integrity changed or a tarball from elsewhere it is refused, with the line", async () => {
    const version = await tamper((text) => text.replaceAll("1.1.0", "1.2.0").replaceAll("1.0.0", "1.3.0"));
    expect([version.code, version.found.packages.find(({ name }) => name === "@alice/a")]).toMatchObject([
      1,
      { status: "refused", reason: "index alice does not have that version", line: expect.any(Number) },
    ]);
    if (client.family === "yarn 4") return;
    const integrity = await tamper((text) => text.replaceAll(/sha512-..../g, "sha512-AAAA"));
    expect(integrity.code).toBe(1);
    for (const { status, reason } of integrity.found.packages)
      expect([status, reason]).toEqual(["refused", expect.stringMatching(/locked integrity is not the (signed )?one/)]);
    if (client.family === "pnpm") return;
    const elsewhere = await tamper((text) => {
      // Locked without an address: one is put in.
      if (client.family === "npm")
        return text.replace(/("node_modules\/@alice\/a": \{)/, '$1 "resolved": "https://evil.example/a-1.1.0.tgz",');
      if (client.family === "deno")
        return text.replace(/("@alice\/a@[0-9][^"]*": \{)/, '$1 "tarball": "https://evil.example/a-1.1.0.tgz",');
      return text.replaceAll(/http:\/\/127[^"]*\/@alice\/a\/-\//g, "https://evil.example/");
    });
    expect(elsewhere.found.packages.find(({ name }) => name === "@alice/a")?.reason).toBe(
      "alice answers for it, but the lockfile takes it from elsewhere",
    );
  });

  it("with another package in the place of a claimed name it is refused", async () => {
    if (client.family === "deno") return; // its lockfile has no such names: package.json is read again
    const { code, found } = await tamper((text) => {
      if (client.family === "npm") {
        // npm 8 writes all of it a second time, as older ones read it; a lockfile that contradicts itself is refused before.
        const { dependencies, ...once } = JSON.parse(
          text.replace('"node_modules/pub-a": {', '"node_modules/@alice/a/node_modules/@alice/b": { "name": "pub-a",'),
        ) as Record<string, unknown>;
        return JSON.stringify(dependencies === undefined ? once : { ...once, lockfileVersion: 3 }, null, 2);
      }
      if (client.family === "pnpm")
        return text.replace(
          /'@alice\/a':\n( +)specifier: .*\n +version: .*\n/,
          "'@alice/a':\n$1specifier: npm:pub-a@1\n$1version: pub-a@1.1.0\n",
        );
      if (client.family === "yarn 1") return text.replace("pub-a@^1.0.0:", '"@alice/b@npm:pub-a@^1.0.0":');
      if (client.family === "yarn 4") return text.replace('"pub-a@npm:^1.0.0":', '"@alice/b@npm:pub-a@^1.0.0":');
      return text.replace('"pub-a": ["pub-a@', '"@alice/b": ["pub-a@');
    });
    expect(code).toBe(1);
    expect(found.packages.filter(({ status }) => status === "refused").map(({ reason }) => reason)).toEqual([
      expect.stringMatching(/it stands in the place of @alice\/[ab], which alice answers for/),
    ]);
  });
});

it("several lockfiles in one project are all audited; none, and a binary one of bun, are said", async () => {
  const [npm, bun] = [clientOf("npm 10"), clientOf("bun")];
  const shop = await openShop(street, npm, { dependencies: { "@alice/a": "^1.0.0" } });
  const none = await shop.imprint("audit");
  expect([none.code, none.stderr]).toEqual([
    3,
    expect.stringMatching(/it has no lockfile \(package-lock\.json, .*imprint run npm install writes one/),
  ]);
  writeFileSync(path.join(shop.folder, "bun.lockb"), new Uint8Array([0, 1, 2]));
  const binary = await shop.imprint("audit");
  expect([binary.code, binary.stderr]).toEqual([3, expect.stringMatching(/it is binary; bun install --save-text-lockfile/)]);
  const other = await openShop(street, bun, { dependencies: { "@alice/a": "^1.0.0" } });
  for (const [one, client] of [
    [shop, npm],
    [other, bun],
  ] as const)
    expect((await one.run(client.commands.install)).code).toBe(0);
  copyFileSync(path.join(other.folder, "bun.lock"), path.join(shop.folder, "bun.lock"));
  expect((await shop.imprint("audit")).stderr).toMatch(/bun\.lockb: it is binary/);
  rmSync(path.join(shop.folder, "bun.lockb"));
  const both = await shop.imprint("audit");
  expect([both.code, both.stdout]).toEqual([
    0,
    "✓ alice 2 signed, integrity as signed\n✓ public registry 2, 2 with valid npm signatures\n",
  ]);
});

it.each(["bun", "yarn 4"])(
  "C3 %s: at a first install, which not every client checks, the resolver refuses a swapped tarball",
  async (id) => {
    const client = clientOf(id);
    const shop = await openShop(street, client);
    const outcome = await shop.run(client.commands.add("@alice/corrupt"));
    expect(outcome.code).not.toBe(0);
    expect(outcome.stderr).toMatch(/@alice\/corrupt: .*(TARBALL_MISMATCH|HASH_MISMATCH)/);
    expect(shop.installed("@alice/corrupt")).toBeNull();
  },
);
