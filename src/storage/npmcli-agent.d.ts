/** npm's agents: keep-alive, proxies, certificates. The package brings no declarations; these are the parts in use. */
declare module "@npmcli/agent" {
  import type { Agent, ClientRequest } from "node:http";
  import type { Socket, TcpNetConnectOpts } from "node:net";
  import type { ConnectionOptions } from "node:tls";
  export type ConnectOptions = TcpNetConnectOpts & ConnectionOptions & { readonly secureEndpoint: boolean };
  export type NpmAgent = Agent & {
    readonly proxy: { readonly url?: URL };
    connect(request: ClientRequest, options: ConnectOptions): Promise<Socket>;
  };
  export function getAgent(url: URL | string, options: Readonly<Record<string, unknown>>): NpmAgent;
}
