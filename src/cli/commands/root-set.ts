/** `imprint root set`: what a root says beside keys, names and tarballs. */
import { ImprintError } from "../../errors.ts";
import { isIndexId } from "../../format/digest.ts";
import { parsePackagePattern } from "../../format/names.ts";
import type { Introduction } from "../../format/root.ts";
import { parseIndexAddress } from "../../index/address.ts";
import type { RootContent } from "../../index/root/edits.ts";
import type { Deps } from "../deps.ts";
import { type ChangedRoot, changeOwnRoot, type RootOptions } from "../root-change.ts";
import { clean } from "../../format/text.ts";

export type RootSetOptions = RootOptions & {
  readonly mirrors: readonly string[] | undefined;
  readonly introduce: readonly string[] | undefined;
  readonly refreshDays: string | undefined;
};

export async function rootSet(options: RootSetOptions, deps: Deps): Promise<ChangedRoot> {
  const { mirrors, introduce, refreshDays } = options;
  if (mirrors === undefined && introduce === undefined && refreshDays === undefined)
    throw new ImprintError("USAGE", "Cannot set anything: say --mirrors, --introduce or --refresh-days");
  const edits: Partial<RootContent> = {
    ...(mirrors === undefined ? {} : { mirrors: given(mirrors).map((url) => addressOf(url, deps)) }),
    ...(introduce === undefined ? {} : { introductions: given(introduce).map((text) => introductionOf(text, deps)) }),
    ...(refreshDays === undefined ? {} : { refreshDays: daysOf(refreshDays) }),
  };
  const changed = await changeOwnRoot(deps, {
    ...options,
    verb: "change the root",
    message: `imprint: root sets ${Object.keys(edits).join(", ")}`,
    edit: (root) => ({ ...root, ...edits }),
  });
  if (changed.commit === null && changed.request === null) deps.terminal.talk(`nothing to change: ${changed.index}'s root says so already`);
  return changed;
}

/** An empty one clears the list. */
function given(texts: readonly string[]): readonly string[] {
  return texts.filter((text) => text.trim() !== "");
}

function addressOf(url: string, { allowFile }: Deps): string {
  parseIndexAddress(url, { allowFile });
  return url;
}

function introductionOf(text: string, deps: Deps): Introduction {
  const [, url = "", id = "", packages = ""] = /^([^#]+)#([^=]+)=(.+)$/u.exec(text) ?? [];
  if (!isIndexId(id)) throw new ImprintError("USAGE", `Cannot introduce ${clean(text)}: give it as '<url>#<id>=@bob/*,name'`);
  return { id, url: addressOf(url, deps), packages: packages.split(",").map((pattern) => parsePackagePattern(pattern.trim())) };
}

function daysOf(text: string): number {
  if (!/^[0-9]{1,5}$/u.test(text) || Number(text) > 36_500)
    throw new ImprintError("USAGE", `Cannot use ${clean(text)} as --refresh-days: give a number of days up to 36500`);
  return Number(text);
}
