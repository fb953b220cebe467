/** The clients of the matrix that are no devDependencies, and the newer Node that some of them need. */
import { wantedInstalls } from "../test/support/clients.ts";
import { installOnce } from "./install-once.ts";

for (const [folder, spec] of wantedInstalls()) installOnce(folder, spec);
