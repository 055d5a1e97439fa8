/** Command files: `source`, `bail`, and completion of names. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { complete } from '../../src/shell/words/completion.ts';
import { arrival, runLines, runList } from '../../src/shell/script.ts';
import { Errno } from '../../src/util/errno.ts';
import { testShell } from '../helpers/shell.ts';
import { useFolder } from '../helpers/sandbox.ts';

const folder = useFolder();

function script(name: string, ...lines: string[]): string {
  const file = path.join(folder, name);
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}

describe('an answer that is waited for', () => {
  it('is the failure of the caller, also if it came before the loop has turned', async () => {
    const { session } = await testShell();
    await expect(arrival(session, Promise.reject(new Error('too long')))).rejects.toThrow('too long');
  });
});

describe('a list of commands', () => {
  it('runs to its end, and counts the last failure', async () => {
    const { session, out } = await testShell();
    expect(await runList(session.shell, ['length', 'nosuch', 'length'])).toBe(-Errno.EINVAL);
    expect(out()).toBe('1 MiB\n1 MiB\n');
    expect(session.exitStatus).toBe(1);
  });

  it('ends at quit, and with bail at the first failure', async () => {
    const quitting = await testShell();
    expect(await runList(quitting.session.shell, ['quit now', 'length'])).toBe(0);
    expect(quitting.out()).toBe('');
    const bailing = await testShell();
    await runList(bailing.session.shell, ['bail on', 'nosuch', 'length']);
    expect(bailing.out()).toBe('');
  });
});

describe('lines of a source', () => {
  it('prompt before each, once more at the end, and run what is due in between', async () => {
    const { session, out } = await testShell();
    // A request outside of the image ends at once, and reports as a bottom half.
    const lines = ['aio_write 4M 512', 'aio_write 0 512', 'length'];
    let next = 0;
    await runLines(session.shell, { next: () => lines[next++] ?? null }, '> ');
    expect(out()).toBe(
      '> > aio_write failed: Input/output error\n' +
        '> wrote 512/512 bytes at offset 0\n512 bytes, 1 ops; TIME\n1 MiB\n> ',
    );
  });

  it('let requests end while the next line has not arrived', async () => {
    const { session, out } = await testShell();
    const lines = ['aio_write 0 512', 'length'];
    let next = 0;
    const late = async (): Promise<string | null> => {
      for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
      return lines[next++] ?? null;
    };
    await runLines(session.shell, { next: late }, null);
    expect(out()).toBe('wrote 512/512 bytes at offset 0\n512 bytes, 1 ops; TIME\n1 MiB\n');
  });
});

describe('source', () => {
  it('runs the lines of a file, and of files that it sources', async () => {
    const shell = await testShell();
    const inner = script('inner', 'length');
    const outer = script('outer', 'write -q 0 512', `source ${inner}`, '', 'length');
    expect(await shell.run(`source ${outer}`)).toBe(0);
    expect(shell.out()).toBe('1 MiB\n1 MiB\n');
  });

  it('fails with its last failing line, and stops there with bail', async () => {
    const shell = await testShell();
    const file = script('failing', 'nosuch', 'length');
    expect(await shell.run(`source ${file}`)).toBe(-Errno.EINVAL);
    expect(shell.out()).toBe('1 MiB\n');
    await shell.run('bail on');
    expect(await shell.run(`source ${file}`)).toBe(-Errno.EINVAL);
    expect(shell.out()).toBe('');
  });

  it('refuses to source itself for ever', async () => {
    const shell = await testShell();
    const file = path.join(folder, 'self');
    writeFileSync(file, `source ${file}\n`);
    expect(await shell.run(`source ${file}`)).toBe(-Errno.ELOOP);
    expect(shell.err()).toBe(
      `qemu-io: source: ${file}: files are nested more than 16 deep\n` +
        `qemu-io: ${file}:1: source ${file}: Too many levels of symbolic links\n`,
    );
    expect(shell.session.sourceDepth).toBe(0);
  });

  it('says why a file cannot be read', async () => {
    const shell = await testShell();
    expect(await shell.run(`source ${folder}/nosuch`)).toBe(-Errno.ENOENT);
    expect(await shell.run(`source ${folder}`)).toBe(-Errno.EISDIR);
    expect(shell.err()).toBe(
      `qemu-io: source: ${folder}/nosuch: No such file or directory\nqemu-io: source: ${folder}: Is a directory\n`,
    );
  });
});

describe('completion', () => {
  async function candidates(line: string): Promise<readonly string[]> {
    const shell = await testShell();
    await shell.run('break pwritev armed');
    await shell.run('break read_aio hit');
    await shell.run('aio_read 0 512');
    return complete(shell.session.shell, line).candidates;
  }

  it.each([
    ['rea', ['read', 'readv']],
    ['help wri', ['write', 'writev']],
    ['break l2_l', ['l2_load']],
    ['break pwritev_r', ['pwritev_rmw_after_head', 'pwritev_rmw_after_tail', 'pwritev_rmw_head', 'pwritev_rmw_tail']],
    ['resume ', ['armed', 'hit']],
    ['wait_break h', ['hit']],
    ['writev -', ['-C', '-P', '-f', '-q']],
    ['read -q', ['-qC', '-qP', '-qb', '-ql', '-qp', '-qs', '-qv']],
    ['open -t w', ['writeback', 'writethrough']],
    ['open -rt no', ['none']],
    ['truncate -m f', ['falloc', 'full']],
    ['bail o', ['off', 'on']],
    ['read -P ', []],
    ['nosuch x', []],
    ['read 0 ', []],
  ])('of %j offers %j', async (line, expected) => {
    expect(await candidates(line)).toEqual(expected);
  });

  it('offers file names, folders with a slash', async () => {
    script('one.img');
    const shell = await testShell(null);
    expect(complete(shell.session.shell, `open -r ${folder}/on`)).toEqual({
      candidates: [`${folder}/one.img`],
      word: `${folder}/on`,
    });
    expect(complete(shell.session.shell, `source ${folder.slice(0, -1)}`).candidates).toContain(`${folder}/`);
    expect(complete(shell.session.shell, `source ${folder}/nosuch/x`).candidates).toEqual([]);
  });
});
