/** Recordings from the command line: `--record`, `report`, `attach`. */
import { linkSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { blkscope, runProgram } from '../helpers/run-program.ts';
import { useEmptyFolder } from '../helpers/sandbox.ts';

const folder = useEmptyFolder();

beforeEach(() => {
  writeFileSync(path.join(folder, 'disk.raw'), '');
  truncateSync(path.join(folder, 'disk.raw'), 1 << 20);
});

const image = 'driver=raw,file.driver=blkdebug,file.image.driver=file,file.image.filename=disk.raw';
const rule = 'file.inject-error.0.event=pwritev,file.inject-error.0.errno=28,file.inject-error.0.state=1';
const script = 'break read_aio A\naio_read -q 0 512\nwrite 0 4k\nresume A\naio_flush\n';

function run(args: readonly string[], stdin = ''): ReturnType<typeof runProgram> {
  return runProgram(blkscope, args, { cwd: folder, stdin });
}

function recorded(name: string): Record<string, unknown>[] {
  const text = readFileSync(path.join(folder, name), 'utf8');
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe('--record', () => {
  it('records the session and changes nothing of what the program says', async () => {
    const plain = await run(['--image-opts', `${image},${rule}`], script);
    const kept = await run(['--record', 'run.ndjson', '--image-opts', `${image},${rule}`], script);
    expect(kept).toEqual(plain);
    const lines = recorded('run.ndjson');
    const kinds = new Set(lines.map(({ kind }) => kind));
    for (const kind of ['header', 'snapshot', 'suspend', 'resume', 'error-injected', 'end'])
      expect(kinds).toContain(kind);
    const added = lines.find(({ kind }) => kind === 'rule-added');
    const view = { kind: 'inject-error', event: 'pwritev', effect: 'ENOSPC', conditions: 'state=1' };
    expect(added).toMatchObject({ rule: 1, view });
    // The last snapshot before the image is closed.
    const closing = lines.findIndex(({ kind }) => kind === 'image-closing');
    expect(lines[closing + 1]).toMatchObject({
      kind: 'snapshot',
      rules: [view, { kind: 'suspend', status: 'exhausted' }],
    });
  });

  it('to the image itself, through whatever link, is refused before anything of it is lost', async () => {
    const disk = path.join(folder, 'disk.raw');
    writeFileSync(disk, Buffer.alloc(1 << 20, 0xa5));
    symlinkSync('disk.raw', path.join(folder, 'link.ndjson'));
    linkSync(disk, path.join(folder, 'hard.html'));
    for (const name of ['link.ndjson', 'hard.html']) {
      const first = await run(['--record', name, '--image-opts', image, '-c', 'read 0 512']);
      expect(first).toMatchObject({ exit: '1', stdout: '' });
      expect(first.stderr).toBe(`qemu-io: '${name}' is not replaced: it has content that is no recording\n`);
      const later = await run(['--image-opts', image, '-c', `record start ${name}`]);
      expect(later.stderr).toBe(`qemu-io: '${name}' is not replaced: the image is in it\n`);
    }
    expect(readFileSync(disk).equals(Buffer.alloc(1 << 20, 0xa5))).toBe(true);
  });

  it('of a name that says no form is refused before the image is opened', async () => {
    const { exit, stderr } = await run(['--record', 'run.txt', '-f', 'raw', 'missing.raw', '-c', 'quit']);
    expect(exit).toBe('1');
    expect(stderr).toContain('run.txt');
    expect(stderr).not.toContain('missing.raw');
  });
});

describe('report', () => {
  it('makes a page of a recording', async () => {
    await run(['--record', 'run.ndjson', '--image-opts', image, '-c', 'write -q 0 4k']);
    const { exit, stdout } = await run(['report', 'run.ndjson', '-o', 'run.html']);
    expect(exit).toBe('0');
    expect(stdout).toMatch(/^run\.html: \d+ records\n$/);
    expect(readFileSync(path.join(folder, 'run.html'), 'utf8')).toMatch(/^<!doctype html>/i);
  });

  it.each([[['report', 'run.ndjson']], [['report', '-o', 'x.html']], [['attach', 'a', 'b']]])(
    'with wrong words (%j) says how it is used',
    async (words) => {
      const { exit, stderr } = await run(words);
      expect(exit).toBe('1');
      expect(stderr).toMatch(/^blkscope: .*\nUsage: blkscope (report|attach) /);
    },
  );
});

describe('attach', () => {
  it('to a socket that nobody listens on fails in one line', async () => {
    const { exit, stderr } = await run(['attach', 'none.sock']);
    expect(exit).toBe('1');
    expect(stderr.split('\n')).toHaveLength(2);
  });

  it.each([
    [['attach', ''], "blkscope: Could not attach to '': No such file or directory\n"],
    [['attach', '8080'], "blkscope: Could not attach to '8080': No such file or directory\n"],
    [['--monitor', '', '-c', 'quit'], "qemu-io: Could not listen on '': No such file or directory\n"],
    [['--monitor', 'disk.raw/s', '-c', 'quit'], "qemu-io: Could not listen on 'disk.raw/s': Not a directory\n"],
  ])('%j is refused in one line', async (words, message) => {
    expect(await run(words)).toEqual({ exit: '1', stdout: '', stderr: message });
  });
});
