/** What a command behind `imprint run` is told of proxies. (What clients make of it: clients/matrix, "behind a proxy".) */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { noProxyEnvironment } from "../../src/clients/no-proxy.ts";
import { nodeFiles } from "../../src/storage/files.ts";

const HERE = "127.0.0.1,localhost";

/** @param npmrcs by who has it: the project, a folder above it, the user */
async function toldOf(env: NodeJS.ProcessEnv, npmrcs: Readonly<Partial<Record<"project" | "above" | "user", string>>> = {}) {
  const root = mkdtempSync(path.join(tmpdir(), "imprint-no-proxy-"));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  const places = { project: path.join(root, "above/project"), above: path.join(root, "above"), user: path.join(root, "home") };
  for (const folder of Object.values(places)) mkdirSync(folder, { recursive: true });
  for (const [who, text] of Object.entries(npmrcs)) writeFileSync(path.join(places[who as keyof typeof places], ".npmrc"), text);
  return noProxyEnvironment({ env: { HOME: places.user, ...env }, cwd: places.project, files: nodeFiles() });
}

it("this machine is reached without one, by every spelling that a client knows", async () => {
  expect(await toldOf({})).toEqual({
    NO_PROXY: HERE,
    no_proxy: HERE,
    npm_config_noproxy: HERE,
    NPM_CONFIG_NOPROXY: HERE,
    pnpm_config_no_proxy: HERE,
  });
});

it("what the user has stays, once each", async () => {
  const { NO_PROXY, npm_config_noproxy } = await toldOf({ NO_PROXY: "corp.example, 10.0.0.1", no_proxy: "corp.example 127.0.0.1" });
  expect([NO_PROXY, npm_config_noproxy]).toEqual([
    "corp.example,10.0.0.1,127.0.0.1,localhost",
    "corp.example,10.0.0.1,127.0.0.1,localhost",
  ]);
});

it("where nothing goes through one, that stays so: * is everything only where it stands alone, and npm does not know it", async () => {
  const told = await toldOf({ NO_PROXY: "*" });
  expect([told["NO_PROXY"], told["no_proxy"], told["npm_config_noproxy"]]).toEqual(["*", "*", `*,${HERE}`]);
});

it("npm's own lists, which ours would replace: of the environment, the project, folders above it, and the user", async () => {
  const npmrcs = {
    project: "registry=http://127.0.0.1:4870/\nnoproxy = a.example,b.example ; of the project\n",
    above: 'noproxy[]=c.example\r\nnoproxy[]="d.example"\r\n#noproxy=no.example\n',
    user: "no-proxy='e.example'\nproxy=http://proxy.example\n",
  };
  const told = await toldOf({ npm_config_noproxy: "f.example" }, npmrcs);
  expect(told["npm_config_noproxy"]).toBe("f.example,a.example,b.example,c.example,d.example,e.example,127.0.0.1,localhost");
  expect(told["NO_PROXY"]).toBe("f.example,127.0.0.1,localhost");
});

it("a userconfig elsewhere, and files that are none", async () => {
  const root = mkdtempSync(path.join(tmpdir(), "imprint-no-proxy-"));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  writeFileSync(path.join(root, "rc"), "noproxy=g.example\n");
  const told = await toldOf(
    { npm_config_userconfig: path.join(root, "rc") },
    { project: "\u0000\u00ff\nnoproxy\n", user: "noproxy=h.example" },
  );
  expect(told["npm_config_noproxy"]).toBe(`g.example,${HERE}`);
});
