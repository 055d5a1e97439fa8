/** The panel of the program on a pseudo-terminal: contents, sizes, typing, leaving. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { lastLine, ScreenProgram, type ScreenSettings } from './screen-program.ts';

let program: ScreenProgram | null = null;
afterEach(async () => {
  program?.type('\x04');
  await program?.exit;
  program = null;
});

async function start(settings: ScreenSettings = {}, args: readonly string[] = ['--demo']): Promise<ScreenProgram> {
  program = new ScreenProgram(args, settings);
  await program.prompt();
  return program;
}

/** The rows of the panel: from the top to its lower edge. */
const panelOf = (screen: readonly string[]): readonly string[] =>
  screen.slice(0, screen.findIndex((row) => row.startsWith('└')) + 1);
const has = (text: string | RegExp) => (screen: readonly string[]) => panelOf(screen).some((row) => row.match(text));

describe('the panel of a session', () => {
  it('shows chain, breakpoints, events, what is suspended and what waits, and the prompt counts', async () => {
    const shell = await start({ columns: 140 });
    expect(panelOf(await shell.until(has('state 1')))[0]).toContain('demo.qcow2 ─ qcow2 ─ blkdebug ─ file');
    await shell.run('break cluster_alloc A');
    // Nothing has fired: the command itself has to make the panel anew.
    await shell.until(has(/1 break A +cluster_alloc +armed +0/));
    await shell.run('aio_write 0 4k');
    await shell.run('aio_write 32k 4k');
    const screen = await shell.until(has('← lock qcow2'));
    expect(screen[0]).toContain('in flight 2 ── suspended 1');
    expect(has(/cluster_alloc +w\d+ +■ A/)(screen)).toBe(true);
    expect(has(/│ A w\d+ +write 4k@0 +cluster_alloc +\d/)(screen)).toBe(true);
    expect(lastLine(screen)).toBe('blkscope [1 suspended]>');
    await shell.run('resume A');
    await shell.until(has('in flight 0 ── suspended 0'));
    expect(lastLine(await shell.prompt())).toBe('blkscope>');
  });

  it('marks a hazard at its event, and says in its last line which requests meet', async () => {
    const shell = await start({ columns: 120 });
    await shell.run('write -q -P 1 0 64k');
    await shell.run('break pwritev A');
    await shell.run('aio_write -q -P 2 0 4k');
    await shell.until(has('suspended 1'));
    await shell.run('discard -q 0 64k');
    const screen = await shell.until((rows) => panelOf(rows).at(-1)?.includes('hazard') === true);
    expect(panelOf(screen).at(-1)).toMatch(
      /^└ hazard at #\d+: d\d+ \(discard 64k@0\) frees file 320k under w\d+ \(write 4k@0\) ─+┘$/,
    );
    expect(has(/refblock_load +d\d+ +! hazard/)(screen)).toBe(true);
    // The next write takes the cluster.
    await shell.run('write -q -P 3 64k 4k');
    await shell.until((rows) => /^└ hazard at #\d+ \(2 in all\): w\d+ /.test(panelOf(rows).at(-1) ?? ''));
    expect(panelOf(await shell.run('resume A'))).toHaveLength(9);
  });

  it('follows the size of the terminal, folds into a line, and comes back', async () => {
    const shell = await start();
    await shell.run('length');
    shell.resize(70, 24);
    let screen = await shell.until((rows) => rows[0]?.endsWith('┐') === true && rows[0].length === 70);
    expect(has('RULES')(screen)).toBe(false);
    expect(screen.join('\n')).toContain('"help" lists the commands');
    shell.resize(59, 24);
    screen = await shell.until((rows) => rows[0]?.startsWith('blkscope ── state 1 ── in flight 0') === true);
    expect(screen.filter((row) => row === 'blkscope> length')).toHaveLength(1);
    shell.resize(100, 14);
    await shell.until((rows) => rows[0]?.startsWith('blkscope ── state 1') === true);
    shell.resize(20, 10);
    await shell.until((rows) => !rows[0]?.includes('state 1'));
    shell.resize(120, 40);
    await shell.until((rows) => rows[0]?.length === 120);
    screen = await shell.run('length');
    expect(panelOf(screen)).toHaveLength(9);
    expect(screen.filter((row) => row === '64 MiB')).toHaveLength(2);
  });

  it('keeps its place while more is printed than the screen holds, and all of that is in the scrollback', async () => {
    const shell = await start({ columns: 160, rows: 20 });
    shell.type('help all\r');
    await shell.until((rows) => lastLine(rows).startsWith('--More--'));
    shell.type('c');
    const screen = await shell.until((rows) => lastLine(rows) === 'blkscope>');
    expect(panelOf(screen)).toHaveLength(9);
    const all = [...shell.terminal.scrollback, ...screen.slice(9)];
    const from = all.indexOf('blkscope> help all');
    const commands = all.slice(from + 1).map((row) => row.split(' ')[0]);
    expect(commands.slice(0, 3)).toEqual(['!', 'abort', 'aio_discard']);
    expect(commands.indexOf('map')).toBeGreaterThan(commands.indexOf('length'));
    expect(commands).toContain('until');
  });

  it('stays above Ctrl-L, and above lines longer than the screen is wide', async () => {
    const shell = await start({ columns: 80, rows: 20 });
    await shell.run('length');
    shell.type('\x0c');
    let screen = await shell.until((rows) => !rows.includes('64 MiB') && lastLine(rows) === 'blkscope>');
    expect(screen[9]).toBe('blkscope>');
    const long = `break pwritev ${'x'.repeat(200)}`;
    for (let line = 0; line < 6; line += 1) screen = await shell.run(long);
    expect(panelOf(screen)).toHaveLength(9);
    const all = [...shell.terminal.scrollback, ...screen.slice(9)].join('');
    expect(all.split(long)).toHaveLength(7);
  });

  it('leaves alone what is being typed while events arrive', async () => {
    const shell = await start({}, ['--live', '--image-opts', 'driver=null-aio,size=1M,latency-ns=200000000']);
    await shell.run('aio_read 0 4k');
    shell.type('leng');
    await shell.until(
      (rows) => rows.some((row) => row.startsWith('read 4096/4096')) && lastLine(rows).endsWith('> leng'),
    );
    shell.type('th\r');
    await shell.until((rows) => rows.includes('1 MiB'));
  });

  it('is there again after Ctrl-Z', async () => {
    const shell = await start();
    // Without job control no shell could continue it, so it is not stopped at all; it must keep its terminal.
    const before = shell.terminal.written.length;
    shell.type('\x1a');
    const wasAway = (): boolean => shell.terminal.written.includes('\x1b[r', before);
    await shell.until((rows) => wasAway() && panelOf(rows).length === 9 && lastLine(rows) === 'blkscope>');
    expect(await shell.run('length')).toContain('64 MiB');
  });

  it('comes and goes by command, and takes as many rows as it is told', async () => {
    const shell = await start({}, ['--image-opts', 'driver=null-co,size=1M']);
    let screen = await shell.run('live');
    expect(screen).toContain('the panel is off');
    expect(panelOf(screen)).toEqual([]);
    screen = await shell.run('live on');
    expect(panelOf(await shell.until(has('null-co')))).toHaveLength(9);
    await shell.run('live rows 3');
    await shell.until((rows) => panelOf(rows).length === 6);
    await shell.run('live rows 500');
    await shell.run('live off');
    screen = await shell.until((rows) => panelOf(rows).length === 0);
    expect(screen).toContain('500 is not a number of rows');
    expect(screen[0]).toBe('blkscope> live');
  });
});

describe('long work', () => {
  it('shows how far it has come, in a line that is gone afterwards', async () => {
    const shell = await start();
    const script = path.join(shell.folder, 'script');
    writeFileSync(script, 'sleep 550\nsleep 300\nlength\n');
    shell.type(`source ${script}\r`);
    await shell.until((rows) => /^source .*: 37%, 10 bytes of 27 bytes$/.test(lastLine(rows)));
    const screen = await shell.prompt();
    expect(screen.filter((row) => row.includes('%'))).toEqual([]);
    expect(screen).toContain('64 MiB');
  });
});

/** The state of the terminal that the shell around it finds when blkscope has ended. */
const afterwards = 'stty -a | grep -o " -*echo \\| -*icanon " | tr -d "\\n"; echo; printf "\\033[6n"; seq -s " " 5';

describe('leaving the panel', () => {
  const ways: Record<string, (shell: ScreenProgram) => void> = {
    quit: (shell) => shell.type('quit\r'),
    'Ctrl-D': (shell) => shell.type('\x04'),
    'Ctrl-C twice': (shell) => shell.type('\x03\x03'),
    SIGTERM: (shell) => process.kill(shell.programId, 'SIGTERM'),
    SIGHUP: (shell) => process.kill(shell.programId, 'SIGHUP'),
    'abort of the program': (shell) => shell.type('abort\r'),
    'SIGTERM with a suspended request': (shell) => process.kill(shell.programId, 'SIGTERM'),
  };

  it.each(Object.keys(ways))('by %s gives back screen, echo, cursor and scrolling', async (way) => {
    const shell = await start({ afterwards });
    if (way.endsWith('suspended request')) {
      await shell.run('break write_aio A');
      await shell.run('aio_write 0 4k');
    }
    await shell.run('length');
    ways[way]?.(shell);
    await shell.until((rows) => rows.includes('1 2 3 4 5'));
    await shell.exit;
    const { screen, written } = shell.terminal;
    expect(panelOf(screen)).toEqual([]);
    expect(screen).toContain('64 MiB');
    expect(screen.some((row) => row.includes(' echo ') || row.endsWith(' echo'))).toBe(true);
    expect(screen.join('\n')).toMatch(/(?<!-)icanon/);
    // The last scroll region set is the whole screen, and the cursor is to be seen.
    expect(written.lastIndexOf('\x1b[r')).toBeGreaterThan(written.lastIndexOf(';30r'));
    expect(written.lastIndexOf('\x1b[?25h')).toBeGreaterThan(written.lastIndexOf('\x1b[?25l'));
    program = null;
  });
});
