/** An extent of a vmdk image: a file, or a part of one, that has a range of the guest's disk. */
import { BlockError, errorWithErrno, errnoOf } from '../../block/error.ts';
import type { DebugEvent } from '../../block/events/events.ts';
import { SECTOR_BYTES } from '../../block/flags.ts';
import type { ChildLink } from '../../block/graph/node.ts';
import { refreshFilename } from '../../block/graph/refresh-filename.ts';
import { Errno } from '../../util/errno.ts';
import type { Pending, Steps } from '../../util/steps.ts';
import { TableSlots } from '../../util/table-slots.ts';
import { GrainDirectory } from './grain-directory.ts';
import type { VmdkImage } from './vmdk-image.ts';

/** A grain of 1 GiB: longer ones are damage. */
const MAX_GRAIN_SECTORS = 0x20_0000n;
const MAX_TABLES = 32 * 1024 * 1024;

/** An extent before it is part of an image. Lengths and offsets in sectors unless they say bytes. */
export interface ExtentShape {
  readonly kind: 'flat' | 'sparse' | 'sesparse';
  readonly sectors: bigint;
  /** Of a flat extent: where its data are in the file. */
  readonly flatOffset?: bigint;
  readonly grainSectors?: bigint;
  readonly tableEntries?: number;
  readonly tableCount?: number;
  readonly directoryOffset?: bigint;
  /** 0 if there is no second directory. */
  readonly backupOffset?: bigint;
  readonly isCompressed?: boolean;
  readonly hasMarkers?: boolean;
  readonly hasZeroGrains?: boolean;
  /** Of a seSparse extent: where its tables and its grains begin. */
  readonly tablesOffset?: bigint;
  readonly grainsOffset?: bigint;
}

/** An extent of an opened image. */
export class Extent {
  readonly image: VmdkImage;
  readonly kind: ExtentShape['kind'];
  /** Null where the extent is in the image's own file, which a reopen may replace. */
  readonly #file: ChildLink | null;
  /** As the descriptor's line has it; empty without one. */
  type = '';

  /** The range of the guest's disk. */
  readonly startByte: number;
  readonly endByte: number;
  readonly flatOffset: number;
  /** A flat extent has one grain, which is all of it. */
  readonly grainBytes: number;
  readonly tableEntries: number;
  readonly isCompressed: boolean;
  readonly hasMarkers: boolean;
  readonly hasZeroGrains: boolean;
  readonly directory: GrainDirectory;
  readonly backup: GrainDirectory | null;
  readonly tablesOffset: number;
  readonly grainsOffset: bigint;
  readonly tables: TableSlots;
  /** New grains are taken from here, behind the end of the file; in sectors. */
  nextSector: number;

  /** Checked as QEMU does; EFBIG for lengths that no extent has. */
  constructor(image: VmdkImage, file: ChildLink, shape: ExtentShape) {
    const { kind, sectors, grainSectors = 0n, tableEntries = 0, tableCount = 0 } = shape;
    if (grainSectors > MAX_GRAIN_SECTORS) {
      throw new BlockError(Errno.EFBIG, 'Invalid granularity, image may be corrupt');
    }
    if (tableCount > MAX_TABLES) throw new BlockError(Errno.EFBIG, 'L1 size too big');
    // QEMU 7.2 divides by it.
    if (kind !== 'flat' && grainSectors === 0n) {
      throw new BlockError(Errno.EFBIG, 'Invalid granularity, image may be corrupt');
    }
    const start = image.extents.at(-1)?.endByte ?? 0;
    const end = start + Number(BigInt.asIntN(64, sectors)) * SECTOR_BYTES;
    if (end < start) throw new BlockError(Errno.EFBIG);
    this.image = image;
    this.kind = kind;
    this.#file = file === image.file ? null : file;
    this.startByte = start;
    this.endByte = end;
    this.flatOffset = bytesOf(shape.flatOffset ?? 0n);
    this.grainBytes = kind === 'flat' ? end - start : Number(grainSectors) * SECTOR_BYTES;
    this.tableEntries = tableEntries;
    this.isCompressed = shape.isCompressed ?? false;
    this.hasMarkers = shape.hasMarkers ?? false;
    this.hasZeroGrains = shape.hasZeroGrains ?? false;
    const entryBytes = kind === 'sesparse' ? 8 : 4;
    this.directory = new GrainDirectory(bytesOf(shape.directoryOffset ?? 0n), tableCount, entryBytes);
    const backupOffset = bytesOf(shape.backupOffset ?? 0n);
    this.backup = backupOffset === 0 ? null : new GrainDirectory(backupOffset, tableCount, entryBytes);
    this.tablesOffset = Number(shape.tablesOffset ?? 0n);
    this.grainsOffset = shape.grainsOffset ?? 0n;
    this.tables = new TableSlots(tableEntries * entryBytes);
    this.nextSector = firstFreeSector(file, grainSectors);
  }

  get file(): ChildLink {
    return this.#file ?? this.image.file;
  }

  get lengthBytes(): number {
    return this.endByte - this.startByte;
  }

  /** The guest's bytes that one table maps. */
  get reachBytes(): number {
    return this.tableEntries * this.grainBytes;
  }

  /** A position of the guest's disk within its grain. */
  intoGrain(offset: number): number {
    return (offset - this.startByte) % this.grainBytes;
  }

  /** Reads the directories. Failures are those of the extent's file, by its name. */
  *load(): Steps<void> {
    yield* naming(this.file, 'Could not read l1 table from extent', this.directory.load(this.file));
    if (this.backup === null) return;
    yield* naming(this.file, 'Could not read l1 backup table from extent', this.backup.load(this.file));
  }

  /** Fires the event of the next step on the extent's file. Pending only if a breakpoint suspends the request. */
  fire(event: DebugEvent): Pending {
    return this.file.node.debugEvent(event);
  }
}

/** Sectors of an image as bytes, in 64 bits with a sign as QEMU counts them. */
export function bytesOf(sectors: bigint): number {
  return Number(BigInt.asIntN(64, sectors * BigInt(SECTOR_BYTES)));
}

/** Runs steps; their failure gets a text with the name of a file. */
export function* naming<T>(file: ChildLink, text: string, steps: Steps<T>): Steps<T> {
  try {
    return yield* steps;
  } catch (error) {
    const errno = errnoOf(error);
    refreshFilename(file.node);
    throw errorWithErrno(errno, `${text} '${file.node.filename}'`);
  }
}

/** The end of a file, rounded up to a grain; by bits as QEMU does it, whatever the length of a grain. */
function firstFreeSector({ node }: ChildLink, grainSectors: bigint): number {
  const sectors = BigInt(node.getLength() / SECTOR_BYTES);
  return Number(BigInt.asIntN(64, (sectors + grainSectors - 1n) & -grainSectors));
}
