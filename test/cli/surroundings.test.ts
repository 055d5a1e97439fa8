/** The program without libc, home, input or reader of its output; and qcow2 under signals. */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { makeImage } from '../drivers/qcow2/make-image.ts';
import { blkscope, plainEnvironment, runProgram } from '../helpers/run-program.ts';
import { startProgram } from './live-program.ts';
import { ScreenProgram } from './screen-program.ts';
import { useFolder } from '../helpers/sandbox.ts';

const cwd = useFolder();
const image = path.join(cwd, 'disk.qcow2');
beforeEach(() => writeFileSync(image, makeImage({ lazyRefcounts: true })));

/** Whether the image was left without having been closed. */
const isDirty = (): boolean => (readFileSync(image).readUInt8(79) & 1) !== 0;

async function expectWritten(): Promise<void> {
  expect(isDirty()).toBe(false);
  const args = ['-r', '-f', 'qcow2', '-c', 'read -q -P 7 0 64k', '-c', 'read -q -P 0 64k 64k', image];
  expect(await runProgram(blkscope, args, { cwd })).toEqual({ stdout: '', stderr: '', exit: '0' });
}

describe.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('%s', (signal) => {
  it('closes a qcow2 image in order', async () => {
    const { child, out, write, exit } = startProgram(['-f', 'qcow2', image], cwd);
    write('write -P 7 0 64k\nlength\n');
    await out.until('1 MiB\nqemu-io> ');
    expect(isDirty()).toBe(true);
    child.kill(signal);
    expect(await exit).toBe(signal);
    await expectWritten();
  });

  it('closes it in order on a terminal', async () => {
    const program = new ScreenProgram(['-f', 'qcow2', image], { afterwards: 'true' });
    await program.prompt();
    await program.run('write -q -P 7 0 64k');
    process.kill(program.programId, signal);
    await program.exit;
    await expectWritten();
  });
});

describe('without koffi', () => {
  const hook = path.join(cwd, 'no-koffi.cjs');
  const [program = ''] = blkscope.args;

  it('requests work; what needs the host is done another way', async () => {
    writeFileSync(
      hook,
      `const Module = require('node:module');
       const load = Module._load;
       Module._load = (name, ...rest) => { if (name.includes('koffi')) throw new Error('no koffi'); return load(name, ...rest); };`,
    );
    const crippled = { ...blkscope, args: ['--require', hook, program] };
    const commands = ['write -P 7 0 64k', 'write -z -u 64k 64k', 'discard 128k 64k', 'flush', 'map', 'read -P 7 0 64k'];
    const outcome = await runProgram(crippled, ['-d', 'unmap', '-f', 'qcow2', image], {
      cwd,
      stdin: `${commands.join('\n')}\n`,
    });
    expect(outcome.exit).toBe('0');
    expect(outcome.stdout).not.toContain('failed');
    expect(outcome.stderr).not.toMatch(/ {4}at |internal error/);
    await expectWritten();
  });
});

describe('without a home', () => {
  it('a session on a terminal keeps no history, and does not mind', async () => {
    // Below a file no folder can be made, not even by root.
    const env = { HOME: path.join(image, 'home'), XDG_STATE_HOME: '' };
    const program = new ScreenProgram(['-f', 'qcow2', image], { env });
    await program.prompt();
    const screen = await program.run('length');
    expect(screen).toContain('1 MiB');
    program.type('quit\r');
    expect(await program.exit).toMatchObject({ exitCode: 0 });
  });

  it('a script runs with no environment at all', () => {
    const { stdout, status } = spawnSync(blkscope.command, [...blkscope.args, '-f', 'qcow2', '-c', 'length', image], {
      env: {},
      encoding: 'utf8',
    });
    expect([stdout, status]).toEqual(['1 MiB\n', 0]);
  });
});

describe('in a shell', () => {
  const shell = (line: string): { stdout: string; stderr: string; status: number | null } => {
    const words = ['-c', line, 'sh', blkscope.command, ...blkscope.args, '-f', 'qcow2', image];
    return spawnSync('sh', words, { cwd, env: plainEnvironment(), encoding: 'utf8' });
  };

  it('a reader that leaves after the first line stops nothing', async () => {
    const commands = `${'length\\n'.repeat(5000)}write -q -P 7 0 64k\\n`;
    const { stdout, stderr } = shell(`printf '${commands}' | "$@" | head -n 1`);
    expect([stdout, stderr]).toEqual(['qemu-io> 1 MiB\n', '']);
    await expectWritten();
  });

  it('a closed standard input is an empty one', () => {
    expect(shell('"$@" <&-')).toMatchObject({ stdout: 'qemu-io> ', stderr: '', status: 0 });
  });

  it('closed outputs stop nothing', async () => {
    expect(shell(`echo 'write -P 7 0 64k' | "$@" >&- 2>&-`)).toMatchObject({ stdout: '', stderr: '' });
    await expectWritten();
  });
});

it('too few file descriptors are said to be that, whatever there is one for', () => {
  for (let limit = 19; limit < 24; limit += 1) {
    const { stdout, stderr } = spawnSync(
      'sh',
      ['-c', `ulimit -n ${limit}; echo length | "$@"`, 'sh', blkscope.command, ...blkscope.args, '-f', 'qcow2', image],
      { cwd, env: plainEnvironment(), encoding: 'utf8' },
    );
    expect(stderr, `${limit}`).not.toContain('internal error');
    if (!stdout.includes('1 MiB')) expect(stderr, `${limit}`).toMatch(/Too many open files|cannot be loaded/);
  }
});
