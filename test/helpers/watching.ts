/** A program that is recorded and listens for watchers, which must not change a byte of what it says. */
import { rmSync } from 'node:fs';
import path from 'node:path';
import type { Program } from './run-program.ts';
import { makeFolder } from './sandbox.ts';

/** Gives `run` the program with both of them on. */
export async function whileWatched<T>(
  { command, args, env }: Program,
  run: (watched: Program) => Promise<T>,
): Promise<T> {
  const folder = makeFolder();
  const watching = ['--record', path.join(folder, 'run.ndjson'), '--monitor', path.join(folder, 'run.sock')];
  try {
    return await run({ command, args: [...args, ...watching], ...(env === undefined ? {} : { env }) });
  } finally {
    rmSync(folder, { recursive: true });
  }
}
