/** Why a connection did not come about, as a word that people can look up. */
import { errnoOf } from "../errors.ts";

/** Codes of Node and OpenSSL for a certificate that is not trusted. */
const CERTIFICATE = /CERT|SIGNATURE|SELF_SIGNED|UNABLE_TO_(GET|VERIFY|DECODE)|INVALID_(CA|PURPOSE)|HOSTNAME_MISMATCH/;

export function isCertificateFault(code: string): boolean {
  return CERTIFICATE.test(code);
}

/** The code of an error, or of what caused it: `fetch` wraps what went wrong, sometimes twice; null: none. */
export function connectionFault(error: unknown): string | null {
  for (let [at, depth] = [error, 0]; at instanceof Error && depth < 4; [at, depth] = [at.cause, depth + 1]) {
    const code = errnoOf(at);
    if (code !== undefined) return code;
  }
  return null;
}
