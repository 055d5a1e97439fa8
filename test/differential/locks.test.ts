/** Two programs and one image: each refuses what the other holds, with QEMU's message. */
import { spawn, spawnSync } from 'node:child_process';
import { truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { blkscope, type Program, qemuIo } from '../helpers/run-program.ts';
import { beforeEach, describe, expect, it } from 'vitest';
import { useEmptyFolder } from '../helpers/sandbox.ts';

const programs: Readonly<Record<string, Program>> = { 'qemu-io': qemuIo, blkscope };
const pairs = [
  ['qemu-io', 'blkscope'],
  ['blkscope', 'qemu-io'],
  ['blkscope', 'blkscope'],
] as const;

const folder = useEmptyFolder();
let image = '';

beforeEach(() => {
  image = path.join(folder, 'disk.raw');
  writeFileSync(image, '');
  truncateSync(image, 1 << 20);
});

function command(program: string, args: readonly string[]): [string, string[]] {
  const { command: file, args: first } = programs[program] ?? qemuIo;
  return [file, [...first, ...args]];
}

/** Opens the image in a program and keeps it open while `body` runs. */
async function whileHeld(program: string, args: readonly string[], body: () => void): Promise<void> {
  const holder = spawn(...command(program, args), { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = new Promise<void>((resolve) => holder.on('exit', () => resolve()));
  // The answer to a command shows that the image is open.
  holder.stdin.write('length\n');
  await new Promise<void>((resolve, reject) => {
    holder.stdout.on('data', (text: Buffer) => text.includes('MiB') && resolve());
    holder.on('exit', () => reject(new Error('the holder did not open the image')));
  });
  try {
    body();
  } finally {
    holder.stdin.end('quit\n');
    await exited;
  }
}

function tryToOpen(program: string, args: readonly string[]): { status: number | null; stderr: string } {
  const [file, all] = command(program, [...args, '-c', 'length', image]);
  const { status, stderr } = spawnSync(file, all, { encoding: 'utf8' });
  return { status, stderr };
}

const conflict = (permission: string): { status: number; stderr: string } => ({
  status: 1,
  stderr:
    `qemu-io: can't open device ${image}: Failed to get ${permission} lock\n` +
    `Is another process using the image [${image}]?\n`,
});

describe.each(pairs)('an image that %s holds, opened by %s', (holder, client) => {
  const unshared = (permission: string): string[] => [
    '-r',
    '--image-opts',
    `driver=raw,file.driver=blkdebug,file.image.driver=file,file.image.filename=${image},` +
      `file.unshare-child-perms.0=${permission}`,
  ];

  it('is refused for writing where the holder lets nobody write, and given for reading', async () => {
    await whileHeld(holder, unshared('write'), () => {
      expect(tryToOpen(client, ['-f', 'raw'])).toEqual(conflict('"write"'));
      expect(tryToOpen(client, ['-f', 'raw', '-r'])).toEqual({ status: 0, stderr: '' });
    });
    expect(tryToOpen(client, ['-f', 'raw'])).toEqual({ status: 0, stderr: '' });
  });

  it('is refused for reading where the holder lets nobody read', async () => {
    await whileHeld(holder, unshared('consistent-read'), () => {
      expect(tryToOpen(client, ['-f', 'raw', '-r'])).toEqual(conflict('"consistent read"'));
    });
  });

  it('is given to those who share, and to those who do not lock', async () => {
    await whileHeld(holder, ['-f', 'raw', image], () => {
      expect(tryToOpen(client, ['-f', 'raw'])).toEqual({ status: 0, stderr: '' });
      expect(tryToOpen(client, ['-f', 'raw', '-U', '-r'])).toEqual({ status: 0, stderr: '' });
    });
  });
});
