/** A program that is recorded and listens for watchers, which must not change a byte of what it says. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Program } from './run-program.ts';

/** Gives `run` the program with both of them on. */
export async function whileWatched<T>(
  { command, args, env }: Program,
  run: (watched: Program) => Promise<T>,
): Promise<T> {
  const folder = mkdtempSync(path.join(tmpdir(), 'blkscope-watched-'));
  const watching = ['--record', path.join(folder, 'run.ndjson'), '--monitor', path.join(folder, 'run.sock')];
  try {
    return await run({ command, args: [...args, ...watching], ...(env === undefined ? {} : { env }) });
  } finally {
    rmSync(folder, { recursive: true });
  }
}
