/** A session in a sandbox: the files are only read, until commit writes them; what reaches outside is refused. */
import {
  closeSync,
  copyFileSync,
  ftruncateSync,
  openSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import type { Driver } from '../../src/block/driver.ts';
import { BlockError } from '../../src/block/error.ts';
import { drivers } from '../../src/drivers/index.ts';
import { Errno } from '../../src/util/errno.ts';
import { makeImage } from '../drivers/qcow2/make-image.ts';
import { blkscope, runProgram } from '../helpers/run-program.ts';
import { useEmptyFolder } from '../helpers/sandbox.ts';
import { expectGolden, hashOf } from '../see/see-session.ts';
import { timeSession } from './time-session.ts';

const folder = useEmptyFolder();
const at = (name: string): string => path.join(folder, name);

function newImage(name = 'disk.qcow2'): string {
  writeFileSync(at(name), makeImage());
  return at(name);
}

/** Lines and answers, with neither times nor the folder. */
async function talk(lines: readonly string[], file = newImage()): Promise<string> {
  const time = await timeSession(file, { isTerminal: true });
  let all = '';
  for (const line of lines) all += `> ${line}\n${await time.run(line)}`;
  await time.close();
  return all.replaceAll(`${folder}/`, '').replaceAll(/; .* ops\/sec\)/g, '; TIME');
}

it('leads to events, checkpoints and back, and begins new time lines', async () => {
  const text = await talk([
    'goto #1',
    'write -P 1 0 64k',
    'checkpoint',
    'write -P 2 64k 64k',
    'checkpoint two',
    'aio_write -P 3 128k 64k',
    'goto -1',
    'suspended',
    'goto -2',
    'step',
    'goto last',
    'back',
    'read -P 2 64k 64k',
    'back 2',
    'read -P 0 64k 64k',
    'goto last',
    'checkpoint -l',
    'goto start',
    'map',
    'goto end',
    'map',
  ]);
  expectGolden('time', text);
});

it('refuses places that are not there, words that mean nothing, and journeys within other commands', async () => {
  writeFileSync(at('lines'), 'write 0 4k\ngoto start\nwrite 4k 4k\n');
  const text = await talk([
    'goto nowhere',
    'goto #0',
    'goto #999999999999999',
    'goto -9999',
    'goto -0',
    'goto',
    'goto -1 until write',
    'goto -1 until check -r all',
    'goto -2 until check',
    'goto -1 until check',
    'back 7',
    'back -1',
    'back x',
    'checkpoint start',
    'checkpoint 12',
    'checkpoint #1',
    'checkpoint -x',
    'checkpoint a b',
    `source ${at('lines')}`,
    'repeat 2 back',
    'display goto start',
    'break write_aio A',
    'aio_write 0 4k',
    'display off',
    'commit',
    'commit -d',
  ]);
  expectGolden('time-refused', text);
});

it('refuses what reaches outside of it', async () => {
  newImage('other.qcow2');
  const text = await talk([
    '!true',
    'export list',
    `record start ${at('run.ndjson')}`,
    `create ${at('new.qcow2')} 1M`,
    `rule save ${at('rules')}`,
    'close',
    'open nbd://localhost/x',
    `open ${at('other.qcow2')}`,
    'write 0 4k',
  ]);
  expectGolden('sandbox-refused', text);
});

it('finds the last event before a check fails', async () => {
  const lines = Array.from({ length: 40 }, (_, index) => `write -P ${index + 1} ${index * 64}k 64k`);
  // The data of the next write lands on the refcount table.
  const text = await talk([
    ...lines.slice(0, 24),
    'rule add misdirect event=write_aio to=64k nth=1',
    'write -P 0 0 64k',
    ...lines.slice(25),
    'goto -1 until check -d',
    'check -d',
    'step',
    'check -d',
    'goto end',
    'goto -1 until check',
    'goto start',
    'poke 64k 0000000000000000',
    'goto -1 until check -d',
  ]);
  expectGolden('time-until', text.slice(text.indexOf('> goto -1 until')).replaceAll(/^ERROR.*\n/gm, ''));
});

it('stops the lines of a file at an event, and does not run those behind it', async () => {
  writeFileSync(at('lines'), Array.from({ length: 9 }, (_, index) => `write ${index * 64}k 64k`).join('\n'));
  const time = await timeSession(newImage(), { isTerminal: true });
  await time.run(`source ${at('lines')}`);
  const numbers = [...time.session.context.trace.history.newestFirst()].filter(({ event }) => event === 'write_aio');
  const fourth = numbers.toReversed()[3]?.number ?? 0;
  expect(await time.run(`goto #${fourth}`)).toContain('is suspended under');
  await time.run('resume', 'aio_flush');
  expect(await time.run('map')).toMatch(/^256 KiB .*allocated/m);
  writeFileSync(at('lines'), 'write 0 64k\n');
  expect(await time.run('goto start')).toContain('at #');
  expect(await time.run('goto last')).toContain('has changed since');
  expect(await time.run('map')).not.toContain('256 KiB');
  await time.close();
});

it('reads a file of 100 GiB at the cost of what is touched', async () => {
  const fd = openSync(at('large'), 'w');
  ftruncateSync(fd, 100 * 2 ** 30);
  closeSync(fd);
  const time = await timeSession(at('large'), { format: 'raw', memoryMaxBytes: 1 << 20 });
  await time.run('write -P 7 90G 64k', 'write -z 10G 1G', 'discard 20G 1G', 'checkpoint', 'write -P 8 50G 64k');
  expect(time.sandbox.disks.all[0]?.content.changedBytes).toBe(128 << 10);
  await time.run('goto c1');
  expect(time.sandbox.disks.all[0]?.content.changedBytes).toBe(64 << 10);
  expect(await time.run('read -P 7 90G 64k', 'read -P 0 50G 64k')).not.toContain('verification failed');
  // More than it may keep: the request fails as on a full disk, and the session goes on.
  expect(await time.run('write 0 2M')).toContain('No space left on device');
  expect(await time.run('goto c1')).toContain('at #');
  await time.close();
  expect(statSync(at('large')).blocks).toBe(0);
});

it('writes nothing to the files before commit, and then what a session outside would have', async () => {
  const lines = ['write -P 1 0 128k', 'discard 64k 64k', 'write -z 256k 64k', 'truncate 200M', 'write -P 2 190M 1M'];
  for (const format of ['qcow2', 'raw']) {
    const file = at(`one.${format}`);
    writeFileSync(file, format === 'raw' ? Buffer.alloc(1 << 20, 5) : makeImage());
    copyFileSync(file, at(`two.${format}`));
    const before = hashOf(file);
    const time = await timeSession(file, { format });
    await time.run(...lines, 'checkpoint', 'write -P 9 0 64k', 'goto c1');
    expect(hashOf(file)).toBe(before);
    expect(await time.run('commit')).toMatch(/ written\n$/);
    expect(await time.run('read -P 2 190M 1M', 'checkpoint -l')).toMatch(/^read .*\n.*\nstart\t0\t\d+\t-\nend\t/);
    expect(await time.run('commit')).toBe('nothing was changed\n');
    await time.close();
    const words = ['-f', format, ...lines.flatMap((line) => ['-c', line]), at(`two.${format}`)];
    expect((await runProgram(blkscope, words, { cwd: folder })).exit).toBe('0');
    expect(hashOf(file)).toBe(hashOf(at(`two.${format}`)));
  }
});

it('writes a file that was cut off and made longer again', async () => {
  writeFileSync(at('raw'), Buffer.alloc(1 << 20, 5));
  const time = await timeSession(at('raw'), { format: 'raw' });
  await time.run('truncate 100k', 'truncate 512k', 'write -P 3 300k 4k', 'commit');
  await time.close();
  const expected = Buffer.alloc(512 << 10);
  expected.fill(5, 0, 100 << 10);
  expected.fill(3, 300 << 10, 304 << 10);
  expect(readFileSync(at('raw')).equals(expected)).toBe(true);
});

it('does not write a file that has changed or is in use, and loses nothing by that', async () => {
  const file = newImage();
  const time = await timeSession(file);
  await time.run('write -P 1 0 64k');
  const { mtime } = statSync(file);
  const fd = openSync(file, 'r+');
  writeSync(fd, 'x', 50_000);
  closeSync(fd);
  const before = hashOf(file);
  expect(await time.run('commit')).toContain('was changed by another program');
  expect(hashOf(file)).toBe(before);
  utimesSync(file, mtime, mtime);
  await time.close();

  const other = newImage('other.qcow2');
  const locked = await timeSession(other);
  await locked.run('write -P 1 0 64k');
  const user = await import('../helpers/host-images.ts').then(({ HostImages }) => new HostImages());
  const { Open } = await import('../../src/block/flags.ts');
  const { openBackend } = await import('../../src/block/open/open.ts');
  const { closeBackend } = await import('../../src/block/graph/graph.ts');
  const held = await openBackend(user.context, { filename: other, options: null, flags: Open.READ_WRITE });
  await locked.run('break write_aio A');
  expect(await locked.run('commit')).toContain('lock');
  expect(await locked.run('rules')).toContain('write_aio');
  await closeBackend(held);
  expect(await locked.run('commit')).toContain('written');
  await locked.close();
  const again = await timeSession(other);
  expect(await again.run('read -P 1 0 64k')).not.toContain('failed');
  await again.close();
});

it('a commit that fails on the way has no way back, and may be tried again', async () => {
  const file = newImage();
  let writes = 0;
  const failing = (driver: Driver): Driver => ({
    ...driver,
    pwritev(...request) {
      writes += 1;
      if (writes === 2) throw new BlockError(Errno.ENOSPC);
      return driver.pwritev?.(...request);
    },
  });
  const hostDrivers = drivers.map((known) =>
    known.formatName === 'file' && 'load' in known
      ? { ...known, load: async () => failing(await known.load()) }
      : known,
  );
  const time = await timeSession(file, { hostDrivers });
  await time.run('write -P 7 0 64k', 'write -P 8 1M 64k');
  expect(await time.run('commit', 'back')).toMatch(/No space left on device\n.*no way back before it/);
  expect(await time.run('commit')).toContain('written');
  await time.run('checkpoint', 'write -P 1 0 64k', 'goto c1');
  expect(await time.run('read -P 7 0 64k', 'read -P 8 1M 64k', 'check')).not.toMatch(/verification|rror [^s]/);
  await time.close();
});

it('on the command line: options that look on or write are refused, and leaving drops what was changed', async () => {
  const file = newImage();
  const before = hashOf(file);
  for (const words of [['--record', at('x.ndjson')], ['--monitor', at('s')], ['--export', 'unix:x'], ['-s']]) {
    const refused = await runProgram(blkscope, ['--sandbox', ...words, file], { cwd: folder });
    expect([refused.exit, refused.stderr]).toEqual(['1', expect.stringMatching(/has no meaning with --sandbox/)]);
  }
  const words = ['--sandbox', '-c', 'write 0 64k', '-c', 'back', '-c', 'map', file];
  const run = await runProgram(blkscope, words, { cwd: folder });
  expect([run.exit, run.stdout]).toEqual(['0', expect.stringMatching(/at #\d+, start\n.*not allocated/s)]);
  expect(hashOf(file)).toBe(before);
  // Lines of a file mean what they mean there, again and again.
  writeFileSync(
    at('lines'),
    'write -q 64k*2 64k\ncheckpoint a\nwrite -q 64k*3 64k # more\ngoto a\nwrite -q 64k*4 64k\n',
  );
  const scripted = await runProgram(blkscope, ['--sandbox', '-x', 'lines', '-c', 'back', '-c', 'map', file], {
    cwd: folder,
  });
  expect(scripted.stdout).toMatch(
    /at #\d+, after command 1: .*\n.*not allocated.*\n64 KiB .* allocated at offset 128 KiB.*\n.*not allocated/,
  );
  const outside = await runProgram(blkscope, ['-c', 'goto start', file], { cwd: folder });
  expect([outside.exit, outside.stderr]).toEqual(['1', expect.stringContaining('only a sandbox can be led back')]);
});
