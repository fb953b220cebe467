/** bun.lock: JSON with comments and trailing commas. The binary bun.lockb is refused with the command that replaces it. */
import { LIMITS } from "../../format/limits.ts";
import { printParseErrorCode, visit } from "jsonc-parser";
import { type LockedPackage, isExactVersion, isRegistryTarball, packageNameOf, type Refuse, shown, splitSpec } from "./locked.ts";

const MAX_DEPTH = LIMITS.lockfileDepth;
const KNOWN_VERSIONS: ReadonlySet<unknown> = new Set([0, 1, 2]);

export function readBunLock(text: string, refuse: Refuse): readonly LockedPackage[] {
  const value = parseJsonc(text, refuse);
  if (!(value instanceof Map)) return refuse("it is not a JSON object");
  const version = value.get("lockfileVersion");
  if (!KNOWN_VERSIONS.has(version))
    return refuse(`lockfileVersion ${typeof version === "number" ? version : "null"} is not known; bun 1.2 to 1.4 write 0, 1 or 2`);
  const packages = value.get("packages");
  if (packages === undefined) return [];
  if (!(packages instanceof Map)) return refuse("packages is not an object");
  return [...packages].flatMap(([key, entry]) => lockedPackage(key, entry, refuse));
}

/** `["name@version", "<registry or tarball>", { … }, "sha512-…"]`; other kinds of packages have other lengths. */
function lockedPackage(key: string, entry: Jsonc, refuse: Refuse): LockedPackage[] {
  const [spec, ...rest] = Array.isArray(entry) ? entry : [];
  if (typeof spec !== "string") return refuse(`${shown(key)} is no list with a package`);
  const [head, version] = splitSpec(spec) ?? refuse(`${shown(key)} has no version`);
  if (/^(workspace|link|root):/.test(version)) return [];
  const info = rest.find((part) => part instanceof Map);
  if (info instanceof Map && info.get("bundled") === true) return [];
  const name = packageNameOf(head, key, refuse);
  const [address] = rest;
  const integrity = rest.at(-1);
  const isExact = isExactVersion(version);
  // Empty: the default registry. An address that ends in a slash is a registry, too, whose tarballs bun names itself.
  const conventional =
    address === "" || isRegistryTarball(address, name) || (typeof address === "string" && /^https?:\/\/\S+\/$/.test(address));
  return [
    {
      path: key,
      name,
      installedAs: lastName(key),
      version,
      integrity: rest.length > 1 && typeof integrity === "string" && /^sha[0-9]+-/.test(integrity) ? integrity : null,
      shasum: null,
      hashes: "tarball",
      fromRegistry: isExact && conventional,
    },
  ];
}

/** `parent/@alice/foo` → `@alice/foo` */
function lastName(key: string): string {
  const parts = key.split("/");
  const scope = parts.at(-2) ?? "";
  return scope.startsWith("@") ? `${scope}/${parts.at(-1) ?? ""}` : (parts.at(-1) ?? "");
}

type Jsonc = string | number | boolean | null | undefined | Jsonc[] | Map<string, Jsonc>;

/** Objects become maps, so that no key is special; a key that stands twice is refused, since bun might read the other one. */
function parseJsonc(text: string, refuse: Refuse): Jsonc {
  let result: Jsonc;
  const open: (Jsonc[] | Map<string, Jsonc>)[] = [];
  let key = "";
  const keys: string[] = [];
  const put = (value: Jsonc): void => {
    const into = open.at(-1);
    if (into === undefined) result = value;
    else if (Array.isArray(into)) into.push(value);
    else if (into.has(key)) refuse(`${shown(key)} stands twice in one object`);
    else into.set(key, value);
  };
  const enter = (value: Jsonc[] | Map<string, Jsonc>): void => {
    if (open.length >= MAX_DEPTH) refuse(`it is nested deeper than ${MAX_DEPTH} levels`);
    put(value);
    open.push(value);
    keys.push(key);
  };
  const leave = (): void => {
    open.pop();
    key = keys.pop() ?? "";
  };
  visit(
    text,
    {
      onObjectBegin: () => enter(new Map()),
      onObjectEnd: leave,
      onArrayBegin: () => enter([]),
      onArrayEnd: leave,
      onObjectProperty: (name) => void (key = name),
      onLiteralValue: (value: unknown) => put(value as Jsonc),
      onError: (code, offset) => {
        refuse(`it is not JSON with comments: ${printParseErrorCode(code)} at line ${text.slice(0, offset).split("\n").length}`);
      },
    },
    { allowTrailingComma: true, disallowComments: false },
  );
  return result;
}
