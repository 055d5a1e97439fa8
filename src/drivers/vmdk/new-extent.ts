/** The first bytes of a new sparse extent: its header, and both directories, whose tables are empty. */
import { SECTOR_BYTES } from '../../block/flags.ts';
import { alignUp, divRoundUp } from '../../util/align.ts';
import { SPARSE_MAGIC } from './probe.ts';
import { DEFLATE, Field, Flag, MAGIC_BYTES, SPARSE_HEADER_BYTES } from './sparse-header.ts';

const GRAIN_SECTORS = 128;
const TABLE_ENTRIES = 512;
const ENTRY_BYTES = 4;
const TABLE_SECTORS = (TABLE_ENTRIES * ENTRY_BYTES) / SECTOR_BYTES;
const DESCRIPTOR_OFFSET = 1;
const DESCRIPTOR_SECTORS = 20;
/** A transfer that took them for ends of lines would change them. */
const CHECK_BYTES = '\n \r\n';

/** The parts of a new extent, and the length of its file in bytes. */
interface NewExtent {
  readonly lengthBytes: number;
  readonly parts: readonly { readonly offset: number; readonly data: Buffer }[];
}

/** An extent for this many bytes of the guest's disk, a multiple of 512. Tables are counted in 32 bits, as by QEMU. */
export function newSparseExtent(
  diskBytes: number,
  { isCompressed, hasZeroGrains }: { readonly isCompressed: boolean; readonly hasZeroGrains: boolean },
): NewExtent {
  const grains = toUint32(divRoundUp(diskBytes / SECTOR_BYTES, GRAIN_SECTORS));
  const tables = Math.floor(toUint32(grains + TABLE_ENTRIES - 1) / TABLE_ENTRIES);
  const directorySectors = divRoundUp(tables * ENTRY_BYTES, SECTOR_BYTES);
  const groupSectors = directorySectors + tables * TABLE_SECTORS;
  const backupOffset = DESCRIPTOR_OFFSET + DESCRIPTOR_SECTORS;
  const directoryOffset = backupOffset + groupSectors;
  const overhead = alignUp(directoryOffset + groupSectors, GRAIN_SECTORS);

  const header = Buffer.alloc(MAGIC_BYTES + SPARSE_HEADER_BYTES);
  header.write(SPARSE_MAGIC, 0, 'latin1');
  header.writeUInt32LE(isCompressed ? 3 : hasZeroGrains ? 2 : 1, Field.VERSION);
  const flags =
    Flag.BACKUP |
    Flag.NEWLINE_TEST |
    (isCompressed ? Flag.COMPRESSED | Flag.MARKERS : 0) |
    (hasZeroGrains ? Flag.ZERO_GRAINS : 0);
  header.writeUInt32LE(flags, Field.FLAGS);
  header.writeBigUInt64LE(BigInt(diskBytes / SECTOR_BYTES), Field.CAPACITY);
  header.writeBigUInt64LE(BigInt(GRAIN_SECTORS), Field.GRAIN_SECTORS);
  header.writeBigUInt64LE(BigInt(DESCRIPTOR_OFFSET), Field.DESCRIPTOR_OFFSET);
  header.writeBigUInt64LE(BigInt(DESCRIPTOR_SECTORS), Field.DESCRIPTOR_SECTORS);
  header.writeUInt32LE(TABLE_ENTRIES, Field.TABLE_ENTRIES);
  header.writeBigUInt64LE(BigInt(backupOffset), Field.BACKUP_OFFSET);
  header.writeBigUInt64LE(BigInt(directoryOffset), Field.DIRECTORY_OFFSET);
  header.writeBigUInt64LE(BigInt(overhead), Field.OVERHEAD_SECTORS);
  header.write(CHECK_BYTES, Field.CHECK_BYTES, 'latin1');
  header.writeUInt16LE(isCompressed ? DEFLATE : 0, Field.COMPRESSION);

  const directoryAt = (offset: number) => {
    const data = Buffer.alloc(directorySectors * SECTOR_BYTES);
    for (let index = 0; index < tables; index++) {
      data.writeUInt32LE(toUint32(offset + directorySectors + index * TABLE_SECTORS), index * ENTRY_BYTES);
    }
    return { offset: offset * SECTOR_BYTES, data };
  };
  const parts = [{ offset: 0, data: header }, directoryAt(backupOffset), directoryAt(directoryOffset)];
  return { lengthBytes: overhead * SECTOR_BYTES, parts };
}

function toUint32(value: number): number {
  return value % 2 ** 32;
}
