import { defineConfig } from "vitest/config";
import { ThreatReporter } from "./support/threat-reporter.ts";

export default defineConfig({
  test: {
    root: new URL("..", import.meta.url).pathname,
    include: ["test/**/*.test.ts"],
    // Real git, npm and HTTP on shared machines: slow is not broken.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    maxWorkers: 2,
    setupFiles: ["test/support/observed-codes.ts"],
    reporters: ["default", "json", new ThreatReporter()],
    outputFile: { json: "coverage/report.json" },
    coverage: {
      provider: "v8",
      include: ["src/**"],
      // The process edge runs in child processes, which coverage does not see; end-to-end tests do.
      exclude: ["src/bin.ts", "src/cli/**"],
      reporter: ["text-summary", "json-summary"],
      thresholds: {
        "src/format/**": { lines: 100, branches: 100 },
        "src/crypto/**": { lines: 100, branches: 100 },
        lines: 85,
      },
    },
  },
});
