/**
 * The author's clone of their own index, by the system's git or by the embedded one.
 */
export { advanceBranch, buildsOn, configureRemote, describeClone, initClone } from "./system/clone.ts";
export type { CloneOptions, CloneState } from "./system/clone.ts";
