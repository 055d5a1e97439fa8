/** Long answers of `help`: pages on a terminal, the whole text everywhere else. */
import { describe, expect, it } from 'vitest';
import { showPages } from '../../src/cli/pager.ts';
import { lastLine, ScreenProgram } from './screen-program.ts';

const ctrlC = '\x03';
const isPaged = (screen: readonly string[]): boolean => lastLine(screen).startsWith('--More--');
const isAtPrompt = (screen: readonly string[]): boolean => lastLine(screen) === 'blkscope>';

/** A program that has been asked for more help than fits its screen. */
async function startPaged(rows = 24, columns = 80, args: readonly string[] = []): Promise<ScreenProgram> {
  const program = new ScreenProgram(args, { rows, columns });
  await program.prompt();
  program.type('help all\r');
  await program.until(isPaged);
  return program;
}

describe('help on a terminal', () => {
  it('shows a page and waits; space shows the next one, Enter a line', async () => {
    const program = await startPaged();
    const first = await program.until(isPaged);
    expect(first[0]).toMatch(/^! command -- /);
    expect(first.findLastIndex((row) => row !== '')).toBe(23);
    program.type(' ');
    const second = await program.until((screen) => isPaged(screen) && screen[0] !== first[0]);
    expect(second[0]).not.toBe(first[22]);
    program.type('\r');
    const third = await program.until((screen) => isPaged(screen) && screen[0] === second[1]);
    expect(third.slice(0, 22)).toEqual(second.slice(1, 23));
    program.type('c');
    const end = await program.until(isAtPrompt);
    expect(end).toContain("Use 'help commandname' for extended help.");
    expect(program.terminal.scrollback.join('\n')).not.toContain('--More--');
    program.type('quit\r');
    expect(await program.exit).toMatchObject({ exitCode: 0 });
  });

  it.each([
    ['q', 'q'],
    ['Escape', '\x1b'],
    ['Ctrl-C', ctrlC],
    ['Ctrl-D', '\x04'],
  ])('ends with %s, and the prompt takes commands', async (_name, keys) => {
    const program = await startPaged();
    program.type(keys);
    const screen = await program.until(isAtPrompt);
    expect(screen.join('\n')).not.toContain('--More--');
    await program.run('length');
    expect((await program.prompt()).join('\n')).toContain('no file open');
    program.type('quit\r');
    await program.exit;
  });

  it.each([
    ['q', 'q'],
    ['space', ' '],
    ['Enter', '\r'],
  ])('waits behind the last page for %s, which begins no command', async (_name, key) => {
    const program = await startPaged();
    for (let page = 0; page < 20 && isPaged(program.terminal.screen); page += 1) {
      const before = program.terminal.written.length;
      program.type(' ');
      await program.until(() => program.terminal.written.includes('--', before));
      await program.until((screen) => isPaged(screen) || lastLine(screen).startsWith('--End--'));
    }
    expect(lastLine(program.terminal.screen)).toMatch(/^--End--/);
    program.type(key);
    await program.until(isAtPrompt);
    await program.run('length');
    expect(program.terminal.screen).toContain('blkscope> length');
    program.type('quit\r');
    await program.exit;
  });

  it('leaves a key that is not its own to the next command, and does not page for who has typed ahead', async () => {
    const program = await startPaged();
    program.type('length\r');
    await program.until((screen) => screen.includes("no file open, try 'help open'") && isAtPrompt(screen));
    expect(program.terminal.screen).toContain('blkscope> length');
    program.type('help all\rhelp quit\r');
    const screen = await program.until((rows) => rows.includes('blkscope> help quit') && isAtPrompt(rows));
    expect(screen.join('\n')).not.toContain('--More--');
    program.type('quit\r');
    await program.exit;
  });

  it.each([
    ['behind a key of its own', ' length\r'],
    ['behind Ctrl-C', ` ${ctrlC}length\r`],
    ['and gives none back that Ctrl-C takes back', `x${ctrlC}length\r`],
  ])('waits for no other key %s in one read', async (_name, keys) => {
    const program = await startPaged();
    program.type(keys);
    await program.until((screen) => screen.includes("no file open, try 'help open'") && isAtPrompt(screen));
    program.type('quit\r');
    await program.exit;
  });

  it('pages below the panel, and goes on after a resize', async () => {
    const program = new ScreenProgram(['--demo'], { rows: 30, columns: 100 });
    await program.until((screen) => screen[0]?.startsWith('┌') === true && lastLine(screen) === 'blkscope>');
    program.type('help all\r');
    const screen = await program.until(isPaged);
    expect(screen[0]).toMatch(/^┌/);
    program.resize(80, 24);
    await program.until((rows) => rows[0]?.startsWith('┌') === true && isPaged(rows) && rows.length === 24);
    program.type('c');
    await program.until((rows) => rows.includes("Use 'help commandname' for extended help.") && isAtPrompt(rows));
    program.type('quit\r');
    await program.exit;
  });

  it('lets requests report above the line that asks for a key', async () => {
    const program = new ScreenProgram(['--image-opts', 'driver=null-aio,size=1M,latency-ns=300000000'], { rows: 24 });
    await program.prompt();
    program.type('aio_read 0 4k\r');
    await program.prompt();
    program.type('help all\r');
    await program.until(isPaged);
    await program.until((screen) => screen.some((row) => row.startsWith('read 4096/4096')) && isPaged(screen));
    program.type('qquit\r');
    expect(await program.exit).toMatchObject({ exitCode: 0 });
  });

  it('does not page where a program waits for a prompt of its own, nor with TERM=dumb', async () => {
    const dropIn = new ScreenProgram(['--prompt', 'qemu-io> '], { rows: 10 });
    await dropIn.until((screen) => lastLine(screen) === 'qemu-io>');
    dropIn.type('help all\r');
    await dropIn.until((screen) => screen.includes("Use 'help commandname' for extended help."));
    dropIn.type('quit\r');
    await dropIn.exit;
    const dumb = new ScreenProgram([], { rows: 10, env: { TERM: 'dumb' } });
    await dumb.until(isAtPrompt);
    dumb.type('help all\r');
    await dumb.until((screen) => screen.includes("Use 'help commandname' for extended help."));
    dumb.type('quit\r');
    await dumb.exit;
  });
});

describe('a pager', () => {
  it('counts the rows that a long line takes, and shows a line that is longer than a page', async () => {
    const pages: string[] = [];
    const prompts: string[] = [];
    const size = { columns: 10, rows: 4 };
    const text = `${'a'.repeat(15)}\nb\nc\n${'d'.repeat(45)}\ne\n`;
    await showPages(
      {
        size,
        write: (page) => pages.push(page),
        readKey: (prompt) => {
          prompts.push(prompt.slice(0, 5));
          return Promise.resolve({ name: 'space' });
        },
        returnKey: () => {},
      },
      text,
    );
    expect(pages).toEqual([`${'a'.repeat(15)}\nb\n`, 'c\n', `${'d'.repeat(45)}\n`, 'e\n']);
    expect(prompts).toEqual(['--Mor', '--Mor', '--Mor', '--End']);
  });
});
