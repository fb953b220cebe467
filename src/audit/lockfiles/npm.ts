/** package-lock.json and npm-shrinkwrap.json, versions 2 and 3. Of version 2 its `packages`, as npm 7 and newer read it. */
import { isJsonObject, type JsonObject } from "../../format/json.ts";
import { isRegistryTarball, jsonOf, type LockedPackage, packageNameOf, type Refuse, shown } from "./locked.ts";

export function readNpmLock(text: string, refuse: Refuse): readonly LockedPackage[] {
  const value = jsonOf(text, refuse);
  const version = value["lockfileVersion"];
  if (version !== 3 && version !== 2)
    return refuse(`lockfileVersion ${JSON.stringify(version ?? null)} is not known; npm 7 or newer writes 2 or 3`);
  const packages = value["packages"];
  if (!isJsonObject(packages)) return refuse("it has no packages");
  return Object.entries(packages).flatMap(([path, entry]) => {
    if (!isJsonObject(entry)) return refuse(`${shown(path)} is not an object`);
    return lockedPackage(path, entry, refuse);
  });
}

function lockedPackage(path: string, entry: JsonObject, refuse: Refuse): LockedPackage[] {
  // The project itself, its workspaces and their links are nobody's releases; what is bundled came inside another tarball.
  const at = path.lastIndexOf("node_modules/");
  if (at < 0 || entry["link"] === true || entry["inBundle"] === true) return [];
  const installedAs = path.slice(at + "node_modules/".length);
  const name = packageNameOf(typeof entry["name"] === "string" ? entry["name"] : installedAs, path, refuse);
  const { version, integrity, resolved } = entry;
  if (typeof version !== "string") return refuse(`${shown(path)} has no version`);
  return [
    {
      path,
      name,
      installedAs,
      version,
      integrity: typeof integrity === "string" ? integrity : null,
      shasum: null,
      hashes: "tarball",
      fromRegistry: resolved === undefined || isRegistryTarball(resolved, name),
    },
  ];
}
