/** What `import` asks of a registry: npm's resolver on hostile and on odd packages, and every statement of it checked. */
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { UpstreamSettings } from "../../src/registry/upstream/client.ts";
import { type Exchange, type ExchangeLimits, openExchange } from "../../src/registry/upstream/exchange.ts";
import { npmOptions, type NpmOptions } from "../../src/registry/upstream/npm-options.ts";
import { type DownloadLimits, openPublicReleases, type PublicRelease } from "../../src/registry/upstream/releases.ts";
import { labelOf, type Resolved, resolveSpecs } from "../../src/registry/upstream/resolve.ts";
import type { PackageName } from "../../src/format/names.ts";
import type { Version } from "../../src/format/versions.ts";
import { registryKey, startUpstream, type TestUpstream } from "../support/upstream.ts";

let upstream: TestUpstream;
let folder: string;
let options: NpmOptions;
let exchange: Exchange;
/** Settings of a user, from here on. */
const ask = (settings: UpstreamSettings, limits: Partial<ExchangeLimits> = {}): void => {
  exchange = openExchange(settings, { folder, limits, checkTarball: async () => undefined });
  options = npmOptions(settings, mkdtempSync(path.join(folder, "cache-")), exchange);
};
const resolve = (specs: readonly string[], deps: boolean): Promise<Resolved> => resolveSpecs(specs, options, deps, { exchange, folder });
beforeAll(async () => {
  upstream = await startUpstream();
  folder = mkdtempSync(path.join(tmpdir(), "imprint-import-test-"));
});
beforeEach(() => {
  upstream.keys = null;
  upstream.intercept = null;
  upstream.requests.length = 0;
  ask({ registry: upstream.url, options: { fetchRetries: 0, noProxy: "127.0.0.1" } });
});
afterEach(() => exchange.close());
afterAll(async () => {
  await upstream.close();
  rmSync(folder, { recursive: true, force: true });
});

const labels = ({ packages }: Resolved): readonly string[] => packages.map(labelOf);
const tree = async (...specs: readonly string[]): Promise<readonly string[]> => labels(await resolve(specs, true));

describe("resolving", () => {
  beforeAll(async () => {
    await upstream.publish("low", "1.0.0");
    await upstream.publish("low", "1.1.0");
    await upstream.publish("low", "2.0.0");
    await upstream.publish("needs-low-1", "1.0.0", { packageJson: { dependencies: { low: "^1.0.0" } } });
    await upstream.publish("needs-both", "1.0.0", { packageJson: { dependencies: { low: "2", "needs-low-1": "*" } } });
    await upstream.publish("Legacy-Name", "1.0.0", { packageJson: { dependencies: { low: "1" }, devDependencies: { nowhere: "1" } } });
  });

  it("names, ranges and tags, as npm reads them", async () => {
    expect(labels(await resolve(["low", "low@^1", "low@latest", "low@1.0.0"], false))).toEqual(["low@1.0.0", "low@1.1.0", "low@2.0.0"]);
  });

  it("the whole tree: several versions of one package, legacy names, nothing for development", async () => {
    expect(await tree("needs-both", "Legacy-Name")).toEqual([
      "Legacy-Name@1.0.0",
      "low@1.1.0",
      "low@2.0.0",
      "needs-both@1.0.0",
      "needs-low-1@1.0.0",
    ]);
  });

  it("several specs of one name", async () => {
    expect(await tree("low@1.0.0", "needs-low-1", "low@2")).toEqual(["low@1.0.0", "low@2.0.0", "needs-low-1@1.0.0"]);
  });

  it("an alias is the package behind it", async () => {
    await upstream.publish("aliases", "1.0.0", { packageJson: { dependencies: { other: "npm:low@^1.0.0" } } });
    expect(await tree("aliases", "mine@npm:needs-low-1@1")).toEqual(["aliases@1.0.0", "low@1.1.0", "needs-low-1@1.0.0"]);
  });

  it("optional ones for every platform; one that this machine could not run; peers", async () => {
    await upstream.publish("for-vms", "1.0.0", { packageJson: { os: ["openvms"] } });
    await upstream.publish("for-aix", "1.0.0", { packageJson: { os: ["aix"], cpu: ["ppc64"] } });
    const optionalDependencies = { "for-vms": "1", "for-aix": "1", "not-published": "1" };
    await upstream.publish("native", "1.0.0", { packageJson: { optionalDependencies, peerDependencies: { low: "^1.0.0" } } });
    const resolved = await resolve(["native"], true);
    expect(labels(resolved)).toEqual(["for-aix@1.0.0", "for-vms@1.0.0", "low@1.1.0", "native@1.0.0"]);
    expect(resolved.leftOut).toEqual(["not-published (for native)"]);
    expect(await tree("for-vms", "low")).toEqual(["for-vms@1.0.0", "low@2.0.0"]);
  });

  it("what is bundled stays in its tarball", async () => {
    const packageJson = { dependencies: { inside: "1", low: "1" }, bundleDependencies: ["inside"] };
    const files = { "node_modules/inside/package.json": '{"name":"inside","version":"1.0.0","dependencies":{}}' };
    await upstream.publish("bundler", "1.0.0", { packageJson, files });
    expect(await tree("bundler")).toEqual(["bundler@1.0.0", "low@1.1.0"]);
  });

  it("a shrinkwrap decides for its package", async () => {
    const lock = {
      name: "wrapped",
      version: "1.0.0",
      lockfileVersion: 3,
      packages: {
        "": { name: "wrapped", version: "1.0.0", dependencies: { low: "^1.0.0" }, devDependencies: { "needs-both": "1" } },
        "node_modules/low": { version: "1.0.0", resolved: `${upstream.url}low/-/low-1.0.0.tgz` },
        "node_modules/needs-both": { version: "1.0.0", resolved: `${upstream.url}needs-both/-/needs-both-1.0.0.tgz`, dev: true },
      },
    };
    await upstream.publish("wrapped", "1.0.0", {
      packageJson: { dependencies: { low: "^1.0.0" }, devDependencies: { "needs-both": "1" } },
      files: { "npm-shrinkwrap.json": JSON.stringify(lock) },
      edit: (entry) => (entry["_hasShrinkwrap"] = true),
    });
    expect(await tree("wrapped")).toEqual(["low@1.0.0", "wrapped@1.0.0"]);
  });

  it.each([
    ["git", "git+https://git.example.org/x/y.git"],
    ["a git host", "x/y"],
    ["an address", "https://git.example.org/y.tgz"],
    ["a file", "file:../y.tgz"],
    ["a folder", "file:../y"],
  ])("a dependency from %s is refused by name, optional or not, and nothing of it is fetched", async (what, range) => {
    const name = `from-${what.replaceAll(" ", "-")}`;
    await upstream.publish(name, "1.0.0", { packageJson: { dependencies: { foreign: range } } });
    await upstream.publish(name, "2.0.0", { packageJson: { optionalDependencies: { foreign: range } } });
    for (const version of ["1.0.0", "2.0.0"]) {
      await expect(tree(`${name}@${version}`)).rejects.toMatchObject({
        code: "IMPORT_REFUSED",
        message: expect.stringMatching(new RegExp(`^Cannot import ${name}@${version}: ${name} depends on foreign@`)) as string,
      });
    }
    await expect(resolve([`x@${range}`], true)).rejects.toMatchObject({ code: "USAGE" });
    expect(upstream.requests.filter((request) => request.path.includes("foreign") || request.path.includes(".tgz"))).toEqual([]);
  });

  it.each([
    ["no-such-package", "NOT_FOUND"],
    ["low@9", "NOT_FOUND"],
    ["low@no-such-tag", "NOT_FOUND"],
    ["../x", "USAGE"],
    ["a b@1", "USAGE"],
    ["node_modules", "USAGE"],
    ["*", "INVALID_NAME"],
    ["@x/*", "INVALID_NAME"],
  ])("%s: %s", async (spec, code) => {
    for (const deps of [false, true]) await expect(resolve([spec], deps)).rejects.toMatchObject({ code });
  });

  it("a dependency that nobody has, peers that conflict, a version that no index can hold", async () => {
    await upstream.publish("broken", "1.0.0", { packageJson: { dependencies: { nowhere: "1" } } });
    await expect(tree("broken")).rejects.toMatchObject({ code: "NOT_FOUND" });
    await upstream.publish("peer-1", "1.0.0", { packageJson: { peerDependencies: { low: "1" } } });
    await expect(tree("peer-1", "low@2")).rejects.toMatchObject({ code: "IMPORT_REFUSED" });
    await upstream.publish("built", "1.0.0+x");
    await expect(tree("built")).rejects.toMatchObject({ code: "IMPORT_REFUSED" });
  });
});

describe("what the registry says of a package", () => {
  const describeIt = (name: string, version = "1.0.0"): Promise<PublicRelease> =>
    openPublicReleases(options, exchange).describe({ name: name as PackageName, version: version as Version });

  it("is carried: address without what may be a credential, integrity, signatures, deprecation, latest", async () => {
    await upstream.publish("said", "0.9.0");
    await upstream.publish("said", "1.0.0", {
      edit: (entry) => {
        entry["deprecated"] = "use \ud800other";
        entry.dist.tarball = entry.dist.tarball.replace("http://", "http://user:secret@").concat("?token=secret#x");
        entry.dist.unpackedSize = 17;
      },
    });
    const integrity = upstream.packuments.get("said")?.versions["1.0.0"]?.dist.integrity;
    expect(await describeIt("said")).toMatchObject({
      source: {
        url: `${upstream.url}said/-/said-1.0.0.tgz`,
        integrity,
        signatures: [{ keyid: "SHA256:test", sig: "MEUC" }],
      },
      signatures: "unchecked",
      deprecated: "use \ufffdother",
      unpackedSize: 17,
      isLatest: true,
    });
    expect((await describeIt("said", "0.9.0")).isLatest).toBe(false);
  });

  it("a good signature is verified with the registry's keys, which are asked for once", async () => {
    const key = registryKey();
    upstream.keys = { keys: [key.listed] };
    await upstream.publish("signed", "1.0.0", { edit: key.sign });
    await upstream.publish("unsigned", "1.0.0", { edit: (entry) => delete entry.dist.signatures });
    const releases = openPublicReleases(options, exchange);
    const ask = (name: string): Promise<PublicRelease> => releases.describe({ name: name as PackageName, version: "1.0.0" as Version });
    expect([(await ask("signed")).signatures, (await ask("unsigned")).signatures]).toEqual(["verified", "none"]);
    expect(upstream.requests.filter(({ path: asked }) => asked === "/-/npm/v1/keys")).toHaveLength(1);
  });

  it.each(["of other bytes", "of another package", "of an unknown key", "of a key that had expired", "no signature at all"])(
    "a signature %s is refused",
    async (what) => {
      const key = registryKey(what === "of a key that had expired" ? "2019-01-01T00:00:00.000Z" : null);
      upstream.keys = { keys: [key.listed] };
      await upstream.publish("forged", "1.0.0", {
        edit: (entry) => {
          if (what === "of an unknown key") return registryKey().sign(entry);
          if (what === "no signature at all") entry.dist.signatures = [{ keyid: (key.listed as { keyid: string }).keyid, sig: "MEUC" }];
          else key.sign(what === "of another package" ? { ...entry, name: "honest", dist: entry.dist } : entry);
          if (what === "of other bytes") entry.dist.integrity = `sha512-${Buffer.alloc(64).toString("base64")}`;
          return undefined;
        },
      });
      await expect(describeIt("forged")).rejects.toMatchObject({
        code: "BAD_SIGNATURE",
        message: expect.stringContaining("forged@1.0.0") as string,
      });
    },
  );

  it("keys that are none, or that fail to come, are no missing keys", async () => {
    await upstream.publish("any", "1.0.0");
    upstream.intercept = (request, response) => {
      if (request.url !== "/-/npm/v1/keys") return false;
      response.writeHead(500).end();
      return true;
    };
    await expect(describeIt("any")).rejects.toMatchObject({ code: "UPSTREAM_FAILED" });
    upstream.intercept = (request, response) => {
      if (request.url !== "/-/npm/v1/keys") return false;
      response.writeHead(200).end('{"keys":"none"}');
      return true;
    };
    await expect(describeIt("any")).rejects.toMatchObject({ code: "UPSTREAM_FAILED" });
  });

  it.each([
    ["another name", (entry: { name: string }) => (entry.name = "other")],
    ["another version", (entry: { version: string }) => (entry.version = "1.0.1")],
    ["no tarball", (entry: { dist: { tarball: string } }) => (entry.dist.tarball = "nothing")],
    [
      "a tarball in a private network (S1)",
      (entry: { dist: { tarball: string } }) => (entry.dist.tarball = "http://169.254.169.254/x.tgz"),
    ],
    ["a tarball that is a file (S1)", (entry: { dist: { tarball: string } }) => (entry.dist.tarball = "file:///etc/passwd")],
    [
      "no hash",
      ({ dist }: { dist: { integrity?: string; shasum?: string } }) => {
        delete dist.integrity;
        delete dist.shasum;
      },
    ],
    [
      "a hash that nobody can check",
      ({ dist }: { dist: { integrity?: string; shasum?: string } }) => {
        dist.integrity = "md5-1B2M2Y8AsgTpgAmY7PhCfg==";
        dist.shasum = "x";
      },
    ],
  ])("%s is refused", async (what, edit) => {
    const name = `odd-${createHash("sha1").update(what).digest("hex")}`;
    await upstream.publish(name, "1.0.0", { edit });
    await expect(describeIt(name)).rejects.toMatchObject({ code: "IMPORT_REFUSED" });
  });
});

describe("downloads", () => {
  const limits: DownloadLimits = {
    maxBytes: 100_000,
    deadlineMs: 60_000,
    signal: new AbortController().signal,
    onBytes: () => {},
  };
  const download = async (name: string, more: Partial<DownloadLimits> = {}): Promise<Buffer> => {
    const releases = openPublicReleases(options, exchange);
    const file = path.join(folder, "download.tgz");
    await releases.download(await releases.describe({ name: name as PackageName, version: "1.0.0" as Version }), file, {
      ...limits,
      ...more,
    });
    return readFileSync(file);
  };

  it("the bytes of its integrity, or of a shasum where an old package has no more", async () => {
    const bytes = await upstream.publish("exact", "1.0.0");
    const old = await upstream.publish("old", "1.0.0", { edit: ({ dist }) => delete dist.integrity });
    let counted = 0;
    expect(Buffer.compare(await download("exact", { onBytes: (count) => (counted += count) }), bytes)).toBe(0);
    expect(counted).toBe(bytes.byteLength);
    expect(Buffer.compare(await download("old"), old)).toBe(0);
    expect(upstream.requests.map((request) => request.path)).toEqual([
      "/-/npm/v1/keys",
      "/exact",
      "/exact/-/exact-1.0.0.tgz",
      "/-/npm/v1/keys",
      "/old",
      "/old/-/old-1.0.0.tgz",
    ]);
    upstream.requests.length = 0;
    expect(Buffer.compare(await download("exact"), bytes)).toBe(0);
    expect(upstream.requests.filter((request) => request.path.endsWith(".tgz"))).toEqual([]);
  });

  it.each(["integrity", "shasum"] as const)("other bytes than its %s are refused", async (field) => {
    await upstream.publish(`bad-${field}`, "1.0.0", {
      edit: ({ dist }) => {
        if (field === "shasum") delete dist.integrity;
        dist[field] = field === "shasum" ? "0".repeat(40) : `sha512-${Buffer.alloc(64).toString("base64")}`;
      },
    });
    await expect(download(`bad-${field}`)).rejects.toMatchObject({ code: "TARBALL_MISMATCH" });
  });

  it("T8 an endless tarball is cut off, and so is one that never comes", async () => {
    await upstream.publish("endless", "1.0.0");
    let sent = 0;
    upstream.intercept = (request, response) => {
      if (request.url?.endsWith(".tgz") !== true) return false;
      response.writeHead(200);
      const more = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536, 1))) sent += 65_536;
      };
      response.on("drain", more);
      more();
      return true;
    };
    await expect(download("endless")).rejects.toMatchObject({ code: "IMPORT_REFUSED" });
    expect(sent).toBeLessThan(64 * 1024 * 1024);
    upstream.intercept = (request) => request.url?.endsWith(".tgz") === true;
    await expect(download("endless", { deadlineMs: 200 })).rejects.toMatchObject({ code: "TIMED_OUT" });
  });

  it("ends when another one has failed", async () => {
    await upstream.publish("waiting", "1.0.0");
    const others = new AbortController();
    upstream.intercept = (request) => {
      if (request.url?.endsWith(".tgz") !== true) return false;
      others.abort();
      return true;
    };
    await expect(download("waiting", { signal: others.signal })).rejects.toMatchObject({ code: "UPSTREAM_FAILED" });
  });

  it("with the user's credentials, and only to the host that they are for", async () => {
    const other = await startUpstream();
    try {
      const seen: string[] = [];
      const spy = (where: string) => (request: IncomingMessage) => {
        seen.push(`${where} ${request.headers.authorization ?? "-"}`);
        return false;
      };
      upstream.intercept = spy("registry");
      other.intercept = spy("other");
      await other.publish("@mine/x", "1.0.0");
      await upstream.publish("private", "1.0.0");
      const { host } = new URL(upstream.url);
      ask({ registry: upstream.url, options: { fetchRetries: 0, [`//${host}/:_authToken`]: "secret", "@mine:registry": other.url } });
      await resolve(["private", "@mine/x"], true);
      await download("private");
      expect(new Set(seen)).toEqual(new Set(["registry Bearer secret", "other -"]));
    } finally {
      await other.close();
    }
  });
});
