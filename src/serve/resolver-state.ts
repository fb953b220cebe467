/**
 * What a running resolver leaves for other processes of its user: a file that only this user can read, named by its port, with
 * the secret that proves it. The file says nothing once its resolver is gone: nobody else can prove that secret.
 */
import path from "node:path";
import { isImprintError } from "../errors.ts";
import { textOf, utf8 } from "../format/bytes.ts";
import type { Files } from "../storage/files.ts";
import type { Layout } from "../storage/layout.ts";

export type ResolverState = {
  readonly port: number;
  readonly pid: number;
  /** 64 hex digits */ readonly secret: string;
};

export type Stores = { readonly files: Files; readonly layout: Pick<Layout, "resolvers"> };

export async function rememberResolver({ files, layout }: Stores, state: ResolverState): Promise<void> {
  await files.writeAtomic(stateFile(layout, state.port), utf8(JSON.stringify(state)), { mode: 0o600 });
}

export async function forgetResolver(stores: Stores, { port, secret }: ResolverState): Promise<void> {
  // Another resolver may have taken over the port, and the file with it.
  if ((await readResolver(stores, port))?.secret === secret) await stores.files.remove(stateFile(stores.layout, port));
}

export async function readResolver({ files, layout }: Stores, port: number): Promise<ResolverState | null> {
  const bytes = await files.read(stateFile(layout, port), 65_536, { secret: true }).catch((error: unknown) => {
    // Others could know the secret, so it proves nothing: start anew.
    if (!isImprintError(error, "LOOSE_FILE", "FOREIGN_FILE")) throw error;
    return null;
  });
  try {
    const { pid, secret, port: written } = JSON.parse(textOf(bytes ?? new Uint8Array()) ?? "") as Record<string, unknown>;
    if (written !== port || typeof pid !== "number" || typeof secret !== "string" || !/^[0-9a-f]{64}$/.test(secret)) return null;
    return { port, pid, secret };
  } catch {
    return null; // none, or cut short by a crash: start anew
  }
}

function stateFile(layout: Pick<Layout, "resolvers">, port: number): string {
  return path.join(layout.resolvers, `${port}.json`);
}
