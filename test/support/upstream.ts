/**
 * A public registry for tests: node:http on 127.0.0.1 that serves what it was given, lies where it was told to, and
 * writes down every request. What a resolver must never ask, it never finds here.
 */
import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { makePackage } from "./tarball.ts";

export type UpstreamRequest = {
  readonly method: string;
  readonly path: string;
  readonly accept: string;
  readonly ifNoneMatch: string | null;
};
/** A version as its packument has it. */
export type UpstreamVersion = {
  name: string;
  version: string;
  dist: { tarball: string; integrity?: string; shasum?: string; signatures?: unknown; unpackedSize?: number };
  [field: string]: unknown;
};
export type UpstreamPackument = {
  name: string;
  "dist-tags": Record<string, string>;
  versions: Record<string, UpstreamVersion>;
  time: Record<string, string>;
  [field: string]: unknown;
};

export type TestUpstream = {
  /** With a final slash. */
  readonly url: string;
  /** Every request so far; tests may empty it. */
  readonly requests: UpstreamRequest[];
  /** Open connections. */
  readonly connections: () => number;
  /** Adds a version; what `edit` does to its packument entry is a lie about the tarball. */
  publish(
    name: string,
    version: string,
    options?: {
      readonly packageJson?: Readonly<Record<string, unknown>>;
      readonly files?: Readonly<Record<string, string | Uint8Array>>;
      /** Instead of one made of the above. */
      readonly tarball?: Uint8Array;
      readonly edit?: (entry: UpstreamVersion) => void;
    },
  ): Promise<Uint8Array>;
  readonly packuments: Map<string, UpstreamPackument>;
  /** By path, decoded. */
  readonly tarballs: Map<string, Uint8Array>;
  /** What `/-/npm/v1/keys` answers; null: 404, as on registries that sign nothing. */
  keys: { readonly keys: readonly unknown[] } | null;
  /** Answers a request itself and returns true, or leaves it; null: nobody does. */
  intercept: ((request: IncomingMessage, response: ServerResponse) => boolean) | null;
  /** Every connection is cut, until `up`. */
  down(): void;
  up(): void;
  close(): Promise<void>;
};

/** A key that a registry signs with: as `keys` lists it, and what it puts on an entry. */
export function registryKey(expires: string | null = null): {
  readonly listed: { readonly keyid: string; readonly [field: string]: unknown };
  sign(entry: UpstreamVersion): void;
} {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  const key = publicKey.export({ type: "spki", format: "der" });
  const keyid = `SHA256:${createHash("sha256").update(key).digest("base64").replace(/=+$/, "")}`;
  return {
    listed: { keyid, keytype: "ecdsa-sha2-nistp256", scheme: "ecdsa-sha2-nistp256", key: key.toString("base64"), expires },
    sign(entry) {
      const { name, version, dist } = entry;
      const sig = sign("sha256", Buffer.from(`${name}@${version}:${dist.integrity ?? ""}`), privateKey).toString("base64");
      dist.signatures = [{ keyid, sig }];
    },
  };
}

export async function startUpstream(): Promise<TestUpstream> {
  const requests: UpstreamRequest[] = [];
  const packuments = new Map<string, UpstreamPackument>();
  const tarballs = new Map<string, Uint8Array>();
  let isDown = false;
  const server = createServer((request, response) => {
    response.on("error", () => undefined);
    if (isDown) return void request.socket.destroy();
    const path = decodeURIComponent(new URL(request.url ?? "/", "http://host").pathname);
    const header = (name: string): string | null => (typeof request.headers[name] === "string" ? request.headers[name] : null);
    requests.push({ method: request.method ?? "", path, accept: header("accept") ?? "", ifNoneMatch: header("if-none-match") });
    if (upstream.intercept?.(request, response) === true) return undefined;
    if (path === "/-/npm/v1/keys" && upstream.keys !== null)
      return void response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(upstream.keys));
    const tarball = tarballs.get(path);
    if (tarball !== undefined)
      return void response
        .writeHead(200, { "content-type": "application/octet-stream", "content-length": tarball.byteLength })
        .end(tarball);
    const packument = packuments.get(path.slice(1));
    if (packument === undefined) return void response.writeHead(404, { "content-type": "application/json" }).end('{"error":"Not found"}');
    const body = JSON.stringify(packument);
    const etag = `"${createHash("sha1").update(body).digest("hex")}"`;
    if (header("if-none-match") === etag) return void response.writeHead(304, { etag }).end();
    return void response.writeHead(200, { "content-type": "application/json", etag }).end(body);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/`;
  let connections = 0;
  server.on("connection", (socket) => {
    connections++;
    socket.once("close", () => connections--);
  });
  const upstream: TestUpstream = {
    url,
    requests,
    connections: () => connections,
    packuments,
    tarballs,
    keys: null,
    intercept: null,
    async publish(name, version, { packageJson = {}, files = {}, tarball, edit } = {}) {
      const bytes = tarball ?? (await makePackage({ ...packageJson, name, version }, files));
      const path = `/${name}/-/${name.slice(name.indexOf("/") + 1)}-${version}.tgz`;
      tarballs.set(path, bytes);
      const entry: UpstreamVersion = {
        ...packageJson,
        name,
        version,
        dist: {
          tarball: `${url.slice(0, -1)}${path}`,
          integrity: `sha512-${createHash("sha512").update(bytes).digest("base64")}`,
          shasum: createHash("sha1").update(bytes).digest("hex"),
          signatures: [{ keyid: "SHA256:test", sig: "MEUC" }],
        },
      };
      edit?.(entry);
      const before = packuments.get(name);
      packuments.set(name, {
        _id: name,
        name,
        "dist-tags": { ...before?.["dist-tags"], latest: version },
        versions: { ...before?.versions, [version]: entry },
        time: {
          created: "2020-01-01T00:00:00.000Z",
          modified: "2020-01-02T00:00:00.000Z",
          ...before?.time,
          [version]: "2020-01-02T00:00:00.000Z",
        },
      });
      return bytes;
    },
    down() {
      isDown = true;
      server.closeAllConnections();
    },
    up() {
      isDown = false;
    },
    async close() {
      server.closeAllConnections();
      if (server.listening) await new Promise((resolve) => server.close(resolve));
    },
  };
  return upstream;
}
