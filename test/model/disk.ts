/** A disk of the model check: its geometry and limits, how to make its files, and how to open them. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { makeImage } from '../drivers/qcow2/make-image.ts';
import { hex } from '../../src/search/model/content.ts';
import { SECTOR_BYTES } from '../../src/search/model/disk-model.ts';

export const DISK_BYTES = 64 * 1024;
export const DISK_SECTORS = DISK_BYTES / SECTOR_BYTES;
/** The content of every sector at first; with no backing file qcow2 begins with zeroes. */
const OLD_VALUE = 0xee;

export interface Disk {
  readonly format: 'raw' | 'qcow2';
  readonly clusterBits: number;
  readonly hasBacking: boolean;
  /** Options of blkdebug, without their prefix. */
  readonly debugOptions: readonly string[];
}

const errorEvents = ['write_aio', 'cow_read', 'cow_write', 'l2_load', 'l2_update', 'pwritev_rmw_head', 'cluster_alloc'];

const anyError = fc
  .constantFrom(...errorEvents)
  .map((event) => [`inject-error.0.event=${event}`, 'inject-error.0.once=on']);

// No errors with align: a failed read of read-modify-write is ignored, as in QEMU (observed with qemu-io 7.2.22).
const anyDebugOptions = fc
  .tuple(
    fc.oneof({ withCrossShrink: true }, fc.constant<string[]>([]), fc.constant(['align=4096']), anyError),
    fc.constantFrom([], [], ['max-transfer=8192']),
  )
  .map((groups) => groups.flat());

export const anyDisk: fc.Arbitrary<Disk> = fc.record({
  format: fc.constantFrom('raw' as const, 'qcow2' as const, 'qcow2' as const),
  clusterBits: fc.integer({ min: 9, max: 16 }),
  hasBacking: fc.boolean(),
  debugOptions: anyDebugOptions,
});

export function initialValue({ format, hasBacking }: Disk): number {
  return format === 'raw' || hasBacking ? OLD_VALUE : 0;
}

export function makeFiles(disk: Disk, folder: string): void {
  const old = Buffer.alloc(DISK_BYTES, OLD_VALUE);
  if (disk.format === 'raw') {
    writeFileSync(path.join(folder, 'disk.raw'), old);
    return;
  }
  const { clusterBits, hasBacking } = disk;
  const filename = path.join(folder, 'base.raw');
  const backing = hasBacking ? { backing: { filename, format: 'raw' } } : {};
  if (hasBacking) writeFileSync(filename, old);
  writeFileSync(path.join(folder, 'disk.qcow2'), makeImage({ lengthBytes: DISK_BYTES, clusterBits, ...backing }));
}

/** The words behind `--image-opts`. */
export function imageOptions(disk: Disk, folder: string): string {
  const file = [
    `image.driver=file`,
    `image.filename=${path.join(folder, `disk.${disk.format}`)}`,
    ...disk.debugOptions,
  ];
  return [`driver=${disk.format}`, 'file.driver=blkdebug', ...file.map((option) => `file.${option}`)].join(',');
}

/** The lines that make the disk in the working directory. */
export function setUpLines(disk: Disk): string[] {
  const fill = (name: string): string[] => [
    `qemu-img create -f raw ${name} ${DISK_BYTES}`,
    `qemu-io -f raw -c 'write -q -P ${hex(OLD_VALUE)} 0 ${DISK_BYTES}' ${name}`,
  ];
  if (disk.format === 'raw') return fill('disk.raw');
  const backing = disk.hasBacking ? ',backing_file=base.raw,backing_fmt=raw' : '';
  const create = `qemu-img create -f qcow2 -o cluster_size=${2 ** disk.clusterBits}${backing} disk.qcow2 ${DISK_BYTES}`;
  return [...(disk.hasBacking ? fill('base.raw') : []), create];
}
