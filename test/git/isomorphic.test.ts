/** The embedded adapter: the contract, and what only it can get wrong. */
import { createBareRepository } from "../../src/git/store/bare.ts";
import { openIsomorphicGit } from "../../src/git/isomorphic/repository.ts";
import { gitContract } from "./contract.ts";

gitContract(
  "isomorphic-git",
  async (dir) => {
    await createBareRepository(dir);
    return openIsomorphicGit({ gitDir: dir });
  },
  { filters: false, unknownScheme: "GIT_MISSING" },
);
