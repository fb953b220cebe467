/**
 * How `imprint run` knows a resolver that is running already: a file that only this user can read holds its port and a
 * secret. Another user may listen on the port first, or after it stopped, so a resolver must answer a challenge with
 * the secret before anything is sent to it; and it must serve the imprint.json that lies here now.
 */
import { createHash, createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import path from "node:path";
import { textOf, utf8 } from "../format/bytes.ts";
import { LIMITS } from "../format/limits.ts";
import type { Files } from "../storage/files.ts";
import type { Layout } from "../storage/layout.ts";

export type ResolverState = {
  readonly port: number;
  readonly pid: number;
  /** 64 hex digits */ readonly secret: string;
  readonly policy: string;
};

type Stores = { readonly files: Files; readonly layout: Layout };

const CHALLENGE_MS = 1000;

export function proofOf(secret: Uint8Array, nonce: string): string | null {
  return /^[0-9a-f]{32,64}$/.test(nonce) ? createHmac("sha256", secret).update(`imprint resolver ${nonce}`).digest("hex") : null;
}

/** Changes whenever imprint.json or imprint.lock do. */
export async function policyDigest(files: Files, folder: string): Promise<string> {
  const hash = createHash("sha256");
  for (const name of ["imprint.json", "imprint.lock"]) {
    const bytes = (await files.read(path.join(folder, name), LIMITS.projectBytes + 1)) ?? new Uint8Array();
    hash.update(`${bytes.byteLength} `).update(bytes);
  }
  return hash.digest("hex");
}

export async function rememberResolver({ files, layout }: Stores, folder: string, state: ResolverState): Promise<void> {
  await files.writeAtomic(stateFile(layout, folder), utf8(JSON.stringify(state)), { mode: 0o600 });
}

export async function forgetResolver(stores: Stores, folder: string, port: number): Promise<void> {
  // Another resolver of the same project may have taken over the file.
  if ((await readState(stores, folder))?.port === port) await stores.files.remove(stateFile(stores.layout, folder));
}

/** This project's running resolver, proven; null where there is none. */
export async function findResolver(stores: Stores, folder: string): Promise<ResolverState | null> {
  const state = await readState(stores, folder);
  if (state === null || state.policy !== (await policyDigest(stores.files, folder))) return null;
  const nonce = randomBytes(16).toString("hex");
  const expected = proofOf(Buffer.from(state.secret, "hex"), nonce) ?? "";
  try {
    const response = await fetch(`http://127.0.0.1:${state.port}/-/imprint/challenge/${nonce}`, {
      redirect: "error",
      signal: AbortSignal.timeout(CHALLENGE_MS),
    });
    const answer = (await response.json()) as { proof?: unknown };
    const proof = Buffer.from(typeof answer.proof === "string" ? answer.proof : "");
    return proof.byteLength === expected.length && timingSafeEqual(proof, Buffer.from(expected)) ? state : null;
  } catch {
    return null; // nobody there, or somebody who speaks something else
  }
}

async function readState({ files, layout }: Stores, folder: string): Promise<ResolverState | null> {
  const bytes = await files.read(stateFile(layout, folder), 65_536);
  try {
    const { port, pid, secret, policy } = JSON.parse(textOf(bytes ?? new Uint8Array()) ?? "") as Record<string, unknown>;
    if (
      !Number.isInteger(port) ||
      typeof pid !== "number" ||
      typeof secret !== "string" ||
      !/^[0-9a-f]{64}$/.test(secret) ||
      typeof policy !== "string"
    )
      return null;
    return { port: port as number, pid, secret, policy };
  } catch {
    return null; // none, or cut short by a crash: start anew
  }
}

function stateFile(layout: Layout, folder: string): string {
  return path.join(layout.resolvers, `${createHash("sha256").update(folder).digest("hex").slice(0, 32)}.json`);
}
