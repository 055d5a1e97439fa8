/** The keys of the panel on a pseudo-terminal: F2 and back, choosing, resuming, stepping, filtering, scrolling. */
import { afterEach, describe, expect, it } from 'vitest';
import { lastLine, ScreenProgram, type ScreenSettings } from './screen-program.ts';

let program: ScreenProgram | null = null;
afterEach(async () => {
  program?.type('\x03');
  program?.type('\x04\x04');
  await program?.exit;
  program = null;
});

const keys = { f2: '\x1bOQ', up: '\x1b[A', down: '\x1b[B', pageUp: '\x1b[5~', pageDown: '\x1b[6~', end: '\x1b[F' };
const panelOf = (screen: readonly string[]): readonly string[] =>
  screen.slice(0, screen.findIndex((row) => row.startsWith('└')) + 1);
const has = (text: string | RegExp) => (screen: readonly string[]) => panelOf(screen).some((row) => row.match(text));

/** A shell with a write at a breakpoint, and one that waits for its lock. */

async function stopped(settings: ScreenSettings = {}): Promise<ScreenProgram> {
  program = new ScreenProgram(['--demo', '-t', 'writeback'], { columns: 170, ...settings });
  await program.prompt();
  await program.run('break cluster_alloc A');
  await program.run('aio_write 0 4k');
  await program.run('aio_write 64k 4k');
  await program.until(has('suspended 1'));
  return program;
}

describe('the keys of the panel', () => {
  it('are told at its edge, and F2 and Esc go there and back', async () => {
    const shell = await stopped();
    await shell.until(has('F2: keys of the panel'));
    shell.type(keys.f2);
    const screen = await shell.until(has(/r resume ─ s step ─ c cancel/));
    expect(has(/▸ A w\d+/)(screen)).toBe(true);
    expect(has('PATH')(screen)).toBe(true);
    expect(has(/w4 +write 4k@0: breakpoint A/)(screen)).toBe(true);
    expect(has(/→ holds up w6 +write 4k@64k, lock qcow2/)(screen)).toBe(true);
    shell.type('\x1b');
    await shell.until(has('F2: keys of the panel'));
    shell.type('length\r');
    await shell.until((rows) => rows.includes('64 MiB'));
  });

  it('choose a request, say why one cannot go on, and show its path to the one that holds it up', async () => {
    const shell = await stopped();
    shell.type(keys.f2 + keys.down);
    await shell.until(has(/▸ · w6/));
    await shell.until(has(/← waits for w4 +write 4k@0: breakpoint A/));
    shell.type('r');
    await shell.until(has('this request is not suspended: it waits for another one'));
    shell.type(keys.up);
    await shell.until(has(/▸ A w4/));
    shell.type('\r');
    await shell.until(has('RULES'));
    shell.type('\r');
    await shell.until(has('PATH'));
  });

  it('show in 80 columns which request holds up which by a sign, and what it waits for', async () => {
    const shell = await stopped({ columns: 80 });
    shell.type(keys.f2);
    await shell.until(has(/│ {3}w4 write 4k@0: breakpoint? ?/));
    await shell.until(has(/│ → w6 write 4k@64k, lock/));
    shell.type(keys.down);
    await shell.until(has(/│ ← w4 write 4k@0: break/));
  });

  it('step and resume as commands of the shell, and the line that is typed stays', async () => {
    const shell = await stopped();
    shell.type('read 0 5');
    await shell.until((rows) => lastLine(rows).endsWith('read 0 5'));
    shell.type(`${keys.f2}s`);
    await shell.until(
      (rows) => rows.includes('(w4 is suspended at refblock_alloc)') && lastLine(rows).endsWith('read 0 5'),
    );
    await shell.until(has(/▸ A w4 +write 4k@0 +refblock_alloc/));
    shell.type('r');
    await shell.until((rows) => rows.includes('wrote 4096/4096 bytes at offset 65536') && has('suspended 0')(rows));
    const screen = await shell.until((rows) => lastLine(rows) === 'blkscope> read 0 5');
    expect(screen.filter((row) => row.endsWith('> resume A'))).toHaveLength(1);
    shell.type('\x1b');
    await shell.until(has('F2: keys'));
    shell.type('12\r');
    await shell.until((rows) => rows.includes('read 512/512 bytes at offset 0'));
    // What the panel ran was not typed.
    shell.type(`${keys.up}${keys.up}`);
    await shell.until((rows) => lastLine(rows) === 'blkscope> aio_write 64k 4k');
    shell.type('\x03');
  });

  it('filter the events, and scroll them while they stand still', async () => {
    const shell = await stopped({ rows: 20 });
    await shell.run('resume A');
    await shell.until(has('in flight 0'));
    for (let index = 0; index < 6; index += 1) await shell.run(`write -q ${index}M 64k`);
    shell.type(`${keys.f2}/w4\r`);
    await shell.until(has(/└ filter w4/));
    const filtered = await shell.until((rows) => panelOf(rows).some((row) => /│ #\d+ +\w+ +w4/.test(row)));
    expect(panelOf(filtered).some((row) => /│ #\d+ +\w+ +w(?!4 )\d+ /.test(row))).toBe(false);
    shell.type('/\x1b');
    await shell.until(has('└ ↑↓ choose'));
    shell.type(keys.pageUp);
    const scrolled = await shell.until(has('scrolled back'));
    const top = /#\d+/.exec(panelOf(scrolled)[2] ?? '')?.[0] ?? '';
    shell.type(keys.end);
    await shell.until((rows) => !has('scrolled back')(rows) && !(panelOf(rows)[2] ?? '').includes(`${top} `));
  });

  it('leave the panel by Ctrl-C, too, and without a line of the shell', async () => {
    const shell = await stopped();
    shell.type(keys.f2);
    await shell.until(has('Esc back'));
    shell.type('\x03');
    const screen = await shell.until(has('F2: keys'));
    expect(screen.some((row) => row.includes('Ctrl-C again'))).toBe(false);
  });

  it('wait for a command that runs, except for looking', async () => {
    const shell = await stopped();
    shell.type('sleep 60000\r');
    await shell.until((rows) => lastLine(rows).endsWith('sleep 60000'));
    shell.type(keys.f2);
    await shell.until(has('Esc back'));
    shell.type('r');
    await shell.until(has('a command runs; Ctrl-C ends it'));
    shell.type(keys.down);
    await shell.until(has(/▸ · w6/));
    shell.type('\x03');
    await shell.prompt();
    shell.type('\x1b');
    await shell.until(has('F2: keys'));
  });

  it.each([
    [60, 15],
    [80, 24],
    [200, 50],
  ])('are there on %i columns and %i rows, within the frame', async (columns, rows) => {
    const shell = await stopped({ columns, rows });
    shell.type(keys.f2);
    const screen = await shell.until((shown) => has(/└.*Esc/)(shown) && has(/▸ A w4/)(shown));
    for (const row of panelOf(screen)) expect(row).toHaveLength(columns);
    shell.type(`/cluster_alloc\r`);
    for (const row of panelOf(await shell.until(has('filter cluster_alloc')))) expect(row).toHaveLength(columns);
  });

  it('show the panel if it is off, and say where there is no room for it', async () => {
    program = new ScreenProgram(['-f', 'raw', 'image'], { columns: 100, rows: 30 }, 1 << 20);
    await program.prompt();
    program.type(keys.f2);
    await program.until(has(/└.*Esc/));
    program.resize(50, 12);
    await program.until((rows) => rows[0]?.startsWith('blkscope ──') === true);
    program.type(keys.f2);
    await program.until((rows) => rows.join(' ').includes('60 columns and 15 rows'));
    expect(lastLine(await program.prompt())).toBe('blkscope>');
  });

  it('are no keys on a terminal without a cursor', async () => {
    program = new ScreenProgram(['-f', 'raw', 'image'], { env: { TERM: 'dumb' } }, 1 << 20);
    await program.prompt();
    program.type(`${keys.f2}length\r`);
    const screen = await program.until((rows) => rows.includes('1 MiB'));
    expect(screen.some((row) => row.includes('┌'))).toBe(false);
  });
});
