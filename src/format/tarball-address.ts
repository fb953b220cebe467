/** Addresses of tarballs, as registries form them. */
import type { PublicName } from "./names.ts";

/**
 * `…/<name>/-/<file>.tgz`: how every npm registry names its tarballs; anything else came past the resolver. The path must
 * be spelled as a URL parser leaves it, and without a query, so that no client can take another one for it.
 */
export function isRegistryTarball(address: unknown, name: PublicName): boolean {
  if (typeof address !== "string" || !/^https?:\/\/[^\\\s]+$/.test(address)) return false;
  try {
    const url = new URL(address);
    if (url.search !== "" || url.hash !== "" || url.username !== "" || url.password !== "") return false;
    const path = decodeURIComponent(url.pathname);
    return !/[\\%]|\/\/|\/\.\.?(\/|$)/.test(path) && new RegExp(`/${escaped(name)}/-/[^/]+$`).test(path);
  } catch {
    return false;
  }
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
