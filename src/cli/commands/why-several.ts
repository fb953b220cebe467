/** `imprint why` for names with several sources: who votes for what, and what an overlay replaces or hides. No network. */
import { isImprintError } from "../../errors.ts";
import type { DisplayName } from "../../format/decode.ts";
import { isJsonObject, type JsonObject } from "../../format/json.ts";
import type { PackageName } from "../../format/names.ts";
import type { Agreement } from "../../format/several-sources.ts";
import { compareVersions } from "../../format/versions.ts";
import { agreedOffer, type Ballot, refusalOf, type Tally, tallyOf } from "../../registry/agree.ts";
import { readBallots } from "../../registry/ballots.ts";
import { plainOf } from "../../registry/document.ts";
import { versionsKnownTo } from "../../registry/overlay.ts";
import type { Consumer } from "../consumer.ts";
import type { Deps } from "../deps.ts";
import { openPublicRegistry } from "../public-registry.ts";
import { leaf, type WhyNode, type WhyResult } from "../views/why.ts";

export async function whyAgreed(name: PackageName, agreement: Agreement, consumer: Consumer, deps: Deps): Promise<WhyResult> {
  const { project } = consumer.files;
  const { of, threshold } = agreement;
  const ballots = await readBallots(name, agreement, { project, indices: consumer.indices });
  const { newest, held, source: offered } = agreedOffer(name, agreement, ballots, deps.nowMs());
  const rule = leaf(`imprint.json: ${threshold} of ${of.join(", ")} must agree on it, each by a host that answers; no other source may`);
  const tallies = [...tallyOf(agreement, ballots)].toSorted(([a], [b]) => compareVersions(a, b));
  const versions = tallies.map(([version, tally]) => {
    const readyAt = held.get(version);
    const young = readyAt === undefined ? "" : ` · held back until ${new Date(readyAt).toISOString()} (minAgeHours)`;
    return { text: `${version} ${wordsOf(tally)}${young}`, children: votesOf(tally) };
  });
  const tags = [...offered.tags].map(([tag, version]) => `${tag} → ${version}`).join(", ");
  const children = [
    rule,
    { text: "indices", children: ballots.map(ballotLeaf) },
    ...(tags === "" ? [] : [leaf(`tags ${tags}`)]),
    ...(versions.length === 0 ? [] : [{ text: "versions", children: versions }]),
  ];
  const source = of.join("+");
  if (newest !== null)
    return { name, source, answer: "served", tree: { text: `${name} comes from what ${of.join(", ")} agree on`, children } };
  if (held.size > 0)
    return {
      name,
      source,
      answer: "refused",
      tree: { text: `${name} is refused: every version that they agree on is too young`, children },
    };
  const refusal = refusalOf(name, agreement, ballots);
  const isAbsent = refusal.code === "NOT_FOUND";
  return {
    name,
    source,
    answer: isAbsent ? "absent" : "refused",
    tree: {
      text: isAbsent ? `${name} does not exist` : `${name} is refused`,
      children: [
        ...children,
        leaf(`${refusal.code}: ${refusal.message}`),
        ...(isAbsent ? [] : [leaf(`next: ${refusal.hint.replaceAll("<name>", name)}`)]),
      ],
    },
  };
}

function wordsOf({ standing, agreed, reason }: Tally): string {
  return standing === "agreed" ? `agreed by ${(agreed ?? []).map(({ alias }) => alias).join(", ")}` : `not offered: ${reason ?? ""}`;
}

/** One line for each thing that is voted for. */
function votesOf({ groups }: Tally): readonly WhyNode[] {
  return groups.map((group) => {
    const [first] = group;
    const bytes = first === undefined ? "" : `${first.release.dist.integrity.slice(0, 19)}…, ${first.release.dist.size} bytes`;
    return leaf(`${group.map(({ alias }) => alias).join(", ")}: ${bytes}`);
  });
}

function ballotLeaf({ alias, view, record, failure }: Ballot): WhyNode {
  if (failure !== null) {
    const still = record === null ? "" : `; what it yanked and withdrew up to revision ${record.revision} still counts`;
    return leaf(`${alias} has no vote: ${failure.message} (${failure.code})${still}`);
  }
  return leaf(view === null ? `${alias} does not have it` : `${alias} votes: revision ${view.record.doc.revision}`);
}

/** @param own what the index alone would answer */
export async function whyOverlaid(
  own: WhyResult,
  alias: DisplayName,
  name: PackageName,
  consumer: Consumer,
  deps: Deps,
): Promise<WhyResult> {
  const rule = leaf(`imprint.json: overlay has ${name}; the public registry answers for versions that ${alias} knows nothing of`);
  const { text, children } = own.tree;
  const [claim, ...rest] = children;
  const tree = (head: string, ...more: readonly WhyNode[]): WhyNode => ({
    text: head,
    children: [...(claim === undefined ? [] : [leaf(claim.text.replace("; no other source may answer", ""))]), rule, ...rest, ...more],
  });
  const source = `${alias}+upstream`;
  switch (own.answer) {
    case "absent":
      return {
        name,
        source,
        answer: "upstream",
        tree: tree(`${name} comes from the public registry: ${alias}, over it, does not have it`),
      };
    case "served":
      return {
        name,
        source,
        answer: "served",
        tree: tree(`${name} comes from ${alias} over the public registry`, await publicNode(alias, name, consumer, deps)),
      };
    case "refused":
    case "upstream":
      return {
        name,
        source,
        answer: own.answer,
        tree: tree(text, leaf("the public registry is not asked while its index cannot be believed")),
      };
  }
}

async function publicNode(alias: DisplayName, name: PackageName, { indices, files: { project } }: Consumer, deps: Deps): Promise<WhyNode> {
  const view = (await indices.get(alias)?.reader.readPackage(name))?.view ?? null;
  const theirs = await keptVersions(name, { ...deps, offline: true }, project);
  if (view === null || theirs === null) return leaf(`public registry: what it has is not on this machine; imprint view ${name} asks it`);
  const known = versionsKnownTo(view);
  const both = theirs.filter((version) => known.has(version));
  const replaced = both.filter((version) => [...view.versions].some(([own, { verdict }]) => own === version && verdict === "ok"));
  const hidden = both.filter((version) => !replaced.includes(version));
  const line = (what: string, versions: readonly string[]): readonly WhyNode[] =>
    versions.length === 0 ? [] : [leaf(`${what}: ${few(versions)}`)];
  return {
    text: "public registry, as it was last asked",
    children: [
      ...line(`replaced by ${alias}'s`, replaced),
      ...line(`hidden, as ${alias} yanked, withdrew or broke them`, hidden),
      leaf(`${theirs.length - both.length} other ${theirs.length - both.length === 1 ? "version" : "versions"}`),
    ],
  };
}

/** Versions that upstream had when it was last asked; null: nothing was kept. */
async function keptVersions(name: PackageName, deps: Deps, project: Consumer["files"]["project"]): Promise<readonly string[] | null> {
  const { upstream, close } = openPublicRegistry(deps, project);
  try {
    for (const abbreviated of [true, false]) {
      try {
        const { document } = await upstream.packument(name, abbreviated, "http://127.0.0.1");
        const { versions } = JSON.parse(Buffer.from(plainOf(document)).toString("utf8")) as JsonObject;
        return isJsonObject(versions) ? Object.keys(versions) : [];
      } catch (error) {
        if (!isImprintError(error)) throw error;
      }
    }
    return null;
  } finally {
    close();
  }
}

function few(versions: readonly string[]): string {
  return versions.length > 20 ? `${versions.slice(0, 20).join(", ")} and ${versions.length - 20} more` : versions.join(", ");
}
