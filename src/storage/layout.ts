/**
 * Where Imprint keeps its own files: the one place that knows a folder or file name.
 *
 * Three roots with three promises: `config` is the user's and precious (keys), `state` is what this machine has seen
 * and protects it from rollback (never delete), `cache` can be deleted at any time. Names under `state` and `cache`
 * carry a layout version. Parameters are values that `format` has already let through; nothing is checked here.
 */
import { join } from "node:path";

/** Folders as env-paths gives them. */
export type PlatformPaths = { readonly config: string; readonly cache: string; readonly data: string };

export type Layout = {
  readonly config: string;
  readonly cache: string;
  readonly state: string;
  /** An encrypted key file. */
  keyFile(name: string, kind: "root" | "daily"): string;
  /** Folder of all key files. */
  readonly keys: string;
  /** Which clones on this machine are the user's own indices. */
  readonly ownIndicesFile: string;
  /** Cell with roots and checkpoint last trusted. */
  trustedState(indexId: string): string;
  /** Cell with the state that the user last accepted. */
  acceptedState(indexId: string): string;
  /** Pairs of checkpoints that convict a host or a key. */
  evidence(indexId: string): string;
  /** Cell with the last verified record of one package; `packagePath` is `<hh>/<scope>+<name>`. */
  recordMemory(indexId: string, packagePath: string): string;
  /** State of running resolvers: ports and the secrets that prove them. */
  readonly resolvers: string;
  /** Folders of the user's projects, and the policies that they had. */
  readonly knownProjects: string;
  /** Key that signs what this machine's resolvers serve, for npm's own check. */
  readonly bridgeKey: string;
  /** Bare repository with what was fetched of an index. */
  repository(indexId: string): string;
  /** The same without a git: always whole, since the embedded git knows no partial clones. */
  wholeRepository(indexId: string): string;
  /** All repositories. */
  readonly repositories: string;
  /** Documents of sparse indices by sha256. */
  readonly documents: string;
  /** What a sparse source's checkpoint was last told by; `urlHash`: sha256 of its address. */
  validator(urlHash: string): string;
  /** Tarballs by sha512. */
  readonly blobs: string;
  /** Public packuments and tarballs. */
  readonly upstream: string;
  /** Secret that proves what this machine wrote into its cache; never below `IMPRINT_HOME`, which CI restores as a whole. */
  readonly machineSecret: string;
  /** What package managers keep of one policy, behind one port; `mark` is this machine's, since they believe what they find. */
  clientCaches(policy: string, port: number, mark: string): string;
  /** What imports that run have there for as long as they run. */
  readonly imports: string;
  /** What npm's parts keep for imports; `mark` is this machine's, since they believe what they find. */
  npmCache(mark: string): string;
  /** Folder of all of those. */
  readonly allClientCaches: string;
  /** What searches have read of an index. */
  search(indexId: string): string;
  /** Folder of all of those. */
  readonly searches: string;
};

const VERSION = "v1";

/** `IMPRINT_HOME`, if set, holds everything but one secret; else each root is where the platform wants it. */
export function layoutFrom(env: NodeJS.ProcessEnv, platform: PlatformPaths): Layout {
  const home = env["IMPRINT_HOME"];
  const own = home === undefined || home === "" ? null : home;
  const config = own === null ? platform.config : join(own, "config");
  const cache = own === null ? platform.cache : join(own, "cache");
  const state = own === null ? platform.data : join(own, "state");
  const keys = join(config, "keys");
  return {
    config,
    cache,
    state,
    keys,
    keyFile: (name, kind) => join(keys, `${name}.${kind}.json`),
    ownIndicesFile: join(config, "indices.json"),
    trustedState: (indexId) => join(state, VERSION, "trust", indexId),
    acceptedState: (indexId) => join(state, VERSION, "accepted", indexId),
    evidence: (indexId) => join(state, VERSION, "evidence", indexId),
    recordMemory: (indexId, packagePath) => join(state, VERSION, "records", indexId, ...packagePath.split("/")),
    resolvers: join(state, VERSION, "resolvers"),
    knownProjects: join(state, VERSION, "projects.json"),
    bridgeKey: join(state, VERSION, "bridge-key.pem"),
    repository: (indexId) => join(cache, VERSION, "git", `${indexId}.git`),
    wholeRepository: (indexId) => join(cache, VERSION, "git", `${indexId}.whole.git`),
    repositories: join(cache, VERSION, "git"),
    documents: join(cache, VERSION, "documents"),
    validator: (urlHash) => join(cache, VERSION, "validators", `${urlHash}.json`),
    blobs: join(cache, VERSION, "blobs"),
    upstream: join(cache, VERSION, "upstream"),
    machineSecret: join(platform.data, VERSION, "machine-secret"),
    clientCaches: (policy, port, mark) => join(cache, VERSION, "clients", `${policy}-${port}-${mark}`),
    imports: join(cache, VERSION, "imports"),
    npmCache: (mark) => join(cache, VERSION, "upstream", `npm-${mark}`),
    allClientCaches: join(cache, VERSION, "clients"),
    search: (indexId) => join(cache, VERSION, "search", `${indexId}.json`),
    searches: join(cache, VERSION, "search"),
  };
}
