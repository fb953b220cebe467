/** Tarballs that at least one client reads in its own way: what the inspection is there for. */
import { gzipSync } from "node:zlib";
import { paxEntry, type RawEntry, rawEntry, rawTar, rawTarball } from "../../../test/support/tarball.ts";
import { field, modeOf } from "./draft.ts";

export type Attack = {
  readonly name: string;
  readonly how: string;
  readonly bytes: Uint8Array;
  /** What a packument would say of it, besides name and version. */
  readonly manifest: Readonly<Record<string, unknown>>;
};

const CODE: RawEntry = { path: "package/index.js", content: "module.exports = 'signed';\n" };

export function attacks(): readonly Attack[] {
  const made: Attack[] = [];
  const nameOf = (): string => `attack-${made.length}`;
  const manifestOf = (more: object = {}): RawEntry => ({
    path: "package/package.json",
    content: JSON.stringify({ name: nameOf(), version: "1.0.0", main: "index.js", ...more }),
  });
  const add = (how: string, bytes: Uint8Array, manifest: Attack["manifest"] = {}): void =>
    void made.push({ name: nameOf(), how, bytes, manifest });
  const saying = (how: string, manifest: Attack["manifest"]): void => add(how, rawTarball([manifestOf(manifest), CODE]), manifest);
  const behind = (how: string, ...entries: readonly RawEntry[]): void => add(how, rawTarball([manifestOf(), CODE, ...entries]));
  behind("a name that begins with NUL", { path: "", prefix: "package/x", content: "x" }, { path: "package/late.js", content: "late" });
  behind("a folder whose name begins with NUL", { path: "", prefix: "package", type: "5" }, { path: "package/late.js", content: "late" });
  behind("a file twice", { path: "package/index.js", content: "module.exports = 'other';\n" });
  behind("a hard link", { path: "package/link.js", type: "1", linkname: "package/index.js" });
  behind("a symbolic link", { path: "package/link.js", type: "2", linkname: "index.js" });
  behind("a contiguous file", { path: "package/late.js", type: "7", content: "late" });
  behind("a sparse file", { path: "package/late.js", type: "S", content: "late" });
  behind("an unknown type", { path: "package/late.js", type: "Z", content: "late" });
  behind("a path of pax that the header denies", paxEntry({ path: "package/pax.js" }), { path: "package/header.js", content: "x" });
  behind("a path for all files", paxEntry({ path: "package/pax.js" }, "g"), { path: "package/header.js", content: "x" });
  behind("a size of pax", paxEntry({ size: "1" }), { path: "package/size.js", content: "xyz" });
  behind("a size in base 256", { path: "package/size.js", content: "xyz", size: "\x80\0\0\0\0\0\0\0\0\0\0\x03" });
  behind("a prefix under GNU magic", { path: "late.js", prefix: "package/gnu", magic: "ustar  \0", content: "late" });
  behind("a backslash", { path: "package\\late.js", content: "late" });
  behind("a folder after its files", { path: "package/lib/a.js", content: "a" }, { path: "package/lib/", type: "5", patch: modeOf(0o755) });
  behind("a mode that is no number", { path: "package/mode.js", content: "x", patch: field(100, 8, "") });
  behind("a mode for others only", { path: "package/mode.js", content: "x", patch: modeOf(0o611) });
  behind("a file that yarn 1 takes for its own", { path: "package/.yarn-tarball.tgz", content: "x" });
  behind("a file __proto__", { path: "package/__proto__", content: "x" });
  behind("a bundle that nothing needs", { path: "package/node_modules/dep/package.json", content: '{"name":"dep","version":"1.0.0"}' });
  saying("a program in a list", { bin: ["index.js"] });
  saying("a program named by a path", { bin: { "../x": "index.js" } });
  saying("a bundle of everything", { bundleDependencies: true });
  const tar = (): Buffer => rawTar([manifestOf(), CODE]);
  const late = rawEntry({ path: "package/late.js", content: "late" });
  add("an empty member before", Buffer.concat([gzipSync(""), gzipSync(tar())]));
  add("two members", Buffer.concat([gzipSync(tar().subarray(0, 1024)), gzipSync(tar().subarray(1024))]));
  add("an archive in a second member", Buffer.concat([gzipSync(tar()), gzipSync(tar())]));
  add("garbage behind", Buffer.concat([gzipSync(tar()), Buffer.from("garbage")]));
  add("an entry behind one zero block", gzipSync(Buffer.concat([tar().subarray(0, -512), late, Buffer.alloc(1024)])));
  add("an entry behind the end", gzipSync(Buffer.concat([tar(), late, Buffer.alloc(1024)])));
  add("half a block", gzipSync(tar().subarray(0, -256)));
  add("no end", gzipSync(tar().subarray(0, -1024)));
  add("a first header without a uid", gzipSync(rawTar([{ ...manifestOf(), patch: field(108, 8, "(junk)") }, CODE])));
  return made;
}
