/** Texts made from the declarations: help, manual page, completions. And that getopt's table is the declared one. */
import { execFileSync, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { acceptedOptions, subcommandNames } from '../../src/cli/command-line.ts';
import { completionScript, manualPage } from '../../src/cli/documents.ts';
import { helpText, makeProgram, runProgram as runWords } from '../../src/cli/program.ts';
import { commandTable } from '../../src/shell/commands/index.ts';
import { blkscope, plainEnvironment } from '../helpers/run-program.ts';
import { useFolder } from '../helpers/sandbox.ts';

const folder = useFolder();

function run(...words: string[]): { stdout: string; stderr: string; status: number | null } {
  const { stdout, stderr, status } = spawnSync(blkscope.command, [...blkscope.args, ...words], {
    cwd: folder,
    env: plainEnvironment(),
    encoding: 'utf8',
    timeout: 30_000,
  });
  return { stdout, stderr, status };
}

describe('the declared options', () => {
  it('are those that getopt takes', () => {
    const declared = makeProgram('blkscope').options.map(({ short, long, required }) => [
      short?.slice(1) ?? '',
      long?.slice(2),
      required ? 'required' : 'none',
    ]);
    const { short, long } = acceptedOptions;
    const taken = long.map(({ name, argument, value }) => [short.includes(value) ? value : '', name, argument]);
    expect(new Set(declared.map(String))).toEqual(new Set(taken.map(String)));
  });

  it('have the subcommands that the program looks for', () => {
    const declared = [...makeProgram('blkscope').commands.map((command) => command.name()), 'help'];
    expect(new Set(declared)).toEqual(subcommandNames);
  });
});

describe('help', () => {
  it.each([
    [['help'], 'Usage: blkscope [OPTIONS]... [-c STRING]... [file]\n'],
    [['help', 'attach'], 'Usage: blkscope attach SOCKET\n'],
    [['attach', '--help'], 'Usage: blkscope attach SOCKET\n'],
    [['report', '-h'], 'Usage: blkscope report RUN.ndjson -o OUT\n'],
  ])('%j goes to standard output', (words, begin) => {
    const { stdout, stderr, status } = run(...words);
    expect(stdout.slice(0, begin.length)).toBe(begin);
    expect([stderr, status]).toEqual(['', 0]);
  });

  it.each([
    [['attach'], "blkscope: missing required argument 'socket'\nUsage: blkscope attach SOCKET\n"],
    [['report'], "blkscope: required option '-o, --output <OUT>' not specified\nUsage: blkscope report"],
    [['report', '-o', 'a.html'], "blkscope: missing required argument 'recording'\nUsage: blkscope report"],
    [['attach', 'a', 'b'], "blkscope: too many arguments for 'attach'"],
    [['attach', '--nosuch', 'a'], "blkscope: unknown option '--nosuch'\nUsage: blkscope attach SOCKET\n"],
  ])('%j says what is missing, and how it is written', (words, begin) => {
    const { stdout, stderr, status } = run(...words);
    expect(stderr.slice(0, begin.length)).toBe(begin);
    expect([stdout, status]).toEqual(['', 1]);
  });

  it('keeps to qemu-io where a file has the name of a subcommand, or the program that of qemu-io', () => {
    writeFileSync(path.join(folder, 'attach'), Buffer.alloc(1024));
    expect(run('attach', '-c', 'length').stderr).toContain('unknown option');
    expect(
      spawnSync('sh', ['-c', 'echo length | "$@"', 'sh', blkscope.command, ...blkscope.args, 'attach'], {
        cwd: folder,
        env: plainEnvironment(),
        encoding: 'utf8',
      }).stdout,
    ).toContain('1 KiB');
  });

  it('has no line that a terminal of 100 columns breaks', () => {
    for (const line of helpText('blkscope').split('\n')) expect(line.length).toBeLessThanOrEqual(100);
  });

  it('is as narrow as the terminal', async () => {
    for (const line of helpText('blkscope', 60).split('\n')) expect(line.length).toBeLessThanOrEqual(60);
    const lines: string[] = [];
    const streams = { stdout: (text: string) => lines.push(text), stderr: () => {}, columns: 60 };
    await runWords('blkscope', ['serve', '--help'], {}, streams);
    expect(lines.join('')).toContain('It takes the options of a session, too; -x FILE and -c run');
  });
});

describe('the manual page', () => {
  const page = manualPage();

  it('is what man can show, with every option, subcommand and command', () => {
    const file = path.join(folder, 'blkscope.1');
    writeFileSync(file, page);
    const warnings = spawnSync('groff', ['-man', '-Tutf8', '-ww', '-z', file], { encoding: 'utf8' });
    // Where there is no groff there is no man either.
    if (warnings.error === undefined) expect(warnings.stderr).toBe('');
    const shown = spawnSync('man', ['-l', file], {
      env: { ...plainEnvironment(), MANWIDTH: '100', MAN_KEEP_FORMATTING: '', LC_ALL: 'C.UTF-8' },
      encoding: 'utf8',
    });
    if (shown.error !== undefined) return;
    expect(shown.status).toBe(0);
    // oxlint-disable-next-line no-control-regex -- how a printer was told to print bold
    const text = shown.stdout.replaceAll(/.\x08/g, '').replaceAll('‐', '-');
    for (const { long = '' } of makeProgram('blkscope').options) expect(text).toContain(long);
    for (const command of makeProgram('blkscope').commands) expect(text).toContain(`blkscope ${command.name()}`);
    for (const { name } of commandTable.all) expect(text).toContain(name);
  });

  it('is printed by the program', () => {
    expect(run('manual').stdout).toMatch(/^\.TH BLKSCOPE 1 "" "blkscope \d+\.\d+\.\d+" "User Commands"\n/);
  });
});

describe('completions', () => {
  it('are printed by the program', () => {
    for (const shell of ['bash', 'zsh', 'fish']) expect(run('completion', shell).stdout).toBe(completionScript(shell));
    expect(run('completion', 'tcsh').stderr).toContain('Allowed choices are bash, zsh, fish');
  });

  /** The candidates that bash offers behind the words. */
  function offered(...words: string[]): string[] {
    const file = path.join(folder, 'completions.bash');
    writeFileSync(file, completionScript('bash'));
    const script =
      'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($#-1)); _blkscope; printf "%s\\n" "${COMPREPLY[@]}"';
    const stdout = execFileSync('bash', ['-uc', script, 'bash', file, 'blkscope', ...words], {
      cwd: folder,
      encoding: 'utf8',
    });
    return stdout.split('\n').filter((word) => word !== '');
  }

  it('complete options, their values, subcommands, commands and files in bash', () => {
    execFileSync('bash', ['-n', '-c', completionScript('bash')]);
    writeFileSync(path.join(folder, 'disk.raw'), '');
    expect(offered('--im')).toEqual(['--image-opts']);
    expect(offered('-t', 'write')).toEqual(['writeback', 'writethrough']);
    expect(offered('--cache', 'un')).toEqual(['unsafe']);
    expect(offered('repo')).toEqual(['report']);
    expect(offered('completion', 'z')).toEqual(['zsh']);
    expect(offered('-c', 'wait_')).toEqual(['wait_break']);
    expect(offered('-f', 'raw', 'disk')).toEqual(['disk.raw']);
    expect(offered('--object', 'x')).toEqual([]);
  });

  it.each(['zsh', 'fish'])('are what %s can read, where it is there', (shell) => {
    const file = path.join(folder, `completions.${shell}`);
    writeFileSync(file, completionScript(shell));
    const { error, stderr } = spawnSync(shell, ['-n', file], { encoding: 'utf8' });
    if (error === undefined) expect(stderr).toBe('');
    for (const { long = '' } of makeProgram('blkscope').options)
      expect(completionScript(shell)).toContain(long.slice(2));
  });
});
