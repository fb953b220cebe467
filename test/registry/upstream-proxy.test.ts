/** Between clients and an upstream that is far away, slow, or another resolver: what is asked, how often, and of whom. */
import { readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { createAdaptorServer } from "@hono/node-server";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createApp } from "../../src/http/app.ts";
import { formatVia, parseVia } from "../../src/registry/upstream/via.ts";
import { ImprintError } from "../../src/errors.ts";
import { nodeFiles } from "../../src/storage/files.ts";
import { openSpool, type Spool } from "../../src/storage/spool.ts";
import { failingFiles } from "../storage/failing-files.ts";
import { makePackage } from "../support/tarball.ts";
import { ORIGIN, type TestConsumer, type World, world } from "../support/world.ts";

const HOST = new URL(ORIGIN).host;
const LARGE = "/large/-/large-1.0.0.tgz";

let w: World;
let large: Uint8Array;

beforeAll(async () => {
  w = await world();
  await w.upstream.publish("is-odd", "1.0.0");
  large = await makePackage(
    { name: "large", version: "1.0.0" },
    { "pad.bin": new Uint8Array(1_000_000).map((_, i) => (i * 7919 * (i >> 3)) >> 5) },
  );
  await w.upstream.publish("large", "1.0.0", { tarball: large });
});
beforeEach(() => {
  w.upstream.up();
  w.upstream.intercept = null;
  w.upstream.requests.length = 0;
});
afterAll(() => w.close());

const asked = (): readonly string[] => w.upstream.requests.map(({ path: where }) => where);

/** Sends half of the large tarball, and the rest when told to. */
function pausedDownload(): { readonly finish: () => void; readonly begun: Promise<void>; readonly ended: () => boolean } {
  let finish = (): void => undefined;
  let begin = (): void => undefined;
  let hasEnded = false;
  const begun = new Promise<void>((resolve) => (begin = resolve));
  w.upstream.intercept = (request, response) => {
    if (request.url !== LARGE) return false;
    response.writeHead(200, { "content-length": large.byteLength });
    response.write(large.subarray(0, large.byteLength / 2), () => begin());
    response.once("close", () => (hasEnded = true));
    finish = () => response.end(large.subarray(large.byteLength / 2));
    return true;
  };
  return { finish: () => finish(), begun, ended: () => hasEnded };
}

function open(c: TestConsumer, where: string): Promise<Response> {
  return Promise.resolve(c.app.request(`${ORIGIN}${where}`, { headers: { host: HOST } }));
}

async function bytesOf(response: Response): Promise<Buffer> {
  return Buffer.from(await response.arrayBuffer());
}

describe("documents on disk", () => {
  it("survive a restart: revalidated with their ETag, not fetched again", async () => {
    let c = await w.consumer();
    const first = await c.get("/is-odd");
    c = await c.again({ nowMs: () => Date.now() + 360_000 });
    const second = await c.get("/is-odd");
    expect(second.headers.get("etag")).toBe(first.headers.get("etag"));
    expect(w.upstream.requests.map(({ ifNoneMatch }) => ifNoneMatch === null)).toEqual([true, false]);
  });

  it("are not even asked for again within five minutes", async () => {
    const c = await w.consumer();
    await c.get("/is-odd");
    expect((await (await c.again()).get("/is-odd")).status).toBe(200);
    expect(asked()).toHaveLength(1);
  });

  it.each([
    ["flipped", (file: string) => writeFileSync(file, Buffer.from(readFileSync(file).map((byte, i) => (i === 300 ? byte ^ 1 : byte))))],
    ["cut", (file: string) => truncateSync(file, 300)],
    [
      "with another document in it",
      (file: string) => {
        const head = readFileSync(file).subarray(0, readFileSync(file).indexOf(0x0a) + 1);
        writeFileSync(file, Buffer.concat([head, gzipSync('{"name":"is-odd","versions":{}}')]));
      },
    ],
    ["emptied", (file: string) => truncateSync(file, 0)],
    ["with another's key", (file: string) => writeFileSync(file, readFileSync(file, "latin1").replace("f is-odd", "f is-eve"), "latin1")],
  ])("%s: count as not there", async (_, spoil) => {
    const c = await w.consumer();
    await c.get("/is-odd");
    const [name] = readdirSync(c.layout.upstream, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    spoil(path.join(name?.parentPath ?? "", name?.name ?? ""));
    w.upstream.down();
    expect((await (await c.again()).get("/is-odd")).json.code).toBe("UPSTREAM_FAILED");
    w.upstream.up();
    expect((await (await c.again()).get("/is-odd")).status).toBe(200);
  });

  it("of another registry are another registry's", async () => {
    const other = await w.consumer();
    await other.get("/is-odd");
    const elsewhere = createServer((_, response) => response.writeHead(404).end("{}")).listen(0, "127.0.0.1");
    await once(elsewhere, "listening");
    const registry = `http://127.0.0.1:${String((elsewhere.address() as AddressInfo).port)}/`;
    expect((await (await other.again({ upstream: { registry } })).get("/is-odd")).status).toBe(404);
    elsewhere.close();
  });
});

describe("a definite no", () => {
  it("is remembered for a moment, and not for long", async () => {
    let now = 1_000_000;
    const c = await w.consumer({ nowMs: () => now });
    for (let times = 0; times < 3; times++) expect((await c.get("/fresh")).status).toBe(404);
    expect(asked()).toHaveLength(1);
    await w.upstream.publish("fresh", "1.0.0");
    now += 5001;
    expect((await c.get("/fresh")).status).toBe(200);
  });

  it("stays one while upstream is down afterwards, and after a restart", async () => {
    let now = Date.now();
    let c = await w.consumer({ nowMs: () => (now += 301_000) });
    expect((await c.get("/is-odd")).status).toBe(200);
    w.upstream.intercept = (_, response) => response.writeHead(404).end("{}") !== undefined;
    expect((await c.get("/is-odd")).status).toBe(404);
    w.upstream.down();
    expect((await c.get("/is-odd")).status).toBe(502);
    c = await c.again();
    expect((await c.get("/is-odd")).status).toBe(502);
  });
});

describe("retries", () => {
  const times = { firstWaitMs: 100, maxWaitMs: 600, patienceMs: 5000 };

  it.each([
    ["429 with Retry-After, of an hour", 429, "3600", 600],
    ["429 without", 429, undefined, 100],
    ["503", 503, undefined, 100],
    ["500", 500, undefined, 100],
  ])("%s: asked again after a wait, bounded", async (_, status, retryAfter, atLeastMs) => {
    const at: number[] = [];
    w.upstream.intercept = (_request, response) => {
      at.push(performance.now());
      if (at.length > 1) return false;
      response.writeHead(status, retryAfter === undefined ? {} : { "retry-after": retryAfter }).end("{}");
      return true;
    };
    const c = await w.consumer({ times, npm: { fetchRetries: 2 } });
    expect((await c.get("/is-odd")).status).toBe(200);
    const waited = (at[1] ?? 0) - (at[0] ?? 0);
    expect(waited).toBeGreaterThan(atLeastMs - 10);
  });

  it("end while a client still waits", async () => {
    w.upstream.intercept = (_, response) => response.writeHead(503).end("{}") !== undefined;
    const c = await w.consumer({ times: { ...times, patienceMs: 250 }, npm: { fetchRetries: 100 } });
    expect((await c.get("/is-odd")).status).toBe(502);
    expect(asked().length).toBeLessThan(4);
  });

  it("where nobody answered, older answers come at once for a moment", async () => {
    let now = Date.now();
    const c = await w.consumer({ nowMs: () => (now += 301_000), times: { firstWaitMs: 1000, deadMs: 60_000 }, npm: { fetchRetries: 1 } });
    for (const name of ["/is-odd", "/large"]) await c.get(name);
    w.upstream.down();
    expect((await c.get("/is-odd")).status).toBe(200);
    // Were each of them asked and asked again, they would take a second each.
    const begun = performance.now();
    for (let times = 0; times < 20; times++) expect((await c.get(times % 2 === 0 ? "/is-odd" : "/large")).status).toBe(200);
    expect(performance.now() - begun).toBeLessThan(15_000);
  });
});

describe("tarballs", () => {
  it("eight at once: one request upstream; who comes late reads from the start and follows; who leaves harms nobody", async () => {
    const c = await w.consumer();
    const { begun, finish } = pausedDownload();
    const eight = Array.from({ length: 8 }, () => open(c, LARGE));
    await begun;
    const responses = await Promise.all(eight);
    // Given on while it comes: half of it is here, although upstream has not sent the rest.
    const readers = responses.map((response) => response.body?.getReader());
    const firsts = await Promise.all(readers.map(async (reader) => reader?.read()));
    for (const first of firsts) expect(first?.value?.byteLength).toBeGreaterThan(0);
    await readers[0]?.cancel();
    const late = await open(c, LARGE);
    finish();
    const rest = await Promise.all(
      readers.slice(1).map(async (reader, i) => {
        const parts = [Buffer.from(firsts[i + 1]?.value ?? [])];
        for (let part = await reader?.read(); part?.done === false; part = await reader?.read()) parts.push(Buffer.from(part.value));
        return Buffer.concat(parts);
      }),
    );
    for (const bytes of [...rest, await bytesOf(late)]) expect(bytes.equals(Buffer.from(large))).toBe(true);
    expect(asked().filter((where) => where === LARGE)).toHaveLength(1);
  });

  it("when the last has left, the download ends, and the next one starts anew", async () => {
    const c = await w.consumer();
    const { begun, ended } = pausedDownload();
    const [one, two] = [open(c, LARGE), open(c, LARGE)];
    await begun;
    await (await one).body?.cancel();
    await delay(50);
    expect(ended()).toBe(false);
    await (await two).body?.cancel();
    for (let tries = 0; !ended() && tries < 1000; tries++) await delay(20);
    expect(ended()).toBe(true);
    w.upstream.intercept = null;
    expect((await c.get(LARGE)).bytes.byteLength).toBe(large.byteLength);
    expect(readdirSync(c.layout.upstream, { recursive: true }).filter((name) => String(name).includes(".imprint-tmp-"))).toEqual([]);
  });

  it("that are here need no upstream, not even after a restart and long afterwards", async () => {
    let c = await w.consumer();
    expect((await c.get(LARGE)).status).toBe(200);
    w.upstream.down();
    c = await c.again({ nowMs: () => Date.now() + 1e10 });
    const { status, bytes } = await c.get(LARGE);
    expect([status, Buffer.from(bytes).equals(Buffer.from(large))]).toEqual([200, true]);
    expect(asked().filter((where) => where === LARGE)).toHaveLength(1);
  });

  it("of a version that upstream took back are refused, although an older answer still lists it", async () => {
    let now = Date.now();
    let c = await w.consumer({ nowMs: () => now });
    await w.upstream.publish("taken", "1.0.0");
    await w.upstream.publish("taken", "1.0.1");
    expect((await c.get("/taken", { accept: "application/vnd.npm.install-v1+json" })).status).toBe(200);
    const packument = w.upstream.packuments.get("taken");
    delete packument?.versions["1.0.1"];
    now += 301_000;
    expect(Object.keys((await c.get("/taken")).json.versions)).toEqual(["1.0.0"]);
    for (const again of [false, true]) {
      if (again) c = await c.again();
      expect((await c.get("/taken/-/taken-1.0.1.tgz")).status).toBe(404);
      expect((await c.get("/taken/-/taken-1.0.0.tgz")).status).toBe(200);
    }
  });

  it("that went bad on this disk are not given out, but fetched again", async () => {
    const c = await w.consumer();
    await c.get(LARGE);
    const [file] = readdirSync(path.join(c.layout.upstream, "tarballs"), { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    );
    const at = path.join(file?.parentPath ?? "", file?.name ?? "");
    writeFileSync(at, Buffer.from(large).reverse());
    expect(Buffer.from((await c.get(LARGE)).bytes).equals(Buffer.from(large))).toBe(true);
    expect(asked().filter((where) => where === LARGE)).toHaveLength(2);
  });
});

describe("what is not right", () => {
  it("never completes for a client, however slow the check is: the last byte is held back", async () => {
    const slowly = async (file: string): Promise<Spool> => {
      const spool = await openSpool(file);
      return {
        ...spool,
        // All is written and could be read, and nobody has looked yet whether it is right.
        append: async (chunk) => {
          await spool.append(chunk);
          await delay(30);
        },
      };
    };
    const c = await w.consumer({ spool: slowly });
    w.upstream.intercept = (request, response) => {
      if (request.url !== LARGE) return false;
      response.writeHead(200, { "content-length": large.byteLength }).end(Buffer.from(large).fill(7, large.byteLength - 100));
      return true;
    };
    const reader = (await open(c, LARGE)).body?.getReader();
    let got = 0;
    await expect(
      (async () => {
        for (let part = await reader?.read(); part?.done === false; part = await reader?.read()) got += part.value.byteLength;
      })(),
    ).rejects.toMatchObject({ code: "TARBALL_MISMATCH" });
    expect(got).toBe(large.byteLength - 1);
  });
});

describe("a disk that is full", () => {
  it("C1 documents are answered all the same, again and again", async () => {
    const c = await w.consumer({ files: failingFiles(nodeFiles(), 0) });
    for (let times = 0; times < 3; times++) expect((await c.get("/is-odd")).status).toBe(200);
    expect((await (await c.again()).get("/is-odd")).status).toBe(200);
  });

  const spoolThatFails =
    (at: "open" | "append" | "keep") =>
    async (file: string): Promise<Spool> => {
      const fail = async (): Promise<never> => {
        throw new ImprintError("STORAGE_FAILED", `Cannot write ${file}: ENOSPC`);
      };
      return at === "open" ? fail() : { ...(await openSpool(file)), [at]: fail };
    };

  it.each(["open", "append"] as const)("C1 a tarball that cannot be kept while it comes (%s): 503, and nothing stays", async (at) => {
    const c = await w.consumer({ spool: spoolThatFails(at) });
    const { status, json } = await c.get(LARGE);
    expect([status, json.code]).toEqual([503, "STORAGE_FAILED"]);
    const left = readdirSync(c.layout.upstream, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    expect(left.filter(({ parentPath }) => parentPath.includes("tarballs"))).toEqual([]);
  });

  it("C1 one that cannot be named in the end reaches its client whole", async () => {
    const c = await w.consumer({ spool: spoolThatFails("keep") });
    for (let times = 0; times < 2; times++) expect(Buffer.from((await c.get(LARGE)).bytes).equals(Buffer.from(large))).toBe(true);
    expect(asked().filter((where) => where === LARGE)).toHaveLength(2);
  });
});

describe("the end", () => {
  it("what is still on its way when a resolver closes is ended", async () => {
    let open = 0;
    w.upstream.intercept = (_, response) => {
      open++;
      response.once("close", () => open--);
      return true;
    };
    const c = await w.consumer({ npm: { fetchRetries: 5 } });
    const [document, tarball] = [c.get("/is-odd"), c.get("/large")];
    for (let tries = 0; open < 2 && tries < 1000; tries++) await delay(20);
    const begun = performance.now();
    await c.close();
    for (const answer of [await document, await tarball]) expect(answer.json.code).toBe("UPSTREAM_FAILED");
    expect(performance.now() - begun).toBeLessThan(10_000);
    for (let tries = 0; open > 0 && tries < 1000; tries++) await delay(20);
    expect(open).toBe(0);
  });
});

describe("Via", () => {
  it("is read for resolvers alone", () => {
    expect(parseVia("1.1 squid, 1.1 imprint-0123456789abcdef,1.0 imprint-ffffffffffffffff , HTTP/1.1 imprint-x")).toEqual([
      "0123456789abcdef",
      "ffffffffffffffff",
    ]);
    expect(parseVia(undefined)).toEqual([]);
    expect(parseVia(formatVia(["0123456789abcdef", "ffffffffffffffff"]))).toEqual(["0123456789abcdef", "ffffffffffffffff"]);
  });

  it("names this resolver upstream, after those before it", async () => {
    let via: unknown;
    w.upstream.intercept = (request) => {
      via = request.headers["via"];
      return false;
    };
    const c = await w.consumer({ instance: "0123456789abcdef" });
    await c.get("/is-odd", { via: "1.1 squid, 1.1 imprint-ffffffffffffffff" });
    expect(via).toBe("1.1 imprint-ffffffffffffffff, 1.1 imprint-0123456789abcdef");
  });

  it("eight resolvers in a row are one too many", async () => {
    const c = await w.consumer();
    const via = (count: number): string => formatVia(Array.from({ length: count }, (_, i) => String(i).padStart(16, "0")));
    expect((await c.get("/is-odd", { via: via(7) })).status).toBe(200);
    expect((await c.get("/is-odd", { via: via(8) })).status).toBe(508);
  });

  type Pair = {
    readonly registries: readonly string[];
    readonly install: (i: number, c: TestConsumer) => void;
    readonly close: () => void;
  };

  async function twoServers(): Promise<Pair> {
    const servers: Server[] = [];
    const apps: TestConsumer["app"][] = [];
    const registries: string[] = [];
    for (let i = 0; i < 2; i++) {
      const server = createAdaptorServer({ fetch: (request: Request) => (apps[i] as TestConsumer["app"]).fetch(request) }) as Server;
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      servers.push(server);
      registries.push(`http://127.0.0.1:${String((server.address() as AddressInfo).port)}/`);
    }
    return {
      registries,
      install(i, c) {
        const { host } = new URL(registries[i] as string);
        apps[i] = createApp({ ...c.appDeps, bases: () => ({ list: [`http://${host}`], trustProxy: false }) });
      },
      close() {
        for (const server of servers) server.close();
      },
    };
  }

  it("two resolvers that point at each other end at once, whoever is asked, also both at once", async () => {
    const { registries, install, close } = await twoServers();
    for (let i = 0; i < 2; i++)
      install(i, await w.consumer({ upstream: { registry: registries[1 - i] as string }, npm: { fetchRetries: 2 } }));
    const paths = ["is-odd", "is-odd", "is-odd/-/is-odd-1.0.0.tgz", "is-odd/latest", "-/npm/v1/attestations/is-odd@1.0.0", "-/npm/v1/keys"];
    const answers = await Promise.all(registries.flatMap((registry) => paths.map((where) => fetch(`${registry}${where}`))));
    for (const answer of answers) expect([answer.url, answer.status]).toEqual([answer.url, 508]);
    const { error } = (await (answers[0] as Response).json()) as { error: string };
    expect(error).toMatch(/^is-odd: Cannot [^\n]* \(LOOP_DETECTED\); run: imprint why is-odd$/);
    close();
  });

  it("also for tarballs of packages that both know already", async () => {
    const { registries, install, close } = await twoServers();
    const consumers = [await w.consumer(), await w.consumer()];
    const later = { nowMs: () => Date.now() + 1e9 };
    // Each knows the package from the other, from a time when that one was nearer to its source.
    for (const i of [0, 1]) {
      consumers[1 - i] = await (consumers[1 - i] as TestConsumer).again({ ...later, upstream: { registry: w.upstream.url } });
      install(1 - i, consumers[1 - i] as TestConsumer);
      consumers[i] = await (consumers[i] as TestConsumer).again({ upstream: { registry: registries[1 - i] as string } });
      expect((await (consumers[i] as TestConsumer).get("/is-odd", { accept: "application/vnd.npm.install-v1+json" })).status).toBe(200);
    }
    for (const i of [0, 1]) install(i, await (consumers[i] as TestConsumer).again({ upstream: { registry: registries[1 - i] as string } }));
    w.upstream.requests.length = 0;
    const answers = await Promise.all(registries.map((registry) => fetch(`${registry}is-odd/-/is-odd-1.0.0.tgz`)));
    expect(answers.map(({ status }) => status)).toEqual([508, 508]);
    expect(w.upstream.requests).toEqual([]);
    close();
  });
});
