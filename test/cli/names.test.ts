/** Names from outside: a terminal never gets their control characters; a pipe gets the bytes that qemu-io prints. */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { nodePrograms } from '../helpers/node-programs.ts';
import { blkscope, runProgram } from '../helpers/run-program.ts';
import { useFolder } from '../helpers/sandbox.ts';
import { ScreenProgram } from './screen-program.ts';

const folder = useFolder();
const hostile = ['ab\x1b]0;X\x07x', 'ad\x1b[2J', 'ae\x9b31m'];
/** Those of their characters that could act on a terminal. */
// oxlint-disable-next-line no-control-regex
const harm = /\x1b\]0|\x07|\x1b\[2J|\x9b/;

describe.each(nodePrograms)('with Node %s, a terminal', (_, node) => {
  it('shows hostile names in completions, history, messages and tags without their control characters', async () => {
    const shell = new ScreenProgram(['-f', 'raw', 'blkdebug::image'], { node }, 1 << 20);
    await shell.prompt();
    for (const name of hostile) writeFileSync(path.join(shell.folder, name), Buffer.alloc(1 << 16));
    shell.type('source a\t\t');
    await shell.until((rows) => rows.some((row) => row.includes('ab\ufffd]0;X\ufffdx')));
    shell.type('\x15source ab\t\r');
    await shell.until((rows) => rows.some((row) => row.includes('No such file')));
    await shell.prompt();
    expect(shell.terminal.written).not.toMatch(harm);
    await shell.run('quit\ufffd');
    shell.type('\x04');
    await shell.exit;
  });

  it('shows what was kept in the history so', async () => {
    mkdirSync(path.join(folder, 'blkscope'), { recursive: true });
    writeFileSync(path.join(folder, 'blkscope/history'), hostile.map((name) => `open ${name}\n`).join(''));
    const shell = new ScreenProgram([], { node, env: { XDG_STATE_HOME: folder } });
    await shell.prompt();
    shell.type('\x1b[A\x1b[A\x1b[A');
    await shell.until((rows) => rows.some((row) => row.includes('open ab\ufffd]0;X\ufffdx')));
    shell.type('\x15history\r');
    await shell.prompt();
    shell.type('\x12ad');
    await shell.until((rows) => rows.some((row) => row.includes('open ad\ufffd[2J')));
    expect(shell.terminal.written).not.toMatch(harm);
    shell.type('\x07quit\r');
    await shell.exit;
  });

  it('shows messages about files so', async () => {
    const [first = '', second = ''] = hostile;
    const shell = new ScreenProgram(['--live', '-c', `open ${first}`, '-c', `break none ${second}`, second], { node });
    await shell.exit;
    await shell.terminal.settle();
    expect(shell.terminal.written).toContain('ad\ufffd[2J');
    expect(shell.terminal.written).not.toMatch(harm);
  });
});

it('a pipe gets the bytes of the name', async () => {
  const name = 'ad\x1b[2J';
  writeFileSync(path.join(folder, name), Buffer.alloc(1 << 16));
  const { stderr } = await runProgram(blkscope, ['-c', 'length', name], { cwd: folder });
  expect(stderr).toContain(`WARNING: Image format was not specified for '${name}'`);
});
