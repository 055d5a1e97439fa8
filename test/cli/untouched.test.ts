/** A refused command and a read-only image leave the file as it was: its bytes and its time of change. */
import { createHash } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { makeImage } from '../drivers/qcow2/make-image.ts';
import { blkscope, type Outcome, runProgram } from '../helpers/run-program.ts';
import { useFolder } from '../helpers/sandbox.ts';

const folder = useFolder();
const file = path.join(folder, 'disk');

function changed(image: Buffer, change: (image: Buffer) => void): Buffer {
  change(image);
  return image;
}

const images: readonly (readonly [string, 'raw' | 'qcow2', () => Buffer])[] = [
  ['raw', 'raw', () => Buffer.alloc(1 << 20, 7)],
  ['qcow2', 'qcow2', () => makeImage()],
];
const delicateImages: typeof images = [
  ...images,
  ['qcow2 version 2', 'qcow2', () => makeImage({ version: 2 })],
  ['dirty qcow2', 'qcow2', () => changed(makeImage({ lazyRefcounts: true }), (image) => image.writeUInt8(1, 79))],
  ['qcow2 with a bitmap', 'qcow2', () => makeImage({ bitmap: { name: 'b', granularityBits: 16 } })],
  ['qcow2 with an autoclear bit', 'qcow2', () => changed(makeImage(), (image) => image.writeUInt8(0x80, 88))],
];

const fingerprint = (): string =>
  `${createHash('sha1').update(readFileSync(file)).digest('hex')} ${statSync(file, { bigint: true }).mtimeNs}`;

async function runOver(content: Buffer, args: readonly string[], commands: readonly string[]): Promise<Outcome> {
  writeFileSync(file, content);
  const before = fingerprint();
  const outcome = await runProgram(blkscope, [...args, file], { cwd: folder, stdin: `${commands.join('\n')}\n` });
  expect(fingerprint()).toBe(before);
  expect(outcome.stdout.split('qemu-io> ')).toHaveLength(commands.length + 2);
  return outcome;
}

/** Bytes that commands say they have written, discarded or read. */
const done = ({ stdout }: Outcome): string[] => stdout.match(/^.*\d+\/\d+ bytes at offset.*$/gm) ?? [];

const refused = [
  ['write', 'write 0', 'write 0 x', 'write x 512', 'write -P 256 0 512', 'write -P x 0 512', 'write -y 0 512'],
  ['write 0 512 512', 'write 1M 512', 'write 1048064 1k', 'write 0 99999999999999999999', 'write -1 512'],
  ['write -u 0 512', 'write -n 0 512', 'write -z -P 1 0 512', 'write -s nosuch 0 512'],
  ['write -P 1 -s nosuch 0 512', 'write 100 3000000000', 'write -z 1M 64k', 'write -c 512 1M'],
  ['writev', 'writev 0', 'writev 0 x', 'writev 0 512 x', 'writev 1M 512', 'writev -P 300 0 512'],
  ['aio_write', 'aio_write 0', 'aio_write 0 x', 'aio_write -u 0 512', 'aio_write 1M 512'],
  ['discard', 'discard 0', 'discard 0 x', 'discard x 512', 'discard 1M 64k', 'discard 0 3000000000'],
  ['truncate', 'truncate x', 'truncate -1', 'truncate -m nosuch 2M', 'truncate -m full 64k'],
  ['open x y', 'reopen -x', 'reopen -o nosuch=1', 'reopen -c nosuch', 'nosuch', 'break', 'sleep', 'alloc x', 'map x'],
].flat();

const writing = [
  ['write 0 512', 'write -P 1 0 64k', 'write -z 0 64k', 'write -z -u 0 64k', 'write -z -n 0 64k', 'write -c 0 64k'],
  ['write -f 0 512', 'write 100 100', 'writev 0 512 512', 'aio_write 0 64k', 'aio_write -z -u 0 64k', 'aio_flush'],
  ['discard 0 64k', 'truncate 512k', 'truncate 2M', 'truncate -m full 2M', 'write -b 0 512', 'flush'],
].flat();

describe.each(images)('a command that is refused, on %s', (_, format, make) => {
  it('leaves the file as it was', async () => {
    expect(done(await runOver(make(), ['-f', format], refused))).toEqual([]);
  });
});

describe.each(delicateImages)('a read-only %s image', (_, format, make) => {
  it('is never written to', async () => {
    expect(done(await runOver(make(), ['-r', '-f', format], writing))).toEqual([]);
  });

  it('is not written to when it is opened anew either', async () => {
    const commands = ['reopen -r', ...writing, 'close', `open -r -o driver=${format} ${file}`, ...writing];
    expect(done(await runOver(make(), ['-r', '-f', format], commands))).toEqual([]);
  });
});

describe.each(images)('a writable %s image', (_, format, make) => {
  it('that was made read-only by reopen is not written to any more', async () => {
    expect(done(await runOver(make(), ['-f', format], ['reopen -r', ...writing]))).toEqual([]);
  });
});
