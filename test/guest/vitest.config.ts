/** Runs a Linux guest on an export: `npm run test:guest`. */
import path from 'node:path';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    root: path.resolve(import.meta.dirname, '../..'),
    include: ['test/guest/**/*.test.ts'],
    testTimeout: 3_600_000,
    hookTimeout: 600_000,
    reporters: [process.stdout.isTTY ? 'dot' : 'minimal'],
  },
});
