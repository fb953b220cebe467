/** Which tags an import asks for: `latest` never falls, and never lands on a prerelease by accident. */
import { expect, it } from "vitest";
import { sameBytes, tagRequests } from "../../src/cli/import-plan.ts";
import { isOwnRegistry } from "../../src/project/own-registries.ts";
import { inParallel } from "../../src/cli/parallel.ts";
import type { PackageName } from "../../src/format/names.ts";
import type { DistTag, Version } from "../../src/format/versions.ts";
import { loadUpstreamSettings } from "../../src/registry/upstream/settings.ts";
import type { PackageView } from "../../src/index/package-reader.ts";

const NAME = "left-pad" as PackageName;

/** @param versions a trailing `!` is upstream's own latest */
function latestAfter(versions: readonly string[], current: string | null): string | null {
  const tags = new Map(current === null ? [] : [["latest" as DistTag, current as Version]]);
  const view = current === null ? null : ({ record: { doc: { tags } } } as unknown as PackageView);
  const releases = versions.map((text) => ({ name: NAME, version: text.replace("!", "") as Version, isLatest: text.endsWith("!") }));
  const requests = tagRequests(releases, new Map([[NAME, view]]));
  expect(requests.map(({ version }) => version)).toEqual(releases.map(({ version }) => version));
  const asking = requests.filter(({ tag }) => tag !== null);
  expect(asking.length).toBeLessThanOrEqual(1);
  for (const { tag, keepsTags } of requests) expect(keepsTags === true).toBe(tag === null);
  return asking[0]?.version ?? null;
}

it.each([
  ["the only one", ["1.0.0"], null, "1.0.0"],
  ["the highest stable one", ["1.0.0", "2.0.0", "10.0.0", "11.0.0-rc.1"], null, "10.0.0"],
  ["a prerelease where there is nothing else", ["1.0.0-a", "1.0.0-b"], null, "1.0.0-b"],
  ["upstream's own, though a higher one comes with it", ["4.0.0!", "5.0.0"], null, "4.0.0"],
  ["an older one beside a newer latest", ["1.0.0", "1.5.0!"], "2.0.0", null],
  ["a newer one than latest", ["1.0.0", "3.0.0"], "2.0.0", "3.0.0"],
  ["a prerelease beside a stable latest", ["3.0.0-rc.1"], "2.0.0", null],
  ["upstream's latest that is a prerelease beside a stable one", ["3.0.0-rc.1!"], "2.0.0", null],
  ["a higher prerelease beside one", ["3.0.0-rc.2"], "3.0.0-rc.1", "3.0.0-rc.2"],
])("%s: %j on %s gives %s", (_, versions, current, expected) => {
  expect(latestAfter(versions, current)).toBe(expected);
});

it("bytes are the same if the strongest hash that both know is", () => {
  const shasum = "0".repeat(40);
  const integrity = `sha512-${Buffer.alloc(64).toString("base64")}`;
  const other = `sha512-${Buffer.alloc(64, 1).toString("base64")}`;
  const sha1 = (byte: number): string => `sha1-${Buffer.alloc(20, byte).toString("base64")}`;
  expect(sameBytes(integrity, { integrity, shasum })).toBe(true);
  expect(sameBytes(sha1(0), { integrity, shasum })).toBe(true);
  expect(sameBytes(sha1(1), { integrity, shasum })).toBe(false);
  expect(sameBytes(`${other} ${sha1(0)}`, { integrity, shasum })).toBe(false);
});

it("in parallel, but not more than allowed; after a failure nothing new begins, and what runs is waited for", async () => {
  let running = 0;
  let most = 0;
  const begun: number[] = [];
  const work = async (item: number): Promise<number> => {
    begun.push(item);
    most = Math.max(most, ++running);
    await new Promise((resolve) => setImmediate(resolve));
    running--;
    if (item === 5) throw new Error("five");
    return item * 2;
  };
  expect(await inParallel([0, 1, 2, 3, 4], 2, work)).toEqual([0, 2, 4, 6, 8]);
  expect(most).toBe(2);
  begun.length = 0;
  await expect(inParallel([4, 5, 6, 7, 8, 9], 2, work)).rejects.toThrow("five");
  expect([running, begun.includes(9)]).toEqual([0, false]);
  expect(await inParallel([], 2, work)).toEqual([]);
});

it.each(["http://127.0.0.1:4870/", "http://127.0.0.1:4999/~0123456789abcdef0123/", "http://127.0.0.1:45678/"])(
  "a user's npm registry that is this resolver (%s) is not asked",
  async (ours) => {
    const env = { npm_config_registry: ours, IMPRINT_REGISTRY: "http://127.0.0.1:45678/", npm_config_userconfig: "/nowhere/.npmrc" };
    const { registry } = await loadUpstreamSettings({ configured: undefined, env, isOurs: isOwnRegistry(env) });
    expect(registry).not.toContain("127.0.0.1");
  },
);
