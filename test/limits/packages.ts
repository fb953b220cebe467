/** Caps of a tarball, lowered to what one honest package has. */
import { inspectTarball } from "../../src/pack/inspect.ts";
import type { PackLimits } from "../../src/pack/limits.ts";
import { gzip, paxEntry, type RawEntry, rawTar } from "../support/tarball.ts";
import { type Edge, type Edges, lowered } from "./edge.ts";

const PACKAGE_JSON = '{"name":"a","version":"1.0.0","imports":{"#a":{"node":"./x.js"}}}';
const LEVELS = 3;
const LONG = `package/${"x".repeat(200)}`;
const PAX = paxEntry({ path: LONG });
const ENTRIES: readonly RawEntry[] = [
  { path: "package/package.json", content: PACKAGE_JSON },
  { path: "package/lib/", type: "5" },
  PAX,
  { path: "package/x", content: "1".repeat(600) },
];
const TAR = rawTar(ENTRIES);
const TARBALL = gzip(TAR);
const PATHS_BYTES = "package/package.json".length + "package/lib".length + LONG.length;
/** `package` and `package/lib` count as well. */
const COUNT = 4;

const capped = (size: number, limit: keyof PackLimits, says: RegExp): Edge =>
  lowered(size, (cap) => inspectTarball(TARBALL, { limits: { [limit]: cap } }), says);

export const PACKAGES: Edges = {
  packageBytes: capped(TARBALL.length, "maxCompressedBytes", /it is larger than \d+ bytes/),
  packageUnpackedBytes: capped(TAR.length, "maxUnpackedBytes", /unpacks to more than/),
  packageEntries: capped(COUNT, "maxEntries", /more than 3 files and folders/),
  packagePathBytes: capped(LONG.length, "maxPathBytes", /longer than 207 bytes/),
  packagePathsBytes: capped(PATHS_BYTES, "maxPathsBytes", /add up to more than/),
  packageHeaderBytes: capped((PAX.content as string).length, "maxHeaderBytes", /header/),
  packageJsonBytes: capped(PACKAGE_JSON.length, "maxPackageJsonBytes", /package\.json is larger than/),
  packageJsonDepth: capped(LEVELS, "maxPackageJsonDepth", /deeper than 2 levels/),
};
