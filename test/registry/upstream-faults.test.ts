/**
 * Every fault of an upstream × what was asked × what was known: the status, how long it took, and what lies in the cache
 * afterwards. The table is the expectation, and is printed as it was found.
 */
import { readdirSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { UpstreamTimes } from "../../src/registry/upstream/times.ts";
import { makePackage } from "../support/tarball.ts";
import { type TestConsumer, type World, world } from "../support/world.ts";

const TIMES: Partial<UpstreamTimes> = {
  connectMs: 1000,
  idleMs: 800,
  documentMs: 1500,
  tarballMs: 1500,
  firstWaitMs: 20,
  maxWaitMs: 100,
  patienceMs: 300,
  freshMs: 0,
  staleAfterMs: 150,
  negativeMs: 0,
  deadMs: 0,
};
/** Beside the deadline that ends the worst of them: for a machine that does other things, too. */
const MAX_MS = 15_000;

type Kind = "packument" | "tarball" | "large tarball";
/** What a fault does to the answer that upstream would have given; true: nothing more to be said. */
type Fault = (asked: { readonly bytes: Uint8Array; readonly request: IncomingMessage; readonly response: ServerResponse }) => void;

const json = { "content-type": "application/json" };

const FAULTS: Readonly<Record<string, Fault>> = {
  dead: ({ request }) => void request.socket.destroy(),
  silent: () => undefined,
  slow: ({ bytes, response }) => {
    response.writeHead(200, { "content-length": bytes.byteLength });
    let at = 0;
    const timer = setInterval(() => response.write(bytes.subarray(at, ++at)), 50);
    response.once("close", () => clearInterval(timer));
  },
  "cut half-way": ({ bytes, request, response }) => {
    response.writeHead(200, { "content-length": bytes.byteLength });
    response.write(bytes.subarray(0, bytes.byteLength / 2), () => request.socket.destroy());
  },
  "cut, no length": ({ bytes, request, response }) => {
    response.writeHead(200);
    response.write(bytes.subarray(0, bytes.byteLength / 2), () => request.socket.destroy());
  },
  "too short": ({ bytes, response }) => void response.writeHead(200).end(bytes.subarray(0, -7)),
  "shorter than said": ({ bytes, response }) => {
    response.writeHead(200, { "content-length": bytes.byteLength + 100 });
    response.write(bytes);
  },
  "too long": ({ bytes, response }) => void response.writeHead(200).end(Buffer.concat([bytes, Buffer.from("more")])),
  "longer than said": ({ bytes, request }) => {
    request.socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${String(bytes.byteLength - 5)}\r\n\r\n`);
    request.socket.end(bytes);
  },
  "500": ({ response }) => void response.writeHead(500, json).end("{}"),
  "429": ({ response }) => void response.writeHead(429, { ...json, "retry-after": "3600" }).end("{}"),
  HTML: ({ response }) => void response.writeHead(200, json).end("<!doctype html><title>Log in to the hotel</title>"),
  changed: ({ bytes, response }) => {
    const other = Buffer.from(bytes);
    const at = Math.max(other.indexOf('"name":"'), 0) + 9;
    other[at] = (other[at] ?? 0) ^ 1;
    response.writeHead(200, { "content-length": other.byteLength }).end(other);
  },
  loop: ({ request, response }) => {
    void c.get(request.url ?? "/", { via: String(request.headers["via"]) }).then((looped) => {
      response.writeHead(looped.status, json).end(looped.bytes);
    });
  },
  "404": ({ response }) => void response.writeHead(404, json).end("{}"),
  "401": ({ response }) => void response.writeHead(401, json).end("{}"),
  "403": ({ response }) => void response.writeHead(403, json).end("{}"),
};

/** Fault → [packument, tarball, large tarball] that nobody had before. `cut`: 200, and broken off before its end. */
const COLD: Readonly<Record<string, readonly [string, string, string]>> = {
  dead: ["502 UPSTREAM_FAILED", "502 UPSTREAM_FAILED", "502 UPSTREAM_FAILED"],
  silent: ["502 UPSTREAM_FAILED", "502 UPSTREAM_FAILED", "502 UPSTREAM_FAILED"],
  slow: ["502 UPSTREAM_FAILED", "502 UPSTREAM_FAILED", "cut"],
  "cut half-way": ["502 UPSTREAM_FAILED", "502 UPSTREAM_FAILED", "cut"],
  "cut, no length": ["502 UPSTREAM_FAILED", "502 UPSTREAM_FAILED", "502 UPSTREAM_FAILED"],
  "too short": ["502 UPSTREAM_FAILED", "403 TARBALL_MISMATCH", "403 TARBALL_MISMATCH"],
  "shorter than said": ["502 UPSTREAM_FAILED", "502 UPSTREAM_FAILED", "cut"],
  "too long": ["502 UPSTREAM_FAILED", "403 TARBALL_MISMATCH", "403 TARBALL_MISMATCH"],
  "longer than said": ["502 UPSTREAM_FAILED", "403 TARBALL_MISMATCH", "cut"],
  "500": ["502 UPSTREAM_FAILED", "502 UPSTREAM_FAILED", "502 UPSTREAM_FAILED"],
  "429": ["502 UPSTREAM_FAILED", "502 UPSTREAM_FAILED", "502 UPSTREAM_FAILED"],
  HTML: ["502 UPSTREAM_FAILED", "403 TARBALL_MISMATCH", "403 TARBALL_MISMATCH"],
  changed: ["502 UPSTREAM_FAILED", "403 TARBALL_MISMATCH", "cut"],
  loop: ["508 LOOP_DETECTED", "508 LOOP_DETECTED", "508 LOOP_DETECTED"],
  "404": ["404 NOT_FOUND", "404 NOT_FOUND", "404 NOT_FOUND"],
  "401": ["403 DENIED", "403 DENIED", "403 DENIED"],
  "403": ["403 DENIED", "403 DENIED", "403 DENIED"],
};
/** Where the answer was known, before a restart, it is given again, unless upstream says no in so many words. */
const WARM_PACKUMENT: Readonly<Record<string, string>> = {
  loop: "508 LOOP_DETECTED",
  "404": "404 NOT_FOUND",
  "401": "403 DENIED",
  "403": "403 DENIED",
};
const WARM = "200 as before";

const PATHS: Readonly<Record<Kind, string>> = {
  packument: "/small",
  tarball: "/small/-/small-1.0.0.tgz",
  "large tarball": "/large/-/large-1.0.0.tgz",
};
const KINDS = Object.keys(PATHS) as readonly Kind[];

let w: World;
let c: TestConsumer;
const rows: string[][] = [];

beforeAll(async () => {
  w = await world();
  await w.upstream.publish("small", "1.0.0");
  const noise = new Uint8Array(400_000).map((_, i) => (i * 7919 * (i >> 3)) >> 5);
  await w.upstream.publish("large", "1.0.0", { tarball: await makePackage({ name: "large", version: "1.0.0" }, { "pad.bin": noise }) });
});
afterAll(async () => {
  await w.close();
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  console.log(rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ")).join("\n"));
});

/** The right bytes of an answer, which a fault then spoils. */
function honest(kind: Kind): Uint8Array {
  const tarball = w.upstream.tarballs.get(PATHS[kind]);
  return tarball ?? Buffer.from(JSON.stringify(w.upstream.packuments.get("small")));
}

function spoil(fault: Fault, kind: Kind): void {
  w.upstream.intercept = (request, response) => {
    if (decodeURIComponent(request.url ?? "") !== PATHS[kind]) return false;
    fault({ bytes: honest(kind), request, response });
    return true;
  };
}

function cachedOf(kind: Kind): "kept" | "nothing" {
  const folder = path.join(c.layout.upstream, kind === "packument" ? "documents" : "tarballs");
  try {
    const names = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    return names.length === 0 ? "nothing" : "kept";
  } catch {
    return "nothing";
  }
}

async function ask(kind: Kind): Promise<{ readonly outcome: string; readonly ms: number }> {
  const begun = performance.now();
  const outcome = await c.get(PATHS[kind]).then(
    ({ status, json: said }) => (status === 200 ? WARM : `${String(status)} ${String(said?.code)}`),
    () => "cut",
  );
  return { outcome, ms: performance.now() - begun };
}

describe.each(Object.keys(FAULTS))("%s", (name) => {
  it.each(KINDS.flatMap((kind) => [[kind, "cold"] as const, [kind, "warm"] as const]))("%s, %s", async (kind, known) => {
    const fault = FAULTS[name] as Fault;
    w.upstream.intercept = null;
    c = await w.consumer({ times: TIMES, npm: { fetchRetries: 2 } });
    if (known === "warm") {
      expect((await c.get(PATHS[kind])).status).toBe(200);
      c = await c.again();
    } else if (kind !== "packument") await c.get(`/${kind === "tarball" ? "small" : "large"}`);
    spoil(fault, kind);
    const { outcome, ms } = await ask(kind);
    const cached = cachedOf(kind);
    const expected = known === "cold" ? COLD[name]?.[KINDS.indexOf(kind)] : kind === "packument" ? (WARM_PACKUMENT[name] ?? WARM) : WARM;
    const isDefinite = known === "warm" && kind === "packument" && ["404", "401", "403"].includes(name);
    expect([outcome, cached]).toEqual([expected, known === "cold" || isDefinite ? "nothing" : "kept"]);
    expect(ms).toBeLessThan(MAX_MS);
    if (rows.length === 0) rows.push(["fault", "asked", "known", "answer", "ms", "cache afterwards"]);
    rows.push([name, kind, known, outcome, ms.toFixed(0), cached]);
    // And no fault outlives itself.
    w.upstream.intercept = null;
    expect((await ask(kind)).outcome).toBe(WARM);
    expect(cachedOf(kind)).toBe("kept");
  });
});
