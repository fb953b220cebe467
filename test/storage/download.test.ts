import { once } from "node:events";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { isPublicAddress } from "../../src/storage/addresses.ts";
import { download } from "../../src/storage/download.ts";
import { freePort } from "../support/free-port.ts";
import type { DownloadOptions } from "../../src/storage/download.ts";

const OPTIONS: DownloadOptions = { maxBytes: 1_000_000, deadlineMs: 5000, idleMs: 2000, allowPrivate: true };

async function serve(handle: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const server = createServer(handle);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
}

async function bodyOf(address: string, options: Partial<DownloadOptions> = {}): Promise<string> {
  const got = await download(address, { ...OPTIONS, ...options });
  const chunks: Uint8Array[] = [];
  for await (const chunk of got.body) chunks.push(chunk);
  return `${String(got.status)} ${Buffer.concat(chunks).toString()}`;
}

describe("download", () => {
  test("a body, its status and headers", async () => {
    const base = await serve((request, response) => response.writeHead(request.url === "/a" ? 200 : 404, { etag: "x" }).end("text"));
    expect(await bodyOf(`${base}/a`)).toBe("200 text");
    expect(await bodyOf(`${base}/b`)).toBe("404 text");
    const got = await download(`${base}/a`, OPTIONS);
    expect(got.headers.get("etag")).toBe("x");
    await got.cancel();
  });

  test("too much, announced or not, is TOO_LARGE in flat memory", async () => {
    const base = await serve((request, response) => {
      if (request.url === "/announced") return void response.writeHead(200, { "content-length": "2000000" }).write("x");
      const block = Buffer.alloc(1 << 20);
      const timer = setInterval(() => response.writableNeedDrain || response.write(block), 1);
      response.on("close", () => clearInterval(timer));
    });
    await expect(download(`${base}/announced`, OPTIONS)).rejects.toMatchObject({ code: "TOO_LARGE" });
    const before = process.memoryUsage().rss;
    await expect(bodyOf(`${base}/endless`, { maxBytes: 20 << 20 })).rejects.toMatchObject({ code: "TOO_LARGE" });
    expect(process.memoryUsage().rss - before).toBeLessThan(64 << 20);
  });

  test("silence before the headers, silence in the body, and a trickle are TIMED_OUT", async () => {
    const base = await serve((request, response) => {
      if (request.url === "/never") return;
      response.write("start");
      if (request.url === "/stalls") return;
      const timer = setInterval(() => response.write("."), 50);
      response.on("close", () => clearInterval(timer));
    });
    const timedOut = (state: string): object => ({ code: "TIMED_OUT", message: expect.stringContaining(state) as string });
    await expect(bodyOf(`${base}/never`, { idleMs: 150 })).rejects.toMatchObject(timedOut("nothing for 150 ms"));
    await expect(bodyOf(`${base}/stalls`, { idleMs: 150 })).rejects.toMatchObject(timedOut("nothing for 150 ms"));
    await expect(bodyOf(`${base}/trickle`, { idleMs: 5000, deadlineMs: 600 })).rejects.toMatchObject(timedOut("no end after 600 ms"));
  });

  test("an answer that is slow, but not that slow, is taken", async () => {
    const base = await serve((_, response) => {
      let pieces = 0;
      const timer = setInterval(() => {
        if (++pieces < 10) return void response.write(".");
        clearInterval(timer);
        response.end();
      }, 50);
    });
    expect(await bodyOf(base, { idleMs: 2000, deadlineMs: 20_000 })).toBe(`200 ${".".repeat(9)}`);
  });

  test("no connection, or one that breaks, is UNREACHABLE", async () => {
    const base = await serve((_, response) => {
      response.writeHead(200, { "content-length": "100" });
      response.write("half", () => response.destroy());
    });
    await expect(bodyOf(base)).rejects.toMatchObject({ code: "UNREACHABLE" });
    await expect(bodyOf(`http://127.0.0.1:${String(await freePort())}/`)).rejects.toMatchObject({
      code: "UNREACHABLE",
      message: expect.stringMatching(/the connection failed \(ECONNREFUSED\)$/) as string,
    });
    await expect(
      bodyOf("https://host.example/", { allowPrivate: false, resolveHost: () => Promise.reject(new Error("no")) }),
    ).rejects.toMatchObject({ code: "UNREACHABLE" });
  });

  test("redirects are followed, five at most; the caller's headers go to the first host only", async () => {
    const seen: string[] = [];
    const other = await serve((request, response) => {
      seen.push(`other ${request.headers.authorization ?? "-"} ${String(request.headers["x-key"] ?? "-")}`);
      response.end("there");
    });
    /** As many redirects as the path says. */
    const HOPS = { "/6": "/5", "/5": "/4", "/4": "/3", "/3": "/2", "/2": "/1", "/1": `${other}/x` };
    const base = await serve((request, response) => {
      seen.push(`base ${request.headers.authorization ?? "-"}`);
      const target = { "/same": "/same2", "/same2": `${other}/x`, "/loop": "/loop", ...HOPS }[request.url ?? ""];
      response.writeHead(302, { location: target ?? "/" }).end();
    });
    expect(await bodyOf(`${base}/same`, { headers: { authorization: "Bearer t", "x-key": "k" } })).toBe("200 there");
    expect(seen).toEqual(["base Bearer t", "base Bearer t", "other - -"]);
    seen.length = 0;
    await expect(bodyOf(`${base}/loop`)).rejects.toMatchObject({ code: "UNREACHABLE" });
    expect(seen).toHaveLength(6);
    expect(await bodyOf(`${base}/5`)).toBe("200 there");
    await expect(bodyOf(`${base}/6`)).rejects.toMatchObject({ code: "UNREACHABLE" });
  });

  test.each([
    "http://host.example/x",
    "ftp://host.example/x",
    "file:///etc/passwd",
    "https://user:secret@host.example/x",
    "https://127.0.0.1/x",
    "https://localhost/x",
    "https://[::1]/x",
    "https://[::ffff:10.0.0.1]/x",
    "https://169.254.169.254/latest",
    "https://0x7f.1/x",
    "https://2130706433/x",
    "https://private.example/x",
    "https://mixed.example/x",
    "https://nothing.example/x",
  ])("refuses %s without a request", async (address) => {
    let asked = 0;
    const addresses: Record<string, string[]> = {
      "private.example": ["192.168.1.1"],
      "mixed.example": ["93.184.216.34", "10.0.0.1"],
      "nothing.example": [],
    };
    const refused = download(address, {
      ...OPTIONS,
      allowPrivate: false,
      fetch: () => (asked++, Promise.resolve(new Response(""))),
      resolveHost: (host) => Promise.resolve(addresses[host] ?? ["93.184.216.34"]),
    });
    await expect(refused).rejects.toMatchObject({ code: "INVALID_URL", message: expect.not.stringContaining("secret") as string });
    expect(asked).toBe(0);
  });

  test("a redirect into the private network is refused", async () => {
    const asked: string[] = [];
    const fetch = (url: string | URL | Request): Promise<Response> => {
      asked.push(String(url as URL));
      return Promise.resolve(new Response(null, { status: 302, headers: { location: "https://10.1.2.3/secret" } }));
    };
    const got = download("https://host.example/x", {
      ...OPTIONS,
      allowPrivate: false,
      fetch,
      resolveHost: () => Promise.resolve(["93.184.216.34"]),
    });
    await expect(got).rejects.toMatchObject({ code: "INVALID_URL" });
    expect(asked).toEqual(["https://host.example/x"]);
  });

  test("http to another machine is refused even where private addresses are allowed", async () => {
    await expect(download("http://10.0.0.1/x", OPTIONS)).rejects.toMatchObject({ code: "INVALID_URL" });
  });
});

test.each([
  ["93.184.216.34", true],
  ["2606:2800:220:1::1", true],
  ["10.0.0.1", false],
  ["100.64.0.1", false],
  ["172.31.255.255", false],
  ["172.32.0.1", true],
  ["0.0.0.0", false],
  ["255.255.255.255", false],
  ["224.0.0.1", false],
  ["::", false],
  ["::1", false],
  ["fe80::1%eth0", false],
  ["fc00::1", false],
  ["::ffff:8.8.8.8", false],
  ["64:ff9b::a00:1", false],
  ["2002:a00:1::", false],
  ["2001:0:1::", false],
  ["ff02::1", false],
  ["not an address", false],
])("%s is public: %s", (address, expected) => {
  expect(isPublicAddress(address)).toBe(expected);
});
