import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    root: new URL('..', import.meta.url).pathname,
    include: ['test/**/*.test.ts'],
    // Needs the real qemu-io: `npm run test:differential`.
    exclude: ['test/differential/**'],
    testTimeout: 30_000,
  },
});
