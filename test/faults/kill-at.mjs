/**
 * Loaded into a child before anything else (`node --import …/kill-at.mjs?at=7`): counts what changes something outside the
 * process, and ends it with SIGKILL right before the n-th. Files of Imprint and of the embedded git by their last step (rename,
 * link, removal), runs of git that write, requests that push. `log=<file>`: what was counted, one a line, in order.
 */
import child from "node:child_process";
import { appendFileSync } from "node:fs";
import files from "node:fs/promises";
import http from "node:http";
import { syncBuiltinESMExports } from "node:module";

const asked = new URL(import.meta.url).searchParams;
const at = Number(asked.get("at") ?? "-1");
const log = asked.get("log");
const GIT = /^(?:fast-import|push|update-ref|symbolic-ref|reset|checkout|read-tree)$/;
/** Objects, quarantines and temporary files are nobody's until something names them: that naming is what is counted. */
const NOBODYS = /\.imprint-tmp-|[\\/](?:imprint-quarantine|objects|records)[\\/]|tmp_obj_imprint/;
let count = 0;

function step(what) {
  if (log !== null) appendFileSync(log, `${what}\n`);
  if (count++ === at) process.kill(process.pid, "SIGKILL");
}

for (const name of ["rename", "link", "rm", "unlink"]) {
  const inner = files[name];
  files[name] = (path, ...rest) => {
    const target = String(name === "rename" || name === "link" ? rest[0] : path);
    if (!NOBODYS.test(target)) step(`${name} ${target}`);
    return inner(path, ...rest);
  };
}

const spawn = child.spawn;
child.spawn = (command, args, ...rest) => {
  const words = Array.isArray(args) ? args : [];
  const verb = words.find((word) => GIT.test(word));
  if (verb !== undefined) step(`git ${verb}`);
  return spawn(command, args, ...rest);
};

const request = http.request;
http.request = (...words) => {
  const text = words
    .map((word) => (typeof word === "object" && word !== null ? `${word.method ?? ""} ${word.path ?? word.href ?? ""}` : String(word)))
    .join(" ");
  if (text.includes("POST") && text.includes("receive-pack")) step("push");
  return request(...words);
};

syncBuiltinESMExports();
