/** A terminal that gets another size while a line of several rows is typed, or while a command runs. */
import { describe, expect, it } from 'vitest';
import { lastLine, ScreenProgram } from './screen-program.ts';

/** Longer than two rows of any of the terminals here. */
const words = `aio_write ${Array.from({ length: 30 }, (_, n) => `word${n}`).join(' ')}`;

const joined = (screen: readonly string[]): string => screen.map((row) => row.trimEnd()).join('');

/** The rows from the prompt on, with nothing else on the screen between. */
function typedRows(screen: readonly string[]): readonly string[] {
  const from = screen.findIndex((row) => row.startsWith('blkscope> aio_write'));
  const end = screen.findLastIndex((row) => row !== '');
  return screen.slice(from, end + 1);
}

async function resizedTyping(args: readonly string[], sizes: readonly [number, number][]): Promise<ScreenProgram> {
  const program = new ScreenProgram(args, { columns: 100, rows: 24 });
  await program.until((screen) => lastLine(screen) === 'blkscope>');
  program.type(words);
  await program.until((screen) => joined(screen).includes('word29'));
  for (const [columns, rows] of sizes) {
    const before = program.terminal.written.length;
    program.resize(columns, rows);
    const wanted = Math.ceil((words.length + 'blkscope> '.length) / columns);
    await program.until((screen) => {
      // The terminal breaks the line anew by itself, before the program has drawn it.
      const [, drawn = ''] = program.terminal.written.slice(before).split('\r\x1b[J');
      if (!drawn.includes('word29')) return false;
      const typed = typedRows(screen);
      return typed.length === wanted && typed.join('').replaceAll(' ', '') === `blkscope>${words.replaceAll(' ', '')}`;
    });
    // Once, and not also above.
    expect(program.terminal.screen.filter((row) => row.includes('word0 '))).toHaveLength(1);
  }
  program.type('\x15length\r');
  await program.until((screen) => screen.includes('blkscope> length') && lastLine(screen) === 'blkscope>');
  return program;
}

describe('a resize', () => {
  const sizes: readonly [number, number][] = [
    [60, 24],
    [120, 30],
    [71, 20],
    [100, 24],
  ];

  it('draws a line of several rows once, in its new rows', async () => {
    const program = await resizedTyping([], sizes);
    program.type('quit\r');
    expect(await program.exit).toMatchObject({ exitCode: 1 });
  });

  it('does so below the panel, too', async () => {
    const program = await resizedTyping(['--demo'], sizes);
    expect(program.terminal.screen[0]).toMatch(/^┌/);
    program.type('quit\r');
    expect(await program.exit).toMatchObject({ exitCode: 0 });
  });

  it('draws the prompt once where the panel is not to be seen, and comes back', async () => {
    const program = new ScreenProgram(['--demo'], { columns: 100, rows: 24 });
    await program.until((screen) => lastLine(screen) === 'blkscope>');
    program.type('length\r');
    await program.until((screen) => screen.includes('64 MiB') && lastLine(screen) === 'blkscope>');
    const long = 'w'.repeat(47);
    program.type(long);
    await program.until((screen) => joined(screen).includes(long));
    for (const [columns, rows] of [
      [20, 8],
      [30, 9],
      [100, 24],
    ] as const) {
      const before = program.terminal.written.length;
      program.resize(columns, rows);
      await program.until(() => program.terminal.written.includes('\x1b[J', before));
      const screen = await program.until((seen) => joined(seen).endsWith(long));
      expect(screen.filter((row) => row.startsWith('blkscope> w'))).toHaveLength(1);
    }
    program.type('\x15quit\r');
    expect(await program.exit).toMatchObject({ exitCode: 0 });
  });

  it('draws no prompt while a command runs', async () => {
    const program = new ScreenProgram(['--demo'], { columns: 100, rows: 24 });
    await program.until((screen) => lastLine(screen) === 'blkscope>');
    program.type('sleep 100000\r');
    await program.until((screen) => lastLine(screen) === 'blkscope> sleep 100000');
    const before = program.terminal.written.length;
    program.resize(80, 20);
    // The panel comes first of all that hears of the new size, and the prompt would come in the same breath.
    await program.until((screen) => screen[0]?.length === 80 && lastLine(screen) === 'blkscope> sleep 100000');
    expect(program.terminal.written.slice(before)).not.toMatch(/blkscope> (?!sleep)/);
    program.type('\x03');
    await program.until((screen) => lastLine(screen) === 'blkscope>');
    program.type('quit\r');
    await program.exit;
  });
});
