/** Changes to the archive: paths, doubles, extended headers, its end, gzip. */
import { brotliCompressSync, crc32, deflateRawSync, deflateSync, gzipSync } from "node:zlib";
import { gnuLongNameEntry, paxEntry, type RawEntry, rawEntry } from "../../../test/support/tarball.ts";
import type { Random } from "../random.ts";
import { modeOf } from "./draft.ts";
import { type Change, someFile } from "./header-changes.ts";

const PATHS = [
  "./package/x",
  "package//x",
  "package/../x",
  "package/./x",
  "/package/x",
  "package\\x",
  "package/a\\b",
  "../package/x",
  "C:/package/x",
  "package/C:/x",
  "package/c:x",
  "package/a.",
  "package/a..",
  "package/.../x",
  "package/..a",
  "package/a b",
  "PACKAGE/x",
  "other/x",
  "x",
  "package",
  "packagex/y",
  "package/x/",
  "package/%2e%2e/x",
  "package/node_modules/dep/index.js",
  "package/node_modules/.bin/x",
  "package/lib/node_modules/x.js",
  "package/node_modules/.package-lock.json",
  "package/.gitignore",
  "package/.npmignore",
  "package/lib/.gitignore",
  "package/.gitattributes",
  "package/.npmrc",
  "package/.yarnrc.yml",
  "package/.git/config",
  "package/.yarn-metadata.json",
  "package/.yarn-tarball.tgz",
  "package/.bun-tag",
  "package/.package-lock.json",
  "package/.pnpm-needs-build",
  "package/.modules.yaml",
  "package/.pnpmfile.cjs",
  "package/.hooks/postinstall",
  "package/.DS_Store",
  "package/.yarnclean",
  "package/.yarn-integrity",
  "package/.deno_cache",
  "package/.initialized",
  "package/package-lock.json",
  "package/yarn.lock",
  "package/Package.json",
  "package/lib/package.json",
  "package/PACKAGE.JSON/x",
  "package/binding.gyp",
  "package/con",
  "package/a:b",
  "package/a*b?",
  "package/..",
  "package/.",
  "package/-",
  "package/~",
  "package/__proto__",
  "package/constructor",
  "package/__proto__/x",
  "package/README.md",
  "package/readme.md",
  "package/.npmignore/x",
  "package/.gitignore/x",
  "package/pax_global_header",
  "pax_global_header",
  "package/._index.js",
  "package/index.js/x",
  "package/lib",
  "package/LIB/b.js",
];

const path: Change = (draft, random) => {
  const chosen = random.pick(PATHS);
  draft.entries.splice(random.int(draft.entries.length + 1), 0, { path: chosen, content: random.pick(["", "path\n"]) });
  if (random.once(4)) draft.entries.push({ path: random.pick(PATHS), content: "second\n" });
  return `path ${chosen}`;
};

const doubled: Change = (draft, random) => {
  const [first, second] = random.pick([
    ["package/twice.js", "package/twice.js"],
    ["package/Twice.js", "package/twice.js"],
    ["package/\u00e9.js", "package/e\u0301.js"],
    ["package/\u00df", "package/ss"],
    ["package/twice.js", "package/./twice.js"],
    ["package/twice.js", "package//twice.js"],
    ["package/lib/.gitignore", "package/lib/.npmignore"],
    ["package/lib/.npmignore", "package/lib/.gitignore"],
    ["package/twice", "package/twice/x"],
    ["package/a", "package/A/b"],
    ["package/package.json", "package/package.json"],
  ] as const);
  for (const [at, one] of [first, second].entries()) {
    const isAscii = /^[\x20-\x7e]*$/u.test(one);
    if (!isAscii) draft.entries.push(paxEntry({ path: one }));
    draft.entries.push({ path: one, content: `${at}\n` });
  }
  return `${JSON.stringify(first)} and ${JSON.stringify(second)}`;
};

const folders: Change = (draft, random) => {
  const name = random.pick([
    "package/lib/",
    "package/lib",
    "package/",
    "package",
    "package/new/",
    "package/LIB/",
    "package/index.js/",
    "package//",
    "./",
    "package/./",
    "other/",
    "package/new.",
    "",
    "/",
  ]);
  const size = random.once(6) ? { size: "00000001000\0" } : {};
  const entry: RawEntry = {
    path: name,
    type: "5",
    patch: modeOf(random.pick([0o755, 0o755, 0o700, 0o777, 0, 0o644, 0o1777, 0o4755])),
    ...size,
  };
  const where = random.once(2) ? draft.entries.length : 0;
  draft.entries.splice(where, 0, entry);
  if (random.once(3)) draft.entries.push(entry);
  return `folder ${JSON.stringify(name)}`;
};

const LONG = `package/${"long/".repeat(25)}file.js`;

/** What packers write. */
const ORDINARY = [
  ["path", LONG],
  ["path", "package/\u00e9.js"],
  ["mtime", "1700000000.5"],
  ["atime", "1700000000"],
  ["uid", "4294967296"],
  ["uname", "\u00e9"],
  ["comment", "hello"],
  ["SCHILY.dev", "1"],
  ["LIBARCHIVE.creationtime", "1700000000"],
  ["NODETAR.depth", "1"],
] as const;

function records(random: Random, length: number): readonly [string, string] {
  if (random.once(2)) return random.once(3) ? ["size", String(length)] : random.pick(ORDINARY);
  return random.pick<readonly [string, string]>([
    ["path", "package/pax.js"],
    ["path", LONG],
    ["path", ""],
    ["path", "package/"],
    ["path", "../x"],
    ["path", "package/\u00e9.js"],
    ["path", "package/a\\b"],
    ["size", String(length)],
    ["size", "0"],
    ["size", "1"],
    ["size", `0${String(length)}`],
    ["size", ` ${String(length)}`],
    ["linkpath", "index.js"],
    ["mtime", "1.5"],
    ["mtime", "-1"],
    ["mtime", "999999999999999999999"],
    ["mtime", "junk"],
    ["mtime", ""],
    ["atime", "1e9"],
    ["ctime", "junk"],
    ["uid", "4294967296"],
    ["uid", "-1"],
    ["uid", "junk"],
    ["gid", ""],
    ["uname", "\u00e9"],
    ["gname", ""],
    ["comment", "hello"],
    ["comment", "a\nb"],
    ["comment", "\n18 path=package/x"],
    ["comment", ""],
    ["hdrcharset", "BINARY"],
    ["charset", "ISO-IR 8859 1 1998"],
    ["mode", "0000777"],
    ["type", "2"],
    ["GNU.sparse.major", "1"],
    ["GNU.sparse.name", "package/sparse.js"],
    ["GNU.sparse.size", "5"],
    ["SCHILY.xattr.user.x", "y"],
    ["SCHILY.realsize", "5"],
    ["SCHILY.dev", "1"],
    ["SCHILY.ino", "junk"],
    ["SCHILY.nlink", "2"],
    ["SCHILY.fflags", "uchg"],
    ["SCHILY.acl.access", "user::rwx"],
    ["SCHILY.acl.access", "junk"],
    ["LIBARCHIVE.creationtime", "1.0"],
    ["LIBARCHIVE.creationtime", "junk"],
    ["LIBARCHIVE.symlinktype", "dir"],
    ["LIBARCHIVE.xattr.user.x", "eHg="],
    ["LIBARCHIVE.xattr.user.x", "%%%"],
    ["RHT.security.selinux", "x"],
    ["SUN.holesdata", " 0 1"],
    ["NODETAR.depth", "1"],
    ["Path", "package/other.js"],
    ["path ", "package/other.js"],
    ["__proto__", "x"],
  ]);
}

const pax: Change = (draft, random) => {
  const type = random.once(4) ? "g" : "x";
  const content = "extended\n";
  const some = Object.fromEntries(Array.from({ length: 1 + random.int(2) }, () => records(random, content.length)));
  const header = paxEntry(some, type);
  const text = String(header.content);
  const broken = random.pick<((text: string) => string) | null>([
    null,
    null,
    null,
    null,
    null,
    (all) => all.slice(0, -1),
    (all) => `${all}\0`,
    (all) => `${all}\n`,
    (all) => `0${all}`,
    (all) => ` ${all}`,
    (all) => all.replace(/^\d+/u, (digits) => String(Number(digits) + 1)),
    (all) => all.replace(/^\d+/u, (digits) => String(Number(digits) - 1)),
    (all) => all + all,
    () => "",
    () => "junk",
  ]);
  const named = some["path"];
  const target: RawEntry = {
    path: named !== undefined && random.once(2) && named !== "" ? Buffer.from(named).subarray(0, 100) : "package/plain.js",
    content,
  };
  const made: RawEntry = {
    ...header,
    ...(random.once(3) ? { path: random.pick(["package/PaxHeader/x", "PaxHeader", "./PaxHeaders.1/x", "pax_global_header"]) } : {}),
    content: broken === null ? text : broken(text),
  };
  const behind = random.pick<readonly RawEntry[]>([
    [target],
    [target],
    [target],
    [target],
    [],
    [paxEntry({ comment: "again" }, random.pick(["x", "g"])), target],
    [{ path: "package/folder/", type: "5" }],
    [gnuLongNameEntry(LONG), target],
  ]);
  const at = random.once(2) ? draft.entries.length : 0;
  draft.entries.splice(at, 0, made, ...behind);
  return `pax ${type} ${JSON.stringify(some)}${broken === null ? "" : ", broken"}, before ${String(behind.length)}`;
};

const gnu: Change = (draft, random) => {
  if (random.once(3)) {
    const path = `package/${"long/".repeat(20 + random.int(20))}\u00e9.js`;
    draft.entries.push(gnuLongNameEntry(path), { path: Buffer.from(path).subarray(0, 100), content: "gnu\n", magic: "ustar  \0" });
    return "GNU L as GNU's tar writes it";
  }
  const type = random.pick(["L", "L", "L", "K", "N"]);
  const name = random.pick([LONG, `${LONG}x`, "package/short.js", "", "../x", `package/\u00e9${"l".repeat(100)}`, "package/"]);
  const tail = random.pick(["\0", "\0", "", "\0\0", "\0x", "\n"]);
  const header: RawEntry = { ...gnuLongNameEntry(name), type, content: `${name}${tail}` };
  const magic = random.pick(["ustar  \0", "ustar\x0000"]);
  const target: RawEntry = { path: Buffer.from(name === "" ? "package/short.js" : name).subarray(0, 100), content: "gnu\n", magic };
  draft.entries.push(
    ...random.pick<readonly RawEntry[]>([
      [header, target],
      [header, target],
      [header],
      [header, header, target],
      [paxEntry({ path: name }), header, target],
    ]),
  );
  return `GNU ${type} ${JSON.stringify(name)}, ${JSON.stringify(tail)} behind`;
};

const end: Change = (draft, random) => {
  const evil = rawEntry({ path: "package/behind.js", content: "behind\n" });
  const [how, bytes] = random.pick<readonly [string, Uint8Array]>([
    ["none", Buffer.alloc(0)],
    ["one block", Buffer.alloc(512)],
    ["three blocks", Buffer.alloc(1536)],
    ["many blocks", Buffer.alloc(10_240)],
    ["half a block", Buffer.alloc(256)],
    ["a block and a half", Buffer.alloc(768)],
    ["two blocks and one byte", Buffer.alloc(1025)],
    ["an entry behind one block", Buffer.concat([Buffer.alloc(512), evil, Buffer.alloc(1024)])],
    ["an entry behind two blocks", Buffer.concat([Buffer.alloc(1024), evil, Buffer.alloc(1024)])],
    ["junk behind two blocks", Buffer.concat([Buffer.alloc(1024), Buffer.alloc(512, 0x41)])],
    ["junk behind one block", Buffer.concat([Buffer.alloc(512), Buffer.alloc(512, 0x41)])],
    ["spaces", Buffer.alloc(1024, 0x20)],
    ["a block with only a checksum", Buffer.concat([Buffer.alloc(148), Buffer.from("000400\0 "), Buffer.alloc(356), Buffer.alloc(1024)])],
  ]);
  draft.end = bytes;
  return `end: ${how}`;
};

const padding: Change = (draft, random) => {
  const fill = random.pick([0x20, 0x41, 0xff]);
  draft.onTar.push((tar) => {
    for (let at = 0; at + 512 <= tar.length; at += 512)
      if (tar.toString("latin1", at + 257, at + 262) === "ustar") {
        const size = Number.parseInt(tar.toString("latin1", at + 124, at + 135), 8);
        if (size > 0 && size % 512 !== 0 && at + 512 + size < tar.length)
          tar.fill(fill, at + 512 + size, at + 512 + Math.ceil(size / 512) * 512);
      }
  });
  return `padding of bytes ${String(fill)}`;
};

/** A member with this header: RFC 1952. */
function member(
  tar: Uint8Array,
  options: {
    readonly flags: number;
    readonly extra?: Uint8Array;
    readonly badCrc?: boolean;
    readonly head?: Partial<Record<number, number>>;
  },
): Uint8Array {
  const head = Buffer.from([0x1f, 0x8b, 8, options.flags, 0, 0, 0, 0, 0, 0xff]);
  for (const [at, value] of Object.entries(options.head ?? {})) head[Number(at)] = value ?? 0;
  const parts: Uint8Array[] = [head];
  if (options.flags & 4) parts.push(Buffer.from([4, 0, 0x41, 0x42, 0, 0]));
  if (options.flags & 8) parts.push(Buffer.from("name.tar\0"));
  if (options.flags & 16) parts.push(Buffer.from("a comment\0"));
  if (options.flags & 2) {
    const sum = (crc32(Buffer.concat(parts)) & 0xffff) ^ (options.badCrc === true ? 1 : 0);
    parts.push(Buffer.from([sum & 255, sum >> 8]));
  }
  const tail = Buffer.alloc(8);
  tail.writeUInt32LE(crc32(tar), 0);
  tail.writeUInt32LE(tar.length, 4);
  return Buffer.concat([...parts, deflateRawSync(tar), tail]);
}

const gzip: Change = (draft, random) => {
  const half = (tar: Uint8Array): number => Math.floor(tar.length / 1024) * 512;
  const [how, wrap] = random.pick<readonly [string, (tar: Uint8Array) => Uint8Array]>([
    ["a text flag", (tar) => member(tar, { flags: 1 })],
    ["a header checksum", (tar) => member(tar, { flags: 2 })],
    ["a wrong header checksum", (tar) => member(tar, { flags: 2, badCrc: true })],
    ["an extra field", (tar) => member(tar, { flags: 4 })],
    ["a name", (tar) => member(tar, { flags: 8 })],
    ["a comment", (tar) => member(tar, { flags: 16 })],
    ["all fields", (tar) => member(tar, { flags: 31 })],
    ["a reserved flag", (tar) => member(tar, { flags: 32 })],
    ["reserved flags", (tar) => member(tar, { flags: 0xe0 })],
    ["another method", (tar) => member(tar, { flags: 0, head: { 2: 7 } })],
    ["a time, a level, a system", (tar) => member(tar, { flags: 0, head: { 4: 1, 5: 2, 8: 2, 9: 3 } })],
    ["two members", (tar) => Buffer.concat([gzipSync(tar.subarray(0, half(tar))), gzipSync(tar.subarray(half(tar)))])],
    ["an empty member before", (tar) => Buffer.concat([gzipSync(""), gzipSync(tar)])],
    ["an empty member behind", (tar) => Buffer.concat([gzipSync(tar), gzipSync("")])],
    ["the archive twice", (tar) => Buffer.concat([gzipSync(tar), gzipSync(tar)])],
    ["a byte behind", (tar) => Buffer.concat([gzipSync(tar), Buffer.from([0])])],
    ["zeros behind", (tar) => Buffer.concat([gzipSync(tar), Buffer.alloc(512)])],
    ["garbage behind", (tar) => Buffer.concat([gzipSync(tar), Buffer.from("garbage")])],
    ["no trailer", (tar) => gzipSync(tar).subarray(0, -8)],
    ["half a trailer", (tar) => gzipSync(tar).subarray(0, -4)],
    ["a wrong crc", (tar) => flipped(gzipSync(tar), -8)],
    ["a wrong size", (tar) => flipped(gzipSync(tar), -4)],
    ["zlib", (tar) => deflateSync(tar)],
    ["brotli", (tar) => brotliCompressSync(tar)],
    ["no compression", (tar) => tar],
    ["gzip in gzip", (tar) => gzipSync(gzipSync(tar))],
    ["a byte before", (tar) => Buffer.concat([Buffer.from([0]), gzipSync(tar)])],
  ]);
  draft.wrap = (tar) => new Uint8Array(wrap(tar));
  return `gzip with ${how}`;
};

function flipped(bytes: Uint8Array, at: number): Uint8Array {
  const changed = Uint8Array.from(bytes);
  changed[changed.length + at] = (changed[changed.length + at] ?? 0) ^ 1;
  return changed;
}

const longFile: Change = (draft, random) => {
  const size = random.pick([65_536, 100_000, 512 * 200]);
  someFile(draft, random, (entry) => ({ ...entry, content: Buffer.alloc(size, random.int(256)) }));
  return `a file of ${String(size)} bytes`;
};

export const ARCHIVE_CHANGES: Readonly<Record<string, Change>> = {
  path,
  doubled,
  folders,
  pax,
  gnu,
  end,
  padding,
  gzip,
  "long file": longFile,
};
