/**
 * `imprint yank|unyank|deprecate|withdraw`: second thoughts about releases. What a range means is shown before anything is
 * signed, and refused before anybody is asked for a passphrase.
 */
import { ImprintError } from "../../errors.ts";
import type { PackageName } from "../../format/names.ts";
import type { PackageRecord } from "../../format/record.ts";
import type { Version } from "../../format/versions.ts";
import { amendRecord, type Amendment, type PackageSpec, parsePackageSpec } from "../../index/amend.ts";
import { type Base, chooseBase, type ChosenBase } from "../../index/publish.ts";
import { type PackageView, readPackage } from "../../index/package-reader.ts";
import { writeRecords } from "../../index/writer.ts";
import type { Deps } from "../deps.ts";
import { type OwnIndex, ownIndexFor, ownIndexNamed } from "../own-indices.ts";
import { requireRemote, signAndUpload, signerOf, uploadedText } from "../sign.ts";
import { requestForRecords } from "../root-change.ts";
import { clean } from "../../format/text.ts";
import { type OpenUpload, openUpload } from "../upload.ts";
import { removeTarballs } from "../withdrawn-tarballs.ts";

export type AmendOptions = {
  readonly specs: readonly string[];
  readonly amendment: Amendment;
  readonly index: string | undefined;
  readonly dryRun: boolean;
  readonly push: boolean;
  /** File for a request that other publishers sign, instead of a commit. */
  readonly out?: string | undefined;
  /** Do not ask before what cannot be undone. */
  readonly yes: boolean;
};

export type AmendedRelease = { readonly name: string; readonly version: string; readonly index: string; readonly commit: string | null };

type Planned = { readonly before: PackageView; readonly after: PackageRecord; readonly versions: readonly Version[] };

const DONE = { yank: "yanked", unyank: "unyanked", deprecate: "deprecated", withdraw: "withdrawn" } as const;

export async function amend(options: AmendOptions, deps: Deps): Promise<readonly AmendedRelease[]> {
  const specs = options.specs.map(parsePackageSpec);
  const everything = specs.find(({ range }) => range === null);
  if (everything !== undefined && options.amendment.kind !== "deprecate" && options.amendment.kind !== "unyank")
    throw new ImprintError(
      "USAGE",
      `Cannot ${options.amendment.kind} ${everything.name}: say which versions, as '${everything.name}@1.0.1' or '${everything.name}@<1.2'`,
    );
  const own = await theOneIndex(specs, options.index, deps);
  const open = await openUpload(
    deps,
    own,
    specs.map(({ name }) => name),
  );
  try {
    requireRemote(open, options.push && !options.dryRun && options.out === undefined);
    const first = await chooseBase(open.upload);
    const plan = await planOf(first.base, specs, options.amendment);
    const result = (commit: string | null): AmendedRelease[] =>
      plan.flatMap(({ before, versions }) => versions.map((version) => ({ name: before.name, version, index: own.name, commit })));
    sayPlan(plan, options, deps);
    const count = plan.reduce((sum, { versions }) => sum + versions.length, 0);
    if (count === 0 || options.dryRun) return result(null);
    if (options.amendment.kind === "withdraw" && !(await confirmed(count, options, deps))) return [];
    if (options.out !== undefined) {
      const labels = plan.flatMap(({ before, versions }) => versions.map((version) => `${before.name}@${version}`));
      const message = `imprint: ${options.amendment.kind} ${labels.join(", ")}`;
      const records = plan.filter(({ versions }) => versions.length > 0);
      await requestForRecords(deps, open, first.base, { records, message, out: options.out });
      return result(null);
    }
    return result(await write({ open, specs, plan, first }, options, deps));
  } finally {
    await open.repository.close();
  }
}

/** One command, one commit, one index. */
async function theOneIndex(specs: readonly PackageSpec[], index: string | undefined, deps: Deps): Promise<OwnIndex> {
  if (index !== undefined) return ownIndexNamed(deps, index, deps.cwd);
  const owners = await Promise.all(specs.map(({ name }) => ownIndexFor(deps, name)));
  const [first, ...rest] = owners;
  if (first === undefined) throw new ImprintError("USAGE", "Cannot change releases: say which, as '@alice/x@1.0.1'");
  const other = rest.find(({ id }) => id !== first.id);
  if (other !== undefined)
    throw new ImprintError("USAGE", `Cannot change packages of ${first.name} and of ${other.name} at once: one command for each index`);
  return first;
}

async function planOf(base: Base, specs: readonly PackageSpec[], amendment: Amendment): Promise<readonly Planned[]> {
  const plans = new Map<PackageName, Planned>();
  for (const spec of specs) {
    const planned = plans.get(spec.name);
    const before = planned?.before ?? (await readPackage(base.snapshot, base.state, spec.name));
    if (before === null) throw new ImprintError("NOT_FOUND", `Cannot change ${spec.name}: the index has no such package`);
    const { record, versions } = amendRecord(planned?.after ?? before.record.doc, spec, amendment);
    plans.set(spec.name, { before, after: record, versions: [...(planned?.versions ?? []), ...versions] });
  }
  return [...plans.values()];
}

function sayPlan(plan: readonly Planned[], { amendment, dryRun }: AmendOptions, { terminal }: Deps): void {
  const verb = amendment.kind === "deprecate" && amendment.message === "" ? "undeprecate" : amendment.kind;
  for (const { before, after, versions } of plan) {
    const dropped = [...before.record.doc.tags.keys()].filter((tag) => !after.tags.has(tag));
    const tags = dropped.length === 0 ? "" : `, and drops ${dropped.length === 1 ? "tag" : "tags"} ${dropped.join(", ")}`;
    if (versions.length === 0) terminal.talk(`${before.name}: nothing to ${verb}, it is so already`);
    else terminal.talk(clean(`${dryRun ? "would " : ""}${verb} ${before.name}: ${versions.join(", ")}${tags}`));
  }
}

async function confirmed(count: number, { yes }: AmendOptions, { terminal }: Deps): Promise<boolean> {
  const what = `${count === 1 ? "this release is" : `these ${count} releases are`} never served again, and ${count === 1 ? "its number is" : "their numbers are"} never used again`;
  if (yes) return true;
  if (!terminal.interactive) throw new ImprintError("NEEDS_ANSWER", `Cannot withdraw: ${what}, and nobody is here to say yes`);
  return terminal.askYes(`${what[0]?.toUpperCase() ?? ""}${what.slice(1)}. Withdraw?`);
}

async function write(
  {
    open,
    specs,
    plan,
    first,
  }: {
    readonly open: OpenUpload;
    readonly specs: readonly PackageSpec[];
    readonly plan: readonly Planned[];
    readonly first: ChosenBase;
  },
  { amendment, push }: AmendOptions,
  deps: Deps,
): Promise<string> {
  const { terminal } = deps;
  const signer = signerOf(deps, open.own);
  await signer();
  const labels = plan.flatMap(({ before, versions }) => versions.map((version) => `${before.name}@${version}`));
  const uploaded = await signAndUpload(deps, open, {
    push,
    first,
    build: async ({ state, snapshot, ...base }, nowMs) => {
      // Anew: a colleague may have released or yanked meanwhile.
      const records = (await planOf({ state, snapshot, ...base }, specs, amendment)).filter(({ versions }) => versions.length > 0);
      return {
        files: await writeRecords({ state, snapshot, records, keys: await signer(), nowMs }),
        message: `imprint: ${amendment.kind} ${labels.join(", ")}`,
      };
    },
  });
  const undone = amendment.kind === "deprecate" && amendment.message === "";
  terminal.ok(`${undone ? "no longer deprecated" : DONE[amendment.kind]} · ${uploadedText(open, uploaded, push)}`);
  if (!push) terminal.talk(`Publish it with   ${terminal.style("bold", `git -C '${open.own.path}' push`)}`);
  if (amendment.kind === "withdraw") {
    await removeTarballs(open, first.base, plan, push, deps);
    terminal.talk("Copies may exist: whoever installed, mirrored or cached it has it still. If it held a secret, change the secret.");
  }
  return uploaded.commit;
}
