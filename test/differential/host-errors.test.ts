/**
 * Errors of the host itself: a full file system, a limit of file sizes, a read-only mount, a missing permission. The requests
 * fail as qemu-io's do, the image stays sound, and the shell goes on.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { normalise } from '../helpers/normalise.ts';
import { blkscope, type Program, plainEnvironment, qemuIo } from '../helpers/run-program.ts';

const isRoot = process.getuid?.() === 0;
const folder = mkdtempSync(path.join(tmpdir(), 'blkscope-host-errors-'));
const mountPoint = path.join(folder, 'mount');
let canMount = false;

beforeAll(() => {
  mkdirSync(mountPoint);
  canMount = isRoot && spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'none', mountPoint]).status === 0;
});
afterAll(() => {
  if (canMount) execFileSync('umount', [mountPoint]);
  rmSync(folder, { recursive: true });
});

const geometries = [
  ['raw', []],
  ['qcow2', []],
  ['qcow2', ['-o', 'cluster_size=512']],
  ['qcow2', ['-o', 'cluster_size=4096,lazy_refcounts=on']],
  ['qcow2', ['-o', 'cluster_size=65536,extended_l2=on']],
  ['qcow2', ['-o', 'cluster_size=1024,refcount_bits=64']],
] as const;
type Format = (typeof geometries)[number][0];

const script = [
  Array.from({ length: 24 }, (_, n) => `write -P ${n + 1} ${n * 96}k 60k`),
  ['flush', 'aio_write -P 77 3M 128k', 'aio_flush', 'write -z 3M 64k', 'discard 0 128k', 'truncate 5M', 'flush'],
  ['write -P 99 64k 64k', 'read -P 3 192k 60k', 'length'],
].flat();

function create(place: string, format: Format, options: readonly string[]): string {
  const file = path.join(place, `disk.${format}`);
  for (const other of ['disk.raw', 'disk.qcow2']) rmSync(path.join(place, other), { force: true });
  execFileSync('qemu-img', ['create', '-q', '-f', format, ...options, file, '4M']);
  return file;
}

/** Runs the script below a shell that does `before` first; what was said, times aside. */
function run(program: Program, format: Format, file: string, before = 'true'): string {
  const words = [program.command, ...program.args, '-d', 'unmap', '-f', format, file];
  const { stdout, stderr, status, signal } = spawnSync('sh', ['-c', `${before}; exec "$@"`, 'sh', ...words], {
    input: `${script.join('\n')}\n`,
    env: { ...plainEnvironment(), ...program.env },
    encoding: 'utf8',
  });
  return normalise(`${stdout}\n${stderr}\n${signal ?? status}`, folder);
}

/** 0, or 3 for leaks; a dirty image is repaired first, by being opened where there is room. */
function checkStatus(file: string): number | null {
  const copy = path.join(folder, 'copy');
  execFileSync('cp', [file, copy]);
  execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'quit', copy]);
  return spawnSync('qemu-img', ['check', '-q', '-f', 'qcow2', copy]).status;
}

function expectSame(place: string, format: Format, options: readonly string[], errors: RegExp, before?: string): void {
  const [expected, actual] = [qemuIo, blkscope].map((program) => {
    const file = create(place, format, options);
    const said = run(program, format, file, before);
    if (format === 'qcow2') expect([0, 3], program.command).toContain(checkStatus(file));
    return said;
  });
  expect(actual).toBe(expected);
  expect(actual).toMatch(errors);
  expect(actual).toMatch(/\b4 MiB|\b5 MiB/);
}

describe.each(geometries)('%s %j', (format, options) => {
  test('on a full file system', ({ skip }) => {
    if (!canMount) skip('a small tmpfs can be mounted by root alone');
    expectSame(mountPoint, format, options, /No space left on device/);
  });

  test('beyond the limit of file sizes', () => {
    // In units of 512 bytes.
    expectSame(folder, format, options, /File too large/, 'ulimit -f 1500');
  });
});

describe.each(['raw', 'qcow2'] as const)('%s', (format) => {
  const answers = (file: string): string[] =>
    [qemuIo, blkscope].map(({ command, args }) => {
      const words = [...args, '-f', format, '-c', 'length', file];
      const { stdout, stderr, status } = spawnSync(command, words, { env: plainEnvironment(), encoding: 'utf8' });
      return `${stdout}${stderr}${status}`;
    });

  test('on a read-only mount is refused for writing', ({ skip }) => {
    if (!canMount) skip('needs a mount, which root alone can make');
    const file = create(mountPoint, format, []);
    execFileSync('mount', ['-o', 'remount,ro', mountPoint]);
    const [expected, actual] = answers(file);
    execFileSync('mount', ['-o', 'remount,rw', mountPoint]);
    expect(actual).toBe(expected);
    expect(actual).toContain('Read-only file system');
  });

  test('without permission is refused', ({ skip }) => {
    if (isRoot) skip('root may open everything');
    const file = create(folder, format, []);
    chmodSync(file, 0o400);
    const [expected, actual] = answers(file);
    expect(actual).toBe(expected);
    expect(actual).toContain('Permission denied');
  });
});
