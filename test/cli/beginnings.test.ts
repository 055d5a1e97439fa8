/** Ways to begin a session: over blkdebug (`-D`), and with the commands of a file (`-x`) before those by hand. */
import { truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { blkscope, runProgram } from '../helpers/run-program.ts';
import { useFolder } from '../helpers/sandbox.ts';
import { ScreenProgram } from './screen-program.ts';

const cwd = useFolder();
const MIB = 1 << 20;

function makeDisk(): void {
  writeFileSync(path.join(cwd, 'disk'), '');
  truncateSync(path.join(cwd, 'disk'), MIB);
}

/** A program on a terminal that first runs a file of these lines. */
async function startWith(lines: readonly string[], args: readonly string[] = []): Promise<ScreenProgram> {
  const script = path.join(cwd, 'script');
  writeFileSync(script, lines.map((line) => `${line}\n`).join(''));
  const program = new ScreenProgram(['-f', 'raw', '-x', script, ...args, 'image'], {}, MIB);
  await program.prompt();
  return program;
}

async function leave(program: ScreenProgram): Promise<number> {
  program.type('quit\r');
  return (await program.exit).exitCode;
}

describe('-D', () => {
  it('opens the image through blkdebug, so that breakpoints stop its requests', async () => {
    const program = new ScreenProgram(['-D', '-f', 'raw', 'image'], {}, MIB);
    await program.prompt();
    await program.run('break pwritev A');
    const held = await program.run('aio_write 0 4k');
    expect(held).toContain("blkdebug: Suspended request 'A'");
    const done = await program.run('resume A');
    expect(done).toContain('wrote 4096/4096 bytes at offset 0');
    expect(await leave(program)).toBe(0);
  });

  it('is what a terminal without blkdebug recommends', async () => {
    const program = new ScreenProgram(['-f', 'raw', 'image'], {}, MIB);
    await program.prompt();
    const screen = await program.run('break pwritev A');
    expect(screen.join('\n')).toContain('start blkscope with -D FILE');
    expect(await leave(program)).toBe(1);
  });

  it('works in a pipe, and for the commands of -c', async () => {
    makeDisk();
    const piped = await runProgram(blkscope, ['-D', '-f', 'raw', 'disk'], {
      cwd,
      stdin: 'break pwritev A\naio_write -q 0 4k\nresume A\n',
    });
    expect(piped.stdout).toContain("blkdebug: Suspended request 'A'\n");
    expect(piped).toMatchObject({ stderr: '', exit: '0' });
    const commands = ['-c', 'break pwritev A', '-c', 'aio_write -q 0 4k', '-c', 'wait_break A', '-c', 'resume A'];
    expect(await runProgram(blkscope, ['-D', '-f', 'raw', ...commands, 'disk'], { cwd })).toMatchObject({ exit: '0' });
  });
});

describe('a config file that is wrong', () => {
  const wrong = [
    '[inject-error]\nevent = "pwritev"\n\n[set-state]\nevent = "nosuch"\n',
    'invalid parameter value: nosuch',
  ];

  it('is named with the line on a terminal, by rule load and where it is opened', async () => {
    const program = new ScreenProgram(['-f', 'raw', 'blkdebug::image'], {}, MIB);
    await program.prompt();
    writeFileSync(path.join(program.folder, 'bad.conf'), wrong[0] ?? '');
    const loaded = (await program.run('rule load bad.conf')).join('\n');
    expect(loaded).toContain(`blkscope: ${wrong[1]}\n(at bad.conf:4)\n`);
    await program.run('close');
    const opened = (await program.run('open -o driver=raw blkdebug:bad.conf:image')).join('\n');
    expect(opened).toMatch(/can't open .*: invalid parameter value: nosuch\n\(at bad\.conf:4\)\n/);
    await leave(program);
  });

  it('has the text of QEMU alone in a pipe', async () => {
    makeDisk();
    writeFileSync(path.join(cwd, 'bad.conf'), wrong[0] ?? '');
    const program = await runProgram(blkscope, ['-f', 'raw', 'blkdebug:bad.conf:disk'], { cwd, stdin: '' });
    expect(program.stderr).toBe(`qemu-io: can't open device blkdebug:bad.conf:disk: ${wrong[1]}\n`);
  });
});

describe('-x FILE', () => {
  it('is a file as source runs it: comments, names with blanks, FILE:LINE of what fails', async () => {
    makeDisk();
    writeFileSync(path.join(cwd, 'mine.io'), '# mine\nlength   # of it\nread 0 4x\n');
    const program = await runProgram(blkscope, ['-f', 'raw', '-x', 'mine.io', '-c', 'length', 'disk'], { cwd });
    expect(program.stdout).toMatch(/^1 MiB\n.*1 MiB\n$/s);
    expect(program.stderr).toBe('qemu-io: mine.io:3: read 0 4x: Invalid argument\n');
  });

  it('runs the file, and goes on by hand on a terminal', async () => {
    const program = await startWith(['write -q -P 7 0 4k', 'length']);
    expect(program.terminal.screen[0]).toBe('1 MiB');
    const screen = await program.run('read -P 7 0 4k');
    expect(screen).toContain('read 4096/4096 bytes at offset 0');
    expect(await leave(program)).toBe(0);
  });

  it('goes on by hand also after an error with bail on, and leaves what the file held to be resumed', async () => {
    const program = await startWith(
      ['break pwritev A', 'aio_write -q -P 7 0 4k', 'bail on', 'nonsense', 'write -q -P 8 0 4k'],
      ['-D'],
    );
    expect(program.terminal.screen.join('\n')).toContain('command "nonsense" not found');
    await program.run('resume A');
    expect(await program.run('read -P 7 0 4k')).toContain('read 4096/4096 bytes at offset 0');
    expect(await leave(program)).toBe(1);
  });

  it('runs several files in order, then the lines of a pipe; not after quit, nor after an error with bail on', async () => {
    makeDisk();
    writeFileSync(path.join(cwd, 'one'), 'write -q -P 1 0 4k\n');
    writeFileSync(path.join(cwd, 'two'), 'read -q -P 1 0 4k\nlength\n');
    writeFileSync(path.join(cwd, 'leaves'), 'quit\n');
    writeFileSync(path.join(cwd, 'fails'), 'bail on\nnonsense\n');
    const after = (...files: readonly string[]) =>
      runProgram(blkscope, ['-f', 'raw', ...files.flatMap((file) => ['-x', file]), 'disk'], { cwd, stdin: 'length\n' });
    const both = await after('one', 'two');
    expect(both.stdout).toBe('1 MiB\nqemu-io> 1 MiB\nqemu-io> ');
    expect(both.exit).toBe('0');
    expect((await after('one', 'leaves', 'two')).stdout).toBe('');
    expect((await after('fails', 'two')).stdout).toBe('');
    expect(await after('missing')).toMatchObject({ stderr: 'qemu-io: missing: No such file or directory\n' });
  });
});
