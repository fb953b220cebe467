/**
 * The hot path: a packument that was answered before, and would be answered so again, goes out without a router, a parser or
 * a promise. What is in doubt takes the long way, which fills this memory.
 *
 * An entry is found by the request as it came: host, path and the headers that choose a form. It holds as long as its source
 * says so (`Answered.again`); a host that is not allowed, or a request that came through another resolver, never gets here.
 */
import { LRUCache } from "lru-cache";
import { isFromBrowser } from "./browsers.ts";
import type { Answered } from "../registry/port.ts";
import type { ReadyDocument } from "../registry/document.ts";
import { type DocumentAnswer, documentAnswer } from "./respond.ts";

/** Headers by their names in lower case, as node has them. */
export type IncomingHeaders = Readonly<Record<string, string | string[] | undefined>>;
export type Incoming = { readonly method?: string | undefined; readonly url?: string | undefined; readonly headers: IncomingHeaders };

export type WarmAnswers = {
  /** Null: the long way. */
  answer(incoming: Incoming): Warm | null;
  /** @param observe who is told the User-Agent of each request that the answer goes to */
  keep(incoming: Incoming, answered: Answered<ReadyDocument>, observe: (userAgent: string) => void): void;
};

export type Warm = { readonly answer: DocumentAnswer; readonly observe: (userAgent: string) => void };

const MAX_ENTRIES = 5000;
const MAX_BYTES = 64 * 1024 * 1024;
/** Beyond that a router and a promise are no matter. */
const MAX_BODY_BYTES = 1024 * 1024;

export function createWarmAnswers(extraHeaders: Readonly<Record<string, string>>): WarmAnswers {
  const entries = new LRUCache<string, Warm & { readonly again: () => boolean }>({
    max: MAX_ENTRIES,
    maxSize: MAX_BYTES,
    sizeCalculation: ({ answer }) => 512 + (answer.body?.byteLength ?? 0),
  });
  return {
    answer(incoming) {
      const key = keyOf(incoming);
      const entry = key === null ? undefined : entries.get(key);
      if (key === null || entry === undefined) return null;
      if (entry.again()) return entry;
      entries.delete(key);
      return null;
    },
    keep(incoming, { value, again }, observe) {
      const key = keyOf(incoming);
      if (key === null || again === undefined) return;
      const { headers, ...rest } = documentAnswer(value, {
        ifNoneMatch: undefined,
        acceptEncoding: textOf(incoming.headers["accept-encoding"]),
      });
      if (rest.body === null || rest.body.byteLength > MAX_BODY_BYTES) return;
      entries.set(key, { answer: { ...rest, headers: { ...headers, ...extraHeaders } }, observe, again });
    },
  };
}

/** By address, and the headers that choose a form, an address, or who is let in. */
function keyOf({ method, url, headers }: Incoming): string | null {
  if (method !== "GET" || url === undefined || headers["via"] !== undefined || headers["if-none-match"] !== undefined) return null;
  if (isFromBrowser(headers)) return null;
  const part = (name: string): string => textOf(headers[name]) ?? "";
  return `${part("host")}\n${url}\n${part("authorization")}\n${part("x-forwarded-host")}\n${part("x-forwarded-proto")}\n${part("accept")}\n${part("accept-encoding")}\n${part("npm-command")}\n${part("npm-command") === "install" ? part("user-agent") : ""}`;
}

function textOf(header: string | string[] | undefined): string | undefined {
  return typeof header === "string" ? header : header?.join(",");
}
