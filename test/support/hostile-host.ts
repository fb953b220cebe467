/**
 * Hosts that never end, and hosts that send their callers elsewhere, where a trap writes down what it was sent. Git's and
 * the registry's in one place: both are HTTP, and what stops them is the same.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type OutgoingHttpHeaders, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { createGzip } from "node:zlib";
import { commitOf, formatEntry, idOf, lie, treeOf } from "./lying-host.ts";

/** Answers a request itself and returns true, or leaves it. */
export type Intercept = (request: IncomingMessage, response: ServerResponse) => boolean | Promise<boolean>;

export type Trap = {
  /** Without a final slash. */
  readonly url: string;
  /** Method and path of each request, and whatever of a secret came with it. */
  readonly seen: { readonly asked: string; readonly credentials: string | null }[];
  close(): Promise<void>;
};

const SECRETS = ["authorization", "cookie", "proxy-authorization", "npm-otp", "x-gitlab-token"];

/** A server that wants credentials for everything, and writes down what it gets. `localhost` is another name than 127.0.0.1. */
export async function startTrap(
  options: { readonly tls?: { readonly cert: string; readonly key: string }; readonly answer?: Intercept } = {},
): Promise<Trap> {
  const seen: Trap["seen"] = [];
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const sent = SECRETS.flatMap((name) => request.headers[name] ?? []);
    seen.push({ asked: `${request.method ?? ""} ${request.url ?? ""}`, credentials: sent.length === 0 ? null : sent.join(" ") });
    if ((await options.answer?.(request, response)) === true) return;
    if (sent.length === 0) response.writeHead(401, { "www-authenticate": 'Basic realm="trap"' }).end();
    else response.writeHead(404).end();
  };
  const listener = (request: IncomingMessage, response: ServerResponse): void =>
    void handle(request, response).catch(() => response.destroy());
  const server: Server = options.tls === undefined ? createServer(listener) : createTlsServer(options.tls, listener);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `${options.tls === undefined ? "http" : "https"}://localhost:${String(port)}`,
    seen,
    async close() {
      server.closeAllConnections();
      if (server.listening) await new Promise((resolve) => server.close(resolve));
    },
  };
}

export type Flood = { readonly intercept: Intercept; /** Bytes that were written so far. */ sent(): number };

/** Writes `piece` for as long as anybody reads. */
function pour(
  response: NodeJS.WritableStream & { readonly destroyed?: boolean },
  piece: Uint8Array,
  onSent: (bytes: number) => void,
): void {
  const more = (): void => {
    while (response.destroyed !== true) {
      onSent(piece.byteLength);
      if (!response.write(piece)) return;
    }
  };
  response.on("drain", more);
  more();
}

/** `matches` says which requests never end; what comes before the flood is `head`, and `gzip` packs it as a bomb. */
export function flood(
  matches: (request: IncomingMessage) => boolean,
  answer: { readonly head?: Uint8Array; readonly piece: Uint8Array; readonly headers?: OutgoingHttpHeaders; readonly gzip?: boolean },
): Flood {
  let sent = 0;
  return {
    sent: () => sent,
    intercept(request, response) {
      if (!matches(request)) return false;
      request.resume();
      response.writeHead(200, { ...answer.headers, ...(answer.gzip === true ? { "content-encoding": "gzip" } : {}) });
      const gzip = answer.gzip === true ? createGzip({ level: 9 }) : null;
      gzip?.on("error", () => undefined);
      gzip?.pipe(response);
      response.once("close", () => gzip?.destroy());
      const into = gzip ?? response;
      if (answer.head !== undefined) into.write(answer.head);
      pour(into, answer.piece, (bytes) => (sent += bytes));
      return true;
    },
  };
}

function packetLine(text: string): string {
  return (Buffer.byteLength(text) + 4).toString(16).padStart(4, "0") + text;
}

function refLines(form: (id: string, ref: string) => string): Buffer {
  const lines: string[] = [];
  for (let nth = 0; nth < 2000; nth++) lines.push(form(nth.toString(16).padStart(40, "0"), `refs/heads/branch-${String(nth)}`));
  return Buffer.from(lines.join(""));
}

const ADVERTISED = { "content-type": "application/x-git-upload-pack-advertisement" };
const isListing = (request: IncomingMessage): boolean => request.url?.includes("/info/refs") === true;

/** Lists of refs without end, by version of git's protocol. */
export const ENDLESS_REFS = {
  "version 0": () =>
    flood(isListing, {
      headers: ADVERTISED,
      head: Buffer.from(`${packetLine("# service=git-upload-pack\n")}0000${packetLine(`${"1".repeat(40)} HEAD\0side-band-64k shallow\n`)}`),
      piece: refLines((id, ref) => packetLine(`${id} ${ref}\n`)),
    }),
  "version 1": () =>
    flood(isListing, {
      headers: ADVERTISED,
      head: Buffer.from(
        `${packetLine("# service=git-upload-pack\n")}0000${packetLine("version 1\n")}${packetLine(`${"1".repeat(40)} HEAD\0side-band-64k shallow\n`)}`,
      ),
      piece: refLines((id, ref) => packetLine(`${id} ${ref}\n`)),
    }),
  "version 2": (): Flood => {
    const lines = flood((request) => request.method === "POST", {
      headers: { "content-type": "application/x-git-upload-pack-result" },
      piece: refLines((id, ref) => packetLine(`${id} ${ref}\n`)),
    });
    return {
      sent: () => lines.sent(),
      intercept(request, response) {
        if (!isListing(request)) return lines.intercept(request, response);
        const said = ["version 2\n", "ls-refs\n", "fetch=shallow filter\n", "object-format=sha1\n"].map(packetLine).join("");
        response.writeHead(200, ADVERTISED).end(`${packetLine("# service=git-upload-pack\n")}0000${said}0000`);
        return true;
      },
    };
  },
  "version 2's capabilities": () =>
    flood(isListing, {
      headers: ADVERTISED,
      head: Buffer.from(`${packetLine("# service=git-upload-pack\n")}0000${packetLine("version 2\n")}`),
      piece: Buffer.from(packetLine(`x-cap=${"y".repeat(900)}\n`).repeat(64)),
    }),
  "the dumb protocol": () =>
    flood(isListing, { headers: { "content-type": "text/plain" }, piece: refLines((id, ref) => `${id}\t${ref}\n`) }),
  "marks alone": () =>
    flood(isListing, {
      headers: ADVERTISED,
      head: Buffer.from(packetLine("# service=git-upload-pack\n")),
      piece: Buffer.from("0000".repeat(16_384)),
    }),
  "a bomb of gzip": () =>
    flood(isListing, {
      headers: ADVERTISED,
      gzip: true,
      head: Buffer.from(`${packetLine("# service=git-upload-pack\n")}0000${packetLine(`${"1".repeat(40)} HEAD\0side-band-64k shallow\n`)}`),
      piece: refLines((id, ref) => packetLine(`${id} ${ref}\n`)),
    }),
} as const satisfies Readonly<Record<string, () => Flood>>;

const HEAD = idOf("commit", commitOf(idOf("tree", treeOf([]))));

/** Answers to a fetch without end: `progress` on the band for people, `bytes` of one blob, `objects` by the million. */
export function endlessFetch(kind: "progress" | "bytes" | "objects"): Flood {
  let sent = 0;
  const head = Buffer.from("PACK\0\0\0\u0002\0\0\0\0", "latin1");
  head.writeUInt32BE(kind === "objects" ? 4_900_000 : 1, 8);
  const noise = Buffer.alloc(60_000);
  for (let at = 0, state = 1; at < noise.length; at++) noise[at] = state = (state * 69_069 + 1) & 0xff;
  const small: Buffer[] = [];
  for (let nth = 0; nth < 1500; nth++) small.push(formatEntry({ type: "blob", content: Buffer.from(`blob ${String(nth)}`) }));
  const piece =
    kind === "progress" ? Buffer.from("Counting objects: 1% of many\r".repeat(1000)) : kind === "bytes" ? noise : Buffer.concat(small);
  return {
    sent: () => sent,
    intercept: lie(HEAD, ({ write, response }) => {
      if (kind !== "progress") write(head);
      // One blob of a gigabyte, stored blocks of deflate that say that more will come.
      if (kind === "bytes") write(Buffer.from([0xb0, 0x80, 0x80, 0x80, 0x20, 0x78, 0x01]));
      const block = kind === "bytes" ? Buffer.concat([Buffer.from([0, 0x60, 0xea, 0x9f, 0x15]), piece]) : piece;
      const band = Buffer.from([kind === "progress" ? 2 : 1]);
      const length = Buffer.from((block.length + 5).toString(16).padStart(4, "0"));
      pour(response, Buffer.concat([length, band, block]), (bytes) => (sent += bytes));
    }),
  };
}

/** A packument, and a tarball, of a registry that never ends. */
export const ENDLESS_ANSWERS = {
  tarball: () => flood((request) => request.url?.endsWith(".tgz") === true, { piece: Buffer.alloc(65_536, 1) }),
  packument: () =>
    flood((request) => request.url === "/endless", {
      headers: { "content-type": "application/json" },
      head: Buffer.from('{"name":"endless","readme":"'),
      piece: Buffer.alloc(65_536, "x"),
    }),
  "packument of empty objects": () =>
    flood((request) => request.url === "/endless", {
      headers: { "content-type": "application/json" },
      head: Buffer.from('{"name":"endless","x":['),
      piece: Buffer.from("{},".repeat(20_000)),
    }),
  "packument as a bomb of gzip": () =>
    flood((request) => request.url === "/endless", {
      headers: { "content-type": "application/json" },
      gzip: true,
      head: Buffer.from('{"name":"endless","readme":"'),
      piece: Buffer.alloc(65_536, "x"),
    }),
} as const satisfies Readonly<Record<string, () => Flood>>;

/** A registry in which every package needs `each` others that nobody has heard of before. */
export function growingTree(origin: () => string, each = 40): Intercept {
  return (request, response) => {
    const name = decodeURIComponent(new URL(request.url ?? "/", "http://host").pathname.slice(1));
    if (!name.startsWith("grow")) return false;
    const dependencies = Object.fromEntries(Array.from({ length: each }, (_, nth) => [`${name}-${String(nth)}`, "1"]));
    const dist = { tarball: `${origin()}${name}/-/${name}-1.0.0.tgz`, shasum: "0".repeat(40) };
    const body = {
      name,
      "dist-tags": { latest: "1.0.0" },
      versions: { "1.0.0": { name, version: "1.0.0", dependencies, dist } },
      time: {},
    };
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body));
    return true;
  };
}
