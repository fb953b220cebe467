/**
 * Where requests to upstream go, and with what: through proxies, to servers with a certificate of the company's own, with
 * credentials for the registry alone, and never where a hostile packument or redirect would like to have them.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, request as httpRequest, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { openUpstreamClient, type UpstreamSettings } from "../../src/registry/upstream/client.ts";
import { requireAllowedPlace } from "../../src/registry/upstream/places.ts";
import { loadUpstreamSettings } from "../../src/registry/upstream/settings.ts";
import { testAuthority } from "../support/certificates.ts";
import { type ForwardProxy, startForwardProxy } from "../support/forward-proxy.ts";
import { type World, world } from "../support/world.ts";

let w: World;
let tls: {
  readonly url: string;
  readonly ca: string;
  readonly caFile: string;
  handler: (request: IncomingMessage, response: ServerResponse) => void;
};
const servers: Server[] = [];
const proxies: ForwardProxy[] = [];

beforeAll(async () => {
  w = await world();
  await w.upstream.publish("is-odd", "1.0.0");
  const { ca, cert, key } = testAuthority();
  const caFile = path.join(w.folder, "ca.pem");
  writeFileSync(caFile, ca);
  const server = createTlsServer({ key, cert }, (...exchange) => tls.handler(...exchange));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  servers.push(server);
  tls = {
    url: `https://localhost:${String((server.address() as AddressInfo).port)}/`,
    ca,
    caFile,
    handler: passOn,
  };
});
beforeEach(() => {
  w.upstream.intercept = null;
  w.upstream.requests.length = 0;
  tls.handler = passOn;
});
afterAll(async () => {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
  for (const proxy of proxies) await proxy.close();
  await w.close();
});

/** What the world's upstream says. */
function passOn(request: IncomingMessage, response: ServerResponse): void {
  const onward = httpRequest(new URL(request.url ?? "/", w.upstream.url), { headers: { accept: "application/json" } }, (answer) => {
    response.writeHead(answer.statusCode ?? 500, answer.headers);
    answer.pipe(response);
  });
  onward.end();
}

async function listening(
  handler: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<{ readonly url: string; readonly server: Server }> {
  const server = createServer(handler);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  servers.push(server);
  return { url: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/`, server };
}

async function forwardProxy(): Promise<ForwardProxy> {
  const proxy = await startForwardProxy();
  proxies.push(proxy);
  return proxy;
}

/** Settings as they are loaded from a user's .npmrc and environment. */
async function settingsOf(npmrc: string, registry: string | undefined, env: NodeJS.ProcessEnv = {}): Promise<UpstreamSettings> {
  const home = path.join(w.folder, `user-${String(Math.random()).slice(2)}`);
  mkdirSync(home);
  writeFileSync(path.join(home, "npmrc"), npmrc);
  return loadUpstreamSettings({
    configured: registry,
    env: { HOME: home, npm_config_userconfig: path.join(home, "npmrc"), npm_config_globalconfig: path.join(home, "none"), ...env },
    isOurs: () => false,
  });
}

async function fetched(settings: UpstreamSettings, where = "/is-odd"): Promise<number> {
  const client = openUpstreamClient({ settings: async () => settings, instance: "0".repeat(16) });
  const response = await client.get(where, { accept: "application/json", what: where });
  for await (const _ of response.body);
  return response.status;
}

describe("proxies", () => {
  it.each([
    ["proxy= in .npmrc", (proxy: string) => ({ npmrc: `proxy=${proxy}\n`, env: {} })],
    ["HTTP_PROXY", (proxy: string) => ({ npmrc: "", env: { HTTP_PROXY: proxy } })],
    ["http_proxy", (proxy: string) => ({ npmrc: "", env: { http_proxy: proxy } })],
    ["HTTPS_PROXY alone, as npm has it", (proxy: string) => ({ npmrc: "", env: { HTTPS_PROXY: proxy } })],
  ])("http through %s", async (_, given) => {
    const proxy = await forwardProxy();
    const { npmrc, env } = given(proxy.url);
    expect(await fetched(await settingsOf(`${npmrc}noproxy=\n`, w.upstream.url, env))).toBe(200);
    expect(proxy.seen).toEqual([`GET ${w.upstream.url}is-odd`]);
  });

  it.each([
    ["https-proxy= in .npmrc", (proxy: string) => ({ npmrc: `https-proxy=${proxy}\n`, env: {} })],
    ["HTTPS_PROXY", (proxy: string) => ({ npmrc: "", env: { HTTPS_PROXY: proxy } })],
  ])("https through %s", async (_, given) => {
    const proxy = await forwardProxy();
    const { npmrc, env } = given(proxy.url);
    expect(await fetched(await settingsOf(`${npmrc}cafile=${tls.caFile}\n`, tls.url, env))).toBe(200);
    expect(proxy.seen).toEqual([`CONNECT ${new URL(tls.url).host}`]);
  });

  it.each([
    ["noproxy= in .npmrc", "noproxy=127.0.0.1\n", {}],
    ["NO_PROXY", "", { NO_PROXY: "127.0.0.1" }],
  ])("not for hosts in %s", async (_, npmrc, env) => {
    const proxy = await forwardProxy();
    expect(await fetched(await settingsOf(npmrc, w.upstream.url, { HTTP_PROXY: proxy.url, HTTPS_PROXY: proxy.url, ...env }))).toBe(200);
    expect(proxy.seen).toEqual([]);
  });
});

describe("certificates", () => {
  const NO_PROXY = { NO_PROXY: "localhost" };
  it("of an authority that nobody knows are refused; cafile= and ca= make it known; strict-ssl=false is the user's word", async () => {
    await expect(fetched(await settingsOf("fetch-retries=0\n", tls.url, NO_PROXY))).rejects.toMatchObject({
      code: "UPSTREAM_FAILED",
      message: expect.stringMatching(/CERT|VERIFY|ISSUER/),
    });
    expect(await fetched(await settingsOf(`cafile=${tls.caFile}\n`, tls.url, NO_PROXY))).toBe(200);
    expect(await fetched(await settingsOf(`ca="${tls.ca.replaceAll("\n", String.raw`\n`)}"\n`, tls.url, NO_PROXY))).toBe(200);
    expect(await fetched(await settingsOf("strict-ssl=false\n", tls.url, NO_PROXY))).toBe(200);
  });

  it("NODE_EXTRA_CA_CERTS is Node's own", async () => {
    const script = path.join(w.folder, "extra-ca.mts");
    writeFileSync(
      script,
      `import { openUpstreamClient } from ${JSON.stringify(new URL("../../src/registry/upstream/client.ts", import.meta.url).href)};
const client = openUpstreamClient({ settings: async () => ({ registry: ${JSON.stringify(tls.url)}, options: { fetchRetries: 0, noProxy: "localhost" } }), instance: "${"0".repeat(16)}" });
client.get("/is-odd", { accept: "application/json", what: "is-odd" }).then((r) => { console.log(r.status); process.exit(0); }, (e) => { console.log(e.code); process.exit(1); });
`,
    );
    // Not awaited in this process: the server that is asked lives in it.
    const run = async (env: NodeJS.ProcessEnv): Promise<string> => {
      const child = spawn(process.execPath, ["--import", "tsx", script], {
        cwd: process.cwd(),
        env: { ...process.env, ...env },
        stdio: ["ignore", "pipe", "inherit"],
      });
      let text = "";
      child.stdout.setEncoding("utf8").on("data", (part: string) => (text += part));
      await once(child, "close");
      return text.trim();
    };
    expect(await run({ NODE_EXTRA_CA_CERTS: tls.caFile })).toBe("200");
    expect(await run({ NODE_EXTRA_CA_CERTS: "" })).toBe("UPSTREAM_FAILED");
    expect(w.upstream.requests).toHaveLength(1);
  });
});

describe("credentials", () => {
  const seenBy = (): { readonly of: (string | undefined)[]; readonly see: (request: IncomingMessage) => void } => {
    const of: (string | undefined)[] = [];
    return { of, see: (request) => void of.push(request.headers.authorization) };
  };

  it("of .npmrc go to the registry that they are for, by any of npm's ways to write them", async () => {
    const { of, see } = seenBy();
    w.upstream.intercept = (request) => (see(request), false);
    const { host } = new URL(w.upstream.url);
    const env = { NO_PROXY: "127.0.0.1" };
    await fetched(await settingsOf(`//${host}/:_authToken=t0ken\n`, w.upstream.url, env));
    await fetched(await settingsOf(`//${host}/:_auth=${Buffer.from("u:p").toString("base64")}\n`, w.upstream.url, env));
    await fetched(
      await settingsOf(`//${host}/:username=u\n//${host}/:_password=${Buffer.from("p").toString("base64")}\n`, w.upstream.url, env),
    );
    await fetched(await settingsOf(`//elsewhere.example/:_authToken=other\n//${host}/npm/:_authToken=other\n`, w.upstream.url, env));
    expect(of).toEqual(["Bearer t0ken", "Basic dTpw", "Basic dTpw", undefined]);
  });

  it("S1 never go to another host, even one that .npmrc has a token for: not by a redirect, not by a packument", async () => {
    const { of, see } = seenBy();
    tls.handler = (request, response) => {
      see(request);
      response.writeHead(200).end("{}");
    };
    w.upstream.intercept = (request, response) => {
      if (request.url !== "/moved") return false;
      response.writeHead(302, { location: `${tls.url}stolen` }).end();
      return true;
    };
    // Another port of one host is another origin, too.
    const registry = w.upstream.url.replace("127.0.0.1", "localhost");
    const [ours, theirs] = [new URL(registry).host, new URL(tls.url).host];
    const npmrc = `cafile=${tls.caFile}\n//${ours}/:_authToken=ours\n//${theirs}/:_authToken=theirs\n//localhost/:_authToken=any\n`;
    const settings = await settingsOf(npmrc, registry, { NO_PROXY: "localhost" });
    expect(await fetched(settings, "/moved")).toBe(200);
    expect(await fetched(settings, `${tls.url}named`)).toBe(200);
    expect(of).toEqual([undefined, undefined]);
  });
});

describe("S1 addresses that upstream names", () => {
  const PUBLIC = new Map([
    ["registry.example", ["93.184.216.34"]],
    ["cdn.example", ["151.101.1.1", "2a04:4e42::1"]],
    ["sly.example", ["151.101.1.1", "10.0.0.1"]],
    ["inside.example", ["192.168.7.7"]],
    ["storage.inside.example", ["192.168.7.8"]],
    ["metadata.example", ["169.254.169.254"]],
    ["home.example", ["127.0.0.1"]],
  ]);
  const judge = (url: string, registry: string, throughProxy = false): Promise<string> =>
    requireAllowedPlace(new URL(url), "x", {
      registry: new URL(registry),
      resolveHost: async (host) => PUBLIC.get(host) ?? [],
      throughProxy,
    }).then(
      () => "allowed",
      (error: unknown) => (error as { code: string }).code,
    );

  it.each([
    ["https://cdn.example/x.tgz", "allowed"],
    ["https://registry.example/x.tgz", "allowed"],
    ["https://registry.example:8443/x.tgz", "allowed"],
    ["http://cdn.example/x.tgz", "INVALID_URL"],
    ["http://registry.example/x.tgz", "INVALID_URL"],
    ["https://user:secret@cdn.example/x.tgz", "INVALID_URL"],
    ["https://user:secret@registry.example/x.tgz", "INVALID_URL"],
    ["https://127.0.0.1/x.tgz", "INVALID_URL"],
    ["https://localhost/x.tgz", "INVALID_URL"],
    ["https://10.1.2.3/x.tgz", "INVALID_URL"],
    ["https://0x7f.1/x.tgz", "INVALID_URL"],
    ["https://2130706433/x.tgz", "INVALID_URL"],
    ["https://[::1]/x.tgz", "INVALID_URL"],
    ["https://[::ffff:127.0.0.1]/x.tgz", "INVALID_URL"],
    ["https://[fd00::1]/x.tgz", "INVALID_URL"],
    ["https://169.254.169.254/latest/meta-data", "INVALID_URL"],
    ["https://metadata.example/x.tgz", "INVALID_URL"],
    ["https://inside.example/x.tgz", "INVALID_URL"],
    ["https://sly.example/x.tgz", "INVALID_URL"],
    ["https://nowhere.example/x.tgz", "UPSTREAM_FAILED"],
    ["ftp://cdn.example/x.tgz", "INVALID_URL"],
    ["file:///etc/passwd", "INVALID_URL"],
    ["data:text/plain,x", "INVALID_URL"],
  ])("S1 a public registry points to %s: %s", async (url, expected) =>
    expect(await judge(url, "https://registry.example/")).toBe(expected),
  );

  it.each([
    ["https://storage.inside.example/x.tgz", "allowed"],
    ["https://inside.example:9000/x.tgz", "allowed"],
    ["https://cdn.example/x.tgz", "allowed"],
    ["http://storage.inside.example/x.tgz", "INVALID_URL"],
    ["https://127.0.0.1/x.tgz", "INVALID_URL"],
    ["https://home.example/x.tgz", "INVALID_URL"],
    ["https://metadata.example/x.tgz", "INVALID_URL"],
    ["https://169.254.169.254/x.tgz", "INVALID_URL"],
    ["https://[::ffff:10.0.0.1]/x.tgz", "INVALID_URL"],
  ])("S1 a registry in a private network points to %s: %s", async (url, expected) =>
    expect(await judge(url, "http://inside.example:8081/npm/")).toBe(expected),
  );

  it("S1 behind a proxy names may be the proxy's to know, numbers are not", async () => {
    expect(await judge("https://nowhere.example/x.tgz", "https://registry.example/", true)).toBe("allowed");
    expect(await judge("https://10.0.0.1/x.tgz", "https://registry.example/", true)).toBe("INVALID_URL");
  });

  it("S1 a packument, or a redirect, that points to another port of this machine: refused, and nothing is asked there", async () => {
    const asked: string[] = [];
    const secret = await listening((request, response) => {
      asked.push(request.url ?? "");
      response.end("secret");
    });
    await w.upstream.publish("pointer", "1.0.0", { edit: ({ dist }) => void (dist.tarball = `${secret.url}admin`) });
    await w.upstream.publish("bouncer", "1.0.0");
    w.upstream.intercept = (request, response) => {
      if (request.url !== "/bouncer/-/bouncer-1.0.0.tgz" && request.url !== "/hopper") return false;
      response.writeHead(302, { location: `${secret.url}admin` }).end();
      return true;
    };
    const c = await w.consumer();
    for (const where of ["/pointer/-/pointer-1.0.0.tgz", "/bouncer/-/bouncer-1.0.0.tgz", "/hopper"]) {
      const { status, json } = await c.get(where);
      expect([where, status, json.code]).toEqual([where, 400, "INVALID_URL"]);
    }
    expect(asked).toEqual([]);
  });

  it("redirects within upstream's own origin are followed, five at most", async () => {
    w.upstream.intercept = (request, response) => {
      const [, left] = /^\/hops-(\d)$/.exec(request.url ?? "") ?? [];
      if (left === undefined) return false;
      response.writeHead(307, { location: left === "0" ? "/is-odd" : `/hops-${String(Number(left) - 1)}` }).end();
      return true;
    };
    const settings = { registry: w.upstream.url, options: { noProxy: "127.0.0.1" } };
    expect(await fetched(settings, "/hops-4")).toBe(200);
    await expect(fetched(settings, "/hops-5")).rejects.toMatchObject({ code: "UPSTREAM_FAILED" });
  });
});
