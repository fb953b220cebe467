/** THREATS G7: what may become an argument of git. */
import { resolve } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ImprintError } from "../../src/errors.ts";
import { isLocalUrl, parseGitUrl, parseObjectId, parseRefName, redactUrl } from "../../src/git/url.ts";

describe("parseGitUrl", () => {
  test.each([
    ["https://git.example.org/alice/index.git", "https://git.example.org/alice/index.git"],
    ["HTTPS://Git.Example.ORG:8443/a", "https://git.example.org:8443/a"],
    ["https://git.example.org/@scope/x", "https://git.example.org/@scope/x"],
    ["https://[2001:db8::1]/a.git", "https://[2001:db8::1]/a.git"],
    ["http://127.0.0.1:8080/a.git", "http://127.0.0.1:8080/a.git"],
    ["http://[::1]:1/a", "http://[::1]:1/a"],
    ["http://localhost/a", "http://localhost/a"],
    ["ssh://git@git.example.org:22/alice/index.git", "ssh://git@git.example.org:22/alice/index.git"],
    ["ssh://git.example.org/~alice/index", "ssh://git.example.org/~alice/index"],
    ["ssh://git@[::1]:22/a", "ssh://git@[::1]:22/a"],
    ["git@git.example.org:alice/index.git", "git@git.example.org:alice/index.git"],
    ["github:alice/index", "https://github.com/alice/index.git"],
    ["gitlab:group/sub/index.git", "https://gitlab.com/group/sub/index.git"],
    ["codeberg:alice/index", "https://codeberg.org/alice/index.git"],
  ])("%s", (text, expected) => {
    expect(parseGitUrl(text, { allowFile: false })).toBe(expected);
    expect(parseGitUrl(expected, { allowFile: false })).toBe(expected);
    expect(isLocalUrl(parseGitUrl(text, { allowFile: false }))).toBe(false);
  });

  test.each(["/srv/a.git", "./a.git", "../a", "file:///srv/a.git"])("%s only where files are allowed", (text) => {
    expect(() => parseGitUrl(text, { allowFile: false })).toThrow(ImprintError);
    const url = parseGitUrl(text, { allowFile: true });
    expect(url).toBe(text.startsWith("file:") ? text : resolve(text));
    expect(isLocalUrl(url)).toBe(true);
  });

  test.each([
    "",
    " ",
    "-",
    "--upload-pack=touch /tmp/x",
    "-u./payload",
    "ext::sh -c touch% /tmp/x",
    "ext::sh",
    "https::https://h/x",
    "transport::address",
    "fd::17",
    "git://host/x",
    "ftp://host/x",
    "http://git.example.org/x",
    "http://127.0.0.1.example.org/x",
    "http://127.0.0.1@evil.example/x",
    "https://-oProxyCommand=x/y",
    "https:///x",
    "https://host",
    "https://host/",
    "https:host/x",
    "https://host/x?y=z",
    "https://host/x#id",
    "https://host\\@evil/x",
    "https://host/a b",
    "https://host/x\n--upload-pack=y",
    "https://host/%0a",
    "https://host/x\0",
    "https://host/\u202egit",
    "https://us%65r:pw@host/x",
    "https://token@host/x",
    "https://@host/x",
    "ssh://-oProxyCommand=touch%20x/y",
    "ssh://-l@host/y",
    "ssh://git:secret@host/y",
    "ssh://user:12/34@host/y",
    "https://user:12/34@host/y",
    "ssh://host",
    "ssh://host:99x/y",
    "ssh://ho;st/y",
    "ssh:host/y",
    "-oProxyCommand=x:y",
    "git@-oProxyCommand=x:y",
    "-x@host:y",
    "git@host:-path",
    "git@host:",
    "git@host::x",
    "git:secret@host:path",
    "host:path",
    "unknown:alice/index",
    "constructor:alice/index",
    "github:alice",
    "github:-a/b",
    "github:../../etc",
    "alice/index",
    "file:/etc",
    "file://server/share",
    "file:///-x",
    `https://host/${"x".repeat(3000)}`,
  ])("refuses %j", (text) => {
    for (const allowFile of [false, true]) {
      if (allowFile && text.startsWith("file:///")) continue;
      expect(() => parseGitUrl(text, { allowFile })).toThrow(expect.objectContaining({ code: "INVALID_URL" }) as Error);
    }
  });

  test("http to other machines only on request", () => {
    expect(parseGitUrl("http://git.lan/x", { allowFile: false, allowInsecure: true })).toBe("http://git.lan/x");
  });

  test.each([
    "https://user:hunter2@host/x",
    "https://hunter2@host/x",
    "ssh://u:hunter2@host/x",
    "u:hunter2@host:x",
    "https://u:hun/hunter2@host/x",
    "https://u:a@hunter2@host/x",
    "https://h/x?token=hunter2",
    "ftp://u:hunter2@h/x",
    "https://h:1/hunter2@x\n",
  ])("%j: the message shows no secret", (text) => {
    try {
      parseGitUrl(text, { allowFile: false });
      expect.unreachable();
    } catch (error) {
      expect((error as Error).message).not.toContain("hunter2");
      // eslint-disable-next-line no-control-regex
      expect((error as Error).message).not.toMatch(/[\u0000-\u001f]/u);
    }
  });

  test("a scheme typed twice is refused", () => {
    expect(() => parseGitUrl("https://https://-", { allowFile: false })).toThrow(/two slashes/);
  });

  test("whatever it accepts holds no option, helper, control character or secret", () => {
    const piece = fc.constantFrom(
      "https://",
      "ssh://",
      "git@",
      "host",
      ":",
      "/",
      "-",
      "::",
      "@",
      "x",
      "%0a",
      "\n",
      " ",
      "ext",
      "#",
      "?",
      "[::1]",
      "..",
      "\\",
      "user:pw@",
      "github:",
      "a.b",
      "~",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        let url: string;
        try {
          url = parseGitUrl(pieces.join(""), { allowFile: false });
        } catch (error) {
          expect(error).toMatchObject({ code: "INVALID_URL" });
          return;
        }
        expect(url).toMatch(/^(?:https:\/\/|http:\/\/(?:127\.|\[::1\]|localhost)|ssh:\/\/|[A-Za-z0-9_][A-Za-z0-9._+-]*@[A-Za-z0-9_[])/u);
        // A dash may start a folder of the path, never the host.
        expect(url.replace(/\[[0-9a-f:.]+\]/iu, "six")).not.toMatch(/::|[\s#?\\]|%0a|^[a-z]+:\/\/-|^[^/:]*@-/u);
        expect(url).not.toContain("user:pw@");
        expect(parseGitUrl(url, { allowFile: false })).toBe(url);
      }),
      { numRuns: 5000 },
    );
  });
});

test("redactUrl keeps a plain ssh user, hides all else before an @, and what a terminal would obey", () => {
  expect(redactUrl("fatal: unable to access 'https://u:p@host/x/': 403")).toBe("fatal: unable to access 'https://***@host/x/': 403");
  expect(redactUrl("ssh://git@host/x https://t@h/y")).toBe("ssh://git@host/x https://***@h/y");
  expect(redactUrl("git@host:alice/x")).toBe("git@host:alice/x");
  expect(redactUrl("\u001b[31mred\u202e\r\n")).toBe("[31mred");
});

describe("names", () => {
  test.each(["refs/heads/main", "refs/tarballs/00ff", "refs/heads/a-b/c.d_e@f", "refs/heads/ü"])("%s is a ref", (text) => {
    expect(parseRefName(text)).toBe(text);
  });
  test.each([
    "",
    "main",
    "refs",
    "refs/",
    "/refs/heads/x",
    "refs/heads/",
    "refs//x",
    "refs/heads/.x",
    "refs/heads/x.",
    "refs/heads/x.lock",
    "refs/x.lock/y",
    "refs/heads/a..b",
    "refs/heads/a@{b",
    "refs/heads/a b",
    "refs/heads/a:b",
    "refs/heads/a^",
    "refs/heads/*",
    "refs/heads/a\\b",
    "refs/heads/a\n",
    "refs/heads/-x",
    "refs/heads/a?",
    "refs/heads/a[",
    "refs/heads/a~1",
    "refs/heads/\u202e",
    `refs/${"x".repeat(600)}`,
    "+refs/heads/x",
    "-refs/heads/x",
  ])("%j is no ref", (text) => {
    expect(() => parseRefName(text)).toThrow(expect.objectContaining({ code: "INVALID_URL" }) as Error);
  });
  test.each(["", "abc", "0".repeat(40), "A".repeat(40), "g".repeat(40), "a".repeat(41), `${"a".repeat(40)}\n`])(
    "%j is no object id",
    (text) => {
      expect(() => parseObjectId(text)).toThrow(expect.objectContaining({ code: "INVALID_DOCUMENT" }) as Error);
    },
  );
  test("object ids of both hashes", () => {
    expect(parseObjectId("a".repeat(40))).toHaveLength(40);
    expect(parseObjectId("0".repeat(63) + "1")).toHaveLength(64);
  });
});
