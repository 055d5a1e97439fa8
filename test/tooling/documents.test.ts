/**
 * The sessions in README.md and `.github/docs` are what the program says, times and rates aside; the map of the code is
 * true.
 *
 * A session is a block of text after `<!-- session: ARGS -->`: it is typed on a terminal, over a new raw file `image`
 * of 64 MiB or the demo image. `RECORD=1 npm test -- test/tooling/documents` writes the answers into the documents.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { settingsHelp } from '../../src/cli/user-settings.ts';
import { lastLine, ScreenProgram } from '../cli/screen-program.ts';
import { blkscope, plainEnvironment } from '../helpers/run-program.ts';
import { useFolder } from '../helpers/sandbox.ts';

const root = path.resolve(import.meta.dirname, '../..');
const isRecording = process.env.RECORD === '1';
const documents = [
  'README.md',
  ...readdirSync(path.join(root, '.github/docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `.github/docs/${name}`),
];

interface Session {
  readonly document: string;
  readonly args: readonly string[];
  readonly lines: readonly string[];
}

const sessionBlock = /<!-- session: (.*) -->\n\n```text\n([\s\S]*?)\n```/g;
const sessions: readonly Session[] = documents.flatMap((document) =>
  [...readFileSync(path.join(root, document), 'utf8').matchAll(sessionBlock)].map(([, args = '', text = '']) => ({
    document,
    args: args.split(' '),
    lines: text.split('\n'),
  })),
);

const prompt = /^blkscope(?: \[[^\]]*\])?> /;
const commandsOf = (lines: readonly string[]) =>
  lines.filter((line) => prompt.test(line)).map((line) => line.replace(prompt, ''));

/** Times, rates, and the widths of columns, which depend on them. */
function normalise(lines: readonly string[]): string {
  return lines
    .join('\n')
    .replaceAll(/; [\d:.]+(?: sec)? \([^)]*\)/g, '; TIME (RATES)')
    .replaceAll(/\b\d+\.\ds$/gm, 'TIME')
    .replaceAll(/ {2,}/g, ' ');
}

/** The rows of a screen that stand below `after` others, up to and without the prompt that waits. */
function rowsBelow(screen: readonly string[], after: number): string[] {
  const end = screen.findLastIndex((row) => row !== '');
  return screen.slice(after, end);
}

/** Types the commands one by one, each when the screen is as the session has it until then, and gives the screen. */
async function typed({ args, lines }: Session): Promise<string[]> {
  const settings = { columns: 120, rows: 200, env: { LC_ALL: 'C.UTF-8' } };
  const program = new ScreenProgram(args, settings, args.includes('blkdebug::image') ? 64 << 20 : 0);
  const waits = (screen: readonly string[]) => /^blkscope(?: \[[^\]]*\])?>$/.test(lastLine(screen));
  await program.until(waits);
  const first = (await program.until(waits)).findLastIndex((row) => row !== '');
  let shown: string[] = [];
  for (const [index, command] of commandsOf(lines).entries()) {
    const next = lines.findIndex(
      (line, at) => prompt.test(line) && commandsOf(lines.slice(0, at)).length === index + 1,
    );
    const wanted = normalise(lines.slice(0, next === -1 ? lines.length : next));
    program.type(`${command}\r`);
    const rows = (screen: readonly string[]) => (waits(screen) ? rowsBelow(screen, first) : []);
    const isRight = (screen: readonly string[]) => normalise(rows(screen)) === wanted;
    // A request may end after its command. An answer that never comes right is shown by the comparison at the end.
    const patience = sleep(isRecording ? 500 : 20_000, null, { ref: false });
    await Promise.race([isRecording ? patience : program.until(isRight), patience]);
    shown = rows(await program.until(waits));
    if (!isRecording && normalise(shown) !== wanted) break;
  }
  program.type('quit\r');
  // Leaving with a suspended request may ask first.
  program.type('y\r');
  await program.exit;
  return shown;
}

describe('a session in', () => {
  it.each(sessions.map((session, index) => [session.document, index] as const))('%s (%i)', async (document, index) => {
    const session = sessions[index];
    if (session === undefined) throw new Error('no such session');
    const shown = await typed(session);
    if (isRecording) {
      const file = path.join(root, document);
      const text = readFileSync(file, 'utf8').replace(session.lines.join('\n'), () => shown.join('\n'));
      writeFileSync(file, text);
    }
    expect(normalise(shown)).toBe(normalise(isRecording ? shown : session.lines));
  });
});

describe('README.md', () => {
  const readme = readFileSync(path.join(root, 'README.md'), 'utf8');
  const folder = useFolder();
  const program = path.join(folder, 'blkscope');
  writeFileSync(program, `#!/bin/sh\nexec ${[blkscope.command, ...blkscope.args].join(' ')} "$@"\n`, { mode: 0o755 });
  const env = { ...plainEnvironment(), PATH: `${folder}:${process.env.PATH}` };

  it('has a first session that can be pasted into bash', () => {
    const block = /```bash\n(blkscope --demo <<'END'\n[\s\S]*?)```/.exec(readme)?.[1] ?? 'exit 99';
    const { stdout, stderr, status } = spawnSync('bash', ['-c', block], { cwd: folder, env, encoding: 'utf8' });
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(
      stdout.match(/^(qemu-io> )*(blkdebug: |read |wrote ).*/gm)?.map((line) => line.replace(/(qemu-io> )+/, '')),
    ).toEqual([
      "blkdebug: Suspended request 'A'",
      'read 4096/4096 bytes at offset 0',
      "blkdebug: Resuming request 'A'",
      'wrote 65536/65536 bytes at offset 0',
      'read 65536/65536 bytes at offset 0',
    ]);
  });

  it('has the investigation that the script runs', () => {
    const script = readFileSync(path.join(root, '.github/docs/investigation.sh'), 'utf8');
    const commands = /<<'END'\n([\s\S]*?)quit\nEND/.exec(script)?.[1]?.trimEnd().split('\n');
    const session = sessions.find(({ args }) => args.join(' ') === '--demo -t writeback');
    expect(commands).toEqual(commandsOf(session?.lines ?? []));
    expect(script).toContain('--demo -t writeback "$@"');
    const said = execFileSync(path.join(root, '.github/docs/investigation.sh'), { cwd: folder, env, encoding: 'utf8' });
    expect(said).toContain('aio_write failed: No space left on device\n');
    expect(said.match(/read \d+\/\d+ bytes/g)).toHaveLength(4);
    expect(said).not.toContain('Pattern verification failed');
  });

  it('shows the settings as the manual has them', () => {
    expect(readme).toContain(`\`\`\`ini\n${settingsHelp}\n\`\`\``);
  });

  it('has contents that lead somewhere', () => {
    const anchors = [...readme.matchAll(/^## (.*)$/gm)].map(([, title = '']) =>
      title
        .toLowerCase()
        .replaceAll(/[^\w -]/g, '')
        .replaceAll(' ', '-'),
    );
    const contents = [...readme.matchAll(/^- \[.*?\]\(#(.*)\)$/gm)].map(([, anchor]) => anchor);
    expect(contents).toEqual(anchors);
  });
});

describe('src/README.md', () => {
  const source = (file: string) => readFileSync(path.join(root, 'src', file), 'utf8');
  const map = source('README.md');
  const walks = map
    .split(/^### /m)
    .slice(1)
    .map((walk) => {
      const [title = '', ...lines] = walk.split('\n');
      const steps = lines.flatMap((line) => {
        const [, file, name] = /^\d+\. `([^`]+)` `([^`]+)`: /.exec(line) ?? [];
        return file === undefined || name === undefined ? [] : [{ file, name }];
      });
      return { title, steps };
    });

  it('has four walks', () => expect(walks.filter(({ steps }) => steps.length > 8)).toHaveLength(4));

  it.each(walks)('names functions that are there: $title', ({ steps }) => {
    const isDeclared = (name: string, text: string) =>
      new RegExp(
        `(function\\*? ${name}\\b|^ +(?:static |async |\\*|readonly )*#?${name}[(<:]|const ${name} = )`,
        'm',
      ).test(text);
    expect(steps.filter(({ file, name }) => !isDeclared(name, source(file)))).toEqual([]);
  });

  it.each(walks)('goes forward only: $title', ({ steps }) => {
    const files = steps.map(({ file }) => file);
    expect(files).toEqual([...new Set(files)]);
  });

  it('names folders and files that are there', () => {
    const names = [...map.matchAll(/`((?:util|sys|block|drivers|shell|live|nbd|cli)\/[\w./-]*)`/g)].map(
      ([, name]) => name,
    );
    expect(names.length).toBeGreaterThan(60);
    expect(names.filter((name) => !existsSync(path.join(root, 'src', name ?? '')))).toEqual([]);
  });
});
