/** `imprint root tarballs <source…>`: where tarballs are from now on, for a host that takes only branches and tags. */
import { parseTarballSources } from "../tarball-places.ts";
import type { Deps } from "../deps.ts";
import { changeOwnRoot, type RootOptions } from "../root-change.ts";
import { clean } from "../../format/text.ts";

export type RootTarballsResult = {
  readonly index: string;
  readonly tarballs: readonly string[];
  readonly commit: string | null;
  readonly request: string | null;
};

export async function rootTarballs(
  options: RootOptions & { readonly sources: readonly string[] },
  deps: Deps,
): Promise<RootTarballsResult> {
  const { terminal } = deps;
  const tarballs = parseTarballSources(options.sources, deps);
  const lost: string[] = [];
  let folder = "";
  const { index, before, commit, request } = await changeOwnRoot(deps, {
    ...options,
    verb: "change where tarballs are",
    message: "imprint: root says where tarballs are",
    edit: (root, { own }) => {
      folder = own.path;
      lost.splice(0, lost.length, ...root.tarballs.filter((source) => !tarballs.includes(source)));
      return { ...root, tarballs };
    },
  });
  if (commit === null && request === null) terminal.talk(`nothing to change: ${index}'s root says so already`);
  else if (commit !== null) terminal.ok(clean(`${index}: tarballs are at ${tarballs.join(", ")}`));
  // What is released already is looked for in the new places only.
  if (commit !== null && lost.length > 0 && before.checkpoint.doc.shards.size > 0)
    terminal.warn(
      clean(
        `releases so far have their tarballs at ${lost.join(", ")}: bring them along (git -C '${folder}' push <url> 'refs/tarballs/*:refs/tarballs/*'), then imprint verify --tarballs`,
      ),
    );
  return { index, tarballs, commit, request };
}
