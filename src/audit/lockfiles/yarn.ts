/**
 * yarn.lock, of yarn 1 and of yarn 4, through yarn's own parser.
 *
 * yarn 4's `checksum` is of the zip archive that it makes of a tarball, not of the tarball: it depends on the version of
 * that format and on the compression level (`10c0`), and nobody but yarn can make that archive again. An author signs a
 * tarball, so there is nothing in the file to compare a signature with. Making the archive here would mean to download
 * every tarball and to carry yarn's own zip code, for a proof that an older or newer yarn would break. So it is said:
 * such a package is vouched for by name and version alone. That its bytes were the signed ones, the resolver saw to when
 * it served them.
 */
import { parseSyml } from "@yarnpkg/parsers";
import { isExactVersion, isRegistryTarball, type LockedPackage, packageNameOf, type Refuse, shown, splitSpec } from "./locked.ts";

type Fields = Readonly<Record<string, unknown>>;

const YARN_1 = /^# yarn lockfile v1\r?$/m;
const YARN_4_VERSIONS: ReadonlySet<unknown> = new Set(["8", "9", "10"]);
/** Levels of indentation: yarn writes three. */
const MAX_INDENT = 64;

export function readYarnLock(text: string, refuse: Refuse): readonly LockedPackage[] {
  const isOld = YARN_1.test(text.slice(0, 2000));
  if (new RegExp(`^[ \\t]{${MAX_INDENT},}\\S`, "m").test(text) || /[[{]{32}/.test(text)) return refuse("it is nested too deeply");
  let parsed: unknown;
  try {
    parsed = parseSyml(text);
  } catch (error) {
    return refuse("it is no lockfile of yarn", error);
  }
  if (!isFields(parsed)) return refuse("it is no lockfile of yarn");
  if (isOld) return Object.entries(parsed).map(([key, entry]) => yarn1Package(key, fieldsOf(entry, key, refuse), refuse));
  const metadata = parsed["__metadata"];
  if (Object.keys(parsed).length === 0) return [];
  const version = isFields(metadata) ? metadata["version"] : undefined;
  if (!YARN_4_VERSIONS.has(version))
    return refuse(
      `version ${typeof version === "string" ? shown(version) : "null"} is not known; yarn install with yarn 1 or 4 writes one that is`,
    );
  return Object.entries(parsed).flatMap(([key, entry]) =>
    key === "__metadata" ? [] : yarn4Packages(key, fieldsOf(entry, key, refuse), refuse),
  );
}

/** `"@alice/a@^1.0.0":`, or `"alias@npm:@alice/a@^1.0.0":`; `resolved` is the tarball, with its sha1 behind a #. */
function yarn1Package(key: string, entry: Fields, refuse: Refuse): LockedPackage {
  const [installedAs, range] = splitSpec(key) ?? refuse(`${shown(key)} has no range`);
  const aliased = range.startsWith("npm:") ? range.slice("npm:".length) : null;
  const name = packageNameOf(aliased === null ? installedAs : (splitSpec(aliased)?.[0] ?? aliased), key, refuse);
  const { version, resolved, integrity } = entry;
  if (typeof version !== "string") return refuse(`${shown(key)} has no version`);
  const [address, fragment] = typeof resolved === "string" ? resolved.split("#") : [];
  return {
    path: key,
    name,
    installedAs,
    version,
    integrity: typeof integrity === "string" ? integrity : null,
    shasum: fragment !== undefined && /^[0-9a-f]{40}$/.test(fragment) ? fragment : null,
    hashes: "tarball",
    fromRegistry: isExactVersion(version) && isRegistryTarball(address, name),
  };
}

/** `"@alice/a@npm:^1.0.0, @alice/a@npm:1.1.0":` with `resolution: "@alice/a@npm:1.1.0"`. */
function yarn4Packages(key: string, entry: Fields, refuse: Refuse): readonly LockedPackage[] {
  const { resolution, linkType } = entry;
  if (typeof resolution !== "string") return refuse(`${shown(key)} has no resolution`);
  const [head, reference] = splitSpec(resolution) ?? refuse(`${shown(key)} has no resolution`);
  // The project's own code: workspaces and links; and its own changes, whose origin is an entry of its own.
  if (linkType === "soft" || /^(workspace|link|portal|patch):/.test(reference)) return [];
  const name = packageNameOf(head, key, refuse);
  // With bindings, as `::__archiveUrl=…`: an address of its own, and no hash of it that anybody could compare.
  const exact = reference.startsWith("npm:") ? reference.slice("npm:".length) : "";
  const version = typeof entry["version"] === "string" ? entry["version"] : exact;
  const locked = {
    path: key,
    name,
    version: isExactVersion(exact) ? exact : version,
    integrity: null,
    shasum: null,
    hashes: "archive",
    fromRegistry: isExactVersion(exact),
  } as const;
  const asked = new Set(key.split(", ").map((descriptor) => (splitSpec(descriptor) ?? refuse(`${shown(key)} has no range`))[0]));
  return [...asked].map((installedAs) => ({ ...locked, installedAs }));
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function fieldsOf(value: unknown, key: string, refuse: Refuse): Fields {
  return isFields(value) ? value : refuse(`${shown(key)} is not a map`);
}
