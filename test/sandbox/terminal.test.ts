/** Time travel on a pseudo-terminal: the panel goes along, the prompt counts, and Ctrl-C ends a journey. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { lastLine, ScreenProgram } from '../cli/screen-program.ts';

let program: ScreenProgram | null = null;
afterEach(async () => {
  program?.type('quit\r');
  // Leaving with a suspended request asks first.
  program?.type('y\r');
  await program?.exit;
  program = null;
});

async function start(args: readonly string[]): Promise<ScreenProgram> {
  program = new ScreenProgram(args, { columns: 120, rows: 40 });
  await program.prompt();
  return program;
}

const shows = (text: string | RegExp) => (screen: readonly string[]) => screen.some((row) => row.match(text));

it('the panel shows the moment that a journey leads to, and completion knows the checkpoints', async () => {
  const shell = await start(['--sandbox', '--demo']);
  await shell.run('write 0 64k');
  await shell.run('checkpoint before');
  await shell.run('break l2_update A');
  await shell.run('write 64k 64k');
  await shell.until(shows(/suspended 1/));
  shell.type('goto be\t');
  await shell.until((screen) => lastLine(screen).endsWith('goto before'));
  shell.type('\r');
  await shell.until(shows('at #.*after command 1: write 0 64k'));
  await shell.until((screen) => shows(/in flight 0 ── suspended 0/)(screen) && lastLine(screen) === 'blkscope>');
  await shell.run('goto end');
  await shell.until((screen) => shows(/suspended 1 ─/)(screen) && lastLine(screen) === 'blkscope [1 suspended]>');
  await shell.run('goto -1');
  await shell.until(shows(/suspended under 'B'/));
  await shell.run('step');
  await shell.until(shows('a new time line begins here'));
});

it('Ctrl-C ends a journey, and the session is where it was', async () => {
  const shell = await start(['--sandbox', '--demo']);
  const lines = path.join(shell.folder, 'lines');
  writeFileSync(lines, 'repeat 100000 write -q 0 4k\n');
  await shell.run('write 64k 64k');
  await shell.run(`source ${lines}`);
  shell.type('goto #999999\r');
  await new Promise((resolve) => setImmediate(resolve));
  shell.type('\x03');
  await shell.prompt();
  await shell.run('length');
  await shell.until(shows(/^64 MiB/));
});

it('leaving says that the changes were in the sandbox alone', async () => {
  const shell = await start(['--sandbox', '--demo']);
  await shell.run('write 0 64k');
  shell.type('quit\r');
  expect((await shell.exit).exitCode).toBe(0);
  await shell.terminal.settle();
  expect(shell.terminal.written).toMatch(/the changes of .*demo.qcow2 were in the sandbox alone/);
});
