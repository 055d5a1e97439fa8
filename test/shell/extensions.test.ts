/** Extensions of lines, on a terminal and in files, that must not change a pipe: quotes, comments, sums, hints. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { complete } from '../../src/shell/words/completion.ts';
import { quoted, quotedWords, tokenize } from '../../src/shell/words/tokenizer.ts';
import { Errno } from '../../src/util/errno.ts';
import { parseSum } from '../../src/util/size.ts';
import { useFolder } from '../helpers/sandbox.ts';
import { testShell } from '../helpers/shell.ts';

const folder = useFolder();

function script(name: string, ...lines: string[]): string {
  const file = path.join(folder, name);
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}

const terminal = () => testShell({}, { isTerminal: true });

describe('quoted words', () => {
  it.each([
    ['open "a b.raw"', ['open', 'a b.raw']],
    ["source 'a b'", ['source', 'a b']],
    ['open "a \\"b\\" \\\\c"', ['open', 'a "b" \\c']],
    ['open json:{"driver":"raw"}', ['open', 'json:{"driver":"raw"}']],
    ['open "a b', ['open', '"a', 'b']],
    ['open a"b c"', ['open', 'a"b', 'c"']],
    ['  ""  x', ['', 'x']],
    ['# open x', []],
    ['#7 x', []],
    ['length # how long', ['length']],
    ['length #how', ['length']],
    ['events #7', ['events', '#7']],
    ['open a#b', ['open', 'a#b']],
  ])('of %j are %j', (line, words) => {
    expect(quotedWords(line).map(({ text }) => text)).toEqual(words);
  });

  it.each(['a', 'a b', '"a"', "'", 'a "b" c\\', ''])('are read back: %j', (word) => {
    expect(quotedWords(`x ${quoted(word)} y`).map(({ text }) => text)).toEqual(['x', word, 'y']);
  });

  it('are none in a pipe', async () => {
    expect(tokenize('open "a b" # c')).toEqual(['open', '"a', 'b"', '#', 'c']);
    const shell = await testShell();
    expect(await shell.run('# comment')).toBe(-Errno.EINVAL);
    expect(shell.err()).toBe('command "#" not found\n');
    expect(await shell.run('read 0 1k*2')).toBe(-Errno.EINVAL);
    expect(shell.out()).toContain('Parsing error');
  });

  it('complete names with blanks', async () => {
    writeFileSync(path.join(folder, 'a b.raw'), '');
    const shell = await terminal();
    const typed = `"${folder}/a`;
    expect(complete(shell.session.shell, `open ${typed}`)).toEqual({
      candidates: [`"${folder}/a b.raw"`],
      word: typed,
    });
    expect(complete(shell.session.shell, `open ${typed} b`).candidates).toEqual([`"${folder}/a b.raw"`]);
  });
});

describe('sums', () => {
  it.each([
    ['64k*3+512', 197_120],
    ['1M-4k', 1_044_480],
    ['2*3*4', 24],
    ['1-2', 'invalid'],
    ['1+', 'invalid'],
    ['8E*2', 'range'],
    ['4E+4E', 'range'],
    ['1k*x', 'invalid'],
  ])('%s is %s', (text, expected) => expect(parseSum(text)).toBe(expected));

  it('are sizes on a terminal and in files', async () => {
    const shell = await testShell();
    expect(await shell.run(`source ${script('sums', 'write -q -P 1 4k*2+512 512')}`)).toBe(0);
    expect([shell.image()[8703], shell.image()[8704]]).toEqual([0, 1]);
  });
});

describe('a sourced file', () => {
  it('may hold comments and quoted names', async () => {
    const inner = script('in ner', '# nothing', 'length # of the image');
    const shell = await testShell();
    expect(await shell.run(`source ${script('outer', `source "${inner}"`)}`)).toBe(0);
    expect(shell.out()).toBe('1 MiB\n');
  });

  it('is named with the line that fails, once', async () => {
    const shell = await testShell();
    const inner = script('inner', 'length', '', 'read 0 x');
    const outer = script('outer2', `source ${inner}`, 'nosuch');
    expect(await shell.run(`source ${outer}`)).toBe(-Errno.EINVAL);
    expect(shell.err()).toBe(
      `qemu-io: ${inner}:3: read 0 x: Invalid argument\n` +
        `command "nosuch" not found\nqemu-io: ${outer}:2: nosuch: Invalid argument\n`,
    );
  });

  it('ends with all that sourced it when it is interrupted', async () => {
    const shell = await testShell();
    const inner = script('sleeper', 'length', 'sleep 100000000', 'write -q 0 512');
    const outer = script('outer3', `source ${inner}`, 'write -q 0 512');
    const running = shell.run(`source ${outer}`);
    shell.session.interrupt();
    expect(await running).toBe(-Errno.EINTR);
    expect(shell.err()).toMatch(/^qemu-io: interrupted at .*sleeper:[12]\n$/);
    expect(shell.image()[0]).toBe(0);
  });

  it('that never ends is interrupted: a long line, a long list', async () => {
    const shell = await testShell();
    expect(await shell.run('source /dev/zero')).toBe(-Errno.E2BIG);
    expect(shell.err()).toContain('a line of the input is too long');
    const file = script('many', ...Array.from({ length: 100_000 }, () => 'write -q 0 512'));
    const running = shell.run(`source ${file}`);
    setImmediate(() => shell.session.interrupt());
    expect([0, -Errno.EINTR]).toContain(await running);
  });
});

describe('repeat', () => {
  it('runs a command several times, and names with blanks stay whole', async () => {
    const shell = await terminal();
    expect(await shell.run('repeat 3 length')).toBe(0);
    expect(shell.out()).toBe('1 MiB\n1 MiB\n1 MiB\n');
    expect(await shell.run(`repeat 2 source "${script('twice ', 'length')}"`)).toBe(0);
    expect(shell.out()).toBe('1 MiB\n1 MiB\n');
    expect(await shell.run('repeat 0 length')).toBe(0);
    expect(shell.out()).toBe('');
  });

  it('fails with the command, and stops then with bail', async () => {
    const shell = await testShell();
    expect(await shell.run('repeat 2 nosuch')).toBe(-Errno.EINVAL);
    await shell.run('bail on');
    shell.err();
    await shell.run('repeat 2 nosuch');
    expect(shell.err()).toBe('command "nosuch" not found\n');
    expect(await shell.run('repeat x length')).toBe(-Errno.EINVAL);
  });
});

describe('hints', () => {
  it.each([
    ['wriet 0 512', 'did you mean write?'],
    ['break pwritv A', 'did you mean pwritev?'],
    ['break pwritev A nth', 'nth needs a value: nth=…'],
    ['rule add inject-error event=pwritv', 'did you mean pwritev?'],
    ['rule add inject-error event=pwritev iotype=wrte', 'did you mean write?'],
    ['rule add inject-error event=pwritev errno=ENOPSC', 'did you mean ENOSPC?'],
    ['rule add inject-error event=pwritev sectr=1', 'did you mean sector?'],
    ['rule add inject-eror event=pwritev', 'did you mean inject-error?'],
    ['rule ad inject-error', 'did you mean add?'],
    ['break -x pwritev A', 'the options are -p -l'],
    ['break -P pwritev', 'did you mean -p?'],
    ['write -p 1 -X 0 512', 'the options are'],
    ['writev -p 1 0 512', 'did you mean -P?'],
    ['help wriet', 'did you mean write?'],
    ['help event pwritv', 'did you mean pwritev?'],
    ['resume -a', 'no request is suspended'],
    ['resume B', 'no breakpoint is set'],
  ])('answer %j on a terminal, and no pipe', async (line, hint) => {
    const shell = await terminal();
    await shell.run(line);
    // Behind the message that it explains.
    expect(shell.err().trimEnd().split('\n').at(-1)).toContain(`(${hint}`);
    const pipe = await testShell();
    await pipe.run(line);
    expect(pipe.err()).not.toContain('(');
  });

  it('take the first word of break for options on a terminal, and for an event in a pipe', async () => {
    const shell = await terminal();
    expect(await shell.run('break -p pwritev')).toBe(0);
    expect(shell.err()).toContain('(the tag is A)');
    expect(await shell.run('break -l pwritev')).toBe(-Errno.EINVAL);
    expect(shell.out()).toBe('break event tag -- sets a breakpoint on event and tags the stopped request as tag\n');
    const pipe = await testShell();
    expect(await pipe.run('break -p pwritev')).toBe(-Errno.ENOENT);
    expect(pipe.out()).toBe('Could not set breakpoint: No such file or directory\n');
  });

  it('leave a word of resume that is no option a tag', async () => {
    for (const shell of [await terminal(), await testShell()]) {
      expect(await shell.run('resume -x')).toBe(-Errno.ENOENT);
      expect(shell.out()).toBe('Could not resume request: No such file or directory\n');
    }
  });

  it('never suggest one letter', async () => {
    const shell = await terminal();
    await shell.run('fg');
    expect(shell.err()).toBe('command "fg" not found\n');
  });

  it('know the tags that live', async () => {
    const shell = await terminal();
    await shell.run('break pwritev first');
    await shell.run('remove_break fisrt');
    expect(shell.err()).toContain('(did you mean first?)');
  });

  it('say how to get breakpoints', async () => {
    const shell = await testShell(null, { isTerminal: true });
    await shell.run('open -o driver=raw,file.driver=file,file.filename=disk');
    await shell.run('break pwritev A');
    expect(shell.err()).toContain('breakpoints need blkdebug');
  });
});

describe('on a terminal', () => {
  it('help shows the groups, their commands and the events', async () => {
    const shell = await terminal();
    await shell.run('help');
    const groups = shell.out();
    expect(groups).toContain('breakpoints');
    expect(groups.split('\n').length).toBeLessThan(24);
    await shell.run('help breakpoints');
    expect(shell.out()).toContain('wait_break tag -- ');
    await shell.run('help event');
    expect(shell.out()).toContain(' pwritev_done ');
  });

  it('info begins with the file, its length and its nodes; in a pipe it does not', async () => {
    const shell = await terminal();
    await shell.run('info');
    expect(shell.out()).toMatch(/^file: .*\nlength: 1 MiB \(1048576 bytes\)\nnodes: .*\nformat name: raw\n/);
    const pipe = await testShell();
    await pipe.run('info');
    expect(pipe.out()).toMatch(/^format name: raw\n/);
  });
});

describe('nodes', () => {
  it('lists every node with its driver, its length and its access', async () => {
    const shell = await testShell();
    expect(await shell.run('nodes -j')).toBe(0);
    const rows: unknown = JSON.parse(shell.out());
    expect(rows).toMatchObject([
      { driver: 'raw', child: '', depth: 0, length: 2 ** 20, access: 'read-write' },
      { driver: 'blkdebug', child: 'file', depth: 1 },
      { driver: 'file', child: 'image', depth: 2 },
    ]);
    await shell.run('nodes');
    expect(shell.out().split('\n')[2]).toMatch(/^#block\d+\tfile\timage\t1048576\tread-write\t/);
  });
});
