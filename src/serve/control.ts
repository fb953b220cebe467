/**
 * How two processes of one user talk over a port that any user of the machine could have taken first: each message carries a
 * proof made with a secret that only this user's files hold, and the secret itself is never sent. Whoever else listens there
 * learns a folder's name at most, and what he answers is not believed.
 *
 * The asker sends `{nonce, ask, mac}`, the resolver answers `{answer, proof}`. `ask` and `answer` are JSON texts, so that
 * what was proved is what is parsed. A secret belongs to one running resolver: what was sent to a dead one opens nothing.
 */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { isJsonObject, type JsonObject, type JsonValue } from "../format/json.ts";

export type SealedAsk = { readonly nonce: string; readonly body: JsonObject };

export function sealAsk(secret: Uint8Array, ask: JsonObject): SealedAsk {
  const nonce = randomBytes(16).toString("hex");
  const text = JSON.stringify(ask);
  return { nonce, body: { nonce, ask: text, mac: macOf(secret, "ask", nonce, text) } };
}

/** @returns null unless it was made with the secret */
export function openAsk(secret: Uint8Array, body: JsonValue): { readonly nonce: string; readonly ask: JsonObject } | null {
  if (!isJsonObject(body)) return null;
  const { nonce, ask, mac } = body;
  if (typeof nonce !== "string" || !/^[0-9a-f]{32}$/.test(nonce) || typeof ask !== "string" || typeof mac !== "string") return null;
  return isSame(mac, macOf(secret, "ask", nonce, ask)) ? objectIn(nonce, ask) : null;
}

export function sealAnswer(secret: Uint8Array, nonce: string, answer: JsonObject): string {
  const text = JSON.stringify(answer);
  return JSON.stringify({ answer: text, proof: macOf(secret, "answer", nonce, text) });
}

/** @returns null unless it was made with the secret, for this question */
export function openAnswer(secret: Uint8Array, nonce: string, text: string): JsonObject | null {
  let sealed: JsonValue;
  try {
    sealed = JSON.parse(text) as JsonValue;
  } catch {
    return null; // somebody who speaks something else
  }
  if (!isJsonObject(sealed)) return null;
  const { answer, proof } = sealed;
  if (typeof answer !== "string" || typeof proof !== "string" || !isSame(proof, macOf(secret, "answer", nonce, answer))) return null;
  return objectIn(nonce, answer)?.ask ?? null;
}

function objectIn(nonce: string, text: string): { readonly nonce: string; readonly ask: JsonObject } | null {
  const value = JSON.parse(text) as JsonValue;
  return isJsonObject(value) ? { nonce, ask: value } : null;
}

function macOf(secret: Uint8Array, kind: "ask" | "answer", nonce: string, text: string): string {
  return createHmac("sha256", secret).update(`imprint ${kind} ${nonce} ${text}`).digest("hex");
}

function isSame(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.byteLength === right.byteLength && timingSafeEqual(left, right);
}
