/**
 * Packages that yarn 4 leaves in archives: those in the project's own cache folder, which is often committed, and all that
 * .pnp.cjs leads to, wherever they lie.
 */
import path from "node:path";
import { textOf } from "../../format/bytes.ts";
import { isPublicName } from "../../format/names.ts";
import type { Files } from "../../storage/files.ts";
import type { InstalledPlace } from "./walk.ts";

const MAX_PNP_BYTES = 64 * 1024 * 1024;
const LOCATION = /"packageLocation":\s*"([^"\\]+\.zip)\/node_modules\/((?:@[^/"\\]+\/)?[^/"\\]+)\/"/g;
/** `@alice-a-npm-1.0.0-0123456789-abcdef0123.zip`: which package is in it stands inside. */
const ARCHIVE = /\.zip$/;

/** `name`: null where only the archive itself says which package is in it. */
export type YarnArchive = { readonly file: string; readonly path: string; readonly name: InstalledPlace["placedAs"] | null };

export async function findYarnArchives(files: Files, root: string): Promise<readonly YarnArchive[]> {
  const found = new Map<string, YarnArchive>();
  const add = (file: string, name: YarnArchive["name"]): void => {
    if (!found.has(file)) found.set(file, { file, path: path.relative(root, file).split(path.sep).join("/"), name });
  };
  for (const name of [".pnp.cjs", ".pnp.data.json"]) {
    const text = textOf((await files.read(path.join(root, name), MAX_PNP_BYTES)) ?? new Uint8Array()) ?? "";
    for (const [, at = "", packageName = ""] of text.matchAll(LOCATION))
      if (isPublicName(packageName)) add(withoutVirtual(path.resolve(root, at)), packageName);
  }
  const settings = textOf((await files.read(path.join(root, ".yarnrc.yml"), MAX_PNP_BYTES)) ?? new Uint8Array()) ?? "";
  const own = /^cacheFolder:\s*["']?([^"'\n#]+?)["']?\s*$/m.exec(settings)?.[1] ?? ".yarn/cache";
  const folder = path.resolve(root, own);
  for (const name of await files.list(folder)) if (ARCHIVE.test(name)) add(path.join(folder, name), null);
  return [...found.values()];
}

/** `a/__virtual__/<hash>/<n>/rest` is `rest` from n folders above `a`. */
function withoutVirtual(at: string): string {
  const [, above, levels, rest] = /^(.*)\/(?:__virtual__|\$\$virtual)\/[^/]+\/(\d{1,3})\/(.*)$/.exec(at) ?? [];
  return above === undefined ? at : path.resolve(above, "../".repeat(Number(levels)) || ".", rest ?? "");
}
