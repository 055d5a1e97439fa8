/** `blkscope ctl` and a session with a control socket: a shell on a pipe, a server, a terminal. */
import { existsSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { blkscope, runProgram } from '../helpers/run-program.ts';
import { useEmptyFolder } from '../helpers/sandbox.ts';
import { RpcClient } from '../live/control/rpc-client.ts';
import { type LiveProgram, startProgram } from './live-program.ts';
import { lastLine, ScreenProgram } from './screen-program.ts';

const folder = useEmptyFolder();
let session: LiveProgram;

function ctl(args: readonly string[], stdin = ''): ReturnType<typeof runProgram> {
  return runProgram(blkscope, ['ctl', ...args], { cwd: folder, stdin });
}

beforeEach(() => {
  writeFileSync(path.join(folder, 'disk'), '');
  truncateSync(path.join(folder, 'disk'), 1 << 20);
});
afterEach(async () => {
  session.child.kill('SIGKILL');
  await session.exit;
});

async function serve(...args: string[]): Promise<void> {
  writeFileSync(path.join(folder, 'ready'), 'version_is_unknown\n');
  session = startProgram(['serve', '--monitor', 's', '-x', 'ready', ...args, '-D', '-f', 'raw', 'disk'], folder);
  await session.err.until('not found');
}

describe('ctl', () => {
  it('runs the commands of its words, and prints what they print', async () => {
    await serve();
    expect(await ctl(['s', 'break pwritev A', 'write 0 512', 'nodes'])).toMatchObject({
      stdout: expect.stringMatching(/^blkdebug: Suspended request 'A'\n#block\d+\traw\t/),
      stderr: '',
      exit: '0',
    });
    const resumed = await ctl(['s', 'resume A']);
    expect(resumed.stdout).toMatch(/^blkdebug: Resuming request 'A'\nwrote 512\/512 bytes at offset 0\n/);
    expect(resumed.exit).toBe('0');
    expect(session.out.text).toBe('');
  });

  it('runs the lines of its input, up to quit, and fails if one of them does', async () => {
    await serve();
    const { stdout, stderr, exit } = await ctl(['s'], 'length\nnosuch\nlength\nquit\nlength\n');
    expect([stdout, stderr, exit]).toEqual(['1 MiB\n1 MiB\n', 'command "nosuch" not found\n', '1']);
  });

  it('ends at a word quit as well, and can end the session then', async () => {
    await serve();
    expect(await ctl(['s', 'length', 'quit', 'nosuch'])).toEqual({ stdout: '1 MiB\n', stderr: '', exit: '0' });
    expect(await ctl(['--shutdown', 's', 'quit'])).toEqual({ stdout: '', stderr: '', exit: '0' });
    await session.exit;
    expect(existsSync(path.join(folder, 's'))).toBe(false);
  });

  it('says why the session refuses a line', async () => {
    await serve();
    const { stderr, exit } = await ctl(['s'], `${'x'.repeat(2 << 20)}\n`);
    expect([stderr, exit]).toEqual(['blkscope: The session refuses: a message is too long\n', '2']);
    expect((await ctl(['s', 'length'])).stdout).toBe('1 MiB\n');
  });

  it('gives results as JSON', async () => {
    await serve();
    const { stdout, exit } = await ctl(['-j', 's', 'length', 'read 2M 512']);
    const [first, second] = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    const rest = { stderr: '', unfinished: 0, suspended: 0, truncated: false };
    expect(first).toEqual({ status: 0, stdout: '1 MiB\n', ...rest });
    expect(second).toEqual({ status: 5, stdout: 'read failed: Input/output error\n', ...rest });
    expect(exit).toBe('1');
  });

  it('ends a session, and says that there is none', async () => {
    await serve('--export', 'unix:e');
    expect(await ctl(['--shutdown', 's', 'break pwritev A', 'aio_write 0 512'])).toMatchObject({
      exit: '0',
      stderr: '',
    });
    expect(await session.exit).toBe('1');
    expect(existsSync(path.join(folder, 's'))).toBe(false);
    expect(await ctl(['s', 'length'])).toEqual({
      stdout: '',
      stderr: "blkscope: Could not attach to 's': No such file or directory\n",
      exit: '2',
    });
    expect((await ctl(['', 'length'])).exit).toBe('2');
  });

  it('exits with 2 when the session is killed under it', async () => {
    await serve();
    const waiting = ctl(['s', 'sleep 1000000000']);
    const watcher = new RpcClient(path.join(folder, 's'));
    for (let calls = 0; calls < 2; ) {
      const { consoles } = await watcher.call('clients');
      calls = Number(consoles.find(({ label }) => label === 'ctl')?.calls ?? 0);
    }
    session.child.kill('SIGKILL');
    expect(await waiting).toEqual({ stdout: '', stderr: 'blkscope: the session has ended\n', exit: '2' });
  });
});

describe('a session with a control socket', () => {
  it('on a pipe says what it says without one', async () => {
    session = startProgram(['--monitor', 's', '-D', '-f', 'raw', 'disk'], folder);
    await session.out.until('qemu-io> ');
    session.write('break pwritev A\nwrite 0 512\n');
    await session.out.until("blkdebug: Suspended request 'A'\nqemu-io> ");
    expect((await ctl(['s', 'resume A', 'nosuch'])).exit).toBe('1');
    await session.out.until('wrote 512/512');
    session.write('length\n');
    await session.out.until('1 MiB\nqemu-io> ');
    session.write('quit\n');
    expect(await session.exit).toBe('0');
    expect(session.out.text).not.toContain('Resuming');
    expect(session.err.text).toBe('');
  });

  it('on a terminal shows whose command runs, and keeps its prompt', async () => {
    await serve();
    const shell = new ScreenProgram(['--monitor', path.join(folder, 't'), '--demo']);
    await shell.prompt();
    shell.type('leng');
    await shell.until((screen) => lastLine(screen) === 'blkscope> leng');
    await ctl(['t', 'break write_aio A', 'aio_write 0 4k']);
    const screen = await shell.until((rows) => lastLine(rows) === 'blkscope [1 suspended]> leng');
    expect(screen.filter((row) => row.startsWith('(console'))).toEqual([
      '(console 1: break write_aio A)',
      '(console 1: aio_write 0 4k)',
    ]);
    await ctl(['t', 'resume A']);
    await shell.until((rows) => lastLine(rows) === 'blkscope> leng');
    shell.type('th\r');
    await shell.until((rows) => rows.includes('64 MiB'));
    await ctl(['--shutdown', 't']);
    expect((await shell.exit).exitCode).toBe(0);
  });
});
