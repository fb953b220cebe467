/**
 * An index over upstream: a pure merge of two packuments.
 *
 * Under every version that the index's record knows of, whatever became of it there, upstream's answer does not count: what
 * the author took back, or what cannot be trusted, must not come back from elsewhere under the same number.
 */
import { isJsonObject, type JsonObject, jsonObject, type JsonValue } from "../format/json.ts";
import { type DistTag, isVersion, type Version } from "../format/versions.ts";
import type { PackageView } from "../index/package-reader.ts";
import { offeredTags } from "./offer.ts";

/** Every version that the index has, or had and withdrew. */
export function versionsKnownTo({ record }: PackageView): ReadonlySet<string> {
  return new Set([...record.doc.releases.keys(), ...record.doc.withdrawn.keys()]);
}

/**
 * @param upstream its packument with our addresses in it
 * @param own the index's, in the same form (full or abbreviated)
 * @param known versions for which only the index may answer
 */
export function overlayPackument(upstream: JsonObject, own: JsonObject, known: ReadonlySet<string>): JsonObject {
  const theirs = entriesAt(upstream, "versions").filter(([version]) => !known.has(version));
  const versions = jsonObject([...theirs, ...entriesAt(own, "versions")]);
  return jsonObject([
    ...Object.entries(upstream),
    ["dist-tags", jsonObject(tagsOf(upstream, own, Object.keys(versions)))],
    ["versions", versions],
    ...timesOf(upstream, own, known),
  ]);
}

/** The index's tags over upstream's, as far as they lead to what is offered. */
function tagsOf(upstream: JsonObject, own: JsonObject, versions: readonly string[]): ReadonlyMap<string, string> {
  const texts = [...entriesAt(upstream, "dist-tags"), ...entriesAt(own, "dist-tags")].filter(
    (tag): tag is [string, string] => typeof tag[1] === "string",
  );
  const wanted = new Map(texts);
  // Upstream may hold versions that SemVer refuses; they cannot be compared, but tags may lead to them.
  const odd = [...wanted].filter(([, version]) => !isVersion(version) && versions.includes(version));
  const tags = wanted as ReadonlyMap<string, string> as ReadonlyMap<DistTag, Version>;
  return new Map([...odd, ...offeredTags(tags, new Set(versions.filter(isVersion)), (latest) => isVersion(latest))]);
}

/** Only where upstream says: clients that find times look for one of each version. */
function timesOf(upstream: JsonObject, own: JsonObject, known: ReadonlySet<string>): readonly [string, JsonValue][] {
  const { modified } = upstream;
  const mine = isJsonObject(own["time"]) ? own["time"] : {};
  const changed = laterOf(modified, mine["modified"]);
  const top: [string, JsonValue][] = typeof modified === "string" && changed !== undefined ? [["modified", changed]] : [];
  const { time } = upstream;
  if (!isJsonObject(time)) return top;
  const theirs = Object.entries(time).filter(([version]) => !known.has(version));
  const ofVersions = Object.entries(mine).filter(([version]) => version !== "created" && version !== "modified");
  const whole = laterOf(time["modified"], mine["modified"]);
  return [...top, ["time", jsonObject([...theirs, ...ofVersions, ...(whole === undefined ? [] : [["modified", whole] as const])])]];
}

function laterOf(a: JsonValue | undefined, b: JsonValue | undefined): string | undefined {
  const [later] = [a, b].filter((time) => typeof time === "string").toSorted((one, other) => (one < other ? 1 : -1));
  return later;
}

function entriesAt(from: JsonObject, key: string): [string, JsonValue][] {
  const value = Object.hasOwn(from, key) ? from[key] : undefined;
  return isJsonObject(value) ? Object.entries(value) : [];
}
