/**
 * Requests that change something, which this registry does not take: each is refused at once, before its body is read, with the
 * command that does it. npm's login stops before it asks for a password where its first question is answered with 501.
 */
import type { PublicName } from "../format/names.ts";

export type WriteRefusal = { readonly status: 403 | 501; readonly error: string };

/** @param path below the policy, undecoded. @param name of the package that the path is about; null: of none */
export function refuseWrite(method: string, path: string, name: PublicName | null): WriteRefusal {
  const plain = path.toLowerCase();
  if (
    plain.startsWith("/-/v1/login") ||
    plain.startsWith("/-/user/") ||
    plain.startsWith("/-/npm/v1/tokens") ||
    plain.startsWith("/-/npm/v1/user")
  )
    return { status: 501, error: "this registry has no accounts and no logins: who publishes is decided by key files (imprint key list)" };
  const refuse = (instead: string): WriteRefusal => ({
    status: 403,
    error: `${name === null ? "" : `${name}: `}this registry only reads; ${instead}`,
  });
  const what = name ?? "<name>";
  if (plain.startsWith("/-/package/") && plain.includes("/dist-tags"))
    return refuse(method === "DELETE" ? `imprint tag rm ${what} <tag>` : `imprint tag add ${what}@<version> <tag>`);
  if (method === "DELETE" || plain.includes("/-rev/"))
    return refuse(`imprint yank '${what}@<version>' --reason <why>, or imprint withdraw`);
  if (method === "PUT" && name !== null)
    return refuse(`imprint publish in the package's folder; imprint deprecate '${what}@<version>' for a message`);
  return refuse("imprint publish, yank, deprecate and tag change what an index says");
}
