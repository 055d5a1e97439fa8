/** Runs the tests beside the real qemu-io: `npm run test:differential`. */
import path from 'node:path';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    root: path.resolve(import.meta.dirname, '../..'),
    include: ['test/differential/**/*.test.ts'],
    globalSetup: ['test/helpers/temporary-folder.ts'],
    testTimeout: 3_600_000,
    // Failures in full; passes are dots at most.
    reporters: [process.stdout.isTTY ? 'dot' : 'minimal'],
    maxConcurrency: 3,
  },
});
