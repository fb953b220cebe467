/** The same mutations through everything that a consumer has: both gits over http, plain files over http, a memory on disk. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { DisplayName } from "../../src/format/decode.ts";
import { parsePackagePattern } from "../../src/format/names.ts";
import { parseRefName } from "../../src/git/url.ts";
import { chooseGit } from "../../src/git/choice.ts";
import { openIndex } from "../../src/cli/open.ts";
import type { Deps } from "../../src/cli/deps.ts";
import { layoutFrom } from "../../src/storage/layout.ts";
import { nodeFiles } from "../../src/storage/files.ts";
import { startGitHost } from "../../test/support/git-host.ts";
import { sendPack } from "../../test/support/lying-host.ts";
import { startStaticHost } from "../../test/support/static-host.ts";
import { silentTerminal } from "../../test/support/world.ts";
import { type IndexCase, indexCase } from "./cases.ts";
import { type FileMap, type Honest, type HonestState, judgementsOf } from "./honest.ts";
import { codeOf, type Ending, requireHonestPackage, requireHonestState, WrongAcceptance } from "./oracle.ts";
import { packCase, packOf } from "./packs.ts";
import { type Random, randomOf } from "./random.ts";

export const ADAPTERS = ["system git", "isomorphic-git", "https files"] as const;
export type Adapter = (typeof ADAPTERS)[number];
export type AdapterCase = { readonly adapter: Adapter; readonly how: readonly string[]; run(): Promise<readonly Ending[]> };
export type Adapters = { caseOf(seed: number): AdapterCase; close(): Promise<void> };

type Handler = (request: IncomingMessage, response: ServerResponse) => boolean | Promise<boolean>;

export async function openAdapters(honest: Honest): Promise<Adapters> {
  const folder = mkdtempSync(path.join(tmpdir(), "imprint-fuzz-"));
  let handler: Handler = () => false;
  const git = await startGitHost({ root: folder, intercept: (request, response) => handler(request, response) });
  const web = await startStaticHost(new Map());
  let homes = 0;

  const reader = async (adapter: Adapter, work: (index: Awaited<ReturnType<typeof openIndex>>) => Promise<void>): Promise<void> => {
    const home = path.join(folder, `home-${String(++homes)}`);
    const deps = depsOf(home, adapter);
    const url = adapter === "https files" ? web.url : git.url("index.git");
    const entry = { id: honest.id, urls: [url], ref: parseRefName("refs/heads/main"), packages: [parsePackagePattern("*")] };
    const index = await openIndex(deps, "alice" as DisplayName, entry, null, () => undefined);
    try {
      await work(index);
    } finally {
      await index.close();
      rmSync(home, { recursive: true, force: true, maxRetries: 5 });
    }
  };

  const serveFiles = (adapter: Adapter, files: FileMap): void => {
    web.files = files;
    web.intercept = null;
    const { head, pack } = packOf(files, randomOf(0), 0);
    if (adapter !== "https files") handler = sendPack(head, pack);
  };

  return {
    caseOf(seed) {
      const random = randomOf(seed);
      const adapter = random.pick(ADAPTERS);
      const mutated = indexCase(honest, random.int(2 ** 32));
      const before = random.once(4) ? honest.states[0] : null;
      const asPack = adapter !== "https files" && random.once(2) ? packCase(random.pick(honest.states).files, random.int(2 ** 32)) : null;
      const lie = adapter === "https files" && random.once(2) ? lieOf(random, [...honest.states[2].files.keys()]) : null;
      const forger = asPack === null ? mutated.forger : "nobody";
      const how = [
        ...(before === null ? [] : ["after an honest state"]),
        ...(asPack?.how ?? mutated.how),
        ...(lie === null ? [] : [lie.how]),
      ];
      return {
        adapter,
        how,
        run: async () => {
          const endings: Ending[] = [];
          await reader(adapter, async (index) => {
            if (before !== null) {
              serveFiles(adapter, before.files);
              await index.reader.sync();
              for (const name of before.packages.keys()) await index.reader.readPackage(name);
            }
            serveFiles(adapter, mutated.files);
            if (asPack !== null) handler = sendPack(asPack.head, asPack.pack);
            if (lie !== null) web.intercept = lie.intercept;
            try {
              await index.reader.sync();
              endings.push("accepted");
            } catch (error) {
              endings.push(codeOf(error));
            }
            const state = await index.reader.current();
            if (state === null) {
              if (before !== null) throw new WrongAcceptance("the state that was believed is gone");
              return;
            }
            const known = requireHonestState(honest, state, forger !== "nobody");
            for (const name of [...honest.names, honest.absent]) endings.push(await judgeRead(honest, known, name, index.reader, forger));
          });
          return endings;
        },
      };
    },
    async close() {
      await Promise.all([git.close(), web.close()]);
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

type Reader = Awaited<ReturnType<typeof openIndex>>["reader"];

async function judgeRead(
  honest: Honest,
  known: HonestState | null,
  name: Honest["names"][number],
  reader: Reader,
  forger: IndexCase["forger"],
): Promise<Ending> {
  try {
    const { view, fault } = await reader.readPackage(name);
    // Served from memory, since the host broke the package: what it was before, which is another state's.
    if (fault !== null) {
      const found = view === null ? null : judgementsOf(view);
      const was = honest.states.some(({ packages }) => isSame(packages.get(name), found));
      if (!was) throw new WrongAcceptance(`${name} is served from memory as it never was`);
      return `from memory: ${fault.code}`;
    }
    // The state may have moved on while it was read.
    const state = await reader.current();
    requireHonestPackage(honest, state === null || known === null ? known : requireHonestState(honest, state, false), name, view, forger);
    return "accepted";
  } catch (error) {
    return codeOf(error);
  }
}

function isSame(a: ReadonlyMap<string, string> | undefined, b: ReadonlyMap<string, string> | null): boolean {
  return a !== undefined && b !== null && a.size === b.size && [...a].every(([version, judgement]) => b.get(version) === judgement);
}

function depsOf(home: string, adapter: Adapter): Deps {
  const env = {
    PATH: process.env["PATH"],
    HOME: home,
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_CONFIG_NOSYSTEM: "1",
    IMPRINT_GIT: adapter === "isomorphic-git" ? "isomorphic" : "system",
  };
  return {
    terminal: silentTerminal(),
    env,
    git: chooseGit(env, false),
    cwd: home,
    files: nodeFiles(),
    sealed: nodeFiles(),
    secret: async () => new Uint8Array(32),
    layout: layoutFrom({ IMPRINT_HOME: home }, { config: home, cache: home, data: home }),
    nowMs: Date.now,
    json: false,
    readInput: async () => "",
    allowFile: false,
    offline: false,
    privateHosts: new Set(),
  };
}

type Intercept = (request: IncomingMessage, response: ServerResponse, n: number) => boolean;

/** What a web server may say instead of a file. */
function lieOf(random: Random, paths: readonly string[]): { readonly how: string; readonly intercept: Intercept } {
  const [path, other] = [random.pick(paths), random.pick(paths)];
  const lies: Readonly<Record<string, (response: ServerResponse) => void>> = {
    "a page of HTML": (response) => void response.end("<!doctype html><p>welcome"),
    "403": (response) => void response.writeHead(403).end(),
    "500": (response) => void response.writeHead(500).end("{}"),
    "304, unasked": (response) => void response.writeHead(304).end(),
    "a body that breaks off": (response) => void response.writeHead(200, { "content-length": "5000" }).write("{", () => response.destroy()),
    "gzip that is none": (response) => void response.writeHead(200, { "content-encoding": "gzip" }).end("{}"),
    "a redirect in a circle": (response) => void response.writeHead(302, { location: "/checkpoint.json" }).end(),
    "another file": (response) =>
      void response.writeHead(302, { location: `/${other.split("/").map(encodeURIComponent).join("/")}` }).end(),
    "an empty body": (response) => void response.end(),
  };
  const how = random.pick(Object.keys(lies));
  const encoded = `/${path.split("/").map(encodeURIComponent).join("/")}`;
  return {
    how: `${how} for ${path}`,
    intercept: (request, response) => {
      if (request.url !== encoded) return false;
      (lies[how] as (response: ServerResponse) => void)(response);
      return true;
    },
  };
}
