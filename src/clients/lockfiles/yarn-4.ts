/**
 * Entries of a yarn.lock of yarn 4.
 *
 * Its `checksum` is of the zip archive that yarn makes of a tarball, not of the tarball: it depends on the version of that
 * format and on the compression level (`10c0`), and nobody but yarn can make that archive again. An author signs a
 * tarball, so there is nothing in the file to compare a signature with. Such a package is vouched for by name and version
 * alone; `audit --installed` compares the files in yarn's archive.
 */
import { described, type Fields, fieldsOf, mapOf, membersOf, oneOf, text, textIn, word } from "./grammar.ts";
import { isPublicName } from "../../format/names.ts";
import {
  ELSEWHERE,
  isExactVersion,
  isPlainPath,
  type LockedPackage,
  type Origin,
  packageNameOf,
  REGISTRY,
  type Refuse,
  shown,
  splitSpec,
} from "./locked.ts";

const RANGES = mapOf(text, isPublicName);
const METADATA = membersOf({ version: word, cacheKey: word });
const ENTRY = membersOf({
  version: word,
  resolution: word,
  dependencies: RANGES,
  peerDependencies: RANGES,
  dependenciesMeta: described,
  peerDependenciesMeta: described,
  bin: mapOf(text),
  checksum: word,
  conditions: text,
  languageName: oneOf("node", "unknown"),
  linkType: oneOf("hard", "soft"),
});
/** As yarn 4 itself splits the descriptors of a key. */
const SEVERAL = / *, */;

export function yarn4Packages(parsed: Fields, refuse: Refuse): readonly LockedPackage[] {
  METADATA(parsed.get("__metadata") ?? "", '"__metadata"', refuse);
  const seen = new Set<string>();
  return [...parsed].flatMap(([key, value]) => {
    if (key === "__metadata") return [];
    const at = shown(key);
    const entry = fieldsOf(value, at, refuse);
    ENTRY(entry, at, refuse);
    return packagesOf(key, entry, at, seen, refuse);
  });
}

/** `"@alice/a@npm:^1.0.0, @alice/a@npm:1.1.0":` with `resolution: "@alice/a@npm:1.1.0"`. */
function packagesOf(key: string, entry: Fields, at: string, seen: Set<string>, refuse: Refuse): readonly LockedPackage[] {
  const resolution = textIn(entry, "resolution") ?? refuse(`${at} has no resolution`);
  const [head, reference] = splitSpec(resolution) ?? refuse(`${at} > "resolution" names no package`);
  const name = packageNameOf(head, `${at} > "resolution"`, refuse);
  const origin = originOf(reference, textIn(entry, "linkType"), at, refuse);
  const exact = reference.startsWith("npm:") ? reference.slice("npm:".length) : "";
  const version = textIn(entry, "version");
  if (isExactVersion(exact) && version !== null && version !== exact) return refuse(`${at} > "version" is another than in its resolution`);
  const descriptors = key.split(SEVERAL);
  if (descriptors.join(", ") !== key) return refuse(`${at} is not as yarn writes it`);
  const asked = new Set<string>();
  for (const descriptor of descriptors) {
    if (seen.has(descriptor)) return refuse(`${shown(descriptor)} stands there twice`);
    seen.add(descriptor);
    asked.add(packageNameOf((splitSpec(descriptor) ?? refuse(`${at} has no range`))[0], at, refuse));
  }
  const locked = {
    path: key,
    name,
    version: isExactVersion(exact) ? exact : (version ?? reference),
    integrity: null,
    shasum: null,
  } as const;
  return [...asked].map((installedAs) => ({ ...locked, installedAs, hashes: "archive", origin }));
}

function originOf(reference: string, linkType: string | null, at: string, refuse: Refuse): Origin {
  const isFolder = /^(workspace|link|portal):/.test(reference);
  if ((linkType === "soft") !== isFolder) return refuse(`${at} > "linkType" does not fit its resolution`);
  if (isFolder) {
    const [path = "", bindings = ""] = reference.slice(reference.indexOf(":") + 1).split("::");
    // Below a workspace, a path is relative to it.
    const from = /locator=[^&]*%40workspace%3A([^&]*)/.exec(bindings)?.[1];
    const base = from === undefined ? "." : decodedOf(from);
    const folder = base === "." ? path.replace(/^\.\//, "") : `${base ?? ".."}/${path.replace(/^\.\//, "")}`;
    return isPlainPath(folder) ? { kind: "folder", folder } : ELSEWHERE;
  }
  if (reference.startsWith("patch:")) return { kind: "patched", patch: decodedOf(reference.slice("patch:".length)) ?? reference };
  // With bindings, as `::__archiveUrl=…`: an address of its own, and no hash of it that anybody could compare.
  return reference.startsWith("npm:") && isExactVersion(reference.slice("npm:".length)) ? REGISTRY : ELSEWHERE;
}

function decodedOf(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
