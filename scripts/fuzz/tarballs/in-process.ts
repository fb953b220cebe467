/** Readers that can be called without an install: npm's pacote with npm's own filters, pnpm's worker. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { digestOf, type Habits, type ReadFile, type Reading, readingOf, sha512Of } from "./reading.ts";

export type Reader = {
  readonly id: string;
  readonly habits: Habits;
  read(bytes: Uint8Array): Promise<Reading>;
  close(): Promise<void>;
};

const NODE_MODULES = fileURLToPath(new URL("../../../node_modules", import.meta.url));

type Pacote = { extract(spec: string, folder: string, options: object): Promise<unknown> };

/** @param folder an empty one, of this reader alone */
export function npmReader(id: "npm 10" | "npm 11", folder: string): Reader {
  const require = createRequire(path.join(NODE_MODULES, id.replace(" ", "-"), "package.json"));
  const pacote = require("pacote") as Pacote;
  let count = 0;
  return {
    id,
    habits: { renamesGitignore: true },
    async read(bytes) {
      const at = path.join(folder, String(count++));
      mkdirSync(at, { recursive: true });
      writeFileSync(`${at}.tgz`, bytes);
      try {
        // As npm sets them.
        const options = { cache: path.join(folder, "cache"), umask: 0o022, fmode: 0o666, dmode: 0o777 };
        await pacote.extract(`file:${at}.tgz`, at, options);
        return readingOf(at);
      } catch (error) {
        return { failed: String(error) };
      } finally {
        rmSync(at, { recursive: true, force: true });
        rmSync(`${at}.tgz`);
      }
    },
    close: async () => {},
  };
}

type Extracted = {
  readonly status: string;
  readonly error?: unknown;
  readonly value?: { readonly filesIndex: Readonly<Record<string, string>> | ReadonlyMap<string, string>; readonly manifest?: unknown };
};

/** @param folder an empty one, of this reader alone */
export async function pnpmReader(folder: string): Promise<Reader> {
  const worker = new Worker(path.join(NODE_MODULES, "pnpm-10/dist/worker.js"));
  const ask = (message: object): Promise<Extracted> =>
    new Promise((resolve, reject) => {
      worker.once("message", (answer: Extracted) => {
        worker.off("error", reject);
        resolve(answer);
      });
      worker.once("error", reject);
      worker.postMessage(message);
    });
  await ask({ type: "init-store", storeDir: folder });
  let last: Promise<unknown> = Promise.resolve();
  let count = 0;
  const extract = async (bytes: Uint8Array): Promise<Reading> => {
    const filesIndexFile = path.join(folder, "index", "00", `${String(count++)}-index.json`);
    const { status, error, value } = await ask({
      type: "extract",
      buffer: Buffer.from(bytes),
      storeDir: folder,
      integrity: sha512Of(bytes),
      filesIndexFile,
    });
    if (status !== "success" || value === undefined) return { failed: JSON.stringify(error ?? status) };
    if (value.manifest === undefined) return { failed: "it has no manifest" };
    const index = value.filesIndex instanceof Map ? [...value.filesIndex] : Object.entries(value.filesIndex);
    const files = new Map<string, ReadFile>();
    for (const [file, at] of index)
      if (!/(^|\/)node_modules\/\.bin\//u.test(file))
        files.set(file, { digest: digestOf(readFileSync(at)), executable: at.endsWith("-exec") });
    return { files };
  };
  return {
    id: "pnpm 10",
    habits: {},
    read(bytes) {
      const mine = last.then(() => extract(bytes));
      last = mine.catch(() => undefined);
      return mine;
    },
    async close() {
      await worker.terminate();
    },
  };
}
