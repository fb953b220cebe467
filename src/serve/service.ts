/**
 * A resolver for a team: on an address that others reach, behind tokens, and under the names that a reverse proxy gives it.
 *
 * Whoever reaches a resolver reads what its indices hold, and asks upstream in its name. So beyond this machine it never
 * listens without a file of tokens.
 */
import { LIMITS } from "../format/limits.ts";
import { createHash } from "node:crypto";
import { isIPv6 } from "node:net";
import path from "node:path";
import { ImprintError } from "../errors.ts";
import { textOf } from "../format/bytes.ts";
import type { Bases } from "../http/bases.ts";
import type { Files } from "../storage/files.ts";
import { clean } from "../format/text.ts";

export type ServiceOptions = {
  /** Address to listen on. */
  readonly host: string | undefined;
  readonly tokenFile: string | undefined;
  /** Addresses under which clients reach it, with a path where there is one. */
  readonly publicUrls: readonly string[];
  readonly trustProxy: boolean;
  /** Whether clients of this machine's other users are answered, too. */
  readonly otherUsers: boolean;
};

export type Service = {
  readonly host: string;
  /** Whether others than this user are meant to reach it: it then answers for its own project alone. */
  readonly isShared: boolean;
  /** Whether clients of this machine's other users are refused. */
  readonly isPrivate: boolean;
  /** Null: nobody has to show one. */
  readonly authorize: ((header: string | undefined) => boolean) | null;
  basesAt(port: number): Bases;
  /** Reads the tokens again. @throws ImprintError; those that were read before stay good */
  reload(): Promise<void>;
};

export const LOCAL: ServiceOptions = { host: undefined, tokenFile: undefined, publicUrls: [], trustProxy: false, otherUsers: false };

const LOOPBACK = "127.0.0.1";
const MAX_TOKEN_FILE_BYTES = LIMITS.tokenFileBytes;
const TOKEN = /^[A-Za-z0-9._~+/=-]{20,200}$/;

/** @throws ImprintError USAGE, CONFIG_INVALID, FILE_UNREADABLE */
export async function openService(
  { host = LOOPBACK, tokenFile, publicUrls, trustProxy, otherUsers }: ServiceOptions,
  deps: { readonly cwd: string; readonly files: Files },
): Promise<Service> {
  if (!/^[A-Za-z0-9.:_-]{1,255}$/.test(host))
    throw new ImprintError("USAGE", `Cannot listen on ${clean(host)}: give an address, as 0.0.0.0`);
  const isLocal = [LOOPBACK, "localhost", "::1"].includes(host);
  if (!isLocal && tokenFile === undefined)
    throw new ImprintError("USAGE", `Cannot listen on ${host}: others could reach it; give --token-file <file>, a token a line`);
  if (trustProxy && publicUrls.length === 0)
    throw new ImprintError("USAGE", "Cannot use --trust-proxy: it chooses from --public-url, and there is none");
  const bases = publicUrls.map(parsePublicUrl);
  const file = tokenFile === undefined ? null : path.resolve(deps.cwd, tokenFile);
  let hashes = file === null ? null : await readTokens(file, deps);
  return {
    host,
    isShared: hashes !== null || bases.length > 0,
    // A reverse proxy is another user's process as a rule, and tokens tell users apart better.
    isPrivate: hashes === null && bases.length === 0 && !otherUsers,
    authorize:
      hashes === null
        ? null
        : (header) => {
            const token = /^Bearer (.+)$/i.exec(header ?? "")?.[1];
            return token !== undefined && hashes?.has(hashOf(token)) === true;
          },
    basesAt: (port) => {
      const isOpen = host === "0.0.0.0" || host === "::";
      const own = isOpen ? [] : [isIPv6(host) ? `[${host}]` : host];
      const local = isLocal || isOpen ? [LOOPBACK, "localhost", "[::1]"] : [];
      const names = [...new Set([...own, ...local])];
      return { list: [...names.map((name) => `http://${name.toLowerCase()}:${port}`), ...bases], trustProxy };
    },
    async reload() {
      if (file !== null) hashes = await readTokens(file, deps);
    },
  };
}

/** @returns without a final slash */
function parsePublicUrl(text: string): string {
  const refuse = (what: string): never => {
    throw new ImprintError("USAGE", `Cannot use --public-url ${clean(text.slice(0, 200))}: ${what}`);
  };
  if (!URL.canParse(text)) return refuse("it is no address, as https://npm.example.org/");
  const url = new URL(text);
  if (url.protocol !== "https:" && url.protocol !== "http:") return refuse("it is neither https nor http");
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "")
    return refuse("only host, port and path may stand in it");
  return `${url.origin}${url.pathname.replace(/\/+$/, "")}`;
}

/** Hashes, so that comparing tells nothing by its time, and memory holds no token. */
async function readTokens(file: string, { files }: { readonly files: Files }): Promise<ReadonlySet<string>> {
  const shown = clean(file);
  const bytes = await files.read(file, MAX_TOKEN_FILE_BYTES, { secret: true });
  if (bytes === null) throw new ImprintError("FILE_UNREADABLE", `Cannot read tokens from ${shown}: there is no such file`);
  const lines = (textOf(bytes) ?? "").split(/\r?\n/).map((line) => line.trim());
  const tokens = lines.filter((line) => line !== "" && !line.startsWith("#"));
  if (tokens.length === 0) throw new ImprintError("CONFIG_INVALID", `Cannot use tokens of ${shown}: it holds none`);
  const bad = lines.findIndex((line) => line !== "" && !line.startsWith("#") && !TOKEN.test(line));
  if (bad >= 0)
    throw new ImprintError(
      "CONFIG_INVALID",
      `Cannot use tokens of ${shown}: line ${bad + 1} is none; 20 to 200 of A-Z a-z 0-9 . _ ~ + / = -, as openssl rand -hex 32 makes`,
    );
  return new Set(tokens.map(hashOf));
}

function hashOf(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}
