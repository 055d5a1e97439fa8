/**
 * Closing and reopening an image while breakpoints are set and requests are suspended: nothing acknowledged is lost.
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { Open } from '../../src/block/flags.ts';
import { Options } from '../../src/block/options/options.ts';
import { drivers } from '../../src/drivers/index.ts';
import { commandTable } from '../../src/shell/commands/index.ts';
import { Session } from '../../src/shell/session.ts';
import { makeImage } from '../drivers/qcow2/make-image.ts';
import { useEmptyFolder } from '../helpers/sandbox.ts';

const folder = useEmptyFolder();

interface Shell {
  readonly session: Session;
  readonly run: (...lines: string[]) => Promise<void>;
  /** Output since the last call. */
  readonly said: () => string;
}

interface Cache {
  readonly flags?: number;
  readonly writethrough?: boolean;
}

function makeDisk(lengthBytes: number): void {
  writeFileSync(path.join(folder, 'disk.qcow2'), makeImage({ lengthBytes, clusterBits: 16 }));
}

async function open(cache: Cache = {}, rules: Record<string, string> = {}): Promise<Shell> {
  let said = '';
  const say = (text: string): void => {
    said += text;
  };
  const output = { stdout: say, stderr: say, flush() {}, drop() {}, isTerminal: false };
  const session = new Session({ output, drivers }, commandTable);
  const options = {
    driver: 'qcow2',
    'file.driver': 'blkdebug',
    'file.image.filename': path.join(folder, 'disk.qcow2'),
  };
  const isOpen = await session.open({
    filename: null,
    options: new Options(Object.entries({ ...options, ...rules })),
    flags: (cache.flags ?? 0) | Open.READ_WRITE | Open.UNMAP,
    writethrough: cache.writethrough ?? false,
    forceShare: false,
  });
  if (!isOpen) throw new Error(said);
  return {
    session,
    run: async (...lines) => {
      for (const line of lines) await session.execute(line);
    },
    said: () => {
      const text = said;
      said = '';
      return text;
    },
  };
}

/** The output of a new session for each `read -P VALUE OFFSET BYTES`. */
async function readBack(...reads: readonly string[]): Promise<string> {
  const shell = await open();
  for (const words of reads) await shell.run(`read -q -P ${words}`);
  await shell.session.close();
  return shell.said();
}

const caches: [string, Cache][] = [
  ['-n', { flags: Open.NO_CACHE, writethrough: false }],
  ['-t none', { flags: Open.NO_CACHE }],
  ['-t writeback', {}],
  ['-t unsafe', { flags: Open.NO_FLUSH }],
];

describe.each(caches)('with %s', (_name, cache) => {
  it.each(['l2_update', 'pwritev', 'flush_to_os', 'refblock_update_part'])(
    'an image that is closed with a breakpoint at %s keeps what was written',
    async (event) => {
      makeDisk(1 << 20);
      const shell = await open(cache);
      await shell.run('write -q -P 1 0 64k', `break ${event} A`);
      await shell.session.close();
      expect(shell.said()).toBe('');
      expect(shell.session.exitStatus).toBe(0);
      expect(await readBack('1 0 64k', '0 64k 64k')).toBe('');
    },
  );
});

describe('leaving', () => {
  it('removes breakpoints with conditions and those that stay, too', async () => {
    makeDisk(1 << 20);
    const shell = await open();
    await shell.run('write -q -P 1 0 64k', 'break -p pwritev A', 'break flush_to_os B nth=1');
    await shell.session.close();
    expect(shell.said()).toBe('');
    expect(shell.session.exitStatus).toBe(0);
    expect(await readBack('1 0 64k')).toBe('');
  });

  it('cancels what is suspended, and still writes what was acknowledged', async () => {
    makeDisk(1 << 20);
    const shell = await open();
    await shell.run('write -q -P 1 0 64k', 'break pwritev A', 'aio_write -q -P 2 128k 64k', 'break pwritev B', 'flush');
    shell.said();
    await shell.session.close();
    expect(shell.said()).toContain("qemu-io: cancelled: 'A'");
    expect(shell.session.exitStatus).toBe(1);
    expect(await readBack('1 0 64k')).toBe('');
  });

  it('lets error rules act', async () => {
    makeDisk(1 << 20);
    const errors = { 'file.inject-error.0.event': 'flush_to_os', 'file.inject-error.0.iotype': 'write' };
    const shell = await open({}, errors);
    await shell.run('write -q -P 1 0 64k', 'break pwritev A');
    await shell.session.close();
    expect(shell.said()).toContain('qemu-io: Failed to flush the ');
  });
});

describe('a truncate', () => {
  it('makes other caches under a write that waits for another one, which then uses those', async () => {
    writeFileSync(path.join(folder, 'disk.qcow2'), makeImage({ lengthBytes: 65536, clusterBits: 9 }));
    const shell = await open();
    await shell.run('break write_aio A', 'aio_write -q -P 1 0 512', 'wait_break A', 'aio_write -q -P 2 0 512');
    await shell.run('truncate 128k', 'resume A', 'aio_flush');
    await shell.session.close();
    expect(shell.session.exitStatus).toBe(0);
    expect(await readBack('2 0 512')).toBe('');
  });
});

describe('a reopen', () => {
  it('keeps out requests that come while its flush is suspended, and loses neither them nor what was there', async () => {
    makeDisk(4 << 20);
    const shell = await open();
    await shell.run(
      'break flush_to_os T',
      'reopen -o overlap-check=all',
      'break cluster_alloc B',
      'aio_write -q -P 46 1M 4k',
    );
    shell.said();
    await shell.run('requests');
    expect(shell.said()).toMatch(/the end of reopen/);
    await shell.run('resume T', 'resume B', 'aio_write -q -P 4 2M 4k', 'aio_flush');
    expect(shell.said()).not.toMatch(/failed/);
    await shell.session.close();
    expect(shell.session.exitStatus).toBe(0);
    expect(await readBack('46 1M 4k', '4 2M 4k')).toBe('');
  });

  it('ends before a write that has begun behind it finds its caches', async () => {
    makeDisk(8 << 20);
    const shell = await open();
    await shell.run(
      'write -q -P 204 4980736 4k',
      'break pwritev T0',
      'break cluster_alloc T1',
      'reopen -c none',
      'aio_write -q -P 167 8257536 4k',
      'resume -a',
      'aio_flush',
      'resume -a',
      'aio_flush',
    );
    await shell.session.close();
    expect(await readBack('204 4980736 4k', '167 8257536 4k')).toBe('');
  });

  it('that is cancelled by leaving lets the requests behind it go on, and the close writes what they wrote', async () => {
    makeDisk(4 << 20);
    const shell = await open();
    await shell.run('write -q -P 1 0 64k', 'break pwritev T', 'reopen -o overlap-check=all', 'aio_write -q -P 2 1M 4k');
    await shell.session.close();
    expect(shell.said()).toContain("cancelled: 'T'");
    expect(await readBack('1 0 64k', '2 1M 4k')).toBe('');
  });

  it('keeps look-ups out as well', async () => {
    makeDisk(4 << 20);
    const shell = await open();
    await shell.run('write -q -P 1 0 64k', 'break flush_to_os T', 'reopen -o overlap-check=all', 'break l2_load L');
    shell.said();
    await shell.run('map', 'alloc 0 64k');
    expect(shell.said()).toBe('');
    await shell.run('resume T', 'wait_break L', 'resume L', 'aio_flush');
    expect(shell.said()).toMatch(/bytes allocated at offset/);
    await shell.session.close();
  });
});
