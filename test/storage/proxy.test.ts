/** Which addresses a proxy is asked for, by the environment that every program reads. (Through one: e2e/anywhere.) */
import { describe, expect, it } from "vitest";
import { judge } from "../../src/storage/download.ts";
import { networkOf } from "../../src/storage/proxy.ts";

const PROXY = { HTTPS_PROXY: "http://proxy.example:3128" };
const isProxied = (env: NodeJS.ProcessEnv, url: string): boolean => networkOf(env).isProxied(new URL(url));

describe("proxies by the environment", () => {
  it.each([
    [{}, false],
    [{ HTTPS_PROXY: "" }, false],
    [{ HTTP_PROXY: "http://proxy.example:3128" }, false],
    [PROXY, true],
    [{ https_proxy: "proxy.example:3128" }, true],
    [{ ALL_PROXY: "socks5://proxy.example" }, true],
  ])("%o: https through it: %s", (env, wanted) => {
    expect(isProxied(env, "https://index.example/x")).toBe(wanted);
  });

  it("this machine, and plain http, which is for this machine alone, never", () => {
    for (const url of ["https://localhost/x", "https://127.0.0.1:8443/", "https://[::1]/", "https://a.localhost/", "http://index.example/"])
      expect([url, isProxied(PROXY, url)]).toEqual([url, false]);
  });

  it.each([
    ["index.example", "https://index.example/", false],
    ["index.example", "https://a.index.example/", false],
    ["index.example", "https://other-index.example/", true],
    [".index.example", "https://a.index.example/", false],
    ["*.index.example", "https://a.index.example/", false],
    ["a.example, INDEX.example", "https://index.example/", false],
    ["a.example index.example", "https://index.example/", false],
    ["index.example:8443", "https://index.example:8443/", false],
    ["index.example:8443", "https://index.example/", true],
    ["index.example:443", "https://index.example/", false],
    ["*", "https://index.example/", false],
    ["10.0.0.7", "https://10.0.0.7/", false],
    [" , ", "https://index.example/", true],
  ])("NO_PROXY=%s: %s through it: %s", (noProxy, url, wanted) => {
    expect(isProxied({ ...PROXY, NO_PROXY: noProxy }, url)).toBe(wanted);
    expect(isProxied({ ...PROXY, no_proxy: noProxy }, url)).toBe(wanted);
  });

  it.each(["gopher://proxy.example", "http://", "file:///etc/passwd", "http://a b"])("%s is refused when it is needed", async (proxy) => {
    const { fetch } = networkOf({ HTTPS_PROXY: proxy });
    const asked = fetch(new URL("https://index.example/"), { headers: {}, redirect: "manual", signal: AbortSignal.timeout(1000) });
    await expect(asked).rejects.toMatchObject({ code: "CONFIG_INVALID", exitCode: 3 });
  });

  it("S1 what this machine can tell to be private is refused, proxy or not; a name that it does not know is the proxy's", async () => {
    const unknown = { resolveHost: () => Promise.reject(new Error("ENOTFOUND")) };
    const rules = { allowPrivate: false, isProxied: networkOf(PROXY).isProxied };
    for (const [url, options] of [
      ["https://169.254.169.254/latest", {}],
      ["https://localhost/", {}],
      ["https://intranet.example/", { resolveHost: async () => ["10.0.0.1"] }],
      ["https://user:secret@index.example/", unknown],
      ["http://index.example/", unknown],
    ] as const)
      await expect(judge(new URL(url), { ...rules, ...options })).rejects.toMatchObject({ code: "INVALID_URL" });
    await expect(judge(new URL("https://index.example/"), { ...rules, ...unknown })).resolves.toBeUndefined();
    await expect(judge(new URL("https://index.example/"), { allowPrivate: false, ...unknown })).rejects.toMatchObject({
      code: "UNREACHABLE",
    });
  });
});
