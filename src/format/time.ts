/** Times: `2026-11-22T20:57:00.000Z`, always 24 characters. */

declare const brand: unique symbol;
export type Timestamp = string & { readonly [brand]: "Timestamp" };

const SHAPE = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$/;

export function isTimestamp(text: string): text is Timestamp {
  if (!SHAPE.test(text)) return false;
  const ms = Date.parse(text);
  return !Number.isNaN(ms) && new Date(ms).toISOString() === text;
}

/** @param ms Unix time in milliseconds */
export function formatTimestamp(ms: number): Timestamp {
  return new Date(ms).toISOString() as Timestamp;
}

/** Unix time in milliseconds. */
export function timestampMs(time: Timestamp): number {
  return Date.parse(time);
}
