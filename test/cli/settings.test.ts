/** The user's settings: what a file says, what is wrong with it, and a session that lives by it. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { defaultSettings, readSettings, type Settings, settingsHelp } from '../../src/cli/user-settings.ts';
import { blkscope, runProgram } from '../helpers/run-program.ts';
import { useFolder } from '../helpers/sandbox.ts';
import { lastLine, ScreenProgram } from './screen-program.ts';

const folder = useFolder();
const file = path.join(folder, 'settings.ini');

function read(text: string | null, from = file): { settings: Settings; complaints: string[] } {
  if (text !== null) writeFileSync(from, text);
  const complaints: string[] = [];
  const settings = readSettings(
    from,
    (name) => name === 'write',
    (complaint) => complaints.push(complaint.replaceAll(`${folder}/`, '')),
  );
  return { settings, complaints };
}

describe('the settings', () => {
  it('are the defaults where there is no file, and where the example of the manual stands', () => {
    expect(read(null, path.join(folder, 'nosuch'))).toEqual({ settings: defaultSettings(), complaints: [] });
    const { settings, complaints } = read(settingsHelp);
    expect(complaints).toEqual([]);
    expect(settings).toMatchObject({
      prompt: 'blkscope> ',
      colours: 'auto',
      historyLines: 1000,
      confirms: true,
      live: false,
      panelRows: 6,
    });
    expect(settings.aliases).toEqual(new Map([['wp', 'write -P 0xab']]));
  });

  it('behind a section that there is not belong to none', () => {
    const { settings, complaints } = read(
      '[terminal]\nhistory = 5\n[pannel]\nhistory = 7\nrows = 3\n[panel]\nrows = 9\n',
    );
    expect(complaints).toEqual(['settings.ini:3: no section [pannel]; there are terminal, panel, alias, startup']);
    expect(settings).toMatchObject({ historyLines: 5, panelRows: 9 });
  });

  it('are what the lines say', () => {
    const { settings, complaints } = read(
      '; mine\n[terminal]\nprompt = "disk> "\ncolours=never\r\nhistory = 5\nconfirm = off\n' +
        '[panel]\nlive = true\nrows = 9\ncolumns = suspended, events\n[alias]\nr0 = read 0\n[startup]\nsource = a.io\nsource = /b.io\n',
    );
    expect(complaints).toEqual([]);
    expect(settings).toEqual({
      prompt: 'disk> ',
      colours: 'never',
      historyLines: 5,
      confirms: false,
      live: true,
      panelRows: 9,
      panelColumns: ['events', 'suspended'],
      aliases: new Map([['r0', 'read 0']]),
      sources: [path.join(folder, 'a.io'), '/b.io'],
    });
  });

  it.each([
    ['rows = 3', 'expected a section such as [terminal] first'],
    ['[nosuch]', 'no section [nosuch]; there are terminal, panel, alias, startup'],
    ['[constructor]', 'no section [constructor]; there are terminal, panel, alias, startup'],
    ['[__proto__]', 'not understood'],
    ['[panel]\nrow = 3', "no setting 'row' in [panel]; there are live, rows, columns"],
    ['[panel]\ntoString = 3', "no setting 'toString' in [panel]; there are live, rows, columns"],
    ['[panel]\nrows', 'expected NAME = VALUE'],
    ['[panel]\nrows = 0', "'0' is no number from 1 to 50"],
    ['[panel]\nrows = 3x', "'3x' is no number from 1 to 50"],
    ['[panel]\nlive = maybe', "'maybe' is none of on, off, true, false"],
    ['[panel]\ncolumns = events,all', "'all' is none of events, rules, suspended"],
    ['[terminal]\ncolours = red\x1b[31m', "'red\ufffd[31m' is none of auto, always, never"],
    ['[alias]\nwrite = read', "'write' is a command already"],
    ['[alias]\ntwo words = read', 'an alias is one word'],
    ['[alias]\na =', 'expected a command'],
    ['[alias]\na[] = read', 'expected NAME = VALUE'],
    ['[startup]\nsource =', 'expected a file'],
    ['[panel', 'a section is [NAME]'],
  ])('%j is a complaint with its line, and nothing else is lost', (line, complaint) => {
    const { settings, complaints } = read(`${line}\n[terminal]\nhistory = 7\n`);
    expect(complaints).toEqual([`settings.ini:${line.split('\n').length}: ${complaint}`]);
    expect(settings).toEqual({ ...defaultSettings(), historyLines: 7 });
  });

  it.each(['FIFO', 'folder', 'link to /dev/zero', 'large file'])('a %s in their place is a complaint', (kind) => {
    const odd = path.join(folder, kind.replaceAll(/\W/g, '-'));
    if (kind === 'FIFO') execFileSync('mkfifo', [odd]);
    else if (kind === 'folder') mkdirSync(odd);
    else if (kind === 'large file') writeFileSync(odd, '; x\n'.repeat(1 << 15));
    else symlinkSync('/dev/zero', odd);
    const { settings, complaints } = read(null, odd);
    expect(settings).toEqual(defaultSettings());
    expect(complaints).toEqual([
      `${path.basename(odd)}: ${kind === 'large file' ? 'larger than 64 KiB' : 'not a regular file'}`,
    ]);
  });
});

describe('a session', () => {
  const config = path.join(folder, 'config');
  mkdirSync(path.join(config, 'blkscope'), { recursive: true });
  const configure = (text: string): void => writeFileSync(path.join(config, 'blkscope/settings.ini'), text);

  it('on a terminal has prompt, panel, aliases and start-up commands, and says what is wrong in which line', async () => {
    writeFileSync(path.join(config, 'blkscope/start.io'), '# mine\nw3 0 4k\nr3 0 512\nbreak nosuch A\n');
    configure(
      '[terminal]\nprompt = "blkscope> "\nnosuch = 1\n[panel]\nlive = on\nrows = 2\ncolumns = events,suspended\n' +
        '[alias]\nr3 = read -P 3\nw3 = write -q -P 3\n[startup]\nsource = start.io\n',
    );
    const shell = new ScreenProgram(['-f', 'raw', 'blkdebug::image'], { env: { XDG_CONFIG_HOME: config } }, 1 << 20);
    const first = await shell.prompt();
    expect(shell.terminal.written).toContain("settings.ini:3: no setting 'nosuch' in [terminal]");
    expect(shell.terminal.written).toContain('read 512/512 bytes at offset 0');
    expect(shell.terminal.written).toContain('start.io:4: break nosuch A: No such file or directory');
    expect(first[1]).toMatch(/^│ EVENTS .*│ SUSPENDED +│$/);
    expect(first[4]).toMatch(/^└/);
    const screen = await shell.run('r3 0 4k');
    expect(screen.join('\n')).toContain('read 4096/4096 bytes at offset 0');
    await shell.run('break pwritev A');
    await shell.run('aio_write 0 512');
    // The prompt is the one that was set: it tells nothing.
    expect(lastLine(await shell.prompt())).toBe('blkscope>');
    shell.type('resume A\rquit\r');
    expect(await shell.exit).toMatchObject({ exitCode: 1 });
  });

  it('in a pipe knows none of it', async () => {
    configure('[terminal]\nprompt = "x> "\nnosuch\n[alias]\nll = length\n');
    writeFileSync(path.join(folder, 'disk'), Buffer.alloc(1 << 20));
    const program = { ...blkscope, env: { XDG_CONFIG_HOME: config } };
    const { stdout, stderr } = await runProgram(program, ['-f', 'raw', 'disk'], { cwd: folder, stdin: 'll\nlength\n' });
    expect([stdout, stderr]).toEqual(['qemu-io> qemu-io> 1 MiB\nqemu-io> ', 'command "ll" not found\n']);
  });
});
