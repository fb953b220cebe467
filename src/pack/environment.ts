/**
 * What a package's own scripts get to see of the environment while it is being published (B3).
 *
 * A build script runs the author's code and that of every build dependency, in the same minute in which a passphrase
 * may stand in `IMPRINT_PASSPHRASE` and a token in `NPM_TOKEN`. None of them needs either. This only keeps them from
 * lying open: a hostile script still reads files in HOME (key files, .npmrc, git credentials) and, as the same user,
 * other processes' memory. Against that only an encrypted key, and publishing from another account or a proposal, help.
 */

/** Case is ignored: Windows does so too, and npm reads its variables in any case. */
const OURS = /^IMPRINT_/i;

/** `_auth` not before a letter (GIT_AUTHOR_NAME), `TOKEN` not in TOKENIZERS_PARALLELISM. */
const SECRET =
  /_authToken|_auth(?![a-z])|_AUTH_IDENT|TOKEN(?!IZ)|SECRET|PASSPHRASE|PASSWORD|PASSWD|PRIVATE_?KEY|ACCESS_?KEY|API_?KEY|CREDENTIAL/i;

/** Contents, not paths, of a client key and certificate; a one-time password; per-registry settings (`//host/:…`). */
const NPM_SECRET = /^npm_config_(key|cert|otp|\/\/.*)$/i;

/**
 * Ways to credentials rather than credentials. With the agent's socket a script could push to the author's index; an
 * askpass program (of an editor, say) hands out git passwords to whoever runs it.
 */
const KEEPERS: ReadonlySet<string> = new Set([
  "SSH_AUTH_SOCK",
  "SSH_AGENT_PID",
  "SSH_ASKPASS",
  "GIT_ASKPASS",
  "SUDO_ASKPASS",
  "GPG_AGENT_INFO",
]);

function isSecret(name: string): boolean {
  return OURS.test(name) || SECRET.test(name) || NPM_SECRET.test(name) || KEEPERS.has(name.toUpperCase());
}

/** A copy of `env` without Imprint's variables and whatever is named like a secret; PATH, HOME, proxies and npm settings stay. */
export function scriptEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name, value]) => value !== undefined && !isSecret(name)));
}
