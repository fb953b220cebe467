/**
 * The stranger's verifier, `index-schema/verify.py`: written from SPEC.md alone, in another language, it must come to the
 * verdict of every vector that is its business, and of a real index, whole and tampered with.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { shardPath, recordPath, releasePath, shardOf } from "../../src/format/paths.ts";
import { parsePackageName } from "../../src/format/names.ts";
import { parseVersion } from "../../src/format/versions.ts";
import { readVectors, SCHEMA_FOLDER, textMember, type Vector } from "../format/vectors.ts";
import { testGitAsync } from "../support/git-host.ts";
import { type People, people } from "../support/people.ts";
import { CHAIN_PACKAGE, indexOver } from "../support/root-chain.ts";
import { startStaticHost, type StaticHost, treeOf } from "../support/static-host.ts";

const SCRIPT = fileURLToPath(new URL("verify.py", SCHEMA_FOLDER));
/** Vectors whose fault shows only to who remembers an earlier state, or has a lock: the script has neither. */
const OUTSIDE: Readonly<Record<string, readonly string[]>> = {
  memory: ["rollback", "rollback-root", "equivocation"],
  lock: ["lock-equivocation", "lock-other-index", "lock-other-root", "lock-rollback"],
};

const folder = mkdtempSync(path.join(tmpdir(), "imprint-stranger-"));
let folders = 0;
afterAll(() => rmSync(folder, { recursive: true, force: true }));

type Judged = { readonly code: number; readonly stdout: string; readonly stderr: string };

/** Tests of one file run at the same time: a process each, and as many as `maxConcurrency` says. */
function run(command: string, args: readonly string[]): Promise<Judged> {
  return new Promise((resolve, reject) => {
    execFile(command, args, { timeout: 100_000 }, (error, stdout, stderr) => {
      if (error !== null && typeof error.code !== "number") reject(error);
      else resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

let python = "python3";
const verify = (source: string, id: string, name: string, version: string): Promise<Judged> =>
  run(python, [SCRIPT, source, id, name, version]);

function layOut(files: Readonly<Record<string, string>>): string {
  const at = path.join(folder, String(++folders));
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(at, file)), { recursive: true });
    writeFileSync(path.join(at, file), text);
  }
  return at;
}

/** Refused in one line that names the file, and nothing printed as a result. */
function refusalOf(file: string): Judged {
  const line = new RegExp(`^${file.replaceAll(/[.+]/gu, String.raw`\$&`)}: [^\n]+\n$`, "u");
  return { code: 1, stdout: "", stderr: expect.stringMatching(line) as string };
}

beforeAll(async () => {
  // Not skipped where they are missing: .ci/run installs them.
  for (const [command, argument, wanted] of [
    ["python3", "--version", /^Python 3\.(9|[1-9][0-9])/],
    ["openssl", "version", /^OpenSSL [3-9]/],
  ] as const)
    expect((await run(command, [argument])).stdout).toMatch(wanted);
  // What a version manager puts on the PATH starts three programs to find the fourth.
  python = (await run("python3", ["-c", "import sys; print(sys.executable)"])).stdout.trim();
});

describe("the script", () => {
  it("is short, and needs nothing but Python", () => {
    const source = readFileSync(SCRIPT, "utf8");
    expect(source.split("\n").length - 1).toBeLessThan(100);
    const imported = [...source.matchAll(/^(?:import|from) (.*)$/gmu)].flatMap(([, list]) => (list as string).split(", "));
    const standard =
      "base64 faulthandler hashlib http.client itertools json os pathlib re shutil subprocess sys tempfile urllib.parse urllib.request";
    expect(imported).toEqual(standard.split(" "));
  });
});

describe.concurrent("vectors of the area index", () => {
  const vectors = readVectors("index");

  it("what is outside of its job is exactly what reading 4 refuses", () => {
    const refused = vectors.filter(({ error }) => ["ROLLBACK", "EQUIVOCATION", "LOCK_MISMATCH"].includes(error ?? ""));
    const others = vectors.filter((vector) => vector.error === "WRONG_ID" && vector["lock"] !== undefined);
    expect([...refused, ...others].map(({ label }) => label).toSorted()).toEqual(Object.values(OUTSIDE).flat().toSorted());
  });

  for (const vector of vectors) {
    const isOutside = Object.values(OUTSIDE).flat().includes(vector.label);
    const verdicts =
      vector.valid && vector["absent"] !== true ? (vector["verdicts"] as Readonly<Record<string, string>>) : { "1.0.0": "error" };
    for (const [version, verdict] of Object.entries(verdicts)) {
      it(`T1a K8 K9 ${vector.label} ${version}: ${vector.description}`, async () => {
        const at = layOut(vector["files"] as Readonly<Record<string, string>>);
        const judged = await verify(at, textMember(vector, "id"), textMember(vector, "package"), version);
        if (verdict === "ok" || isOutside) {
          expect(judged).toMatchObject({ code: 0, stderr: "" });
          expect(judged.stdout).toMatch(/^sha512-[A-Za-z0-9+/]{86}==\n$/u);
        } else expect(judged).toEqual(refusalOf(fileOf(vector, version)));
      });
    }
  }
});

/** Where the script must find the fault. */
function fileOf(vector: Vector, version: string): string {
  const name = parsePackageName(textMember(vector, "package"));
  if (vector["file"] !== undefined) return textMember(vector, "file");
  const files = vector["files"] as Readonly<Record<string, string>>;
  if (vector["verdicts"] !== undefined) {
    const { signed } = JSON.parse(files[recordPath(name)] ?? "{}") as { signed: { yanked: Readonly<Record<string, string>> } };
    return version in signed.yanked ? recordPath(name) : releasePath(name, parseVersion(version));
  }
  return shardPath(shardOf(name)) in files ? shardPath(shardOf(name)) : "checkpoint.json";
}

describe.concurrent("vectors of the area chain", () => {
  for (const vector of readVectors("chain")) {
    it(`K2 E2 ${vector.label}: ${vector.description}`, async () => {
      const at = layOut(indexOver(vector["roots"] as readonly string[]));
      const judged = await verify(at, textMember(vector, "id"), CHAIN_PACKAGE, "1.0.0");
      if (vector.valid) expect(judged).toMatchObject({ code: 0, stderr: "" });
      else expect(judged).toEqual(refusalOf(textMember(vector, "file")));
    });
  }
});

describe("a real index", () => {
  const NAME = "@alice/Hello.js";
  let world: People;
  let web: StaticHost;
  let id: string;
  let clone: string;
  let integrity: string;

  beforeAll(async () => {
    world = await people();
    const alice = world.person("alice");
    const made = await world.init(alice, "@alice/*");
    ({ id } = made);
    for (const [name, version] of [
      ["@alice/hello", "1.0.0"],
      ["@alice/hello", "1.1.0"],
      ["@alice/other", "0.1.0-Beta.1"],
    ] as const) {
      const files = { "package.json": { name, version, description: "Ünïcode 𝒳" }, "index.js": `// ${version}\n` };
      const published = await world.imprint(alice, world.folderOf(`${name.slice(7)}-${version}`, files), "publish");
      expect(published.code, published.stderr).toBe(0);
    }
    clone = path.join(folder, "clone");
    await testGitAsync(path.join(folder, "none"), ["clone", "-q", made.url, clone]);
    web = await startStaticHost(treeOf(world.hosted("alice/index.git")));
    integrity = integrityIn(recordFolder("@alice/hello", "1.1.0"));
  });
  afterAll(async () => {
    await web.close();
    await world.close();
  });

  const recordFolder = (name: string, version: string): string => releasePath(parsePackageName(name), parseVersion(version));
  const integrityIn = (file: string): string =>
    (JSON.parse(readFileSync(path.join(clone, file), "utf8")) as { signed: { dist: { integrity: string } } }).signed.dist.integrity;
  /** A copy of the clone, changed by a host. */
  const tampered = (change: (at: string) => void): string => {
    const at = path.join(folder, `tampered-${String(++folders)}`);
    cpSync(clone, at, { recursive: true });
    change(at);
    return at;
  };

  it("is followed from its id to a release, in a clone and over http", async () => {
    const web_ = web.url.replace("sparse+", "");
    for (const source of [clone, web_, web_.replace(/\/$/u, "")])
      expect(await verify(source, id, "@alice/hello", "1.1.0")).toEqual({ code: 0, stdout: `${integrity}\n`, stderr: "" });
    expect(web.asked.some((asked) => asked.endsWith("/%40alice%2Bhello/record.json"))).toBe(true);
    const beta = await verify(web_, id, "@alice/other", "0.1.0-Beta.1");
    expect(beta.stdout).toBe(`${integrityIn(recordFolder("@alice/other", "0.1.0-Beta.1"))}\n`);
  });

  it("T6 what is not there is said to be not there", async () => {
    expect((await verify(clone, id, "@alice/hello", "9.9.9")).stderr).toMatch(/record\.json: no such version/u);
    expect((await verify(clone, id, "@bob/hello", "1.0.0")).stderr).toMatch(/: no such package/u);
    expect((await verify(clone, id, NAME, "1.0.0")).code).toBe(1);
    const other = `${id.startsWith("0") ? "1" : "0"}${id.slice(1)}`;
    expect(await verify(clone, other, "@alice/hello", "1.1.0")).toEqual(refusalOf("trust/1.json"));
    expect(await verify(path.join(folder, "nowhere"), id, "@alice/hello", "1.1.0")).toEqual(refusalOf("checkpoint.json"));
    expect(await verify("http://127.0.0.1:1", id, "@alice/hello", "1.1.0")).toEqual(refusalOf("checkpoint.json"));
    expect((await run(python, [SCRIPT, clone])).stderr).toMatch(/^verify\.py: needs/u);
  });

  it("T1a T6 T8 G5 any file changed, withheld, swollen or linked is refused by name", async () => {
    const name = parsePackageName("@alice/hello");
    const files = ["trust/1.json", "checkpoint.json", shardPath(shardOf(name)), recordPath(name), releasePath(name, parseVersion("1.0.0"))];
    const outside = path.join(folder, "outside");
    for (const file of files) {
      const changes: readonly ((at: string) => void)[] = [
        (at) => rmSync(at),
        (at) =>
          writeFileSync(
            at,
            readFileSync(at, "utf8").replace(/[0-9a-f]{5}/u, (digits) => digits.split("").toReversed().join("")),
          ),
        (at) => writeFileSync(at, Buffer.concat([readFileSync(at), Buffer.alloc(9_000_000, " ")])),
        (at) => {
          renameSync(at, outside);
          symlinkSync(outside, at);
        },
        (at) => {
          rmSync(at);
          mkdirSync(at);
        },
      ];
      for (const change of changes) {
        const at = tampered((copy) => change(path.join(copy, file)));
        const judged = await verify(at, id, "@alice/hello", "1.1.0");
        // Another digest in the checkpoint names another root, shard or signature; whatever it is, it is refused.
        expect(judged, file).toMatchObject({ code: 1, stdout: "" });
        expect(judged.stderr).toMatch(/^\S+: .+\n$/u);
        if (change !== changes[1]) expect(judged).toEqual(refusalOf(file));
      }
    }
    const linked = tampered((copy) => {
      renameSync(path.join(copy, "trust"), path.join(copy, "elsewhere"));
      symlinkSync("elsewhere", path.join(copy, "trust"));
    });
    expect(await verify(linked, id, "@alice/hello", "1.1.0")).toEqual(refusalOf("trust/1.json"));
  });

  it("E1 a signature in another guise is none: S + L, and bytes of another spelling", async () => {
    const L = 2n ** 252n + 27742317777372353535851937790883648493n;
    const signature = (change: (bytes: Buffer) => Buffer | string): string =>
      tampered((copy) => {
        const file = path.join(copy, "checkpoint.json");
        const text = readFileSync(file, "utf8");
        const [, old = ""] = /"signature": "([^"]*)"/u.exec(text) ?? [];
        const next = change(Buffer.from(old, "base64url"));
        writeFileSync(file, text.replace(old, typeof next === "string" ? next : next.toString("base64url")));
      });
    const plusL = signature((bytes) => {
      const s = BigInt(`0x${Buffer.from(bytes.subarray(32)).reverse().toString("hex")}`) + L;
      return Buffer.concat([bytes.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, "0"), "hex").reverse()]);
    });
    expect(await verify(plusL, id, "@alice/hello", "1.1.0")).toEqual(refusalOf("checkpoint.json"));
    const respelled = signature((bytes) => bytes.toString("base64url").replace(/.$/u, (last) => (last === "A" ? "B" : "_")));
    expect(await verify(respelled, id, "@alice/hello", "1.1.0")).toEqual(refusalOf("checkpoint.json"));
    expect(
      await verify(
        signature((bytes) => bytes),
        id,
        "@alice/hello",
        "1.1.0",
      ),
    ).toMatchObject({ code: 0 });
  });

  it("T8 H1 a web server that answers in HTML, with errors, or without end is refused", async () => {
    const base = web.url.replace("sparse+", "");
    web.intercept = (_, response) => {
      response.end("<html>welcome</html>");
      return true;
    };
    expect(await verify(base, id, "@alice/hello", "1.1.0")).toEqual(refusalOf("checkpoint.json"));
    web.intercept = (_, response) => {
      response.writeHead(403).end();
      return true;
    };
    expect(await verify(base, id, "@alice/hello", "1.1.0")).toEqual(refusalOf("checkpoint.json"));
    web.intercept = (_, response) => {
      const more = (): void => {
        while (response.write(Buffer.alloc(65_536, "[")));
        response.once("drain", more);
      };
      more();
      return true;
    };
    expect(await verify(base, id, "@alice/hello", "1.1.0")).toEqual(refusalOf("checkpoint.json"));
    web.intercept = null;
  });

  it("J1 the integrity that it prints is that of the tarball", async () => {
    const hex = Buffer.from(integrity.slice(7), "base64").toString("hex");
    const ref = `refs/tarballs/${hex.slice(0, 64)}`;
    const bytes = await new Promise<Buffer>((resolve, reject) => {
      execFile(
        "git",
        [`--git-dir=${world.hosted("alice/index.git")}`, "cat-file", "blob", `${ref}:package.tgz`],
        { encoding: "buffer" },
        (error, stdout) => (error === null ? resolve(stdout) : reject(error)),
      );
    });
    expect(createHash("sha512").update(bytes).digest("hex")).toBe(hex);
  });
});
