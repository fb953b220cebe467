/**
 * What every run of git is told before its own arguments: an environment that nobody but the user shaped, and
 * configuration that lets neither a remote nor a repository run code or wait for a terminal.
 *
 * A program that is started by git (a hook, an alias) or by CI inherits GIT_DIR, GIT_CONFIG_COUNT, GIT_ALLOW_PROTOCOL
 * and more; each would redirect us to another repository or undo a setting below. So GIT_* is an allow-list.
 */
import { LIMITS } from "../../format/limits.ts";
import { isLocalUrl } from "../url.ts";
import type { GitUrl } from "../port.ts";

/** Variables with which users say how *their* git reaches hosts and where its configuration is. */
const KEPT = new Set([
  "GIT_ASKPASS",
  "GIT_CONFIG_GLOBAL",
  "GIT_CONFIG_NOSYSTEM",
  "GIT_CONFIG_SYSTEM",
  "GIT_EXEC_PATH",
  "GIT_HTTP_PROXY_AUTHMETHOD",
  "GIT_SSH",
  "GIT_SSH_COMMAND",
  "GIT_SSH_VARIANT",
]);
const KEPT_PREFIXES = ["GIT_SSL_", "GIT_PROXY_SSL_"];

const CONFIG = [
  "gc.auto=0",
  "maintenance.auto=false",
  "core.hooksPath=/dev/null",
  "core.fsmonitor=false",
  "core.protectHFS=true",
  "core.protectNTFS=true",
  // blobs beyond this are streamed, so that a blob that inflates to gigabytes takes no memory (THREATS G6)
  "core.bigFileThreshold=32m",
  "credential.interactive=false",
  "protocol.allow=never",
  "protocol.https.allow=always",
  "protocol.ssh.allow=always",
  // a redirect that we did not judge is none (THREATS G9: follow.ts); alternates of the dumb protocol count as redirects
  "http.followRedirects=false",
  // a host must not send this machine to packs and bundles elsewhere, whatever the user's own clones allow
  "fetch.uriProtocols=",
  "transfer.bundleURI=false",
  "promisor.acceptFromServer=none",
  // silence ends a transfer long before its deadline
  "http.lowSpeedLimit=1",
  `http.lowSpeedTime=${String(LIMITS.gitStallMs / 1000)}`,
  // a header for every host would carry one host's token to another (THREATS G8); http.<url>.extraHeader still works
  "http.extraHeader=",
  "submodule.recurse=false",
  "fetch.recurseSubmodules=false",
  // what we read is checked by hash above this room, and nothing is checked out of a cache
  "transfer.fsckObjects=false",
  "fetch.fsckObjects=false",
  // always keep a pack: one file to count, to measure and to move
  "fetch.unpackLimit=1",
  "transfer.unpackLimit=1",
  "fetch.writeCommitGraph=false",
  "push.gpgSign=false",
  "push.followTags=false",
  "commit.gpgSign=false",
  "pack.threads=2",
];

/** Where git puts what a push brings until its hooks have agreed: only a hook may look there. */
const QUARANTINE = new Set(["GIT_QUARANTINE_PATH", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES"]);

/** The environment for git, made from the user's. */
export function gitEnvironment(env: NodeJS.ProcessEnv, quarantine = false): NodeJS.ProcessEnv {
  const clean: NodeJS.ProcessEnv = {};
  for (const [name, value] of Object.entries(env)) {
    const upper = name.toUpperCase(); // Windows ignores case
    if (upper.startsWith("IMPRINT_") || upper === "LANGUAGE") continue; // passphrases are ours alone
    if (quarantine && QUARANTINE.has(upper)) clean[name] = value;
    if (upper.startsWith("GIT_") && !KEPT.has(upper) && !KEPT_PREFIXES.some((prefix) => upper.startsWith(prefix))) continue;
    clean[name] = value;
  }
  return {
    ...clean,
    LC_ALL: "C", // we read git's messages
    GIT_TERMINAL_PROMPT: "0",
    GIT_NO_LAZY_FETCH: "1",
    GIT_NO_REPLACE_OBJECTS: "1",
    GIT_OPTIONAL_LOCKS: "0",
  };
}

/**
 * Settings for one address. The user's `http.<url>.followRedirects` would win over ours for every address; nothing is
 * closer than the whole address. (In the environment: an address may hold a `=`.)
 */
export function addressSettings(url: GitUrl | null): NodeJS.ProcessEnv {
  if (url === null || !/^https?:/u.test(url)) return {};
  return { GIT_CONFIG_COUNT: "1", GIT_CONFIG_KEY_0: `http.${url}.followRedirects`, GIT_CONFIG_VALUE_0: "false" };
}

/** Whether the environment names the user's own ssh program (their configuration may, too: see `run.ts`). */
export function hasOwnSsh(env: NodeJS.ProcessEnv): boolean {
  return env["GIT_SSH_COMMAND"] !== undefined || env["GIT_SSH"] !== undefined;
}

/** `-c` settings of every run. Plain http and local folders are open only to a run whose own address is one. */
export function gitConfiguration(url: GitUrl | null): string[] {
  const scheme = url === null ? null : url.startsWith("http:") ? "http" : isLocalUrl(url) ? "file" : null;
  const settings = scheme === null ? CONFIG : [...CONFIG, `protocol.${scheme}.allow=always`];
  return settings.flatMap((setting) => ["-c", setting]);
}
