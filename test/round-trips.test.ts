/** What is written is read again as it was, for every pair of a writer and a reader that test/format does not have. */
import fc from "fast-check";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { addOwnIndex, readOwnIndices } from "../src/cli/own-indices.ts";
import { forgetResolver, readResolver, rememberResolver } from "../src/serve/resolver-state.ts";
import { privateKeyFromSeed } from "../src/crypto/ed25519.ts";
import { openKeyFile, readKeyFileHeader, sealKeyFile } from "../src/crypto/key-file.ts";
import { readOpenSshKey } from "../src/crypto/openssh.ts";
import type { DisplayName } from "../src/format/decode.ts";
import { fileHashOf, type IndexId } from "../src/format/digest.ts";
import { isPackageName, parsePackageName } from "../src/format/names.ts";
import { parseRecord } from "../src/format/record.ts";
import { parseRoot } from "../src/format/root.ts";
import { fillTemplate } from "../src/format/tarball-source.ts";
import { formatTimestamp } from "../src/format/time.ts";
import { parseVersion } from "../src/format/versions.ts";
import { indexPack } from "../src/git/isomorphic/pack-index.ts";
import { formatEntry, inflateExactly, readEntry } from "../src/git/store/pack-format.ts";
import { FLUSH, formatLine, readLines } from "../src/git/isomorphic/packet-lines.ts";
import { entriesOf, formatTree, parseTree, type RawEntry, type Tree } from "../src/git/store/tree.ts";
import { parseGitTokens } from "../src/git/tokens.ts";
import { parseGitUrl } from "../src/git/url.ts";
import { parseRegistryPath } from "../src/http/path.ts";
import { parseSearch } from "../src/http/search-query.ts";
import { parseIndexAddress } from "../src/index/address.ts";
import { parsePackageSpec } from "../src/index/amend.ts";
import { openPackageMemory } from "../src/index/memory.ts";
import { formatRequest, parseRequest } from "../src/index/root/request.ts";
import { verifyCheckpoint, verifyFirstRoot } from "../src/index/trust.ts";
import { parsePax } from "../src/pack/pax.ts";
import { decodeHeader } from "../src/pack/tar-header.ts";
import { formatVia, parseVia } from "../src/registry/upstream/via.ts";
import { openCell } from "../src/storage/cell.ts";
import { nodeFiles } from "../src/storage/files.ts";
import { layoutFrom } from "../src/storage/layout.ts";
import { readVectors, type Vector } from "./format/vectors.ts";
import { formatPack, idOf } from "./support/lying-host.ts";
import { paxEntry, rawEntry } from "./support/tarball.ts";

const folder = mkdtempSync(path.join(tmpdir(), "imprint-round-trips-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const layout = layoutFrom({ IMPRINT_HOME: folder }, { config: folder, cache: folder, data: folder });
const stores = { files: nodeFiles(), layout };
let made = 0;

const hex = (bytes: number): fc.Arbitrary<string> =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((some) => Buffer.from(some).toString("hex"));
const short = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,20}$/);
const name = fc
  .stringMatching(/^(@[A-Za-z0-9][A-Za-z0-9._-]{0,5}\/[A-Za-z0-9_-]|[A-Za-z0-9])([A-Za-z0-9._-]{0,5}[A-Za-z0-9_-])?$/)
  .filter(isPackageName);
const seed = fc.uint8Array({ minLength: 32, maxLength: 32 });

/** The bytes cut into pieces, as a network delivers them. */
async function* pieces(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
  let at = 0;
  for (const size of [...sizes, bytes.length]) {
    await Promise.resolve();
    if (at < bytes.length) yield bytes.subarray(at, (at += Math.max(1, size)));
  }
}

describe("git's formats", () => {
  const content = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));

  it("packet lines, however they are cut", async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.option(content)), sizes, async (lines, cuts) => {
        const sent = Buffer.concat(lines.map((line) => (line === null ? FLUSH : formatLine(line))));
        const read: (Buffer | null)[] = [];
        for await (const line of readLines(pieces(sent, cuts), "ask")) read.push(line);
        expect(read.map((line) => line?.toString("hex"))).toEqual(lines.map((line) => line?.toString("hex")));
      }),
    );
  });

  it("entries of a pack, and the pack", async () => {
    const type = fc.constantFrom("commit" as const, "tree" as const, "blob" as const);
    fc.assert(
      fc.property(type, content, (kind, data) => {
        const bytes = formatEntry(kind, data);
        const entry = readEntry(bytes, 0);
        expect(entry).toMatchObject({ type: kind, size: data.length, base: null });
        expect(inflateExactly(bytes.subarray(entry.dataAt), entry.size)).toEqual({ data, used: bytes.length - entry.dataAt });
      }),
    );
    const caps = {
      maxObjects: 50,
      maxObjectBytes: 1000,
      maxInflatedBytes: 50_000,
      checkTime: () => undefined,
      tooLarge: () => new Error() as never,
    };
    const blobs = fc.uniqueArray(content, { maxLength: 20, selector: (data) => data.toString("hex") });
    await fc.assert(
      fc.asyncProperty(blobs, async (contents) => {
        const indexed = await indexPack(
          formatPack(contents.map((data) => ({ type: "blob" as const, content: data }))),
          caps,
          async () => null,
        );
        expect(indexed.objects).toBe(contents.length);
        // Version 2 of the index: magic, 256 counts, then the ids in order.
        const ids = contents.map((data) => idOf("blob", data)).toSorted();
        expect(indexed.index.subarray(8 + 1024, 8 + 1024 + 20 * ids.length).toString("hex")).toBe(ids.join(""));
      }),
      { numRuns: 50 },
    );
  });

  it("trees: entries in git's order, and the same bytes again", () => {
    const entry = fc.record({
      mode: fc.constantFrom("100644", "100755", "040000", "120000", "160000"),
      name: fc.stringMatching(/^[\u0021-\u002e\u0030-\u007e\u00a1-\u00ff]{1,12}$/),
      id: hex(20),
    }) as unknown as fc.Arbitrary<RawEntry>;
    fc.assert(
      fc.property(fc.uniqueArray(entry, { selector: ({ name: of }) => of }), (entries) => {
        const bytes = formatTree(entries);
        const read = entriesOf(parseTree(bytes, 20) as Tree);
        expect(read.toSorted((a, b) => (a.name < b.name ? -1 : 1))).toEqual(entries.toSorted((a, b) => (a.name < b.name ? -1 : 1)));
        expect(formatTree(read)).toEqual(bytes);
      }),
    );
  });
});

describe("keys on disk", () => {
  it("key files, under any passphrase and no other", async () => {
    const file = fc.record({
      name: short,
      index: hex(32),
      passphrase: fc.string({ unit: "grapheme" }).filter((some) => some.isWellFormed()),
      seeds: fc.array(seed, { minLength: 1, maxLength: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(file, async ({ name: of, index, passphrase, seeds }) => {
        const keys = seeds.map((one) => ({ purpose: "publisher" as const, key: privateKeyFromSeed(one) }));
        const plain = { kind: "daily" as const, name: of as DisplayName, index: index as IndexId, keys };
        const bytes = await sealKeyFile(plain, passphrase, (length) =>
          new Uint8Array(createHash("sha512").update(of).digest()).slice(0, length),
        );
        expect(await openKeyFile(bytes, passphrase)).toEqual(plain);
        expect(readKeyFileHeader(bytes)).toMatchObject({ name: of, index, protected: passphrase !== "" });
        await expect(openKeyFile(bytes, `${passphrase}x`)).rejects.toMatchObject({ code: "PASSPHRASE_WRONG" });
      }),
      { numRuns: 8 },
    );
  });

  it("OpenSSH's, for any seed", async () => {
    await fc.assert(
      fc.asyncProperty(seed, fc.string({ maxLength: 20 }), async (bytes, comment) => {
        expect(Buffer.from((await readOpenSshKey(openSshFile(bytes, comment), async () => "")).seed)).toEqual(Buffer.from(bytes));
      }),
      { numRuns: 30 },
    );
  });
});

/** An unencrypted file as ssh-keygen writes it. */
function openSshFile(bytes: Uint8Array, comment: string): Buffer {
  const text = (some: string | Uint8Array): Buffer => {
    const body = Buffer.from(some);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(body.length);
    return Buffer.concat([length, body]);
  };
  const { publicKey } = privateKeyFromSeed(bytes);
  const check = Buffer.from("0102030401020304", "hex");
  const inner = Buffer.concat([check, text("ssh-ed25519"), text(publicKey), text(Buffer.concat([bytes, publicKey])), text(comment)]);
  const padded = Buffer.concat([inner, Buffer.from([1, 2, 3, 4, 5, 6, 7].slice(0, (8 - (inner.length % 8)) % 8))]);
  const one = Buffer.from([0, 0, 0, 1]);
  const file = Buffer.concat([
    Buffer.from("openssh-key-v1\0"),
    text("none"),
    text("none"),
    text(""),
    one,
    text(Buffer.concat([text("ssh-ed25519"), text(publicKey)])),
    text(padded),
  ]);
  const lines = file.toString("base64").replaceAll(/.{70}/gu, "$&\n");
  return Buffer.from(`-----BEGIN OPENSSH PRIVATE KEY-----\n${lines}\n-----END OPENSSH PRIVATE KEY-----\n`);
}

describe("addresses and requests", () => {
  const host = fc.stringMatching(/^[a-z][a-z0-9]{0,8}(\.[a-z][a-z0-9]{0,8}){1,2}$/);
  const segments = fc
    .array(fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,8}$/), { minLength: 1, maxLength: 4 })
    .map((parts) => parts.join("/"));

  it("git and index addresses are read as they were written, once and again", () => {
    fc.assert(
      fc.property(host, segments, short, (at, below, user) => {
        for (const text of [`https://${at}/${below}`, `ssh://${user}@${at}:22/${below}`, `${user}@${at}:${below}`]) {
          const url = parseGitUrl(text, { allowFile: false });
          expect(url).toBe(text);
          expect(parseGitUrl(url, { allowFile: false })).toBe(url);
        }
        const { url } = parseIndexAddress(`sparse+https://${at}/${below}`, { allowFile: false });
        expect(parseIndexAddress(url, { allowFile: false })).toEqual({ kind: "sparse", url: `sparse+https://${at}/${below}/` });
      }),
    );
  });

  it("G8 git tokens, each under its host", () => {
    const token = fc.stringMatching(/^[A-Za-z0-9_-]{1,20}$/);
    fc.assert(
      fc.property(fc.uniqueArray(fc.tuple(host, token), { selector: ([at]) => at, maxLength: 4 }), (tokens) => {
        const parsed = parseGitTokens(tokens.map(([at, secret]) => `${at}=me:${secret}`).join(", "));
        const headers = tokens.map(([at, secret]): [string, string] => [
          `${at}:443`,
          `Basic ${Buffer.from(`me:${secret}`).toString("base64")}`,
        ]);
        expect(parsed).toEqual(new Map(headers));
      }),
    );
  });

  it("paths of requests, in every spelling of a name", () => {
    fc.assert(
      fc.property(name, (of) => {
        for (const spelling of [of, encodeURIComponent(of), of.replace("/", "%2f"), of.replace("/", "%2F").replace("@", "%40")])
          expect(parseRegistryPath(`/${spelling}`)).toEqual({ kind: "packument", name: of });
        expect(parseRegistryPath(`/${of}/-/x-1.0.0.tgz`)).toEqual({ kind: "tarball", name: of, file: "x-1.0.0.tgz" });
      }),
    );
  });

  it("queries, specs, and who a request has passed", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^\S{1,40}$/), fc.nat(1_000_000), fc.nat(250), (text, from, size) => {
        const query = new URLSearchParams({ text, from: String(from), size: String(size) });
        expect(parseSearch(new URLSearchParams(query.toString()))).toEqual([text.trim(), { from, size }]);
      }),
    );
    fc.assert(
      fc.property(name, fc.constantFrom(null, "1.0.0", "<1.2", "^2"), (of, range) => {
        expect(parsePackageSpec(range === null ? of : `${of}@${range}`)).toEqual({ name: of, range });
      }),
    );
    fc.assert(
      fc.property(fc.array(hex(8), { maxLength: 8 }), (via) => {
        expect(parseVia(formatVia(via))).toEqual(via);
        expect(parseVia(`1.1 proxy, ${formatVia(via)}`)).toEqual(via);
      }),
    );
  });

  it("templates: what is filled in is found again in the address", () => {
    fc.assert(
      fc.property(name, hex(64), (of, sha512) => {
        const release = { name: parsePackageName(of), version: parseVersion("1.0.0-Beta.1"), sha512 };
        const filled = new URL(fillTemplate("https://a.example.org/{scope}|{name}|{version}|{sha512}".replaceAll("|", "/"), release));
        const [, scope = "", base = "", version, hash] = filled.pathname.split("/").map(decodeURIComponent);
        expect([scope === "" ? base : `${scope}/${base}`, version, hash]).toEqual([of, "1.0.0-Beta.1", sha512]);
      }),
    );
  });
});

describe("tarballs", () => {
  it("headers and pax records", () => {
    const part = fc.stringMatching(/^[A-Za-z0-9._-]{1,90}$/);
    fc.assert(
      fc.property(part, fc.option(part), fc.nat(2000), fc.boolean(), (base, prefix, size, isFolder) => {
        const block = rawEntry({
          path: base,
          type: isFolder ? "5" : "0",
          size: `${size.toString(8).padStart(11, "0")}\0`,
          ...(prefix === null ? {} : { prefix }),
        });
        const header = decodeHeader(block.subarray(0, 512));
        expect(header).toMatchObject({ kind: isFolder ? "folder" : "file", sizeBytes: size });
        expect(Buffer.from(header?.path ?? []).toString()).toBe(prefix === null ? base : `${prefix}/${base}`);
      }),
    );
    const written = fc.string({ unit: "grapheme", minLength: 1 }).filter((some) => some.isWellFormed() && !/[\n\0]/u.test(some));
    fc.assert(
      fc.property(written, fc.nat(), (long, size) => {
        expect(parsePax(Buffer.from(paxEntry({ path: long, size: String(size), mtime: "1.5" }).content ?? ""))).toEqual({
          path: long,
          size,
        });
      }),
    );
  });
});

describe("what people carry", () => {
  it("requests for signatures, with their whole chain of roots", () => {
    const [first, second] = vectorOf("chain", "ok-keys-replaced")["roots"] as readonly [string, string];
    const files = vectorOf("index", "ok")["files"] as Readonly<Record<string, string>>;
    const bytes = (text: string | undefined): Uint8Array => new Uint8Array(Buffer.from(text ?? ""));
    const roots = [verifyFirstRoot(bytes(first), null)] as const;
    const state = { id: roots[0].digest as string as IndexId, roots, checkpoint: verifyCheckpoint(bytes(files["checkpoint.json"]), roots) };
    const record = parseRecord(bytes(files["packages/5d/@alice+hello/record.json"]));
    const text = fc.string({ unit: "grapheme" }).filter((some) => some.isWellFormed());
    // Proposals that go; what comes must be listed by a record, and is tested with the requests themselves.
    const file = fc.record({
      path: fc.stringMatching(/^proposals\/[a-z+@]{1,8}\/[0-9]\.[0-9]\.[0-9]\/(release|record)\.json$/),
      content: fc.constant(null),
    });
    fc.assert(
      fc.property(text, fc.array(file, { maxLength: 3 }), fc.boolean(), fc.boolean(), (message, others, hasRoot, hasRecord) => {
        const pending = {
          state,
          root: hasRoot ? parseRoot(bytes(second)) : null,
          records: new Map(hasRecord ? [[record.doc.name, { before: record, after: record }]] : []),
          files: others,
          broken: new Set<never>(),
          checkpoint: null,
          message,
        };
        expect(parseRequest(formatRequest(pending))).toEqual(pending);
      }),
    );
  });
});

function vectorOf(area: string, label: string): Vector {
  return readVectors(area).find((vector) => vector.label === label) as Vector;
}

describe("what a machine keeps", () => {
  it("the memory of a package", async () => {
    const sightings = fc.array(fc.tuple(fc.constantFrom("1.0.0", "2.0.0-a"), fc.nat(4e12).map(formatTimestamp)), { maxLength: 2 });
    const body = fc
      .string()
      .filter((some) => some.isWellFormed())
      .map((some) => new Uint8Array(Buffer.from(some)));
    await fc.assert(
      fc.asyncProperty(
        body,
        fc.array(body, { maxLength: 3 }),
        fc.option(fc.nat(4e12).map(formatTimestamp)),
        sightings,
        async (record, releases, seen, since) => {
          const memory = openPackageMemory(openCell(nodeFiles(), path.join(folder, `cell-${String(++made)}`), { maxBytes: 1e6 }));
          const facts = { record, seen, since: new Map(since as never) };
          await memory.write(null, { ...facts, releases } as never);
          const { releases: again, ...found } = (await memory.read())?.remembered ?? { releases: async () => new Map() };
          expect({ ...found, record: new Uint8Array((found as { record: Uint8Array }).record) }).toEqual(facts);
          expect([...(await again())].map(([hash, bytes]) => [hash, new Uint8Array(bytes)])).toEqual([
            ...new Map(releases.map((bytes) => [fileHashOf(bytes), bytes])),
          ]);
        },
      ),
      { numRuns: 40 },
    );
  });

  it("own indices, and a running resolver", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(short, { minLength: 1, maxLength: 4 }),
        hex(32),
        fc.option(fc.webUrl()),
        async (names, index, url) => {
          const there = {
            files: nodeFiles(),
            layout: layoutFrom({ IMPRINT_HOME: path.join(folder, `home-${String(++made)}`) }, { config: "", cache: "", data: "" }),
          };
          const own = names.map((of) => ({ name: of as DisplayName, id: index as IndexId, path: path.join(folder, of), url }));
          for (const one of own) await addOwnIndex(there, one);
          expect(await readOwnIndices(there)).toEqual(own);
        },
      ),
      { numRuns: 15 },
    );
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 65_535 }), hex(32), async (port, secret) => {
        const state = { port, pid: 1, secret };
        await rememberResolver(stores, state);
        expect(await readResolver(stores, port)).toEqual(state);
        // Whoever took over the port has a secret of his own.
        await forgetResolver(stores, { ...state, secret: "0".repeat(64) });
        expect(await nodeFiles().list(layout.resolvers)).toHaveLength(1);
        await forgetResolver(stores, state);
        expect(await nodeFiles().list(layout.resolvers)).toHaveLength(0);
      }),
      { numRuns: 10 },
    );
  });
});
