/** One decision about colour, whatever shows text on a terminal: prompt, tables, panel, attach. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { ScreenProgram } from './screen-program.ts';

/** A change of colour or weight; the reset that the panel writes before each line is none. */
// oxlint-disable-next-line no-control-regex
const STYLE = /\x1b\[[\d;]*[1-9][\d;]*m/;

/** Which of the four uses have styles in an environment. */
async function coloured(env: NodeJS.ProcessEnv): Promise<Record<string, boolean>> {
  const settings = { env: { NO_COLOR: undefined, ...env } };
  const program = new ScreenProgram(['--monitor', 'socket', '-f', 'raw', 'blkdebug::image'], settings, 1 << 20);
  await program.prompt();
  /** The output of the program for one line. */
  const written = async (line: string, wanted: string): Promise<string> => {
    const start = program.terminal.written.length;
    program.type(`${line}\r`);
    await program.until(() => program.terminal.written.includes(wanted, start));
    return program.terminal.written.slice(start);
  };
  const prompt = program.terminal.written;
  await written('break pwritev A', 'blkscope>');
  const table = (await written('rules', 'armed')).replace(/^.*?\n/s, '');
  const attached = new ScreenProgram(['attach', path.join(program.folder, 'socket')], settings);
  await attached.until(() => attached.terminal.written.includes('? keys'));
  const attach = attached.terminal.written;
  attached.type('\x04');
  await attached.exit;
  await program.prompt();
  const panel = (await written('live on', '┌')).replace(/^.*?\n/s, '').replace(/blkscope.{0,9}> /g, '');
  program.type('quit\r');
  await program.exit;
  return Object.fromEntries(
    Object.entries({ prompt, table, attach, panel }).map(([use, text]) => [use, STYLE.test(text)]),
  );
}

describe('colour', () => {
  it.each([
    [{ TERM: 'xterm' }, true],
    [{ TERM: 'xterm', NO_COLOR: '' }, true],
    [{ TERM: 'xterm', NO_COLOR: '1' }, false],
    [{ TERM: 'xterm', NO_COLOR: '1', FORCE_COLOR: '1' }, true],
    [{ TERM: 'xterm', FORCE_COLOR: '0' }, false],
    [{ TERM: 'vt52' }, false],
  ])('with %j is the same for prompt, table, attach and panel: %s', async (env, expected) => {
    expect(await coloured(env)).toEqual({ prompt: expected, table: expected, attach: expected, panel: expected });
  });

  it('is decided in one file', () => {
    const src = path.resolve(import.meta.dirname, '../../src');
    const deciding = readdirSync(src, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .filter((name) => /\benv\b.*COLOR|COLOR.*\benv\b|from 'chalk'/.test(readFileSync(path.join(src, name), 'utf8')));
    expect(deciding).toEqual(['cli/paint.ts']);
  });
});
