/**
 * Benchmarks: `npm run bench` runs all of them, `npm run bench install` one. Each compares with a baseline in the same run and
 * reports ratios. `BENCHES` below has their names.
 */
import { benchEmbedded } from "./bench/embedded.ts";
import { benchHostileAuthor } from "./bench/hostile-author.ts";
import { benchHostileHosts } from "./bench/hostile-hosts.ts";
import { benchManyIndices } from "./bench/many-indices.ts";
import { benchInstall } from "./bench/install.ts";
import { benchNobody } from "./bench/nobody.ts";
import { benchOpen } from "./bench/open.ts";
import { benchPublish } from "./bench/publish.ts";
import { benchRotate } from "./bench/rotate.ts";
import { benchRun } from "./bench/run.ts";
import { benchServe } from "./bench/serve.ts";
import { benchVerify } from "./bench/verify.ts";

const BENCHES: Readonly<Record<string, () => Promise<void>>> = {
  run: benchRun,
  open: benchOpen,
  publish: benchPublish,
  embedded: benchEmbedded,
  serve: benchServe,
  install: benchInstall,
  nobody: benchNobody,
  "many-indices": benchManyIndices,
  "hostile-author": benchHostileAuthor,
  "hostile-hosts": benchHostileHosts,
  verify: benchVerify,
  rotate: benchRotate,
};

const wanted = process.argv.slice(2);
const unknown = wanted.find((name) => BENCHES[name] === undefined);
if (unknown !== undefined) {
  console.error(`✗ no such benchmark: ${unknown}; one of ${Object.keys(BENCHES).join(", ")}`);
  process.exitCode = 2;
} else {
  for (const [name, bench] of Object.entries(BENCHES)) if (wanted.length === 0 || wanted.includes(name)) await bench();
}
