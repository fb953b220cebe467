/** deno.lock, versions 4 and 5: its `npm` part. What comes from jsr or plain addresses is no npm package. */
import { isJsonObject, type JsonObject } from "../../format/json.ts";
import { isRegistryTarball, jsonOf, type LockedPackage, packageNameOf, type Refuse, shown, splitSpec } from "./locked.ts";

export function readDenoLock(text: string, refuse: Refuse): readonly LockedPackage[] {
  const value = jsonOf(text, refuse);
  const { version, npm } = value;
  if (version !== "4" && version !== "5")
    return refuse(`version ${JSON.stringify(version ?? null)} is not known; deno install with deno 2 writes "4" or "5"`);
  if (npm === undefined) return [];
  if (!isJsonObject(npm)) return refuse("npm is not an object");
  return Object.entries(npm).flatMap(([key, entry]) => {
    if (!isJsonObject(entry)) return refuse(`${shown(key)} is not an object`);
    const locked = lockedPackage(key, entry, refuse);
    return [locked, ...aliasesIn(key, entry, npm, refuse)];
  });
}

function lockedPackage(key: string, entry: JsonObject, refuse: Refuse, installedAs?: string): LockedPackage {
  const [head, tail] = splitSpec(key) ?? refuse(`${shown(key)} has no version`);
  const name = packageNameOf(head, key, refuse);
  const { integrity, tarball } = entry;
  return {
    path: key,
    name,
    installedAs: installedAs ?? name,
    // Behind `_` stand the peers that this copy was installed with.
    version: tail.split("_")[0] ?? "",
    integrity: typeof integrity === "string" ? integrity : null,
    shasum: null,
    hashes: "tarball",
    fromRegistry: tarball === undefined || isRegistryTarball(tarball, name),
  };
}

/** Dependencies under another name, as `alias@npm:name@1.0.0`. */
function aliasesIn(key: string, entry: JsonObject, npm: JsonObject, refuse: Refuse): LockedPackage[] {
  return ["dependencies", "optionalDependencies", "optionalPeers"].flatMap((kind) => {
    const list = entry[kind];
    if (list === undefined) return [];
    if (!Array.isArray(list)) return refuse(`${kind} of ${shown(key)} are no list`);
    return list.flatMap((dependency: unknown) => {
      if (typeof dependency !== "string") return refuse(`${kind} of ${shown(key)} are no list of names`);
      const at = dependency.indexOf("@npm:");
      if (at < 0) return [];
      const target = dependency.slice(at + "@npm:".length);
      const locked = Object.keys(npm).find((known) => known === target || known.startsWith(`${target}@`) || known.startsWith(`${target}_`));
      const of = locked === undefined ? undefined : npm[locked];
      if (locked === undefined || !isJsonObject(of)) return refuse(`${shown(dependency)} of ${shown(key)} is not in it`);
      return [lockedPackage(locked, of, refuse, dependency.slice(0, at))];
    });
  });
}
