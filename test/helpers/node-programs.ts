/**
 * The versions of Node that a test is run with: that of the tests, and those that BLKSCOPE_NODES names, separated by
 * colons.
 */
import { spawnSync } from 'node:child_process';

/** Version and path of each. */
export const nodePrograms: readonly (readonly [version: string, program: string])[] = [
  process.execPath,
  ...(process.env.BLKSCOPE_NODES ?? '').split(':').filter((program) => program !== ''),
].map((program) => [spawnSync(program, ['--version'], { encoding: 'utf8' }).stdout.trim(), program]);
