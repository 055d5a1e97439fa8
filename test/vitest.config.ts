/** Runs every test that needs no QEMU: `npm test`. */
import path from 'node:path';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    root: path.resolve(import.meta.dirname, '..'),
    include: ['test/**/*.test.ts'],
    // They need the real qemu-io and a kernel: `npm run test:differential`, `npm run test:guest`.
    exclude: ['test/differential/**', 'test/guest/**'],
    globalSetup: ['test/helpers/temporary-folder.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Failures in full; passes are dots at most.
    reporters: [process.stdout.isTTY ? 'dot' : 'minimal'],
    maxConcurrency: 4,
  },
});
