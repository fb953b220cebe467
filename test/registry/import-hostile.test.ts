/** Registries that send `import` elsewhere (I1), and registries that never end (I2), in every step of an import. */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { checkOpened } from "../../src/cli/import-tarballs.ts";
import { openScratch, removeUnfinished } from "../../src/cli/scratch.ts";
import { LIMITS } from "../../src/format/limits.ts";
import type { PackageName } from "../../src/format/names.ts";
import type { Version } from "../../src/format/versions.ts";
import { hostMark } from "../../src/git/store/lock.ts";
import { type Exchange, type ExchangeLimits, openExchange } from "../../src/registry/upstream/exchange.ts";
import { npmOptions, type NpmOptions } from "../../src/registry/upstream/npm-options.ts";
import { openPublicReleases } from "../../src/registry/upstream/releases.ts";
import { labelOf, resolveSpecs } from "../../src/registry/upstream/resolve.ts";
import { testAuthority } from "../support/certificates.ts";
import { ENDLESS_ANSWERS, growingTree, startTrap, type Trap } from "../support/hostile-host.ts";
import { makePackage } from "../support/tarball.ts";
import { startUpstream, type TestUpstream } from "../support/upstream.ts";

const MIB = 1024 * 1024;
let upstream: TestUpstream;
let trap: Trap;
let secureTrap: Trap;
let folder: string;
let exchange: Exchange;
let options: NpmOptions;
let counted: number[];
let authority: ReturnType<typeof testAuthority>;

beforeAll(async () => {
  authority = testAuthority();
  upstream = await startUpstream();
  trap = await startTrap();
  secureTrap = await startTrap({ tls: authority });
});
beforeEach(() => {
  upstream.intercept = null;
  upstream.requests.length = 0;
  upstream.keys = null;
  for (const one of [trap, secureTrap]) one.seen.length = 0;
  folder = mkdtempSync(path.join(tmpdir(), "imprint-import-hostile-"));
  open();
});
afterEach(() => {
  exchange.close();
  rmSync(folder, { recursive: true, force: true });
});
afterAll(async () => {
  for (const one of [upstream, trap, secureTrap]) await one.close();
});

/** A user whose npm has tokens for the registry and for both traps, and trusts the traps' authority. */
function open(limits: Partial<ExchangeLimits> = {}): void {
  counted = [];
  const tokens = Object.fromEntries(
    [upstream.url, trap.url, secureTrap.url].map((url) => [`//${new URL(url).host}/:_authToken`, `token-of-${new URL(url).port}`]),
  );
  const settings = { registry: upstream.url, options: { fetchRetries: 0, noProxy: "127.0.0.1,localhost", ca: authority.ca, ...tokens } };
  exchange = openExchange(settings, { folder, limits, checkTarball: checkOpened, onPackages: (count) => counted.push(count) });
  options = npmOptions(settings, path.join(folder, "cache"), exchange);
}

const resolve = (spec: string, deps = true, maxPackages?: number): Promise<readonly string[]> =>
  resolveSpecs([spec], options, deps, { exchange, folder, ...(maxPackages === undefined ? {} : { maxPackages }) }).then(({ packages }) =>
    packages.map(labelOf),
  );
async function download(name: string, maxBytes = MIB): Promise<void> {
  const releases = openPublicReleases(options, exchange);
  const limits = { maxBytes, deadlineMs: 60_000, signal: new AbortController().signal, onBytes: () => undefined };
  await releases.download(
    await releases.describe({ name: name as PackageName, version: "1.0.0" as Version }),
    path.join(folder, "x.tgz"),
    limits,
  );
}

/** Each request of an import, by the path that it asks for. */
const STEPS: Readonly<Record<string, { readonly asks: string; readonly run: () => Promise<unknown> }>> = {
  "a packument": { asks: "/asked", run: () => resolve("asked", false) },
  "a packument of a tree": { asks: "/needed", run: () => resolve("asked") },
  "an optional packument": { asks: "/perhaps", run: () => resolve("asked") },
  "the signing keys": { asks: "/-/npm/v1/keys", run: () => download("asked") },
  "a tarball": { asks: "/asked/-/asked-1.0.0.tgz", run: () => download("asked") },
  "a tarball that the resolver opens": { asks: "/bundles/-/bundles-1.0.0.tgz", run: () => resolve("bundles") },
};

describe("I1 redirects", () => {
  beforeEach(async () => {
    const packageJson = { dependencies: { needed: "1" }, optionalDependencies: { perhaps: "1" } };
    await upstream.publish("asked", "1.0.0", { packageJson });
    await upstream.publish("needed", "1.0.0");
    await upstream.publish("perhaps", "1.0.0");
    const files = { "node_modules/inside/package.json": '{"name":"inside","version":"1.0.0"}' };
    await upstream.publish("bundles", "1.0.0", { packageJson: { dependencies: { inside: "1" }, bundleDependencies: ["inside"] }, files });
  });

  describe.each(Object.entries(STEPS))("of %s", (_, { asks, run }) => {
    it.each([
      ["another port of this machine", () => `${trap.url}/admin?do=it`],
      ["another port of this machine, encrypted", () => `${secureTrap.url}/admin?do=it`],
      ["another name of this machine", () => "https://127.0.0.2/admin"],
      ["a private address without encryption", () => "http://192.168.1.1/admin"],
      ["where clouds keep credentials", () => "http://169.254.169.254/latest/meta-data"],
      ["http elsewhere", () => "http://cdn.example/x"],
      ["credentials in an address", () => upstream.url.replace("http://", "http://u:p@")],
    ])("I1 to %s: refused, nothing asked there, nothing sent", async (_name, to) => {
      upstream.intercept = (request, response) => {
        if (request.url !== asks) return false;
        response.writeHead(302, { location: to() }).end();
        return true;
      };
      await expect(run()).rejects.toMatchObject({
        code: "INVALID_URL",
        message: expect.stringContaining("the registry points to") as string,
      });
      expect([...trap.seen, ...secureTrap.seen]).toEqual([]);
    });

    it("I1 within the registry's own origin it is followed", async () => {
      upstream.intercept = (request, response) => {
        if (request.url !== asks) return false;
        request.url = "/elsewhere";
        response.writeHead(302, { location: `${asks}?moved` }).end();
        return true;
      };
      await run();
      expect(upstream.requests.filter(({ path: asked }) => asked === asks).length).toBeGreaterThan(1);
    });
  });

  it("I1 a packument that has its tarball elsewhere on this machine is refused like a redirect", async () => {
    await upstream.publish("pointer", "1.0.0", { edit: ({ dist }) => void (dist.tarball = `${trap.url}/x.tgz`) });
    await expect(download("pointer")).rejects.toMatchObject({ code: "IMPORT_REFUSED" });
    const packageJson = { dependencies: { inside: "1" }, bundleDependencies: ["inside"] };
    await upstream.publish("opens", "1.0.0", { packageJson, edit: ({ dist }) => void (dist.tarball = `${trap.url}/x.tgz`) });
    open();
    await expect(resolve("opens")).rejects.toMatchObject({ code: "INVALID_URL" });
    expect(trap.seen).toEqual([]);
  });

  it("I1 credentials go to the registry's own origin, and not along when another host sends back to it", async () => {
    const seen: (string | undefined)[] = [];
    // By name, as the trap has it: a registry's own host may have other ports with encryption.
    const registry = upstream.url.replace("127.0.0.1", "localhost");
    const back = await startTrap({
      tls: authority,
      answer: (_, response) => (response.writeHead(302, { location: `${registry}asked?composed` }).end(), true),
    });
    const settings = {
      registry,
      options: { fetchRetries: 0, noProxy: "localhost", ca: authority.ca, [`//${new URL(registry).host}/:_authToken`]: "ours" },
    };
    exchange.close();
    exchange = openExchange(settings, { folder, checkTarball: checkOpened });
    options = npmOptions(settings, path.join(folder, "cache"), exchange);
    upstream.intercept = (request, response) => {
      seen.push(request.headers.authorization);
      if (request.url !== "/asked") return false;
      response.writeHead(302, { location: `${back.url}/x` }).end();
      return true;
    };
    expect(await resolve("asked", false)).toEqual(["asked@1.0.0"]);
    expect([seen, back.seen.map(({ credentials }) => credentials)]).toEqual([["Bearer ours", undefined], [null]]);
    await back.close();
  });
});

describe("I2 answers without end", () => {
  it.each(Object.entries(ENDLESS_ANSWERS).filter(([name]) => name !== "tarball"))("I2 a %s: cut off", async (name, make) => {
    const flood = make();
    upstream.intercept = (request, response) => flood.intercept(request, response) === true;
    open({ maxDocumentBytes: MIB, maxDocumentValues: 100_000 });
    await expect(resolve("endless")).rejects.toMatchObject({
      code: "IMPORT_REFUSED",
      message: expect.stringContaining("packument") as string,
    });
    expect(flood.sent()).toBeLessThan((name.includes("gzip") ? 256 : 32) * MIB);
  });

  it("I2 the signing keys", async () => {
    await upstream.publish("any", "1.0.0");
    open({ maxDocumentBytes: MIB });
    const flood = ENDLESS_ANSWERS.packument();
    upstream.intercept = (request, response) => {
      if (request.url !== "/-/npm/v1/keys") return false;
      request.url = "/endless";
      return flood.intercept(request, response) === true;
    };
    await expect(download("any")).rejects.toMatchObject({ code: "IMPORT_REFUSED" });
    expect(flood.sent()).toBeLessThan(32 * MIB);
  });

  it("I2 a tarball, downloaded or opened by the resolver: cut off, and no file stays", async () => {
    const packageJson = { dependencies: { inside: "1" }, bundleDependencies: ["inside"] };
    await upstream.publish("endless", "1.0.0", { packageJson });
    for (const run of [() => download("endless"), () => resolve("endless")]) {
      open({ maxTarballBytes: MIB });
      const flood = ENDLESS_ANSWERS.tarball();
      upstream.intercept = (request, response) => flood.intercept(request, response) === true;
      await expect(run()).rejects.toMatchObject({ code: "IMPORT_REFUSED", message: expect.stringContaining("larger than") as string });
      expect(flood.sent()).toBeLessThan(32 * MIB);
    }
    expect(readdirSync(folder).filter((name) => name.startsWith("opened-"))).toEqual([]);
  });

  it("I2 a tarball that the resolver opens holds a document that is too large to read whole", async () => {
    // Not smaller than a thousandth when packed, which would be refused for that.
    const filler = randomBytes(10_000)
      .toString("hex")
      .repeat(Math.ceil((65 * MIB) / 20_000));
    const files = { "npm-shrinkwrap.json": `{"packages":{"":{"name":"wrapped","x":"${filler}"}}}` };
    const tarball = await makePackage({ name: "wrapped", version: "1.0.0", dependencies: {} }, files);
    await upstream.publish("wrapped", "1.0.0", { tarball, edit: (entry) => void (entry["_hasShrinkwrap"] = true) });
    await expect(resolve("wrapped")).rejects.toMatchObject({
      code: "IMPORT_REFUSED",
      message: expect.stringMatching(/npm-shrinkwrap\.json.* is (?:too large|larger than)/u) as string,
    });
  });

  it("I2 a tree that grows with each answer ends at the limit, which names its option; nothing is asked afterwards", async () => {
    upstream.intercept = growingTree(() => upstream.url) as NonNullable<TestUpstream["intercept"]>;
    open({ maxPackages: 100 });
    await expect(resolve("grow")).rejects.toMatchObject({
      code: "IMPORT_REFUSED",
      message: expect.stringMatching(/more than 100 packages; --max-packages/u) as string,
    });
    expect(counted).toEqual(Array.from({ length: 100 }, (_, nth) => nth + 1));
    expect(upstream.requests.length).toBeLessThanOrEqual(100);
  });

  it("I2 as many packages as the limit are taken, one more is not", async () => {
    const dependencies = Object.fromEntries(Array.from({ length: 9 }, (_, nth) => [`leaf-${String(nth)}`, "1"]));
    for (const name of Object.keys(dependencies)) await upstream.publish(name, "1.0.0");
    await upstream.publish("ten", "1.0.0", { packageJson: { dependencies } });
    open({ maxPackages: 10 });
    expect(await resolve("ten")).toHaveLength(10);
    open({ maxPackages: 9 });
    await expect(resolve("ten")).rejects.toMatchObject({ code: "IMPORT_REFUSED" });
  });

  it("I2 versions of two packages that make a tree of any size", async () => {
    const last = 60;
    for (const [name, other] of [
      ["ping", "pong"],
      ["pong", "ping"],
    ] as const)
      for (let nth = 1; nth <= last; nth++)
        await upstream.publish(name, `${String(nth)}.0.0`, {
          packageJson: nth === last ? {} : { dependencies: { [other]: `${String(nth + 1)}.0.0` } },
        });
    expect((await resolve("ping@1")).length).toBe(last);
    open();
    await expect(resolve("ping@1", true, 2)).rejects.toMatchObject({
      code: "IMPORT_REFUSED",
      message: expect.stringContaining("places") as string,
    });
  });

  it("I2 one version with thousands of dependencies", async () => {
    const dependencies = Object.fromEntries(Array.from({ length: 5001 }, (_, nth) => [`d${String(nth)}`, "1"]));
    await upstream.publish("wide", "1.0.0", { packageJson: { dependencies } });
    await expect(resolve("wide")).rejects.toMatchObject({
      code: "IMPORT_REFUSED",
      message: expect.stringContaining("5000 dependencies") as string,
    });
  });

  it("I2 a document of as many bytes and values as the limits are taken, one more is not", async () => {
    await upstream.publish("exact", "1.0.0");
    const text = JSON.stringify(upstream.packuments.get("exact"));
    const values = text.replace(/"(?:[^"\\]|\\.)*"/gu, "").match(/[,[{]/gu)?.length ?? 0;
    for (const [limit, edge] of [
      ["maxDocumentBytes", text.length],
      ["maxDocumentValues", values],
    ] as const) {
      open({ [limit]: edge });
      expect(await resolve("exact", false)).toEqual(["exact@1.0.0"]);
      open({ [limit]: edge - 1 });
      rmSync(path.join(folder, "cache"), { recursive: true, force: true });
      await expect(resolve("exact", false)).rejects.toMatchObject({ code: "IMPORT_REFUSED" });
    }
  });

  it("I2 what is held of packuments has a bound; others are read again from the disk", async () => {
    const readme = "x".repeat(12 * MIB);
    for (const name of ["heavy-a", "heavy-b", "heavy-c"]) {
      await upstream.publish(name, "1.0.0");
      const packument = upstream.packuments.get(name);
      if (packument !== undefined) packument["readme"] = readme;
    }
    for (const name of ["heavy-a", "heavy-b", "heavy-c"]) await resolve(name, false);
    expect(options.packumentCache.size).toBe(2);
    expect(options.packumentCache.calculatedSize).toBeLessThanOrEqual(LIMITS.importHeldBytes);
  });

  it("I2 a tarball that the resolver opens unpacks to too much", async () => {
    await upstream.publish("bomb", "1.0.0", { files: { big: new Uint8Array(2 * MIB) } });
    const file = path.join(folder, "bomb.tgz");
    writeFileSync(file, upstream.tarballs.get("/bomb/-/bomb-1.0.0.tgz") ?? "");
    await expect(checkOpened(file, "bomb")).resolves.toBeUndefined();
    await expect(checkOpened(file, "bomb", MIB)).rejects.toMatchObject({ code: "IMPORT_REFUSED" });
  });

  it("I2 a resolver that does not end is given up", async () => {
    upstream.intercept = () => true;
    await expect(resolveSpecs(["silent"], options, true, { exchange, folder, maxMs: 100 })).rejects.toMatchObject({ code: "TIMED_OUT" });
  });

  it("I2 everything together", async () => {
    await upstream.publish("large", "1.0.0", { packageJson: { readme: "x".repeat(10_000) } });
    open({ maxBytes: 5000 });
    await expect(resolve("large")).rejects.toMatchObject({
      code: "IMPORT_REFUSED",
      message: expect.stringContaining("in parts") as string,
    });
  });
});

describe("I2 temporary files", () => {
  it("I2 what a killed import left is removed by the next one; of one that runs, and of another machine, nothing", async () => {
    const parent = path.join(folder, "imports");
    const names = { killed: `${hostMark()}-4194305-abc`, runs: `${hostMark()}-${String(process.ppid)}-abc`, elsewhere: "0000ffff-1-abc" };
    for (const name of Object.values(names)) mkdirSync(path.join(parent, name), { recursive: true });
    const scratch = await openScratch(parent, Date.now());
    expect(readdirSync(parent).toSorted()).toEqual([names.runs, names.elsewhere, path.basename(scratch.folder)].toSorted());
    await scratch.remove();
    expect(existsSync(scratch.folder)).toBe(false);
  });

  it("I2 what npm's parts had not finished goes after an hour", async () => {
    const unfinished = path.join(folder, "tmp");
    mkdirSync(unfinished);
    for (const name of ["old", "new"]) writeFileSync(path.join(unfinished, name), "x");
    const longAgo = Date.now() / 1000 - 7200;
    utimesSync(path.join(unfinished, "old"), longAgo, longAgo);
    await removeUnfinished(unfinished, Date.now());
    await removeUnfinished(path.join(folder, "none"), Date.now());
    expect(readdirSync(unfinished)).toEqual(["new"]);
  });
});
