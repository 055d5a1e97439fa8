/** The files of the program may be moved, or be gone, while a session runs. */
import { cpSync, readdirSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import { type Program, runProgram } from '../helpers/run-program.ts';
import { useFolder } from '../helpers/sandbox.ts';
import { startProgram } from './live-program.ts';

const cwd = useFolder();
const root = path.resolve(import.meta.dirname, '../..');

beforeEach(() => {
  writeFileSync(path.join(cwd, 'disk'), '');
  truncateSync(path.join(cwd, 'disk'), 1 << 20);
});

/** A copy of the program in a folder of this name. */
function copyProgram(name: string): Program & { readonly folder: string } {
  const folder = path.join(cwd, name);
  for (const part of ['bin', 'dist', 'package.json']) {
    cpSync(path.join(root, part), path.join(folder, part), { recursive: true });
  }
  symlinkSync(path.join(root, 'node_modules'), path.join(folder, 'node_modules'));
  return { folder, command: process.execPath, args: [path.join(folder, 'bin/blkscope.js')] };
}

it('a session that waits for a line has loaded every command by then', async () => {
  const copy = copyProgram('moved');
  const { write, out, err, exit } = startProgram(['-f', 'raw', 'disk'], cwd, 'pipe', copy);
  // It has waited for the second line, and loads nothing between that line and its end.
  for (let line = 0; line < 2; line += 1) {
    write('read 0 4k\n');
    await out.until('ops/sec');
  }
  renameSync(copy.folder, `${copy.folder}-away`);
  write('length\nquit\n');
  expect(await exit).toBe('0');
  expect(out.text).toMatch(/^qemu-io> read [^]*qemu-io> 1 MiB\nqemu-io> $/);
  expect(err.text).toBe('');
});

it('a command that cannot be loaded fails, and the lines behind it run', async () => {
  const program = copyProgram('gone');
  const cli = path.join(program.folder, 'dist/cli');
  for (const file of readdirSync(cli)) if (file.startsWith('commands-')) rmSync(path.join(cli, file));
  const stdin = 'length\nread -q 0 4k\n';
  const { stdout, stderr, exit } = await runProgram(program, ['-f', 'raw', 'disk'], { cwd, stdin });
  expect(stdout).toBe('qemu-io> qemu-io> qemu-io> ');
  expect(stderr).toMatch(/^qemu-io: length: the program cannot load its other commands: Cannot find module .*\n$/);
  expect(exit).toBe('1');
});

it('an image whose driver cannot be loaded is not opened, and the session goes on', async () => {
  const copy = copyProgram('upgraded');
  const { write, out, err, exit } = startProgram(['-f', 'raw', 'disk'], cwd, 'pipe', copy);
  // Its answer says that all commands are loaded.
  write('length\n');
  await out.until('1 MiB\n');
  renameSync(copy.folder, `${copy.folder}-away`);
  write('close\nopen null-co://\nopen json:{"driver":"raw"}\nopen -o driver=raw disk\nlength\nquit\n');
  expect(await exit).toBe('1');
  expect(err.text.replaceAll(/Cannot find module .*/g, 'REASON')).toBe(
    "qemu-io: can't open device null-co://: the program cannot load its driver 'null-co': REASON\n" +
      'qemu-io: can\'t open device json:{"driver":"raw"}: the program cannot load what reads JSON: REASON\n',
  );
  expect(out.text.match(/1 MiB\n/g)).toHaveLength(2);
});
