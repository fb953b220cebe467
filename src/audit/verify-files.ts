/** The files of some packages on their way to another thread: in one piece, which changes hands without being copied. */
import type { FileRead } from "../git/port.ts";
import type { FileRequest, Snapshot } from "../index/source.ts";

export type Files = {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Path, what was read there, and the end of its bytes, which begin where those of the file before end. */
  readonly entries: readonly (readonly [path: string, state: FileRead["state"], end: number])[];
};

/** @param reads of `requests`, in their order */
export function packFiles(requests: readonly FileRequest[], reads: readonly FileRead[]): Files {
  const bytes = new Uint8Array(reads.reduce((sum, read) => sum + (read.state === "found" ? read.bytes.byteLength : 0), 0));
  let end = 0;
  const entries = reads.map((read, i) => {
    if (read.state === "found") {
      bytes.set(read.bytes, end);
      end += read.bytes.byteLength;
    }
    return [requests[i]?.path ?? "", read.state, end] as const;
  });
  return { bytes, entries };
}

/** Reads what was packed; all else is missing. */
export function snapshotOf({ bytes, entries }: Files): Snapshot {
  const files = new Map<string, FileRead>();
  let at = 0;
  for (const [path, state, end] of entries) {
    files.set(
      path,
      state === "found" ? { state, bytes: bytes.subarray(at, end) } : state === "tooLarge" ? { state, bytes: null } : { state },
    );
    at = end;
  }
  return { at: "", readFiles: async (requests) => requests.map(({ path }) => files.get(path) ?? { state: "missing" }) };
}
