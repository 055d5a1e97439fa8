/** Damaged images by number, and what a check of one comes to, in a form that two programs can be compared by. */
import { spawnSync } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import type { CheckRepair } from '../../src/block/driver.ts';
import { damaged } from '../fuzz/damage.js';
import { type ImageFile, makeQcow2 } from '../fuzz/qcow2-writer.js';
import { Random } from '../fuzz/random.js';
import { type CheckOutcome, ownCheck } from './own-check.ts';

/** Every way to repair. */
export const repairs: readonly CheckRepair[] = ['none', 'leaks', 'all'];

/** A repair may make the file as long as a damaged offset says; that much is not read. */
const COMPARED_BYTES = 2 ** 26;

/** A check, its output normalised, with the file as it was left. */
export interface Checked {
  readonly exit: number;
  /** Parsed if it was JSON. */
  readonly stdout: unknown;
  readonly stderr: string;
  readonly length: number;
  /** Empty if the file is very long. */
  readonly bytes: Buffer;
}

/** The files of image `index`; every second one is from `pool`, if there are any. */
export function damagedImage(seed: string, index: number, pool: readonly ImageFile[][]): ImageFile[] {
  const random = new Random(`${seed} check ${index}`);
  const own = makeQcow2(random);
  const files = index % 2 === 1 && pool.length > 0 ? random.pick(pool) : own;
  return files.map(({ name, data }) => (name === 'disk.img' ? { name, data: damaged(data, random) } : { name, data }));
}

/** Without its key an encrypted image cannot be opened, and so not be checked. */
export function isEncrypted(files: readonly ImageFile[]): boolean {
  const disk = files[0]?.data;
  return disk !== undefined && disk.length >= 36 && disk.readUInt32BE(32) !== 0;
}

/** Writes the files to the current folder, and has qemu-img check the image. Null if that did not end. */
export function checkedByQemu(
  files: readonly ImageFile[],
  repair: CheckRepair,
  isJson: boolean,
  format = 'qcow2',
): Checked | null {
  writeFiles(files);
  const words = ['check', '-f', format, `--output=${isJson ? 'json' : 'human'}`];
  if (repair !== 'none') words.push('-r', repair);
  const { status, stdout, stderr } = spawnSync('qemu-img', [...words, 'disk.img'], {
    encoding: 'utf8',
    timeout: 30_000,
    maxBuffer: 2 ** 28,
  });
  return status === null ? null : withFile({ exit: status, stdout, stderr }, isJson);
}

/** The check of this program. */
export async function checkedByUs(
  files: readonly ImageFile[],
  repair: CheckRepair,
  isJson: boolean,
  format = 'qcow2',
): Promise<Checked> {
  writeFiles(files);
  return withFile(await ownCheck('disk.img', repair, isJson, format), isJson);
}

function writeFiles(files: readonly ImageFile[]): void {
  for (const { name, data } of files) writeFileSync(name, data);
}

function withFile({ exit, stdout, stderr }: CheckOutcome, isJson: boolean): Checked {
  const { size } = statSync('disk.img');
  return {
    exit,
    stdout: isJson && stdout !== '' ? JSON.parse(stdout) : stdout,
    // Nodes are numbered on, image after image; names may be in no encoding; one message has no end of line.
    stderr: stderr
      .replaceAll(/#block\d+/g, '#block')
      .replaceAll(/[\u0080-\uffff]+/g, '?')
      .replace(/(image file to fix\.)(?!\n)/, '$1\n'),
    length: size,
    bytes: size <= COMPARED_BYTES ? readFileSync('disk.img') : Buffer.alloc(0),
  };
}
