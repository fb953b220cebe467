/** Which address a client used: an allow-list, whatever a client or a proxy says. */
import { describe, expect, it } from "vitest";
import { type Asked, baseOf } from "../../src/http/bases.ts";

const LIST = [
  "http://127.0.0.1:4870",
  "https://npm.example.org/npm/team",
  "https://npm.example.org",
  "http://npm.example.org",
  "http://[::1]:4870",
];
const asked = (host: string | undefined, path: string, more: Partial<Asked> = {}): Asked => ({
  host,
  path,
  forwardedHost: undefined,
  forwardedProto: undefined,
  ...more,
});
const of = (one: Asked, trustProxy = false): string | null => {
  const found = baseOf({ list: LIST, trustProxy }, one);
  return found === null ? null : `${found.base} ${found.path}`;
};

describe("S2 hosts", () => {
  it.each([
    ["127.0.0.1:4870", "/x", "http://127.0.0.1:4870 /x"],
    ["[::1]:4870", "/x", "http://[::1]:4870 /x"],
    ["NPM.Example.ORG", "/x", "https://npm.example.org /x"],
    ["npm.example.org:443", "/x", "https://npm.example.org /x"],
    ["npm.example.org", "/npm/team/@s%2fp", "https://npm.example.org/npm/team /@s%2fp"],
    ["npm.example.org", "/npm/team", "https://npm.example.org/npm/team /"],
    ["npm.example.org", "/npm/teammate", "https://npm.example.org /npm/teammate"],
  ])("%s%s is %s", (host, path, base) => expect(of(asked(host, path))).toBe(base));

  it.each(["evil.example", "127.0.0.1", "127.0.0.1:4871", "127.0.0.1:4870.evil.example", "npm.example.org.evil.example", "", undefined])(
    "S2 Host: %s is not served",
    (host) => expect(of(asked(host, "/x"))).toBeNull(),
  );
});

describe("what a proxy says", () => {
  const forwarded = { forwardedHost: "npm.example.org", forwardedProto: "http" };
  it("counts only where one is trusted", () => {
    expect(of(asked("127.0.0.1:4870", "/x", forwarded))).toBe("http://127.0.0.1:4870 /x");
    expect(of(asked("evil.example", "/x", forwarded))).toBeNull();
    expect(of(asked("127.0.0.1:4870", "/x", forwarded), true)).toBe("http://npm.example.org /x");
  });

  it("chooses from the list, and is never taken over from it", () => {
    expect(of(asked("127.0.0.1:4870", "/x", { forwardedHost: "evil.example" }), true)).toBeNull();
    // The last word is that of the proxy before us; what a client put there itself comes before it.
    expect(of(asked("127.0.0.1:4870", "/x", { forwardedHost: "evil.example, npm.example.org" }), true)).toBe("https://npm.example.org /x");
    expect(of(asked("npm.example.org", "/x", { forwardedProto: "gopher" }), true)).toBe("https://npm.example.org /x");
    expect(of(asked("127.0.0.1:4870", "/x", { forwardedHost: "" }), true)).toBe("http://127.0.0.1:4870 /x");
  });

  it("a prefix that it took away is put back in front of tarballs", () => {
    const list = ["https://npm.example.org/npm/team"];
    expect(baseOf({ list, trustProxy: false }, asked("npm.example.org", "/foo"))).toEqual({ base: list[0], path: "/foo" });
  });
});
