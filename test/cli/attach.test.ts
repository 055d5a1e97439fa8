/** `blkscope attach` on a pseudo-terminal: a console that can be left, that ends with its session, that is stopped. */
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { blkscope, runProgram } from '../helpers/run-program.ts';
import { useEmptyFolder } from '../helpers/sandbox.ts';
import { type LiveProgram, startProgram } from './live-program.ts';
import { ScreenProgram, type ScreenSettings } from './screen-program.ts';

const folder = useEmptyFolder();
const socket = () => path.join(folder, 's');
let session: LiveProgram;
let attached: ScreenProgram | null = null;

beforeEach(async () => {
  session = startProgram(['--monitor', 's', '--demo'], folder);
  await session.out.until('qemu-io> ');
});
afterEach(async () => {
  attached?.type('\x15\x04');
  await attached?.exit;
  attached = null;
  session.child.kill('SIGKILL');
  await session.exit;
});

async function attach(settings: ScreenSettings = {}): Promise<ScreenProgram> {
  attached = new ScreenProgram(['attach', socket()], settings);
  await attached.until((screen) => screen.some((row) => row.includes('? keys')));
  return attached;
}

const has = (wanted: string) => (screen: readonly string[]) => screen.some((row) => row.includes(wanted));

describe('attach on a terminal', () => {
  it.each([
    [60, 15],
    [80, 24],
    [200, 50],
  ])('of %d by %d gives commands, chooses a suspended request and leaves with 0', async (columns, rows) => {
    const console = await attach({ columns, rows });
    console.type('break write_aio A\raio_write 0 4k\r');
    await console.until(has('blkscope [1 suspended]>'));
    console.type('\x13');
    await console.until(has('▸ A '));
    console.type('\r');
    await console.until(has('no request is suspended'));
    console.type('\x1b');
    await console.until(has('wrote 4096/4096 bytes'));
    console.type('?');
    await console.until(has('Return '));
    console.type('?');
    await console.until(has('? keys'));
    console.type('quit\r');
    expect((await console.exit).exitCode).toBe(0);
    session.write('length\n');
    await session.out.until('64 MiB');
  });

  it('follows the size of the terminal', async () => {
    const console = await attach({ columns: 100, rows: 30 });
    console.type('length\r');
    await console.until(has('64 MiB'));
    console.resize(70, 16);
    await console.until((screen) => screen[0]?.length === 70 && screen.at(-1)?.startsWith('blkscope>') === true);
    console.resize(50, 8);
    // A line in the place of the panel: the name goes first where the last event does not fit.
    await console.until((screen) => screen[0]?.startsWith('state 1 ── in flight 0 ── #') === true);
    console.resize(120, 40);
    await console.until((screen) => screen[0]?.length === 120 && has('64 MiB')(screen));
  });

  it('tells the events of before it came from those that follow', async () => {
    const console = await attach({ columns: 100, rows: 30 });
    console.type('\x0f');
    await console.until(has('EVENTS  up to #2 from before this console'));
    console.type('\x0f');
    console.type('write -q 0 4k\r');
    await console.until(has('l2_update'));
    console.type('\x0f');
    await console.until((screen) => screen.includes('EVENTS'));
  });

  it('says that the session has ended, and exits with 1', async () => {
    const console = await attach();
    session.write('quit\n');
    await console.until(has('the session has ended'));
    expect((await console.exit).exitCode).toBe(1);
    attached = null;
  });

  it('says that the session was killed, and exits with 1', async () => {
    const console = await attach();
    session.child.kill('SIGKILL');
    await console.until(has('the session was killed'));
    expect((await console.exit).exitCode).toBe(1);
    attached = null;
  });

  it('is stopped by Ctrl-Z and comes back', async () => {
    const console = await attach();
    const before = console.terminal.written.length;
    console.type('\x1a');
    await console.until(() => console.terminal.written.lastIndexOf('\x1b[?1049h') > before);
    console.type('length\r');
    await console.until(has('64 MiB'));
  });

  it('with TERM=dumb gives the lines', async () => {
    attached = new ScreenProgram(['attach', socket()], { env: { TERM: 'dumb' } });
    await attached.until(has('"kind":"snapshot"'));
    session.write('quit\n');
    await attached.until(has('"kind":"end"'));
    expect((await attached.exit).exitCode).toBe(0);
    attached = null;
  });
});

describe('attach in a pipe', () => {
  it('gives the lines, and exits with 1 if the session is killed', async () => {
    const watching = startProgram(['attach', 's'], folder);
    await watching.out.until('"kind":"snapshot"');
    session.write('write 0 4k\n');
    await watching.out.until('"kind":"request-end"');
    session.child.kill('SIGKILL');
    expect(await watching.exit).toBe('1');
    expect(watching.err.text).toBe('blkscope: the session was killed\n');
    expect((await runProgram(blkscope, ['attach', 's'], { cwd: folder })).exit).toBe('1');
  });
});
