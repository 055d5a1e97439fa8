/**
 * Errors of the host itself: a full file system, a limit of file sizes, a disk that fails, a read-only mount, a missing
 * permission. The requests fail as qemu-io's do, the image stays sound, and the shell goes on.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { normalise } from '../helpers/normalise.ts';
import { blkscope, type Program, plainEnvironment, qemuIo } from '../helpers/run-program.ts';
import { useFolder } from '../helpers/sandbox.ts';

const isRoot = process.getuid?.() === 0;
const NOBODY = 65534;
const folder = useFolder();
const mountPoint = path.join(folder, 'mount');
let canMount = false;

beforeAll(() => {
  mkdirSync(mountPoint);
  canMount = isRoot && spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'none', mountPoint]).status === 0;
});
afterAll(() => {
  if (canMount) execFileSync('umount', [mountPoint]);
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
  it('on a full file system', ({ skip }) => {
    if (!canMount) skip('a small tmpfs can be mounted by root alone');
    expectSame(mountPoint, format, options, /No space left on device/);
  });

  it('beyond the limit of file sizes', () => {
    // In units of 512 bytes.
    expectSame(folder, format, options, /File too large/, 'ulimit -f 1500');
  });
});

/**
 * The file as a disk that fails what `faults` says (parameters of nbdkit's filter "error"), through FUSE, while `use`
 * runs. False if this host cannot do that.
 */
async function withFailingDisk(file: string, faults: readonly string[], use: (disk: string) => void): Promise<boolean> {
  const place = path.join(folder, 'failing');
  mkdirSync(place, { recursive: true });
  const disk = path.join(place, 'disk');
  const server = ['nbdkit', '-s', '--filter=error', 'file', file, 'error=EIO', ...faults];
  const mount = spawn('nbdfuse', [disk, '--command', ...server], { stdio: 'ignore' });
  const ended = once(mount, 'exit').catch(() => {});
  try {
    for (let tries = 0; !existsSync(disk); tries += 1) {
      if (tries === 100 || mount.exitCode !== null || mount.pid === undefined) return false;
      await sleep(50);
    }
    use(disk);
    return true;
  } finally {
    spawnSync('umount', [place]);
    mount.kill();
    await ended;
  }
}

describe.each(['raw', 'qcow2'] as const)('%s', (format) => {
  const answers = (file: string, commands = ['length'], uid = process.getuid?.()): string[] =>
    [qemuIo, blkscope].map(({ command, args }) => {
      const words = [...args, '-f', format, ...commands.flatMap((line) => ['-c', line]), file];
      const { stdout, stderr, status } = spawnSync(command, words, { env: plainEnvironment(), encoding: 'utf8', uid });
      return normalise(`${stdout}${stderr}${status}`, folder);
    });

  const failing = [
    ['writes', ['error-pwrite-rate=100%'], /write failed: Input\/output error/],
    ['reads', ['error-pread-rate=100%'], /Input\/output error/],
  ] as const;
  it.for(failing)('on a disk that fails all %s', async ([, faults, errors], { skip }) => {
    const file = create(folder, format, []);
    execFileSync('qemu-io', ['-f', format, '-c', 'write -P 5 0 256k', file]);
    const commands = [
      'write -P 6 0 64k',
      'write -P 7 1M 4k',
      'write -z 64k 64k',
      'flush',
      'read -P 5 192k 64k',
      'length',
    ];
    const canFail = await withFailingDisk(file, faults, (disk) => {
      const [expected, actual] = answers(disk, commands);
      expect(actual).toBe(expected);
      expect(actual).toMatch(errors);
    });
    if (format === 'qcow2') expect([0, 3]).toContain(checkStatus(file));
    if (!canFail) skip('it takes root, FUSE, nbdkit and nbdfuse');
  });

  it('on a read-only mount is refused for writing', ({ skip }) => {
    if (!canMount) skip('needs a mount, which root alone can make');
    const file = create(mountPoint, format, []);
    execFileSync('mount', ['-o', 'remount,ro', mountPoint]);
    const [expected, actual] = answers(file);
    execFileSync('mount', ['-o', 'remount,rw', mountPoint]);
    expect(actual).toBe(expected);
    expect(actual).toContain('Read-only file system');
  });

  it('without permission is refused', ({ skip }) => {
    // Root may open everything, so the user changes.
    const uid = isRoot ? NOBODY : process.getuid?.();
    const probe = spawnSync(blkscope.command, [...blkscope.args, '-V'], { uid });
    if (probe.status !== 0) skip('nobody cannot reach the program');
    const file = create(folder, format, []);
    chmodSync(folder, 0o755);
    for (const mode of [0o000, 0o444]) {
      chmodSync(file, mode);
      const [expected, actual] = answers(file, ['length'], uid);
      expect(actual).toBe(expected);
      expect(actual).toContain('Permission denied');
    }
  });
});
