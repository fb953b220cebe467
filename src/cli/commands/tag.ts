/** `imprint tag add|rm|ls`: where dist-tags point. The one way to move `latest` by hand. */
import { ImprintError } from "../../errors.ts";
import { type PackageName, parsePackageName } from "../../format/names.ts";
import { compareVersions, type DistTag, isPrerelease, parseDistTag, parseVersion, type Version } from "../../format/versions.ts";
import { addTag, parsePackageSpec, removeTag, type Tagged } from "../../index/amend.ts";
import { type Base, chooseBase } from "../../index/publish.ts";
import { type PackageView, readPackage } from "../../index/package-reader.ts";
import { writeRecords } from "../../index/writer.ts";
import type { Deps } from "../deps.ts";
import { ownIndexFor, ownIndexNamed } from "../own-indices.ts";
import { requireRemote, signAndUpload, signerOf, uploadedText } from "../sign.ts";
import { requestForRecords } from "../root-change.ts";
import { type OpenUpload, openUpload } from "../upload.ts";

export type TagOptions = { readonly index: string | undefined; readonly push: boolean; readonly out?: string | undefined };
export type TagChange = { readonly name: string; readonly tag: string; readonly from: string | null; readonly to: string | null };

/** @param spec `<name>@<version>` */
export function tagAdd(spec: string, tagText: string, options: TagOptions, deps: Deps): Promise<TagChange> {
  const { name, range } = parsePackageSpec(spec);
  const tag = parseDistTag(tagText);
  if (range === null) throw new ImprintError("USAGE", `Cannot tag ${name}: say which version, as '${name}@1.0.0'`);
  const version = parseVersion(range);
  return change(name, tag, version, options, deps);
}

export function tagRemove(name: string, tag: string, options: TagOptions, deps: Deps): Promise<TagChange> {
  return change(parsePackageName(name), parseDistTag(tag), null, options, deps);
}

export async function tagList(
  nameText: string,
  { index }: Pick<TagOptions, "index">,
  deps: Deps,
): Promise<Readonly<Record<string, string>>> {
  const name = parsePackageName(nameText);
  const open = await openFor(name, index, deps);
  try {
    const { record } = await viewOf((await chooseBase(open.upload)).base, name);
    return Object.fromEntries([...record.doc.tags].toSorted(([a], [b]) => (a < b ? -1 : 1)));
  } finally {
    await open.repository.close();
  }
}

async function change(
  name: PackageName,
  tag: DistTag,
  to: Version | null,
  { index, push, out }: TagOptions,
  deps: Deps,
): Promise<TagChange> {
  const { terminal } = deps;
  const open = await openFor(name, index, deps);
  const edit = ({ record: { doc } }: PackageView): Tagged => (to === null ? removeTag(doc, tag) : addTag(doc, to, tag));
  try {
    requireRemote(open, push && out === undefined);
    const first = await chooseBase(open.upload);
    const { from } = edit(await viewOf(first.base, name));
    const result = { name, tag, from, to };
    if (from === to) {
      terminal.talk(`${name}: ${tag} points at ${to} already`);
      return result;
    }
    if (tag === "latest" && to !== null && from !== null && (compareVersions(to, from) < 0 || isPrerelease(to)))
      terminal.warn(`latest of ${name} moves ${compareVersions(to, from) < 0 ? "down" : "to a prerelease"}, from ${from} to ${to}`);
    const message = to === null ? `imprint: remove tag ${tag} of ${name}` : `imprint: tag ${name}@${to} ${tag}`;
    if (out !== undefined) {
      const before = await viewOf(first.base, name);
      await requestForRecords(deps, open, first.base, { records: [{ before, after: edit(before).record }], message, out });
      return result;
    }
    const signer = signerOf(deps, open.own);
    await signer();
    const uploaded = await signAndUpload(deps, open, {
      push,
      first,
      build: async (base, nowMs) => {
        const before = await viewOf(base, name);
        const records = [{ before, after: edit(before).record }];
        return {
          files: await writeRecords({ state: base.state, snapshot: base.snapshot, records, keys: await signer(), nowMs }),
          message,
        };
      },
    });
    terminal.ok(`${name}: ${tag} ${to === null ? "removed" : `→ ${to}`} · ${uploadedText(open, uploaded, push)}`);
    return result;
  } finally {
    await open.repository.close();
  }
}

async function openFor(name: PackageName, index: string | undefined, deps: Deps): Promise<OpenUpload> {
  const own = index === undefined ? await ownIndexFor(deps, name) : await ownIndexNamed(deps, index, deps.cwd);
  return openUpload(deps, own, [name]);
}

async function viewOf(base: Base, name: PackageName): Promise<PackageView> {
  const view = await readPackage(base.snapshot, base.state, name);
  if (view === null) throw new ImprintError("NOT_FOUND", `Cannot tag ${name}: the index has no such package`);
  return view;
}
