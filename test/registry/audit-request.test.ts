/** X6 what leaves this machine when clients ask for advisories. */
import { describe, expect, it } from "vitest";
import type { JsonValue } from "../../src/format/json.ts";
import { parseProject } from "../../src/format/project.ts";
import { emptyReport, publicPartOf } from "../../src/registry/audit-request.ts";

const PROJECT = parseProject(
  Buffer.from(
    JSON.stringify({
      format: 1,
      indices: {
        alice: { id: "0".repeat(64), urls: ["https://git.example/alice.git"], packages: ["@alice/*", "secret"] },
      },
      upstream: { allow: ["*"], deny: ["@corp/*", "internal"] },
    }),
  ),
);
const PRIVATE = ["@alice/foo", "secret", "@corp/tool", "internal"];

const bulk = (body: JsonValue): unknown => publicPartOf(PROJECT, "advisories/bulk", body, new Map());
const tree = (body: JsonValue): unknown => publicPartOf(PROJECT, "audits/quick", body, new Map());

describe("bulk", () => {
  it("X6 claimed and denied names are taken out, public ones stay as they are", () => {
    const names = Object.fromEntries([...PRIVATE, "lodash", "@types/node"].map((name) => [name, ["1.0.0", "2.0.0-rc.1+x"]]));
    expect(bulk(names)).toEqual({ lodash: ["1.0.0", "2.0.0-rc.1+x"], "@types/node": ["1.0.0", "2.0.0-rc.1+x"] });
  });

  it("X6 nothing left: nothing to ask", () => {
    expect(bulk({})).toBeNull();
    expect(bulk(Object.fromEntries(PRIVATE.map((name) => [name, ["1.0.0"]])))).toBeNull();
    expect(emptyReport("advisories/bulk")).toEqual({});
  });

  it("X6 what is no name and no version leaves neither: aliases, addresses, other spellings", () => {
    expect(
      bulk({
        lodash: ["npm:@alice/foo@1.0.0", "https://git.corp.example/x.tgz", "file:../secret", "git+ssh://git@corp/x", "4.0.0"],
        "@alice%2ffoo": ["1.0.0"],
        "../secret": ["1.0.0"],
        "npm:secret": ["1.0.0"],
        " secret": ["1.0.0"],
        underscore: ["workspace:*"],
      }),
    ).toEqual({ lodash: ["4.0.0"] });
  });

  it.each([[[]], ["x"], [null], [{ lodash: "1.0.0" }], [{ lodash: [1] }], [{ lodash: null }], [{ lodash: { 0: "1.0.0" } }]])(
    "%j is refused",
    (body) => expect(() => bulk(body)).toThrow(expect.objectContaining({ code: "BAD_REQUEST" })),
  );

  it("__proto__ is a name that no registry has", () => {
    expect(bulk(JSON.parse('{"__proto__":["1.0.0"],"constructor":["1.0.0"]}') as JsonValue)).toEqual({ constructor: ["1.0.0"] });
    expect(({} as Record<string, unknown>)["0"]).toBeUndefined();
  });
});

describe("trees", () => {
  const node = (version: string, more: { readonly [key: string]: JsonValue } = {}): JsonValue => ({ version, ...more });

  it("X6 claimed and denied names are taken out of requires, dependencies, install, remove and the project's own name", () => {
    const sent = tree({
      name: "@alice/app",
      version: "1.0.0",
      requires: { "@alice/foo": "^1.0.0", lodash: "^4.0.0", secret: "*" },
      dependencies: {
        "@alice/foo": node("1.0.0", { requires: { internal: "^1.0.0" } }),
        lodash: node("4.0.0", {
          integrity: "sha512-AAAA==",
          requires: { "@corp/tool": "1", underscore: ">=1 <2" },
          dev: true,
          resolved: "http://x/",
        }),
        internal: node("1.0.0"),
      },
      install: ["@alice/foo@1.0.0", "lodash@4.0.0", "secret"],
      remove: ["@corp/tool@1.0.0", "left-pad"],
      metadata: { npm_version: "6.14.18", node_version: "v20", platform: "linux", cwd: "/home/alice/secret" },
      lockfileVersion: 1,
      "private notes": "@alice/foo",
    });
    expect(sent).toEqual({
      version: "1.0.0",
      requires: { lodash: "^4.0.0" },
      dependencies: { lodash: { version: "4.0.0", integrity: "sha512-AAAA==", dev: true, requires: { underscore: ">=1 <2" } } },
      install: ["lodash@4.0.0"],
      remove: ["left-pad"],
      metadata: { npm_version: "6.14.18", node_version: "v20", platform: "linux" },
    });
  });

  it("X6 at any depth; public packages below a claimed one move up and are still asked about", () => {
    const sent = tree({
      dependencies: {
        lodash: node("4.0.0", { dependencies: { "@alice/foo": node("1.0.0", { dependencies: { minimist: node("0.0.8") } }) } }),
        "@alice/foo": node("1.0.0", {
          dependencies: { lodash: node("3.0.0"), secret: node("1.0.0", { dependencies: { "is-odd": node("1.0.0") } }) },
        }),
        alias: node("npm:secret@1.0.0", { dependencies: { "is-even": node("1.0.0") } }),
      },
    });
    expect(sent).toMatchObject({
      dependencies: {
        lodash: { version: "4.0.0", dependencies: { minimist: { version: "0.0.8" }, lodash: { version: "3.0.0" } } },
        "is-odd": { version: "1.0.0" },
        "is-even": { version: "1.0.0" },
      },
    });
    for (const name of PRIVATE) expect(JSON.stringify(sent)).not.toContain(`"${name}"`);
    expect(JSON.stringify(sent)).not.toContain("secret");
  });

  it("X6 nothing left: an empty report of the form that clients read", () => {
    expect(tree({ dependencies: { secret: node("1.0.0") }, requires: { secret: "1" } })).toBeNull();
    expect(tree({})).toBeNull();
    expect(emptyReport("audits")).toMatchObject({ actions: [], advisories: {}, metadata: { vulnerabilities: { critical: 0 } } });
  });

  it.each([
    [{ dependencies: [] }],
    [{ dependencies: { x: "1.0.0" } }],
    [{ dependencies: { x: {} } }],
    [{ dependencies: { x: { version: 1 } } }],
  ])("%j is refused", (body) => expect(() => tree(body as JsonValue)).toThrow(expect.objectContaining({ code: "BAD_REQUEST" })));
});
