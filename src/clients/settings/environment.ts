/**
 * Settings in the environment. npm, pnpm and yarn take names of variables in any case, and the last one wins where two of
 * them mean one setting, so that a second spelling may beat the one that `imprint run` sets.
 */
import type { JsonValue } from "../../format/json.ts";
import { scopesIn } from "./documents.ts";
import { type Lead, leadOf, scopesOfKey } from "./steer.ts";

export type Variable = {
  readonly name: string;
  readonly means:
    | { readonly kind: "scope"; readonly scope: string }
    | { readonly kind: "every" }
    | { readonly kind: "unclear"; readonly why: string };
};

/** Those that `imprint run` sets itself. */
const OURS = new Set([
  "npm_config_registry",
  "NPM_CONFIG_REGISTRY",
  "pnpm_config_registry",
  "YARN_REGISTRY",
  "YARN_NPM_REGISTRY_SERVER",
  "BUN_CONFIG_REGISTRY",
]);
/** Names for all names, without separators. */
const EVERY = /^(p?npmconfigregistry|yarnregistry|yarnnpm(registryserver|auditregistry))$/u;
/** pnpm 11 and later take whole maps, as JSON. */
const MAPS = /^pnpm_config_(registries|_auth)$/iu;

export function variablesThatSteer(env: NodeJS.ProcessEnv): readonly Variable[] {
  return Object.entries(env).flatMap(([name, value = ""]): readonly Variable[] => {
    if (value === "") return [];
    const key = /^(?:p?npm_config_|yarn_)(.*)$/isu.exec(name)?.[1];
    const scopes =
      key === undefined
        ? []
        : spellingsOf(key)
            .flatMap(scopesOfKey)
            .map((scope) => scope.toLowerCase());
    const found = [...new Set(scopes)].map((scope): Variable => ({ name, means: { kind: "scope", scope } }));
    if (!OURS.has(name) && EVERY.test(name.toLowerCase().replaceAll(/[_.\- ]/gu, ""))) found.push({ name, means: { kind: "every" } });
    if (MAPS.test(name)) found.push(...scopesOfMap(name, value));
    if (name === "BUN_OPTIONS" && /registry|config|cwd|(^|\s)-c/u.test(value))
      found.push({ name, means: { kind: "unclear", why: "it gives bun arguments that lead to other settings" } });
    return found;
  });
}

/** npm makes `_` a `-`, yarn 1 besides makes `__` a dot; pnpm leaves the scope as it is. */
function spellingsOf(key: string): readonly string[] {
  const lower = key.toLowerCase();
  const dashed = (text: string): string => text.replaceAll(/(?!^)_/gu, "-");
  return [key, lower, dashed(lower), dashed(lower.replaceAll("__", "."))];
}

function scopesOfMap(name: string, value: string): readonly Variable[] {
  let map: JsonValue;
  try {
    map = JSON.parse(value) as JsonValue;
  } catch {
    return [{ name, means: { kind: "unclear", why: "it is no JSON" } }];
  }
  return scopesIn(map, new Set()).map((scope) => ({ name, means: { kind: "scope", scope } }));
}

/** Files with settings that the environment names. */
export function leadsOfEnvironment(env: NodeJS.ProcessEnv): readonly Lead[] {
  return Object.entries(env).flatMap(([name, value = ""]): readonly Lead[] => {
    const key = /^(?:p?npm_config_|yarn_)(.+)$/iu.exec(name)?.[1] ?? (name === "PREFIX" ? "prefix" : null);
    const lead = key === null ? null : leadOf(key.toLowerCase().replaceAll("_", "-"), value);
    return lead === null ? [] : [lead];
  });
}

/** Values of a variable whose name may be written in any case. */
export function valuesInAnyCase(env: NodeJS.ProcessEnv, wanted: string): readonly string[] {
  return Object.entries(env).flatMap(([name, value]) =>
    name.toLowerCase() === wanted.toLowerCase() && value !== undefined ? [value] : [],
  );
}
