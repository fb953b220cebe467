/** `imprint root tarballs <source…>`: where tarballs are from now on, for a host that takes only branches and tags. */
import { parseTarballSources } from "../tarball-places.ts";
import type { Deps } from "../deps.ts";
import { changeOwnRoot } from "../root-change.ts";
import { clean } from "../terminal.ts";

export type RootTarballsResult = { readonly index: string; readonly tarballs: readonly string[]; readonly commit: string | null };

export async function rootTarballs(
  options: { readonly sources: readonly string[]; readonly index: string | undefined },
  deps: Deps,
): Promise<RootTarballsResult> {
  const { terminal } = deps;
  const tarballs = parseTarballSources(options.sources, deps);
  const lost: string[] = [];
  const { open, before, commit, pushed } = await changeOwnRoot(deps, {
    index: options.index,
    verb: "change where tarballs are",
    message: `imprint: root says where tarballs are`,
    change: (root) => {
      lost.splice(0, lost.length, ...root.tarballs.filter((source) => !tarballs.includes(source)));
      return root.tarballs.join("\n") === tarballs.join("\n") ? null : { ...root, tarballs };
    },
  });
  const { name, path } = open.own;
  if (commit === null) terminal.talk(`nothing to change: ${name}'s root says so already`);
  else terminal.ok(clean(`${name}: tarballs are at ${tarballs.join(", ")}${pushed ? "; pushed" : ""}`));
  // What is released already is looked for in the new places only.
  if (commit !== null && lost.length > 0 && before.checkpoint.doc.shards.size > 0)
    terminal.warn(
      clean(
        `releases so far have their tarballs at ${lost.join(", ")}: bring them along (git -C '${path}' push <url> 'refs/tarballs/*:refs/tarballs/*'), then imprint verify --tarballs`,
      ),
    );
  return { index: name, tarballs, commit };
}
