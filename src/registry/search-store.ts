/** What was read for searches, on disk: of use to this machine alone, believed only as far as it is what it should be, and lost without harm. */
import { textOf, utf8 } from "../format/bytes.ts";
import { type FileHash, type IndexId, isDigest, isFileHash } from "../format/digest.ts";
import { isJsonObject, type JsonValue } from "../format/json.ts";
import { isPackageName } from "../format/names.ts";
import type { SealedFiles } from "../storage/sealed.ts";
import type { SearchMemory, SearchStore } from "./search.ts";
import type { SearchEntry } from "./search-text.ts";

const MAX_BYTES = 64 * 1024 * 1024;
const FORMAT = 1;

export function openSearchStore(files: SealedFiles, fileOf: (id: IndexId) => string): SearchStore {
  return {
    async read(id) {
      const bytes = await files.read(fileOf(id), MAX_BYTES).catch(() => null);
      return bytes === null ? null : decode(textOf(bytes) ?? "");
    },
    async write(id, { root, entries }) {
      await files.writeAtomic(fileOf(id), utf8(JSON.stringify({ format: FORMAT, root, entries: [...entries] })));
    },
  };
}

function decode(text: string): SearchMemory | null {
  let value: JsonValue;
  try {
    value = JSON.parse(text) as JsonValue;
  } catch {
    return null;
  }
  if (!isJsonObject(value) || value["format"] !== FORMAT) return null;
  const { root, entries } = value;
  if (typeof root !== "string" || !isDigest(root) || !Array.isArray(entries)) return null;
  const found = new Map<FileHash, SearchEntry>();
  for (const pair of entries as readonly JsonValue[]) {
    if (!Array.isArray(pair)) return null;
    const [hash, entry] = pair as readonly JsonValue[];
    if (typeof hash !== "string" || !isFileHash(hash)) return null;
    const decoded = entryOf(entry);
    if (decoded === undefined) return null;
    found.set(hash, decoded);
  }
  return { root, entries: found };
}

function entryOf(value: JsonValue | undefined): SearchEntry | undefined {
  if (!isJsonObject(value)) return undefined;
  const { name, version, description, keywords, date, license, links } = value;
  if (typeof name !== "string" || !isPackageName(name) || typeof version !== "string" || typeof description !== "string") return undefined;
  if (typeof date !== "string" || !(license === null || typeof license === "string") || !isJsonObject(links)) return undefined;
  if (!Array.isArray(keywords)) return undefined;
  const words = (keywords as readonly JsonValue[]).filter((word) => typeof word === "string");
  const addresses = Object.entries(links).filter((pair): pair is [string, string] => typeof pair[1] === "string");
  return { name, version, description, keywords: words, date, license, links: Object.fromEntries(addresses) };
}
