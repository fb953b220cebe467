/** `imprint root show`: what the newest root of an own index says, and which of its keys are here. No network. */
import { shortKey } from "../../format/keys.ts";
import type { Role, Root } from "../../format/root.ts";
import { newestRoot } from "../../index/trust.ts";
import type { Deps } from "../deps.ts";
import { listKeyFiles } from "../key-store.ts";
import { cloneState, theOwnIndex } from "../own-indices.ts";
import { clean } from "../../format/text.ts";

export type RootShown = {
  readonly index: string;
  readonly id: string;
  readonly path: string;
  readonly root: Omit<Root, "index" | "previous">;
  /** Public keys whose secrets are in key files here. */
  readonly here: readonly string[];
};

export async function rootShow(index: string | undefined, deps: Deps): Promise<RootShown> {
  const own = await theOwnIndex(deps, index, deps.cwd, "show a root");
  const { index: _, previous: __, ...root } = newestRoot((await cloneState(deps, own)).roots).doc;
  const here = (await listKeyFiles(deps)).flatMap(({ header }) => header.keys.map(({ publicKey }) => publicKey));
  return { index: own.name, id: own.id, path: own.path, root, here };
}

export function rootLines({ id, path, root, here }: RootShown): readonly string[] {
  const role = (title: string, { keys, threshold }: Role): string =>
    `${title}   ${threshold} of ${keys.length}: ${keys.map((key) => `${shortKey(key)}${here.includes(key) ? " (here)" : ""}`).join(", ")}`;
  return [
    `${root.name}   root ${root.version}, id ${id}, in ${path}`,
    role("root", root.roles.root),
    role("checkpoint", root.roles.checkpoint),
    ...root.publishers.map((entry) => `${role("publishers", entry)} · ${entry.packages.join(" ")}`),
    `tarballs   ${root.tarballs.join(", ")}`,
    ...(root.mirrors.length === 0 ? [] : [`mirrors   ${root.mirrors.join(", ")}`]),
    ...root.introductions.map(({ url, packages }) => `introduces   ${packages.join(" ")} at ${url}`),
    `refresh   ${root.refreshDays === 0 ? "no promise" : `signed again at least every ${root.refreshDays} days`}`,
  ].map(clean);
}
