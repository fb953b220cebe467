/** npm's agents: keep-alive, proxies, certificates. The package brings no declarations; these are the parts in use. */
declare module "@npmcli/agent" {
  import type { Agent } from "node:http";
  export function getAgent(url: URL | string, options: Readonly<Record<string, unknown>>): Agent;
}
