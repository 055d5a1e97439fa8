/** The files of the program may be moved, or be gone, while a session runs. */
import { spawn } from 'node:child_process';
import { cpSync, readdirSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import { plainEnvironment, runProgram } from '../helpers/run-program.ts';
import { useFolder } from '../helpers/sandbox.ts';

const cwd = useFolder();
const root = path.resolve(import.meta.dirname, '../..');

beforeEach(() => {
  writeFileSync(path.join(cwd, 'disk'), '');
  truncateSync(path.join(cwd, 'disk'), 1 << 20);
});

/** A copy of the program in a folder of this name. */
function copyProgram(name: string): string {
  const copy = path.join(cwd, name);
  for (const part of ['bin', 'dist', 'package.json']) {
    cpSync(path.join(root, part), path.join(copy, part), { recursive: true });
  }
  symlinkSync(path.join(root, 'node_modules'), path.join(copy, 'node_modules'));
  return copy;
}

it('a session that waits for a line has loaded every command by then', async () => {
  const copy = copyProgram('moved');
  const program = spawn(process.execPath, [path.join(copy, 'bin/blkscope.js'), '-f', 'raw', 'disk'], {
    cwd,
    env: plainEnvironment(),
  });
  let text = '';
  program.stderr.setEncoding('utf8').on('data', (piece: string) => {
    text += piece;
  });
  await new Promise<void>((resolve) => {
    program.stdout.setEncoding('utf8').on('data', (piece: string) => {
      text += piece;
      if (text.includes('ops/sec')) resolve();
    });
    program.stdin.write('read 0 4k\n');
  });
  const ended = new Promise<number | null>((resolve) => {
    program.on('close', resolve);
  });
  renameSync(copy, `${copy}-away`);
  program.stdin.end('length\n');
  expect(await ended).toBe(0);
  expect(text).toMatch(/^qemu-io> read [^]*qemu-io> 1 MiB\nqemu-io> $/);
});

it('a command that cannot be loaded fails, and the lines behind it run', async () => {
  const cli = path.join(copyProgram('gone'), 'dist/cli');
  for (const file of readdirSync(cli)) if (file.startsWith('commands-')) rmSync(path.join(cli, file));
  const program = { command: process.execPath, args: [path.join(cli, '../../bin/blkscope.js')] };
  const stdin = 'length\nread -q 0 4k\n';
  const { stdout, stderr, exit } = await runProgram(program, ['-f', 'raw', 'disk'], { cwd, stdin });
  expect(stdout).toBe('qemu-io> qemu-io> qemu-io> ');
  expect(stderr).toMatch(/^qemu-io: length: the program cannot load its other commands: Cannot find module .*\n$/);
  expect(exit).toBe('1');
});
