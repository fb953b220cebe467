/** How long upstream may take: each cap lowered alone, so that the words of the error say which one it was. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, createServer as createSocketServer, type Server } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { expect, it, onTestFinished } from "vitest";
import { openUpstreamClient } from "../../src/registry/upstream/client.ts";
import { createTarballs } from "../../src/registry/upstream/tarballs.ts";
import { UPSTREAM_TIMES, type UpstreamTimes } from "../../src/registry/upstream/times.ts";
import { nodeFiles } from "../../src/storage/files.ts";
import { openSpool } from "../../src/storage/spool.ts";
import { temporaryFolder } from "../storage/temporary.ts";

const EVERY_MS = 50;
const TRICKLE_PIECES = 8;

async function listen(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

/** `/never`: no headers; `/stalls`: no end; `/trickle`: its end after eight pieces. */
async function upstream(): Promise<string> {
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    if (request.url === "/never") return;
    response.write("start");
    if (request.url === "/stalls") return;
    let pieces = 0;
    const timer = setInterval(() => {
      if (++pieces <= TRICKLE_PIECES) return void response.write(".");
      clearInterval(timer);
      response.end();
    }, EVERY_MS);
    response.once("close", () => clearInterval(timer));
  });
  const port = await listen(server);
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${String(port)}/`;
}

/** Takes connections and never shakes hands; `closed` counts those that the other side gave up. */
async function mute(closed: { count: number }, resetAfterMs: number): Promise<string> {
  const server = createSocketServer((socket) => {
    socket.on("error", () => undefined);
    socket.resume().once("close", () => closed.count++);
    const timer = setTimeout(() => void socket.resetAndDestroy(), resetAfterMs);
    onTestFinished(() => clearTimeout(timer));
    onTestFinished(() => void socket.destroy());
  });
  const port = await listen(server);
  onTestFinished(() => void server.close());
  return `https://127.0.0.1:${String(port)}/`;
}

function clientOf(registry: string, times: Partial<UpstreamTimes>): ReturnType<typeof openUpstreamClient> {
  const options = { noProxy: "127.0.0.1", fetchRetries: 0 };
  const client = openUpstreamClient({
    settings: async () => ({ registry, options }),
    instance: "0".repeat(16),
    times: { ...UPSTREAM_TIMES, ...times },
  });
  onTestFinished(() => client.close());
  return client;
}

async function fetched(registry: string, where: string, times: Partial<UpstreamTimes>): Promise<string> {
  const response = await clientOf(registry, times).get(where, { accept: "application/json", what: where });
  const chunks: Uint8Array[] = [];
  for await (const chunk of response.body) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

const failed = (state: string): object => ({ code: "UPSTREAM_FAILED", message: expect.stringContaining(state) as string });

it("T9 silence before the headers or in the body ends an answer, pieces of it do not", async () => {
  const registry = await upstream();
  await expect(fetched(registry, "/never", { idleMs: 150 })).rejects.toMatchObject(failed("nothing for 150 ms"));
  await expect(fetched(registry, "/stalls", { idleMs: 150 })).rejects.toMatchObject(failed("nothing for 150 ms"));
  expect(await fetched(registry, "/trickle", { idleMs: EVERY_MS * 6 })).toBe(`start${".".repeat(TRICKLE_PIECES)}`);
});

it("T9 a document that comes piece by piece ends at its deadline, whole ones do not", async () => {
  const registry = await upstream();
  await expect(fetched(registry, "/trickle", { documentMs: EVERY_MS * 4 })).rejects.toMatchObject(failed("no end after 200 ms"));
  expect(await fetched(registry, "/trickle", { documentMs: EVERY_MS * 60 })).toMatch(/^start/);
});

it("T9 a tarball has a deadline of its own", async () => {
  const registry = await upstream();
  const hex = "0".repeat(128);
  const tarball = async (tarballMs: number): Promise<unknown> => {
    const times = { ...UPSTREAM_TIMES, documentMs: 1, tarballMs };
    const deps = { client: clientOf(registry, times), files: nodeFiles(), spool: openSpool, folder: temporaryFolder(), times };
    return createTarballs(deps).open({ url: `${registry}trickle`, algorithm: "sha512", hex }, "x.tgz", undefined);
  };
  await expect(tarball(EVERY_MS * 4)).rejects.toMatchObject(failed("no end after 200 ms"));
  // all of it came, and is not what was promised
  await expect(tarball(EVERY_MS * 60)).rejects.toMatchObject({ code: "TARBALL_MISMATCH" });
});

it("T9 a connection that does not stand in time is given up, one that stands has all the time of its answer", async () => {
  const begun = performance.now();
  const closed = { count: 0 };
  await expect(fetched(await mute(closed, 60_000), "/x", { connectMs: 150 })).rejects.toMatchObject(failed("ECONNECTIONTIMEOUT"));
  expect(performance.now() - begun).toBeLessThan(20_000);
  for (let tries = 0; closed.count === 0 && tries < 1000; tries++) await delay(20);
  expect(closed.count).toBe(1);
  expect(await fetched(await upstream(), "/trickle", { connectMs: EVERY_MS * 4 })).toMatch(/^start/);
});

it("T9 a host that resets a connection that was given up ends nothing", async () => {
  const closed = { count: 0 };
  const unheard: unknown[] = [];
  const hear = (error: unknown): void => void unheard.push(error);
  process.on("uncaughtException", hear);
  onTestFinished(() => void process.off("uncaughtException", hear));
  await expect(fetched(await mute(closed, 400), "/x", { connectMs: 150 })).rejects.toMatchObject(failed("ECONNECTIONTIMEOUT"));
  await delay(600);
  expect(unheard).toEqual([]);
});
