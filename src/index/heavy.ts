/** Packages that are much to hold in memory, which a hostile author may have many of: whoever answers many asks for them apart. */

/** Of the files of all releases of a package. */
export const LIGHT_BYTES = 1024 * 1024;

/** `light`: a package beyond that is refused with HeavyPackage, before much of it is read. */
export type Weight = "light" | "any";

export class HeavyPackage extends Error {}
