/** A session on a qcow2 image over blkdebug, for tests that need a real run. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { Open } from '../../../src/block/flags.ts';
import { Options } from '../../../src/block/options/options.ts';
import { takeSnapshot } from '../../../src/live/snapshot.ts';
import type { RecorderOptions } from '../../../src/live/record/recorder.ts';
import { commandTable } from '../../../src/shell/commands/index.ts';
import { Session } from '../../../src/shell/session.ts';
import { drivers } from '../../../src/drivers/index.ts';

export interface RunningSession {
  readonly session: Session;
  readonly options: RecorderOptions;
  /** The messages given to `onError`. */
  readonly errors: string[];
  readonly run: (...lines: string[]) => Promise<void>;
}

/** `config` is a config file of blkdebug. */
export async function openSession(folder: string, config = ''): Promise<RunningSession> {
  const image = path.join(folder, 'disk.raw');
  const rules = path.join(folder, 'rules.conf');
  writeFileSync(image, Buffer.alloc(1 << 20));
  writeFileSync(rules, config);
  const text = { stdout() {}, stderr() {}, flush() {}, drop() {}, isTerminal: false };
  const session = new Session({ output: text, drivers }, commandTable);
  await session.open({
    filename: `blkdebug:${rules}:${image}`,
    options: new Options([['driver', 'raw']]),
    flags: Open.READ_WRITE | Open.UNMAP,
    writethrough: false,
    forceShare: false,
  });
  const errors: string[] = [];
  const options: RecorderOptions = {
    bus: session.context.trace,
    nowNs: () => session.loop.clock.nowNs(),
    snapshot: () => takeSnapshot(session.loop, session.backend?.top ?? null),
    program: 'blkscope test',
    command: ['--record', 'x'],
    objection: () => null,
    onError: (error) => errors.push(error.message),
  };
  const run = async (...lines: string[]): Promise<void> => {
    for (const line of lines) {
      await session.execute(line);
      while (await session.loop.poll(false));
    }
  };
  return { session, options, errors, run };
}

/** Leaves two requests suspended and one that waits for one of them, and an error injected. */
export const eventfulScript = [
  'write -P 1 0 64k',
  'break pwritev A',
  'break write_aio B',
  'aio_write -P 2 4k 4k',
  'aio_write -P 3 64k 4k',
  'aio_write 4097 512',
  'read 0 64k',
];
export const injectingConfig = '[inject-error]\nevent = "read_aio"\nerrno = "28"\nonce = "on"\n';
