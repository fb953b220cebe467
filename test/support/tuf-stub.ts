/**
 * npm asks sigstore's repository of keys before it asks a registry for its own; tests do not reach it. This stands in its
 * place, has no key of ours, and says so, as the real one would.
 */
import { writeFileSync } from "node:fs";
import path from "node:path";

const STUB = `const { Module } = require("node:module");
const load = Module._load;
Module._load = function (request, ...rest) {
  if (request !== "@sigstore/tuf") return load.call(this, request, ...rest);
  const getTarget = async () => { throw Object.assign(new Error("no such target"), { code: "TUF_FIND_TARGET_ERROR" }); };
  return { initTUF: async () => ({ getTarget }) };
};
`;

/** @returns a file for `node --require` */
export function writeTufStub(folder: string): string {
  const file = path.join(folder, "tuf.cjs");
  writeFileSync(file, STUB);
  return file;
}
