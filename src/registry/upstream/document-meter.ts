/**
 * What documents may weigh while npm's parts hold them whole: each one in bytes and in JSON values, and all of them
 * together. Past the sum only the oldest goes on, and the others wait: npm's resolver asks for many at once.
 */
import { ImprintError } from "../../errors.ts";

export type DocumentMeter = { open(what: string): MeteredDocument };

export type MeteredDocument = {
  /** Counts a piece, and waits for its turn. @throws ImprintError IMPORT_REFUSED */
  add(chunk: Uint8Array): Promise<void>;
  /** Bytes, or what its values take once they are parsed. */
  weight(): number;
  close(): void;
};

/** Bytes of all documents on their way, but for the oldest one's. */
const MAX_TOGETHER_BYTES = 16 * 1024 * 1024;
/** What an empty object takes in memory. */
const VALUE_BYTES = 64;
const [QUOTE, BACKSLASH, COMMA, BRACKET, BRACE] = [0x22, 0x5c, 0x2c, 0x5b, 0x7b];

export function createDocumentMeter(limits: { readonly maxDocumentBytes: number; readonly maxDocumentValues: number }): DocumentMeter {
  const open = new Set<object>();
  let together = 0;
  let notify = (): void => undefined;
  let changed = new Promise<void>((resolve) => (notify = resolve));
  const change = (): void => {
    const before = notify;
    changed = new Promise<void>((resolve) => (notify = resolve));
    before();
  };
  return {
    open(what) {
      const me = {};
      open.add(me);
      const values = countValues();
      let bytes = 0;
      const refused = (state: string): ImprintError =>
        new ImprintError("IMPORT_REFUSED", `Cannot import ${what}: its packument has more than ${state}`);
      return {
        async add(chunk) {
          bytes += chunk.byteLength;
          together += chunk.byteLength;
          if (bytes > limits.maxDocumentBytes) throw refused(`${String(limits.maxDocumentBytes)} bytes`);
          if (values.add(chunk) > limits.maxDocumentValues) throw refused(`${String(limits.maxDocumentValues)} values`);
          while (together > MAX_TOGETHER_BYTES && open.values().next().value !== me) await changed;
        },
        weight: () => Math.max(bytes, values.count() * VALUE_BYTES),
        close() {
          open.delete(me);
          together -= bytes;
          change();
        },
      };
    },
  };
}

/** Values of a JSON text, as far as commas and opening brackets tell. */
function countValues(): { add(chunk: Uint8Array): number; count(): number } {
  let [count, inString, isEscaped] = [0, false, false];
  return {
    count: () => count,
    add(chunk) {
      for (const byte of chunk) {
        if (isEscaped) isEscaped = false;
        else if (byte === QUOTE) inString = !inString;
        else if (inString) isEscaped = byte === BACKSLASH;
        else if (byte === COMMA || byte === BRACKET || byte === BRACE) count++;
      }
      return count;
    },
  };
}
