/**
 * Which registry stands behind everything: imprint.json's `upstream.registry`, else the user's own npm registry unless
 * that is us, else npm's default. The project's .npmrc is left out on purpose: `imprint add` points it at us.
 */
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import type ConfigType from "@npmcli/config";
import { proxySetting } from "../../storage/proxy.ts";
import type { UpstreamSettings } from "./client.ts";

type Options = ConstructorParameters<typeof ConfigType>[0];
type Definitions = {
  readonly definitions: Options["definitions"];
  readonly shorthands: NonNullable<Options["shorthands"]>;
  readonly flatten: NonNullable<Options["flatten"]>;
};

/** A folder that is not there, in the folder of this file, where only whoever installed Imprint can make one. */
const NOWHERE = fileURLToPath(new URL("nowhere", import.meta.url));

export async function loadUpstreamSettings(options: {
  readonly configured: string | undefined;
  readonly env: NodeJS.ProcessEnv;
  /** Whether a registry is us. */ readonly isOurs: (registry: string) => boolean;
  /** For npm's own parts: only what their disk cache has. */ readonly offline?: boolean;
}): Promise<UpstreamSettings> {
  const [{ default: Config }, { default: npmFetch }] = await Promise.all([import("@npmcli/config"), import("npm-registry-fetch")]);
  // Not in the package's type declarations, hence read through its own module loader and typed here.
  const definitions = createRequire(import.meta.url)("@npmcli/config/lib/definitions") as Definitions;
  const { configured, env, isOurs } = options;
  const config = new Config({
    npmPath: NOWHERE, // npm's built-in npmrc would be there
    cwd: NOWHERE,
    // No project's .npmrc: the project's own leads back here, and that of a shared folder is another user's (THREATS M1).
    argv: ["node", "npm", "--global"],
    env,
    ...definitions,
  });
  await config.load();
  const flat = (config as unknown as { readonly flat: Readonly<Record<string, unknown>> }).flat;
  const own = typeof flat["registry"] === "string" && !isOurs(flat["registry"]) ? flat["registry"] : undefined;
  const registry = withSlash(configured ?? own ?? npmFetch.pickRegistry("x"));
  return {
    registry,
    options: {
      ...flat,
      global: false,
      location: "user",
      registry,
      ...proxiesOf(flat, env),
      ...(options.offline === true ? { offline: true } : {}),
    },
  };
}

/** npm's settings first, then what every program on this machine is told. */
function proxiesOf(flat: Readonly<Record<string, unknown>>, env: NodeJS.ProcessEnv): Readonly<Record<string, unknown>> {
  const given = (value: unknown): unknown =>
    value === "" || value === null || (Array.isArray(value) && value.length === 0) ? undefined : value;
  return {
    httpsProxy: given(flat["httpsProxy"]) ?? proxySetting(env, "https_proxy"),
    proxy: given(flat["proxy"]) ?? proxySetting(env, "http_proxy", "proxy"),
    noProxy: given(flat["noProxy"]) ?? proxySetting(env, "no_proxy"),
  };
}

function withSlash(url: string): string {
  return url.endsWith("/") ? url : `${url}/`;
}
