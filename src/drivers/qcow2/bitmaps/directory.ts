/** The directory of persistent bitmaps: parsed, checked, encoded. */
import { BlockError, invalidArgument, withContext } from '../../../block/error.ts';
import { Errno } from '../../../util/errno.ts';
import type { Steps } from '../../../util/steps.ts';
import type { Qcow2Image } from '../tables/image.ts';
import { readFile } from '../tables/io.ts';
import { readUint64, writeUint64 } from '../format/offsets.ts';
import { untilNul } from '../format/validate.ts';

/** Flags of an entry (qcow2 specification, "Bitmap directory"). */
export const BitmapFlag = { IN_USE: 1, AUTO: 2 } as const;

const ENTRY_BYTES = 24;
const DIRTY_TRACKING = 1;
const MAX_TABLE_ENTRIES = 0x800_0000;
/** The longest bitmap, in bytes. */
const MAX_PHYSICAL_BYTES = 0x2000_0000;
const MIN_GRANULARITY_BITS = 9;
const MAX_GRANULARITY_BITS = 31;
const MAX_NAME_BYTES = 1023;

/** An entry: where the table of a bitmap is, and what a bit stands for. */
export interface DirectoryEntry {
  tableOffset: number;
  /** Entries of eight bytes. */
  tableEntries: number;
  /** Bits of `BitmapFlag`. */
  flags: number;
  readonly granularityBits: number;
  readonly name: Buffer;
}

/** Reads the directory that the header names. EINVAL for anything wrong with it. */
export function* readDirectory(image: Qcow2Image): Steps<DirectoryEntry[]> {
  const bytes = image.bitmapDirectoryBytes;
  if (bytes === 0) throw invalidArgument('Requested bitmap directory size is zero');
  // At most 64 MiB, by the check of the extension.
  const data = Buffer.alloc(bytes);
  yield withContext('Failed to read bitmap directory', () => readFile(image, image.bitmapDirectoryOffset, data));
  return parseDirectory(image, data);
}

/** The entries of a directory. EINVAL for anything wrong with it. */
export function parseDirectory(image: Qcow2Image, data: Buffer): DirectoryEntry[] {
  const bytes = data.length;
  const entries: DirectoryEntry[] = [];
  let at = 0;
  while (at < bytes) {
    if (at + ENTRY_BYTES > bytes) throw invalidArgument('Broken bitmap directory');
    if (entries.length === image.bitmapCount)
      throw invalidArgument('More bitmaps found than specified in header extension');
    const nameBytes = data.readUInt16BE(at + 18);
    const extraBytes = data.readUInt32BE(at + 20);
    // QEMU adds up in 32 bits with a sign, where much extra data leads back.
    const end = at + Math.ceil(((ENTRY_BYTES + nameBytes + extraBytes) | 0) / 8) * 8;
    if (end > bytes) throw invalidArgument('Broken bitmap directory');
    if (extraBytes !== 0) throw invalidArgument('Bitmap extra data is not supported');
    const entry: DirectoryEntry = {
      tableOffset: readUint64(data, at),
      tableEntries: data.readUInt32BE(at + 8),
      flags: data.readUInt32BE(at + 12),
      granularityBits: data[at + 17] ?? 0,
      name: Buffer.from(untilNul(data.subarray(at + ENTRY_BYTES, at + ENTRY_BYTES + nameBytes))),
    };
    if (data[at + 16] !== DIRTY_TRACKING || !isAcceptable(image, entry, nameBytes)) {
      throw invalidArgument(`Bitmap '${entry.name.toString('latin1')}' doesn't satisfy the constraints`);
    }
    entries.push(entry);
    at = end;
  }
  if (entries.length !== image.bitmapCount)
    throw invalidArgument('Less bitmaps found than specified in header extension');
  return entries;
}

/** `nameBytes`: what the name takes on disk, which may be more than it says. */
function isAcceptable(image: Qcow2Image, entry: DirectoryEntry, nameBytes: number): boolean {
  const { tableOffset, tableEntries, flags, granularityBits } = entry;
  const bytes = tableEntries * image.clusterBytes;
  if (tableEntries === 0 || tableOffset === 0 || tableOffset % image.clusterBytes !== 0) return false;
  if (tableEntries > MAX_TABLE_ENTRIES || bytes > MAX_PHYSICAL_BYTES) return false;
  if (granularityBits < MIN_GRANULARITY_BITS || granularityBits > MAX_GRANULARITY_BITS) return false;
  if ((flags & ~(BitmapFlag.IN_USE | BitmapFlag.AUTO)) !== 0 || nameBytes > MAX_NAME_BYTES) return false;
  // One that was not saved properly may have any length.
  return (flags & BitmapFlag.IN_USE) !== 0 || image.lengthBytes <= bytes * 8 * 2 ** granularityBits;
}

/** The directory as it is on disk. EINVAL if one of the bitmaps cannot be there. */
export function encodeDirectory(image: Qcow2Image, entries: readonly DirectoryEntry[]): Buffer {
  const parts = entries.map((entry) => {
    if (!isAcceptable(image, entry, entry.name.length)) throw new BlockError(Errno.EINVAL);
    const part = Buffer.alloc(Math.ceil((ENTRY_BYTES + entry.name.length) / 8) * 8);
    writeUint64(part, entry.tableOffset, 0);
    part.writeUInt32BE(entry.tableEntries, 8);
    part.writeUInt32BE(entry.flags, 12);
    part[16] = DIRTY_TRACKING;
    part[17] = entry.granularityBits;
    part.writeUInt16BE(entry.name.length, 18);
    entry.name.copy(part, ENTRY_BYTES);
    return part;
  });
  return Buffer.concat(parts);
}
