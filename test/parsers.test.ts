/**
 * Every parser of `src` on input that nobody meant for it: noise, and good input with pieces changed, cut, doubled and
 * spliced. Each gives a value, its documented "no", or an ImprintError; never another exception.
 */
import fc from "fast-check";
import { scopeOwners } from "../src/registry/claims.ts";
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { LOCKFILES, readLockfile } from "../src/clients/lockfiles/read.ts";
import { findScopeLines } from "../src/clients/scope-lines.ts";
import { clientOf } from "../src/clients/notes.ts";
import { npmrcRegistry } from "../src/clients/pointing/npmrc.ts";
import { registryLines } from "../src/clients/pointing/point.ts";
import { planLocks } from "../src/clients/lock-addresses.ts";
import { parseKeys, parseThreshold } from "../src/cli/root-arguments.ts";
import { readOwnIndices } from "../src/cli/own-indices.ts";
import { knownProjects } from "../src/project/known-projects.ts";
import { openAnswer, openAsk } from "../src/serve/control.ts";
import { readResolver } from "../src/serve/resolver-state.ts";
import { isAcceptableKey, privateKeyFromSeed } from "../src/crypto/ed25519.ts";
import { openKeyFile, readKeyFileHeader, sealKeyFile } from "../src/crypto/key-file.ts";
import { parseNpmKeys } from "../src/crypto/npm-signature.ts";
import { readOpenSshKey } from "../src/crypto/openssh.ts";
import { ImprintError } from "../src/errors.ts";
import { fromBase64Url } from "../src/format/bytes.ts";
import { parseCheckpoint, parseShard } from "../src/format/checkpoint.ts";
import { sidesOfConflict } from "../src/format/conflict.ts";
import type { DisplayName } from "../src/format/decode.ts";
import { fileHashOf, type IndexId } from "../src/format/digest.ts";
import { parseExact } from "../src/format/json.ts";
import { isPublicKey, isSignatureText } from "../src/format/keys.ts";
import { isPackageName, parseNewPackageName, parsePackageName, parsePackagePattern } from "../src/format/names.ts";
import type { ShardName } from "../src/format/paths.ts";
import { parseLock, parseProject } from "../src/format/project.ts";
import { parseRecord } from "../src/format/record.ts";
import { parseRelease } from "../src/format/release.ts";
import { parseRoot } from "../src/format/root.ts";
import { isTarballSource, readTarballSource } from "../src/format/tarball-source.ts";
import { isTimestamp } from "../src/format/time.ts";
import { parseDistTag, parseVersion, type Version } from "../src/format/versions.ts";
import { indexPack } from "../src/git/isomorphic/pack-index.ts";
import { applyDelta, deltaResultSize, formatEntry, inflateExactly, readEntry } from "../src/git/store/pack-format.ts";
import { formatLine, readLines } from "../src/git/isomorphic/packet-lines.ts";
import { entriesOf, formatTree, parseTree } from "../src/git/store/tree.ts";
import { parseGitTokens } from "../src/git/tokens.ts";
import { parseGitUrl, parseObjectId, parseRefName, redactUrl } from "../src/git/url.ts";
import { BODY_LIMITS, readJsonBody } from "../src/http/body.ts";
import { parseRegistryPath } from "../src/http/path.ts";
import { parseSearch } from "../src/http/search-query.ts";
import { parseIndexAddress, parseMirror } from "../src/index/address.ts";
import { parsePackageSpec } from "../src/index/amend.ts";
import { openPackageMemory } from "../src/index/memory.ts";
import { pendingRecord } from "../src/index/root/pending.ts";
import { formatRequest, parseRequest } from "../src/index/root/request.ts";
import { openStateStore } from "../src/index/state.ts";
import { verifyCheckpoint, verifyFirstRoot } from "../src/index/trust.ts";
import { inspectTarball } from "../src/pack/inspect.ts";
import { PACK_LIMITS } from "../src/pack/limits.ts";
import { parsePackageJson } from "../src/pack/package-json.ts";
import { pathProblem } from "../src/pack/paths.ts";
import { parsePax } from "../src/pack/pax.ts";
import { decodeHeader } from "../src/pack/tar-header.ts";
import { TarReader } from "../src/pack/tar-reader.ts";
import { publicPartOf } from "../src/registry/audit-request.ts";
import { parseQuery } from "../src/registry/search-text.ts";
import { parseUpstreamPackument } from "../src/registry/upstream/packument.ts";
import { parseVia } from "../src/registry/upstream/via.ts";
import type { Cell } from "../src/storage/cell.ts";
import { type Files, nodeFiles } from "../src/storage/files.ts";
import { layoutFrom } from "../src/storage/layout.ts";
import { file, nextRoot, ROOT_1 } from "../scripts/vectors/kit.ts";
import { PLAIN } from "./crypto/openssh-keys.ts";
import { readVectors, textMember, type Vector } from "./format/vectors.ts";
import { formatEntry as formatPacked, formatPack, idOf, repeatDelta } from "./support/lying-host.ts";
import { paxEntry, rawEntry, rawTar } from "./support/tarball.ts";

type Parser = {
  /** A good input, or several. */
  readonly good: readonly (string | Uint8Array)[];
  readonly read: (bytes: Uint8Array) => unknown;
  /** Fewer runs where one takes long. */
  readonly runs?: number;
};

const text =
  (read: (input: string) => unknown): Parser["read"] =>
  (bytes) =>
    read(Buffer.from(bytes).toString("utf8"));
const all = async (lines: AsyncIterable<unknown>): Promise<number> => {
  let count = 0;
  for await (const _ of lines) count += 1;
  return count;
};
const documents = (readVectors("index").find(({ label }) => label === "ok") as Vector)["files"] as Readonly<Record<string, string>>;
const ofIndex = (path: RegExp): string => Object.entries(documents).find(([file]) => path.test(file))?.[1] ?? "";
const id = textMember(readVectors("index").find(({ label }) => label === "ok") as Vector, "id") as IndexId;
const project = (readVectors("claims")[0] as Vector)["project"] as string;

/** A disk on which every file is these bytes. */
const diskOf = (bytes: Uint8Array): Files => ({ ...nodeFiles(), read: async () => bytes });
const cellOf = (bytes: Uint8Array): Cell => ({ read: async () => ({ generation: 1, bytes }), swap: async () => 2 });
const layout = layoutFrom({ IMPRINT_HOME: "/nowhere" }, { config: "/nowhere", cache: "/nowhere", data: "/nowhere" });
const blob = Buffer.from("content of a blob");
const tree = formatTree([
  { mode: "100644", name: "a", id: idOf("blob", blob) as never },
  { mode: "040000", name: "b", id: idOf("blob", blob) as never },
]);
const whole = [
  { type: "blob", content: blob },
  { type: "tree", content: tree },
] as const;
const pack = formatPack([
  ...whole,
  { type: "ofs", content: repeatDelta(blob.length, 40), base: whole.reduce((bytes, entry) => bytes + formatPacked(entry).length, 0) },
]);
const tar = rawTar([
  { path: "package/package.json", content: '{"name":"a","version":"1.0.0"}' },
  paxEntry({ path: `package/${"x".repeat(120)}` }),
  { path: "package/x", content: "1" },
]);
const sealed = await sealKeyFile(
  { kind: "daily", name: "alice" as DisplayName, index: id, keys: [{ purpose: "publisher", key: privateKeyFromSeed(new Uint8Array(32)) }] },
  "",
  (bytes) => new Uint8Array(bytes),
);
const noCaps = {
  maxObjects: 100,
  maxObjectBytes: 100_000,
  maxInflatedBytes: 1_000_000,
  checkTime: () => undefined,
  tooLarge: (state: string) => new ImprintError("TOO_LARGE", state),
};
const lockfiles: Readonly<Record<string, string>> = {
  "pnpm-lock.yaml": "lockfileVersion: '9.0'\npackages:\n  'x@1.0.0':\n    resolution: {integrity: sha512-AA==}\n",
  "yarn.lock": '# yarn lockfile v1\n\nx@^1:\n  version "1.0.0"\n  resolved "http://127.0.0.1/x/-/x-1.0.0.tgz#aa"\n',
  "bun.lock": '{ "lockfileVersion": 1, "workspaces": {}, "packages": { "x": ["x@1.0.0", "", {}, "sha512-AA=="], } }\n',
  "deno.lock": '{ "version": "5", "npm": { "x@1.0.0": { "integrity": "sha512-AA==" } } }\n',
};

const roots = [verifyFirstRoot(Buffer.from(ofIndex(/trust/)), id)] as const;
const before = parseRecord(Buffer.from(ofIndex(/record/)));
const released = new Uint8Array(Buffer.from("{}\n"));
const after = {
  ...before.doc,
  revision: before.doc.revision + 1,
  releases: new Map([...before.doc.releases, ["2.0.0" as Version, fileHashOf(released)]]),
};
const request = formatRequest({
  state: { id, roots, checkpoint: verifyCheckpoint(Buffer.from(ofIndex(/checkpoint/)), roots) },
  root: parseRoot(Buffer.from(file("root", nextRoot(ROOT_1, id, ["refreshDays", 7]), "root"))),
  records: new Map([[before.doc.name, pendingRecord(before, after)]]),
  files: [
    { path: "packages/5d/@alice+hello/2.0.0.json", content: released },
    { path: "proposals/@alice+hello/2.0.0/release.json", content: null },
  ],
  broken: new Set(),
  checkpoint: null,
  message: "a change",
});

const PARSERS: Readonly<Record<string, Parser>> = {
  "JSON of the format": { good: [ofIndex(/checkpoint/)], read: (bytes) => parseExact(bytes, 1e6) },
  "a root": { good: [ofIndex(/trust/)], read: parseRoot },
  "a checkpoint": { good: [ofIndex(/checkpoint/)], read: parseCheckpoint },
  "a shard": { good: [ofIndex(/shard/)], read: (bytes) => parseShard(bytes, "5d" as ShardName) },
  "a record": { good: [ofIndex(/record/)], read: parseRecord },
  "a release": { good: [ofIndex(/1\.0\.0/)], read: parseRelease },
  "imprint.json": { good: [project], read: (bytes) => parseProject(bytes) },
  "imprint.lock": { good: ['{"format":1,"indices":{}}'], read: (bytes) => parseLock(bytes) },
  "git's conflict markers": { good: ["a\n<<<<<<< x\nb\n=======\nc\n>>>>>>> y\nd\n"], read: text(sidesOfConflict) },
  "package names": { good: ["@alice/hello"], read: text((input) => [isPackageName(input), parsePackageName(input)]) },
  "new package names": { good: ["@alice/hello"], read: text(parseNewPackageName) },
  patterns: { good: ["@alice/*", "*"], read: text(parsePackagePattern) },
  versions: { good: ["1.0.0-beta.1"], read: text(parseVersion) },
  tags: { good: ["latest"], read: text(parseDistTag) },
  times: { good: ["2026-01-01T00:00:00.000Z"], read: text(isTimestamp) },
  keys: {
    good: ["ed25519:_h_fXYAKxyI6lbNfDHFm1KWJVy0BZr3s3R3P21LhcbY"],
    read: text((input) => [isPublicKey(input), isSignatureText(input)]),
  },
  "points of the curve": { good: [new Uint8Array(32).fill(7)], read: isAcceptableKey },
  base64: { good: ["AAECAw"], read: text(fromBase64Url) },
  "tarball sources": {
    good: ["git", "git+https://a.example.org/x", "https://a.example.org/{file}"],
    read: text((input) => (isTarballSource(input) ? readTarballSource(input) : null)),
  },
  "key file headers": { good: [sealed], read: readKeyFileHeader },
  "key files": { good: [sealed], read: (bytes) => openKeyFile(bytes, ""), runs: 10 },
  "OpenSSH keys": { good: [PLAIN.file], read: (bytes) => readOpenSshKey(bytes, async () => "secret") },
  "npm's keys": {
    good: ['[{"keyid":"a","key":"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE"}]'],
    read: text((input) => parseNpmKeys([input, { keyid: input, key: input }])),
  },
  "git addresses": {
    good: ["https://git.example.org/alice/index.git", "git@host.example:a/b", "ssh://u@h:22/x", "github:a/b", "file:///x"],
    read: text((input) => [redactUrl(input), parseGitUrl(input, { allowFile: true })]),
  },
  "index addresses": { good: ["sparse+https://host.example/a/"], read: text((input) => parseIndexAddress(input, { allowFile: false })) },
  mirrors: { good: ["https://host.example/a"], read: text((input) => parseMirror(input, () => true)) },
  "ref names": { good: ["refs/heads/main"], read: text(parseRefName) },
  "object ids": { good: ["a".repeat(40)], read: text(parseObjectId) },
  "git tokens": { good: ["git.example.org=token,host:8443=user:token"], read: text(parseGitTokens) },
  "packet lines": {
    good: [Buffer.concat([formatLine("version 2\n"), Buffer.from("0001"), formatLine("x"), Buffer.from("0000")])],
    read: (bytes) =>
      all(
        readLines(
          (async function* () {
            yield bytes;
          })(),
          "ask",
        ),
      ),
  },
  "git trees": {
    good: [tree],
    read: (bytes) => {
      const parsed = parseTree(Buffer.from(bytes), 20);
      return parsed === null ? null : entriesOf(parsed);
    },
  },
  "pack entries": {
    good: [formatEntry("blob", blob)],
    read: (bytes) => {
      const entry = readEntry(Buffer.from(bytes), 0);
      return inflateExactly(Buffer.from(bytes).subarray(entry.dataAt), Math.min(entry.size, 1e6));
    },
  },
  deltas: {
    good: [repeatDelta(blob.length, 100)],
    read: (bytes) => (deltaResultSize(Buffer.from(bytes)) > 1e6 ? null : applyDelta(blob, Buffer.from(bytes))),
  },
  packs: { good: [pack], read: (bytes) => indexPack(Buffer.from(bytes), noCaps, async () => null) },
  "packs with a right checksum": {
    good: [pack.subarray(0, -20)],
    read: (bytes) => indexPack(Buffer.concat([bytes, Buffer.from(sha1(bytes), "hex")]), noCaps, async () => null),
  },
  "tar headers": { good: [rawEntry({ path: "package/x", content: "1" }).subarray(0, 512)], read: (bytes) => decodeHeader(fit(bytes, 512)) },
  "pax headers": { good: ["22 path=package/x/y/z\n"], read: parsePax },
  "tar streams": {
    good: [tar],
    read: (bytes) => {
      const reader = new TarReader(PACK_LIMITS, { entry: () => undefined, content: () => undefined });
      reader.write(bytes);
      reader.end();
    },
  },
  tarballs: { good: [gzipSync(tar)], read: (bytes) => inspectTarball(bytes), runs: 60 },
  "tarballs, packed again": { good: [tar], read: (bytes) => inspectTarball(gzipSync(bytes)), runs: 60 },
  "paths of a tarball": { good: ["package/index.js"], read: text(pathProblem) },
  "package.json": {
    good: ['{"name":"a","version":"1.0.0","scripts":{"test":"x"}}'],
    read: (bytes) => parsePackageJson(bytes, (state, cause) => new ImprintError("PACKAGE_REFUSED", state, { cause })),
  },
  "paths of requests": { good: ["/@s%2fp/-/p-1.0.0.tgz", "/-/npm/v1/security/advisories/bulk"], read: text(parseRegistryPath) },
  "bodies of requests": {
    good: ['{"a":["1.0.0"]}', gzipSync('{"a":[]}')],
    read: async (bytes) => {
      const encoding = bytes[0] === 0x1f ? { "content-encoding": "gzip" } : undefined;
      const request = new Request("http://127.0.0.1/", {
        method: "POST",
        body: Uint8Array.from(bytes),
        ...(encoding === undefined ? {} : { headers: encoding }),
      });
      const body = await readJsonBody(request, BODY_LIMITS);
      return [
        publicPartOf(parseProject(Buffer.from(project)), "advisories/bulk", body, new Map()),
        publicPartOf(parseProject(Buffer.from(project)), "audits", body, new Map()),
      ];
    },
  },
  "queries of searches": { good: ["text=hello&from=1&size=20"], read: text((input) => parseSearch(new URLSearchParams(input))) },
  "words of searches": { good: ["hello keywords:a,b"], read: text(parseQuery) },
  "Via headers": { good: ["1.1 imprint-0123456789abcdef, 1.0 proxy"], read: text(parseVia) },
  "agents of clients": { good: ["npm/11.19.1 node/v20"], read: text(clientOf) },
  "packuments of upstream": {
    good: ['{"name":"x","versions":{"1.0.0":{"dist":{"tarball":"http://127.0.0.1/x"}}}}'],
    read: text((input) => parseUpstreamPackument(input, parsePackageName("x"))),
  },
  "specs of packages": { good: ["@alice/hello@<1.2"], read: text(parsePackageSpec) },
  "the trusted state": {
    good: [JSON.stringify({ format: 1, at: "x", checkpoint: ofIndex(/checkpoint/), roots: [ofIndex(/trust/)] })],
    read: (bytes) => openStateStore(cellOf(bytes), id).read(),
  },
  "the memory of a package": {
    good: [`${JSON.stringify({ format: 2, sizes: [2, 2], seen: null, since: { "1.0.0": "2026-01-01T00:00:00.000Z" } })}\n{}{}`],
    read: async (bytes) => (await openPackageMemory(cellOf(bytes)).read())?.remembered.releases(),
  },
  "requests for signatures": { good: [request], read: parseRequest },
  "keys and thresholds on the command line": {
    good: ["ed25519:_h_fXYAKxyI6lbNfDHFm1KWJVy0BZr3s3R3P21LhcbY", "2"],
    read: text((input) => (input.length < 3 ? parseThreshold(input) : parseKeys([input]))),
  },
  "own indices": {
    good: [`{\n  "format": 1,\n  "indices": [\n    {\n      "id": "${id}",\n      "name": "alice",\n      "path": "/x"\n    }\n  ]\n}\n`],
    read: (bytes) => readOwnIndices({ files: diskOf(bytes), layout }),
  },
  "a running resolver": {
    good: [JSON.stringify({ port: 4870, pid: 1, secret: "a".repeat(64) })],
    read: (bytes) => readResolver({ files: diskOf(bytes), layout }, 4870),
  },
  "projects of this user": {
    good: [JSON.stringify({ format: 1, projects: [{ folder: "/x", policies: ["0123456789abcdef0123"] }] })],
    read: (bytes) => knownProjects({ files: diskOf(bytes), layout }),
  },
  "what another process asks of a resolver": {
    good: [JSON.stringify({ nonce: "0".repeat(32), ask: "{}", mac: "0".repeat(64) })],
    read: text((input) => {
      const secret = new Uint8Array(32);
      return [openAnswer(secret, "0".repeat(32), input), openAsk(secret, { nonce: "0".repeat(32), ask: input, mac: input })];
    }),
  },
  "addresses in lockfiles": {
    good: [
      '  resolved "http://127.0.0.1:4870/@alice/a/-/a-1.0.0.tgz#00"\n',
      '{"resolved": "http://127.0.0.1:4870/x/-/x-1.0.0.tgz", "a": 1}',
    ],
    read: (bytes) =>
      planLocks(diskOf(bytes), "/nowhere", {
        address: "http://127.0.0.1:4870/~0123456789abcdef0123/",
        isClaimed: () => true,
        upstream: undefined,
      }),
  },
  "settings of clients": {
    good: ["@alice:registry=http://127.0.0.1/\n", "npmScopes:\n  alice:\n    npmRegistryServer: x\n", '[install.scopes]\nalice = "x"\n'],
    read: async (bytes) => {
      const at = { ownerOf: scopeOwners(parseProject(Buffer.from(project))), folder: "/nowhere" };
      npmrcRegistry(Buffer.from(bytes).toString());
      return [await findScopeLines(at, { files: diskOf(bytes), cwd: "/nowhere", env: {} }), await registryLines(diskOf(bytes), "/nowhere")];
    },
  },
  ...Object.fromEntries(
    LOCKFILES.map((name): [string, Parser] => [
      name,
      {
        good: [
          lockfiles[name] ?? '{"lockfileVersion":3,"packages":{"node_modules/x":{"version":"1.0.0","resolved":"http://127.0.0.1/x"}}}',
        ],
        read: (bytes) => readLockfile(bytes, name, name),
      },
    ]),
  ),
};

function sha1(bytes: Uint8Array): string {
  return createHash("sha1").update(bytes).digest("hex");
}

function fit(bytes: Uint8Array, length: number): Uint8Array {
  const whole = new Uint8Array(length);
  whole.set(bytes.subarray(0, length));
  return whole;
}

type Change = (bytes: Buffer) => Buffer;

/** Good input with some of it changed. */
function changed(good: Uint8Array): fc.Arbitrary<Uint8Array> {
  const place = fc.nat(Math.max(0, good.length - 1));
  const change: fc.Arbitrary<Change> = fc.oneof(
    fc.tuple(place, fc.nat(255)).map(([at, byte]) => (bytes: Buffer) => {
      const next = Buffer.from(bytes);
      if (at < next.length) next[at] = byte;
      return next;
    }),
    place.map((at) => (bytes: Buffer) => bytes.subarray(0, at)),
    fc.tuple(place, place).map(
      ([a, b]) =>
        (bytes: Buffer) =>
          Buffer.concat([bytes.subarray(0, a), bytes.subarray(b)]),
    ),
    fc
      .tuple(
        place,
        fc.oneof(
          fc.uint8Array({ maxLength: 8 }),
          fc.constantFrom("{", "[", '"', "\\u0000", "\n", "__proto__", "1e400", "-").map((some) => Buffer.from(some)),
        ),
      )
      .map(
        ([at, some]) =>
          (bytes: Buffer) =>
            Buffer.concat([bytes.subarray(0, at), some, bytes.subarray(at)]),
      ),
  );
  return fc
    .array(change, { minLength: 1, maxLength: 4 })
    .map((changes) => changes.reduce<Buffer>((bytes, one) => one(bytes), Buffer.from(good)));
}

const noise = fc.oneof(
  fc.uint8Array({ maxLength: 700 }),
  fc.string({ unit: "binary" }).map((some) => Buffer.from(some)),
  fc.json().map((some) => Buffer.from(some)),
  fc.constant(new Uint8Array(0)),
);

describe("N2 J1 every parser, whatever it is given", () => {
  for (const [name, { good, read, runs = 300 }] of Object.entries(PARSERS)) {
    it(`N2 J1 ${name}: a value, a plain no, or an ImprintError`, async () => {
      for (const one of good) await expect(Promise.resolve(one).then((input) => read(Buffer.from(input)))).resolves.not.toThrow();
      const arbitrary = fc.oneof(
        { weight: 1, arbitrary: noise },
        ...good.map((one) => ({ weight: 3, arbitrary: changed(Buffer.from(one)) })),
      );
      await fc.assert(
        fc.asyncProperty(arbitrary, async (bytes) => {
          try {
            await read(bytes);
          } catch (error) {
            expect(error).toBeInstanceOf(ImprintError);
          }
          expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
        }),
        { numRuns: runs },
      );
    });
  }
});
