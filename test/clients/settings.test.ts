/** X14: what our check of settings lets through, real clients do not take elsewhere. A slice of `npm run fuzz -- settings`. */
import { writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { fuzzSettings } from "../../scripts/fuzz/settings.ts";
import { type ClientName, openBench } from "../../scripts/fuzz/settings-clients.ts";

const CASES = 25;
const SEED = 14;
const PATIENCE_MS = 600_000;

describe("X14 settings by grammar", () => {
  it.each(["npm", "pnpm", "yarn1", "yarn4", "bun", "deno"] as const)(
    "X14 %s asks nobody else for a claimed name where run would start",
    async (client) => {
      const { cases, refused, asked, failures } = await fuzzSettings({ seed: SEED, cases: CASES, client });
      expect(failures).toEqual([]);
      // Both kinds are among them, or nothing would be compared.
      expect([cases, refused > 0, asked > 0]).toEqual([CASES, true, true]);
    },
    PATIENCE_MS,
  );

  const lines: readonly (readonly [ClientName, string, (url: string) => string])[] = [
    ["npm", ".npmrc", (url) => `a=b\r"\\u0040alice:registry"=${url}`],
    ["pnpm", "pnpm-workspace.yaml", (url) => `registries: { default: "${url}" }\n`],
    ["yarn1", ".yarnrc", (url) => `--install.registry "${url}"\n`],
    [
      "yarn4",
      ".yarnrc.yml",
      (url) => `unsafeHttpWhitelist: ["127.0.0.1"]\nnpmScopes: {}\nnpmScopes: { alice: { npmRegistryServer: "${url}" } }\n`,
    ],
    ["bun", "bunfig.toml", (url) => `[install]\nscopes = { alice = "${url}" }\n`],
    ["deno", ".npmrc", (url) => `'@alice:registry'=${url}\n`],
  ];
  it.each(lines)(
    "X14 %s does follow %s, and the comparison sees it",
    async (client, file, text) => {
      const bench = await openBench();
      try {
        const place = bench.place(client);
        writeFileSync(path.join(place.folder, file), text(bench.elsewhere));
        expect((await bench.ask(client, place)).leaked).not.toEqual([]);
      } finally {
        await bench.close();
      }
    },
    PATIENCE_MS,
  );
});
