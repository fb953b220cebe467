import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";
import { ThreatReporter } from "./support/threat-reporter.ts";

/** Minutes long, whatever their size: begun last, one of them would keep one core busy and the others idle. */
const SLOW = /\/test\/(clients|faults|e2e)\//u;

class SlowFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isSlow = ({ moduleId }: TestSpecification): boolean => SLOW.test(moduleId);
    return [...sorted.filter(isSlow), ...sorted.filter((file) => !isSlow(file))];
  }
}

export default defineConfig({
  test: {
    root: new URL("..", import.meta.url).pathname,
    include: ["test/**/*.test.ts"],
    // Real git, npm and HTTP on shared machines: slow is not broken.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    maxWorkers: availableParallelism(),
    // Test files of one worker share its modules: importing the source anew took a third of the time of light tests.
    isolate: false,
    sequence: { sequencer: SlowFirst },
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
