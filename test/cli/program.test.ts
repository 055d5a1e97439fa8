/** The program as a process: input, output, signals, exit status. */
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { blkscope, plainEnvironment, runProgram } from '../helpers/run-program.ts';
import { startProgram } from './live-program.ts';
import { makeFolder, useFolder } from '../helpers/sandbox.ts';

const cwd = useFolder();
const image = path.join(cwd, 'a.img');
beforeEach(() => {
  writeFileSync(image, '');
  truncateSync(image, 1 << 20);
});

/** Both streams into one file, as with `>out 2>&1`; gives the file and the exit status. */
function merged(args: readonly string[], stdin: string): { text: string; status: number | null } {
  const file = path.join(cwd, 'merged');
  const input = path.join(cwd, 'input');
  writeFileSync(input, stdin);
  const out = openSync(file, 'w');
  const inp = openSync(input, 'r');
  const { status } = spawnSync(blkscope.command, [...blkscope.args, ...args], {
    cwd,
    env: plainEnvironment(),
    stdio: [inp, out, out],
  });
  closeSync(out);
  closeSync(inp);
  return { text: readFileSync(file, 'utf8'), status };
}

describe('output', () => {
  it('of -c comes behind the errors when both go to one place', () => {
    expect(merged(['-f', 'raw', 'a.img', '-c', 'length', '-c', 'foo', '-c', 'length'], '')).toEqual({
      text: 'command "foo" not found\n1 MiB\n1 MiB\n',
      status: 1,
    });
  });

  it('of piped commands is flushed with each prompt', () => {
    expect(merged(['-f', 'raw', 'a.img'], 'length\nread 0\nfoo\nlength').text).toBe(
      'qemu-io> 1 MiB\n' +
        'qemu-io> bad argument count 1 to read, expected at least 2 arguments\n' +
        'qemu-io> command "foo" not found\n' +
        'qemu-io> 1 MiB\n' +
        'qemu-io> ',
    );
  });

  it('is lost by abort as far as it was not flushed', async () => {
    const listed = await runProgram(blkscope, ['-f', 'raw', 'a.img', '-c', 'length', '-c', 'abort'], { cwd });
    expect(listed).toMatchObject({ stdout: '', exit: 'SIGABRT' });
    const piped = await runProgram(blkscope, ['-f', 'raw', 'a.img'], { cwd, stdin: 'length\nabort\n' });
    expect(piped).toMatchObject({ stdout: 'qemu-io> 1 MiB\nqemu-io> ', exit: 'SIGABRT' });
  });

  it('that nobody reads any more does not stop the commands', async () => {
    const { child, out, write, exit } = startProgram(['-f', 'raw', 'a.img'], cwd);
    await out.until('qemu-io> ');
    child.stdout?.destroy();
    write('length\n'.repeat(2000));
    write('write -q -P 7 0 512\nfoo\n');
    child.stdin?.end();
    expect(await exit).toBe('1');
    expect(readFileSync(image).subarray(0, 512)).toEqual(Buffer.alloc(512, 7));
  });
});

describe('standard input', () => {
  it('is not read with -c', async () => {
    const { child, exit, out } = startProgram(['-c', 'quit'], cwd);
    expect(await exit).toBe('0');
    expect(out.text).toBe('');
    child.stdin?.destroy();
  });

  it('that is empty or a folder gives one prompt', () => {
    expect(merged(['-f', 'raw', 'a.img'], '')).toEqual({ text: 'qemu-io> ', status: 0 });
    const folder = openSync(cwd, 'r');
    const { stdout, status } = spawnSync(blkscope.command, [...blkscope.args, 'a.img', '-f', 'raw'], {
      cwd,
      env: plainEnvironment(),
      stdio: [folder, 'pipe', 'inherit'],
    });
    closeSync(folder);
    expect([stdout.toString(), status]).toEqual(['qemu-io> ', 0]);
  });

  it('that arrives in one write of several lines runs them all, and the prompt waits visibly', async () => {
    const { child, out, write, exit } = startProgram(['-f', 'raw', 'a.img'], cwd);
    await out.until('qemu-io> ');
    write('length\nlength\nlen');
    await out.until('1 MiB\nqemu-io> 1 MiB\nqemu-io> ');
    write('gth\n');
    await out.until('1 MiB\nqemu-io> ');
    child.stdin?.end();
    expect(await exit).toBe('0');
  });

  it('may have lines far longer than a buffer', async () => {
    const name = 'x'.repeat(100_000);
    const { stdout, stderr } = await runProgram(blkscope, [], { cwd, stdin: `${name}\nlen\0gth\n` });
    expect(stderr).toBe(`command "${name}" not found\ncommand "len" not found\n`);
    expect(stdout).toBe('qemu-io> qemu-io> qemu-io> ');
  });

  it('stops at the first error with --bail', async () => {
    const { stdout, exit } = await runProgram(blkscope, ['--bail', '-f', 'raw', 'a.img'], {
      cwd,
      stdin: 'length\nfoo\nlength\n',
    });
    expect([stdout, exit]).toEqual(['qemu-io> 1 MiB\nqemu-io> ', '1']);
  });
});

describe('requests that are still suspended', () => {
  it('at the end of the input are named, cancelled, and make the status 1', async () => {
    const outcome = await runProgram(blkscope, ['-f', 'raw', 'blkdebug::a.img'], {
      cwd,
      stdin: 'break pwritev A\naio_write 0 4k\n',
    });
    expect(outcome.exit).toBe('1');
    expect(outcome.stderr).toMatch(
      /^qemu-io: cancelled: 'A': write of 4096 bytes at offset 0, suspended at pwritev for \d+\.\d s\n$/,
    );
    expect(outcome.stdout).toContain('aio_write failed: Operation canceled\n');
  });
});

describe.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('%s', (signal) => {
  it('at a prompt ends the program in order, and by that signal', async () => {
    const { child, out, err, write, exit } = startProgram(['-f', 'raw', 'blkdebug::a.img'], cwd);
    write('break pwritev A\naio_write 0 4k\nlength\n');
    await out.until('1 MiB\nqemu-io> ');
    child.kill(signal);
    expect(await exit).toBe(signal);
    expect(err.text).toContain("cancelled: 'A': write");
  });

  it('ends a command that waits', async () => {
    const { child, out, write, exit } = startProgram(['-f', 'raw', 'a.img'], cwd);
    write('length\nsleep 1000000\nlength\n');
    await out.until('1 MiB\nqemu-io> ');
    child.kill(signal);
    expect(await exit).toBe(signal);
    expect(out.text).toBe('qemu-io> 1 MiB\nqemu-io> ');
  });
});

it('a signal ends commands that never wait', async () => {
  const script = path.join(cwd, 'script');
  writeFileSync(script, `length\n${'read -q 0 1M\n'.repeat(100_000)}`);
  const input = openSync(script, 'r');
  const { child, out, exit } = startProgram(['-f', 'raw', 'a.img'], cwd, [input, 'pipe', 'pipe']);
  await out.until('1 MiB\n');
  child.kill('SIGINT');
  expect(await exit).toBe('SIGINT');
  closeSync(input);
});

it('sigraise ends it at once, with everything written', async () => {
  for (const [number, signal] of [
    [9, 'SIGKILL'],
    [15, 'SIGTERM'],
    [2, 'SIGINT'],
  ] as const) {
    const { stdout, exit } = await runProgram(blkscope, ['-f', 'raw', 'a.img'], {
      cwd,
      stdin: `length\nsigraise ${number}\nlength\n`,
    });
    expect([stdout, exit]).toEqual(['qemu-io> 1 MiB\nqemu-io> ', signal]);
  }
});

describe('opening', () => {
  it.each([
    [['-f', 'raw', 'nosuch'], "can't open device nosuch: Could not open 'nosuch': No such file or directory"],
    [
      ['--image-opts', 'driver=raw,file.filename=nosuch'],
      "can't open: Could not open 'nosuch': No such file or directory",
    ],
    [['--image-opts', '-U', 'driver=raw,file.filename=a.img,force-share=off'], '-U conflicts with image options'],
  ])('%j fails with status 1', async (args, message) => {
    expect(await runProgram(blkscope, args, { cwd, stdin: 'length\n' })).toEqual({
      stdout: '',
      stderr: `qemu-io: ${message}\n`,
      exit: '1',
    });
  });

  it('the demo image leaves nothing behind', () => {
    const temporary = makeFolder(cwd);
    const run = (...args: string[]): string => {
      const env = { ...plainEnvironment(), TMPDIR: temporary };
      return spawnSync(blkscope.command, [...blkscope.args, '--demo', ...args], { cwd, env }).stdout.toString();
    };
    expect(run('-c', 'length', '-c', 'write -q 0 4k', '-c', 'read -q -P 0xcd 0 4k')).toBe('64 MiB\n');
    expect(readdirSync(temporary)).toEqual([]);
  });
});
