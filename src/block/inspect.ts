/**
 * The metadata of a format for commands that show it: the part of the driver contract behind `where`, `who`, `dump`.
 *
 * An inspector only looks. It reads below rules and events (`block/request/peek.ts`), takes no lock, and leaves caches
 * as they are, so that it works while requests are suspended that hold locks. Where memory and disk differ it says
 * both.
 */
import type { Answer, Pending } from '../util/steps.ts';
import { Errno } from '../util/errno.ts';
import type { WatchedPlace } from './debug/port.ts';
import { BlockError } from './error.ts';
import type { BlockNode } from './graph/node.ts';
import { checkOpen } from './request/check.ts';

/** A value in a row: offsets and lengths in bytes; raw entries of tables as hexadecimal text, exact to the last bit. */
export type Cell = string | number | boolean | null;

/** A row of a listing, by the keys of its fields. */
export type Row = Readonly<Record<string, Cell>>;

/** A field of the rows of a listing. */
export interface Field {
  readonly key: string;
  /** The title of its column, in capitals. */
  readonly title: string;
  /** One sentence for the documentation. */
  readonly help: string;
  /** An offset is shown in hexadecimal on a terminal, a length with its unit. */
  readonly unit?: 'offset' | 'bytes';
  /** On a terminal nothing is shown where the value is that of this other field. */
  readonly unlessAs?: string;
  /** It is in JSON and pipes only. */
  readonly isExact?: true;
}

/** Takes rows as they are found. */
export type RowSink = (row: Row) => void;

/** A range in bytes, of the guest's disk or of the file. */
export interface InspectedRange {
  readonly offset: number;
  readonly bytes: number;
}

/** One table that `dump` knows. */
export interface Structure {
  readonly name: string;
  readonly fields: readonly Field[];
  /** The operands of `dump` choose a range of the guest's disk or of the file; left out if they choose nothing. */
  readonly range?: 'guest' | 'host';
  /** Gives every row of a range that is not empty both in memory and on disk. */
  rows(range: InspectedRange, sink: RowSink): Pending;
}

/** One step of the way from a guest offset to the place of its data. */
export interface WayStep {
  /** The table, or what is found in the end: "l1", "l2", "refcount", "data", … */
  readonly step: string;
  readonly index: number | null;
  /** Offset of the entry, or of the data, in the file. */
  readonly at: number | null;
  /** The entry as it is in memory, and at this place on disk; null for what has none. */
  readonly entry: string | null;
  readonly disk: string | null;
  /** Whether the table with the entry is cached, and is to be written back; null for what is not cached in tables. */
  readonly cache: CacheState | null;
  readonly meaning: string;
}

/** Of the table that an entry is in. */
export type CacheState = 'none' | 'clean' | 'dirty';

/** Where a guest offset leads in one node. */
export interface Way {
  readonly steps: readonly WayStep[];
  /** Where it goes on: in the file below, the data file or the backing file; null if it ends here. */
  readonly next: { readonly node: BlockNode; readonly offset: number } | null;
}

/** A use of a part of the file. */
export interface Owner {
  /** "header", "l2 table", "data", … */
  readonly owner: string;
  /** The snapshot whose table refers to it; null for the active one. */
  readonly snapshot: string | null;
  /** The guest offset that it belongs to. */
  readonly guest: number | null;
  readonly offset: number;
  readonly bytes: number;
  /** Offset of the entry that refers to it, in the file. */
  readonly entryAt: number | null;
  /** Which state of the metadata says so. */
  readonly known: 'both' | 'memory' | 'disk';
}

/** A cluster of the file with its uses. */
export interface HostCluster {
  readonly offset: number;
  readonly bytes: number;
  /** As in memory, and as on disk; null where none is kept. */
  readonly refcount: number | null;
  readonly diskRefcount: number | null;
  readonly owners: readonly Owner[];
}

/** A run of a guest's disk of one kind in one node. */
export interface MapRun {
  readonly offset: number;
  readonly bytes: number;
  readonly kind: 'data' | 'zero' | 'compressed' | 'unallocated';
  /** Where it lies in `node`; null if it has no place, or none that can be told. */
  readonly host: number | null;
  readonly node: BlockNode | null;
  /** The tables on disk do not say so yet. */
  readonly isPending: boolean;
  /** Where `node` has a hole it reads as zeroes, as QEMU looks there. */
  readonly mayBeHole: boolean;
}

/** One entry of the metadata that two copies differ in. */
export interface MetadataChange {
  readonly structure: string;
  /** "guest 0x10000", "cluster 5", "incompatible_features". */
  readonly which: string;
  /** Where the entry is in the file; null for what has no fixed place. */
  readonly at: number | null;
  readonly before: string;
  readonly now: string;
  readonly diskBefore: string;
  readonly disk: string;
}

/** A copy of all metadata at one moment, in memory and on disk. */
export interface MetadataCopy {
  /** Its size in memory in bytes. */
  readonly bytes: number;
}

/** Metadata that is to be written to the file at an offset. */
export interface Unwritten {
  readonly offset: number;
  readonly bytes: Buffer;
}

/** The parts of an image that can be watched: what is named by a guest offset, or by one of the file. */
export const watchables = ['l2', 'refcount', 'cluster', 'range'] as const;

/** A part that can be watched. */
export type Watchable = (typeof watchables)[number];

/** The metadata of one node. Guest offsets are below the disk's length. */
export interface Inspector {
  readonly structures: readonly Structure[];
  where(guest: number): Answer<Way>;
  /** The clusters of the file from `offset` on that `bytes` touch, those without any use included. */
  who(range: InspectedRange, sink: (cluster: HostCluster) => void): Pending;
  /** The runs of a guest range, in order, without a gap. */
  map(range: InspectedRange, sink: (run: MapRun) => void): Pending;
  /**
   * The places in the file that belong to a range: with `l2` and `range` of the guest's disk, else of the file. Entries
   * come with those that lead to them. ENOTSUP for what the format does not have, EINVAL for too large a range.
   */
  watched(what: Watchable, range: InspectedRange): Answer<WatchedPlace[]>;
  /** All that a flush would write now, as copies. */
  unwritten(): Answer<Unwritten[]>;
  /** ENOMEM if the metadata is larger than `maxBytes`. */
  copy(maxBytes: number): Answer<MetadataCopy>;
  /** Tells of each entry that differs between two copies of this node. */
  changes(before: MetadataCopy, now: MetadataCopy, sink: (change: MetadataChange) => void): Pending;
}

/** The node whose metadata commands on `top` show: itself, or the first below it that is no filter. */
export function inspectedNode(top: BlockNode): BlockNode {
  let node = top;
  while (node.driver.inspector === undefined && node.filteredChild !== null) node = node.filteredChild.node;
  return node;
}

/** The inspector of a node. ENOTSUP if its driver has none, ENOMEDIUM if the image was found corrupt and closed. */
export async function inspectorOf(node: BlockNode): Promise<Inspector> {
  checkOpen(node);
  const { driver } = node;
  if (driver.inspector === undefined) {
    throw new BlockError(Errno.ENOTSUP, `the driver ${driver.formatName} has no metadata to look at`);
  }
  return driver.inspector(node);
}
