/** `imprint why <name>`: who answers for a name, what it says, and for each release whether it counts. No network. */
import { isImprintError } from "../../errors.ts";
import type { DisplayName } from "../../format/decode.ts";
import { shortKey } from "../../format/keys.ts";
import { isPackageName, type PackageName, type PackagePattern, parsePublicName, type PublicName } from "../../format/names.ts";
import { newestRoot } from "../../index/trust.ts";
import { labelOf, sourceOf } from "../../registry/claims.ts";
import { addCommand, introducerOf, rootsOf } from "../../registry/introductions.ts";
import { oddDependencies } from "../../format/dependencies.ts";
import { offerOf } from "../../registry/offer.ts";
import { takenPlace } from "../../registry/taken-places.ts";
import { type Consumer, openConsumer } from "../consumer.ts";
import type { Deps } from "../deps.ts";
import { leaf, type WhyNode, type WhyResult } from "../views/why.ts";
import { whyAgreed, whyOverlaid } from "./why-several.ts";

export async function why(text: string, deps: Deps): Promise<WhyResult> {
  const name = parsePublicName(text);
  const consumer = await openConsumer(deps);
  try {
    const source = sourceOf(consumer.files.project, name);
    if (source.kind === "denied") return await whyDenied(name, source.pattern, consumer);
    if (source.kind === "upstream") return whyPublic(name, source.pattern);
    if (!isPackageName(name)) return whyNobodys(name, labelOf(source));
    switch (source.kind) {
      case "index":
        return await whyIndex(name, source, consumer, deps);
      case "overlay":
        return await whyOverlaid(await whyIndex(name, source, consumer, deps), source.alias, name, consumer, deps);
      case "agree":
        return await whyAgreed(name, source.agreement, consumer, deps);
    }
  } finally {
    await consumer.close();
  }
}

/** What npm let through once, and no index can publish. */
function whyNobodys(name: PublicName, label: string): WhyResult {
  const children = [leaf(`imprint.json: ${label} claims it; no other source may answer`), leaf("no index can have a name like that")];
  return { name, source: label, answer: "absent", tree: { text: `${name} does not exist`, children } };
}

async function whyDenied(name: PublicName, pattern: PackagePattern | null, consumer: Consumer): Promise<WhyResult> {
  const rule = pattern === null ? "no entry of upstream.allow names it" : `upstream.deny has ${pattern}`;
  return {
    name,
    source: "none",
    answer: "refused",
    tree: {
      text: `${name} is refused`,
      children: [
        leaf(`imprint.json: ${rule}`),
        ...(await introducedLeaves(name, consumer)),
        leaf("to change that, edit upstream in imprint.json"),
      ],
    },
  };
}

function whyPublic(name: PublicName, pattern: PackagePattern): WhyResult {
  return {
    name,
    source: "upstream",
    answer: "upstream",
    tree: {
      text: `${name} comes from the public registry`,
      children: [leaf("no index in imprint.json claims it"), leaf(`upstream.allow has ${pattern}`)],
    },
  };
}

async function whyIndex(
  name: PackageName,
  { alias, pattern }: { readonly alias: DisplayName; readonly pattern: PackagePattern },
  consumer: Consumer,
  deps: Deps,
): Promise<WhyResult> {
  const index = consumer.indices.get(alias);
  const claim = leaf(`imprint.json: ${alias} claims ${pattern}; no other source may answer`);
  const state = (await index?.reader.current()) ?? null;
  if (index === undefined || state === null) {
    return {
      name,
      source: alias,
      answer: "refused",
      tree: {
        text: `${name} cannot be served yet`,
        children: [claim, leaf(`${alias} was never verified on this machine: imprint sync`)],
      },
    };
  }
  const where = leaf(
    `${alias}: root ${newestRoot(state.roots).doc.version}, seq ${state.checkpoint.doc.seq}, signed ${state.checkpoint.doc.time}`,
  );
  try {
    const { view, fault, since } = await index.reader.readPackage(name);
    if (view === null)
      return {
        name,
        source: alias,
        answer: "absent",
        tree: { text: `${name} does not exist`, children: [claim, where, leaf(`${alias}'s signed checkpoint does not list it`)] },
      };
    const faults = fault === null ? [] : [leaf(`the host broke it (${fault.code}: ${fault.message}); served as last verified`)];
    const { yanked, deprecated, withdrawn } = view.record.doc;
    const { held, newest, until } = offerOf({ view, since }, alias, { minAgeHours: index.entry.minAgeHours ?? 0, nowMs: deps.nowMs() });
    const releases = [...view.versions].map(([version, verdict]) => {
      if (!("release" in verdict)) return leaf(`${version} refused (${verdict.verdict}): ${verdict.reason}`);
      const taken = takenPlace(consumer.files.project, name, oddDependencies(verdict.release.doc.manifest));
      if (taken !== null) return leaf(`${version} not offered: ${taken}`);
      const readyAt = held.get(version);
      if (readyAt !== undefined)
        return leaf(
          `${version} held back: younger than the ${index.entry.minAgeHours ?? 0} hours of imprint.json, until ${new Date(readyAt).toISOString()}`,
        );
      const notes = [because(yanked.get(version)), deprecated.has(version) ? ` · deprecated${because(deprecated.get(version))}` : ""];
      return leaf(`${version} ${verdict.verdict}${notes.join("")} · signed by ${verdict.signers.map(shortKey).join(", ")}`);
    });
    const gone = [...withdrawn].map(([version, reason]) => leaf(`${version} withdrawn${because(reason)}`));
    const tags = [...view.record.doc.tags].map(([tag, version]) => `${tag} → ${version}`).join(", ");
    // What the resolver says then: TOO_YOUNG, a refusal; without releases, an answer with nothing in it.
    const isHeld = newest === null && held.size > 0;
    const nothing = newest === null && !isHeld ? ", but nothing of it can be installed" : "";
    return {
      name,
      source: alias,
      answer: isHeld ? "refused" : "served",
      tree: {
        text: isHeld
          ? `${name} is refused until ${new Date(until).toISOString()}: every release is too young`
          : `${name} comes from ${alias}${nothing}`,
        children: [
          claim,
          where,
          ...faults,
          leaf(`record: revision ${view.record.doc.revision}; ${tags}`),
          { text: "releases", children: [...releases, ...gone] },
        ],
      },
    };
  } catch (error) {
    if (!isImprintError(error)) throw error;
    const at = error.step === undefined ? "" : ` (${error.step})`;
    return {
      name,
      source: alias,
      answer: "refused",
      tree: {
        text: `${name} is refused`,
        children: [claim, where, leaf(`${error.code}${at}: ${error.message}`), leaf(`next: ${error.hint}`)],
      },
    };
  }
}

/** X4: a denied name may be one that an index here depends on. */
async function introducedLeaves(name: PublicName, { indices }: Consumer): Promise<readonly WhyNode[]> {
  const found = introducerOf(name, await rootsOf(indices));
  const command = found === null ? null : addCommand(found.introduction);
  return found === null ? [] : [leaf(`${found.by} introduces its index${command === null ? "" : `; to trust that, too: ${command}`}`)];
}

function because(reason: string | undefined): string {
  return reason === undefined || reason === "" ? "" : ` (${reason})`;
}
