/** Changes to the JSON lockfiles: package-lock.json, bun.lock and deno.lock. */
import { parse } from "jsonc-parser";
import type { Random } from "../random.ts";
import type { Scene } from "./scene.ts";

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type Members = { [key: string]: Json };

export type JsonLock = { readonly format: "npm" | "bun" | "deno"; readonly text: string };

/** @returns the changed text, and what was done */
export function changeJson({ format, text }: JsonLock, random: Random, scene: Scene): readonly [string, string] {
  const value = parse(text, [], { allowTrailingComma: true }) as Members;
  const section = format === "deno" ? "npm" : "packages";
  const packages = value[section] as Members;
  const key = pickKey(packages, random);
  const kinds = [...KINDS, ...(format === "npm" ? NPM : format === "bun" ? BUN : DENO)];
  const kind = random.pick(kinds);
  let said = "nothing";
  try {
    said = kind({ value, packages, key, random, scene, format }) ?? "";
  } catch (error) {
    // An earlier change left nothing there for this one.
    if (!(error instanceof TypeError)) throw error;
  }
  return [JSON.stringify(value, null, 2), `${kind.name} ${key}: ${said}`];
}

function wordOf(value: Json | undefined): string {
  return typeof value === "string" ? value : JSON.stringify(value ?? null);
}

type Change = (at: {
  readonly value: Members;
  readonly packages: Members;
  readonly key: string;
  readonly random: Random;
  readonly scene: Scene;
  readonly format: JsonLock["format"];
}) => string | undefined;

function pickKey(packages: Members, random: Random): string {
  const keys = Object.keys(packages).filter((key) => key !== "");
  const claimed = keys.filter((key) => /alice|claimed/.test(key));
  return random.pick(random.once(4) || claimed.length === 0 ? keys : claimed);
}

const NAMES = ["evil", "@alice/a", "@alice/b", "claimed", "pub-b", "@Alice/a"];
const VERSIONS = ["1.0.0", "1.1.0", "9.9.9", "1.0.0-0", "v1.0.0", "", "latest", "*"];

function pathsOf(key: string, random: Random): string {
  const spell = random.pick<(text: string) => string>([
    (text) => text.replace("node_modules/", "node_modules/./"),
    (text) => text.replace("node_modules/", "node_modules//"),
    (text) => text.replace("node_modules/", "./node_modules/"),
    (text) => text.replace("node_modules/", "node_modules/x/../"),
    (text) => `${text}/`,
    (text) => text.replaceAll("/", "\\"),
    (text) => text.toUpperCase(),
    (text) => ` ${text}`,
    (text) => text.replace("@", "%40"),
    (text) => `node_modules/pub-a/${text}`,
    (text) => `pub-a/${text}`,
    (text) => text.replace(/@[0-9.]+$/, "@9.9.9"),
    (text) => text.replace(/1\.1\.0/, "1.0.0"),
    (text) => text.replace(/@alice\/[ab]/, "evil"),
    (text) => text.replace(/pub-[ab]/, "@alice/b"),
    (text) => `${text}_evil@1.0.0`,
    (text) => text.normalize("NFKD").replace("a", "a\u0301"),
    (text) => `${text}\u200b`,
  ]);
  return spell(key);
}

const KINDS: readonly Change[] = [
  function rename({ packages, key, random }) {
    const to = pathsOf(key, random);
    packages[to] = packages[key] as Json;
    if (!random.once(3) && to !== key) delete packages[key];
    return to;
  },
  function swap({ packages, key, random }) {
    const other = random.pick(Object.keys(packages));
    [packages[key], packages[other]] = [packages[other] as Json, packages[key] as Json];
    return other;
  },
  function remove({ packages, key }) {
    delete packages[key];
    return "";
  },
  function copy({ packages, key, random }) {
    const to = random.pick(Object.keys(packages));
    packages[to] = structuredClone(packages[key] as Json);
    return to;
  },
  function top({ value, random, packages }) {
    const name = random.pick(["dependencies", "overrides", "<<", "__proto__", "patchedDependencies", "workspaces", "links", "packages2"]);
    Object.defineProperty(value, name, {
      value: random.once(2) ? packages : { "@alice/a": "evil@1.0.0" },
      enumerable: true,
      configurable: true,
      writable: true,
    });
    return name;
  },
  function version({ value, random }) {
    const name = "lockfileVersion" in value ? "lockfileVersion" : "version";
    value[name] = random.pick<Json>([1, 2, 3, "4", "5", "3", 1.0, null]);
    return JSON.stringify(value[name]);
  },
];

/** Members of one entry, for clients whose entries are objects. */
const NPM: readonly Change[] = [
  function fetchEvil({ packages, key, random, scene }) {
    const entry = packages[key] as Members;
    entry["resolved"] = random.pick(scene.evilAddresses);
    if (!random.once(3)) entry["integrity"] = scene.evilIntegrity;
    if (random.once(4)) delete entry["integrity"];
    if (random.once(2)) entry[random.pick(FLAGS)] = true;
    return wordOf(entry["resolved"]);
  },
  function flagged({ packages, key, random, scene }) {
    const entry = packages[key] as Members;
    const flag = random.pick(FLAGS);
    entry[flag] = random.pick<Json>([true, true, false, "true", 1, null]);
    if (random.once(2)) entry["integrity"] = scene.evilIntegrity;
    if (flag === "link" && !random.once(3))
      packages[key] = { resolved: random.pick(["evil", "./evil", "../evil", "packages/a"]), link: true };
    if (random.once(2)) packages[random.pick(["evil", "packages/a"])] = { name: random.pick(NAMES), version: "1.1.0" };
    return flag;
  },
  function named({ packages, key, random }) {
    const entry = packages[key] as Members;
    entry["name"] = random.pick(NAMES);
    if (random.once(2)) entry["version"] = random.pick(VERSIONS);
    return wordOf(entry["name"]);
  },
  function hashless({ packages, key, random }) {
    const entry = packages[key] as Members;
    for (const name of ["integrity", "resolved", "version"]) if (random.once(2)) delete entry[name];
    return Object.keys(entry).join();
  },
  function hashes({ packages, key, random, scene }) {
    const entry = packages[key] as Members;
    const now = wordOf(entry["integrity"]);
    entry["integrity"] = random.pick([
      `${now} ${scene.evilIntegrity}`,
      `${scene.evilIntegrity} ${now}`,
      `${now}?x`,
      ` ${now}`,
      now.replace("sha512", "SHA512"),
      "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=",
      "",
      "md5-x",
    ]);
    return wordOf(entry["integrity"]);
  },
  function nested({ packages, random, scene }) {
    const key = `${random.pick(["node_modules/pub-a/", "node_modules/@alice/a/", "packages/a/", "../", ""])}node_modules/${random.pick(NAMES)}`;
    packages[key] = {
      version: "1.0.0",
      resolved: random.pick(scene.evilAddresses),
      integrity: scene.evilIntegrity,
      ...(random.once(2) ? { [random.pick(FLAGS)]: true } : {}),
    };
    return key;
  },
  function legacy({ value, packages, random, scene }) {
    value["lockfileVersion"] = 2;
    value["dependencies"] = Object.fromEntries(
      Object.entries(packages).flatMap(([key, entry]) =>
        /^node_modules\/[^/]+(\/[^/]+)?$/.test(key)
          ? [[key.slice(13), { ...(entry as Members), ...(random.once(2) ? { integrity: scene.evilIntegrity } : {}) }]]
          : [],
      ),
    );
    return "dependencies";
  },
  function rootAsks({ packages, random }) {
    const root = packages[""] as Members;
    const dependencies = root["dependencies"] as Members;
    dependencies[random.pick(NAMES)] = random.pick(["file:evil", "npm:evil@1.0.0", "1.0.0", "file:evil.tgz"]);
    return JSON.stringify(dependencies);
  },
];
const FLAGS = [
  "inBundle",
  "link",
  "bundled",
  "peer",
  "optional",
  "dev",
  "devOptional",
  "extraneous",
  "hasShrinkwrap",
  "ideallyInert",
  "hasInstallScript",
];

const BUN: readonly Change[] = [
  function spec({ packages, key, random, scene }) {
    const entry = packages[key] as Json[];
    const name = random.pick([...NAMES, wordOf(entry[0]).replace(/(.)@.*/, "$1")]);
    const to = random.pick([
      ...VERSIONS,
      "file:evil",
      "file:evil.tgz",
      "link:evil",
      "workspace:evil",
      "workspace:",
      "root:",
      ...scene.evilAddresses,
      "git+https://h/x.git#abc",
    ]);
    entry[0] = `${name}@${to}`;
    if (random.once(2))
      packages[key] = random.pick<Json[]>([
        [entry[0]],
        [entry[0], {}],
        [entry[0], {}, scene.evilIntegrity],
        [entry[0], "", {}, scene.evilIntegrity],
      ]);
    return JSON.stringify(packages[key]);
  },
  function parts({ packages, key, random, scene }) {
    const entry = packages[key] as Json[];
    if (random.once(2)) entry[1] = random.pick([...scene.evilAddresses, scene.registry, ""]);
    if (random.once(2))
      entry[2] = {
        [random.pick(["bundled", "optional", "peer", "link", "bin", "tarball", "registry"])]: random.pick<Json>([
          true,
          "evil",
          { "@alice/a": "evil@1.0.0" },
        ]),
      };
    if (random.once(2)) entry[3] = random.pick([scene.evilIntegrity, "", "sha1-x", `${wordOf(entry[3])} ${scene.evilIntegrity}`]);
    if (random.once(6)) entry.push(scene.evilIntegrity);
    if (random.once(6)) entry.splice(random.int(4), 1);
    return JSON.stringify(entry);
  },
  function nested({ packages, random, scene }) {
    const key = `${random.pick(["pub-a/", "@alice/a/", "renamed/", ""])}${random.pick(NAMES)}`;
    const name = random.pick(NAMES);
    packages[key] = [
      `${name}@${random.pick(["1.0.0", "1.1.0"])}`,
      random.pick(["", scene.trap]),
      random.once(2) ? { bundled: true } : {},
      scene.evilIntegrity,
    ];
    return key;
  },
  function settings({ value, random }) {
    const name = random.pick(["patchedDependencies", "overrides", "catalog", "trustedDependencies", "workspaces"]);
    value[name] = random.pick<Json>([
      { "@alice/a@1.1.0": "evil.patch" },
      { "@alice/a": "npm:evil@1.0.0" },
      ["@alice/a"],
      { "": { name: "shop", dependencies: { "@alice/a": "file:evil" } }, evil: { name: "@alice/a", version: "1.1.0" } },
    ]);
    return name;
  },
];

const DENO: readonly Change[] = [
  function entry({ packages, key, random, scene }) {
    const entry = packages[key] as Members;
    const name = random.pick([
      "tarball",
      "integrity",
      "dependencies",
      "optionalDependencies",
      "os",
      "bundled",
      "link",
      "bin",
      "name",
      "scripts",
    ]);
    if (random.once(5)) delete entry["integrity"];
    entry[name] = random.pick<Json>([
      random.pick(scene.evilAddresses),
      scene.evilIntegrity,
      ["@alice/b@npm:evil@1.0.0"],
      ["evil"],
      [`@alice/b@npm:${random.pick(Object.keys(packages))}`],
      true,
    ]);
    if (name === "tarball" && !random.once(3)) entry["integrity"] = scene.evilIntegrity;
    return `${name} ${JSON.stringify(entry[name])}`;
  },
  function specifier({ value, random, packages }) {
    const specifiers = value["specifiers"] as Members;
    const key = random.pick(Object.keys(specifiers));
    const to = random.pick([
      "1.0.0",
      "9.9.9",
      "evil@1.0.0",
      "npm:evil@1.0.0",
      "1.0.0_evil@1.0.0",
      "../evil",
      random.pick(Object.keys(packages)).replace(/^.*@/, ""),
    ]);
    specifiers[random.once(3) ? `npm:${random.pick(NAMES)}@^1.0.0` : key] = to;
    return `${key} ${to}`;
  },
  function evil({ packages, value, random, scene }) {
    packages["evil@1.0.0"] = { integrity: scene.evilIntegrity };
    (value["specifiers"] as Members)[`npm:@alice/a@${random.pick(["^1.0.0", "1.0.0"])}`] = random.pick(["1.0.0", "evil@1.0.0"]);
    return "";
  },
  function workspace({ value, random }) {
    const name = random.pick(["links", "patches", "packageJson", "dependencies", "members", "npmOverrides"]);
    value["workspace"] = {
      ...(value["workspace"] as Members | undefined),
      [name]: random.pick<Json>([
        { "npm:@alice/a@1.1.0": { version: "1.1.0" } },
        { "@alice/a": "npm:evil@1" },
        ["npm:evil@1"],
        { dependencies: ["npm:@alice/a@^1.0.0", "npm:evil@1"] },
      ]),
    };
    return name;
  },
];
