/**
 * Requests that a page in a browser makes (THREATS S8). A page of another site must not learn which private names exist, read
 * their packages, or make this resolver ask upstream, so its requests are refused before they are looked at.
 *
 * Browsers name the page: `Sec-Fetch-Site` says how the page and this server are related, `Origin` says where the page is from.
 * Package managers send neither.
 */
import type { IncomingHttpHeaders } from "node:http";

/** Headers of every answer: a page of another site cannot load it as a script or an image, whatever its type. */
export const BROWSER_HEADERS: Readonly<Record<string, string>> = {
  "x-content-type-options": "nosniff",
  "cross-origin-resource-policy": "same-origin",
};

/** Whether a request comes from a page that is none of ours. `none` is what the user typed. */
export function isForeignPage({ origin, site }: { readonly origin: string | null; readonly site: string | null }, own: string): boolean {
  if (site !== null && site !== "none" && site !== "same-origin") return true;
  return origin !== null && origin !== own;
}

/** Whether a browser sent it, with a page of ours or another's. */
export function isFromBrowser(headers: IncomingHttpHeaders): boolean {
  return headers["origin"] !== undefined || headers["sec-fetch-site"] !== undefined;
}
