/** An export: an opened image under a name, and what clients are told of it. */
import type { BlockBackend } from '../block/backend.ts';
import { Open, Status } from '../block/flags.ts';
import { type ChainStatus } from '../block/request/status.ts';
import type { Steps } from '../util/steps.ts';
import { letOthersIn } from './pieces.ts';
import { Allocation, type HeaderStyle, MAX_PAYLOAD_BYTES, TransmissionFlag } from './wire.ts';

/** The metadata contexts of BLOCK_STATUS: the index is the id on the wire. */
export const contextNames = ['base:allocation', 'qemu:allocation-depth'] as const;

/** A run of one state, as BLOCK_STATUS tells it. */
export interface Extent {
  bytes: number;
  readonly flags: number;
}

/** The image of an export and how it is offered. */
export interface ExportSettings {
  /** At most `MAX_STRING_BYTES` of UTF-8; empty for the export that clients get without a name. */
  readonly name: string;
  readonly description?: string;
  readonly backend: BlockBackend;
  /** Clients may not write, whatever the image allows. */
  readonly isReadOnly?: boolean;
}

/** O_DIRECT wants data at multiples of this. */
const DIRECT_ALIGNMENT = 4096;
/** The protocol's limit of the smallest block. */
const MAX_MINIMUM_BYTES = 1 << 16;
/** Runs that are looked up before others have their turn. */
const RUNS_PER_TURN = 64;
/** The preferred block size: a page, as qemu-nbd says. */
const PREFERRED_BLOCK_BYTES = 4096;

/** An image that clients are offered. All of them use one backend, and so one cache. */
export class NbdExport {
  readonly name: string;
  readonly description: string;
  readonly backend: BlockBackend;
  readonly #isReadOnly: boolean;

  constructor({ name, description = '', backend, isReadOnly = false }: ExportSettings) {
    this.name = name;
    this.description = description;
    this.backend = backend;
    this.#isReadOnly = isReadOnly;
  }

  /** Its length in bytes now. ENOMEDIUM for a drive without a disc, or when the image was closed. */
  get sizeBytes(): number {
    return this.backend.getLength();
  }

  get isReadOnly(): boolean {
    return this.#isReadOnly || this.backend.top.isReadOnly;
  }

  /** The size constraints in bytes: smallest block, preferred block, longest payload. */
  get blockSizes(): { readonly minimum: number; readonly preferred: number; readonly maximum: number } {
    const { requestAlignment, maxTransfer } = this.backend.top.limits;
    // The block layer pads what is not aligned, so that less may be told than the node asks for.
    const minimum = Math.min(requestAlignment, MAX_MINIMUM_BYTES);
    const preferred = Math.max(minimum, PREFERRED_BLOCK_BYTES);
    const longest = maxTransfer === 0 ? MAX_PAYLOAD_BYTES : Math.min(maxTransfer, MAX_PAYLOAD_BYTES);
    return { minimum, preferred, maximum: Math.max(longest, preferred) };
  }

  /** How the memory of reads is best aligned. */
  get memoryAlignment(): number {
    return (this.backend.top.openFlags & Open.NO_CACHE) === 0 ? 1 : DIRECT_ALIGNMENT;
  }

  /** Bits of `TransmissionFlag` for a client that has agreed on these headers. */
  transmissionFlags(style: HeaderStyle, hasContexts: boolean): number {
    const Flag = TransmissionFlag;
    let flags = Flag.HAS_FLAGS | Flag.SEND_FLUSH | Flag.SEND_FUA | Flag.SEND_CACHE | Flag.CAN_MULTI_CONN;
    if (this.isReadOnly) flags |= Flag.READ_ONLY;
    else flags |= Flag.SEND_TRIM | Flag.SEND_WRITE_ZEROES | Flag.SEND_FAST_ZERO;
    if (style !== 'simple') flags |= Flag.SEND_DF;
    if (style === 'extended' && hasContexts) flags |= Flag.BLOCK_STATUS_PAYLOAD;
    return flags;
  }

  /**
   * The states of a range in a context, an index of `contextNames`: at least one run, at most `maxExtents`, none
   * beyond the range.
   */
  *extents(context: number, offset: number, bytes: number, maxExtents: number): Steps<Extent[]> {
    const isAllocation = context === 0;
    const query = { base: null, includeBase: false, wantZero: isAllocation };
    const extents: Extent[] = [];
    let runs = 0;
    for (let done = 0; done < bytes; ) {
      runs += 1;
      if (runs % RUNS_PER_TURN === 0) yield* letOthersIn(this.backend.top.loop);
      const status: ChainStatus = yield this.backend.blockStatus(query, offset + done, bytes - done);
      // The image has become shorter since the client was told its length.
      if (status.bytes === 0) break;
      const flags = isAllocation ? allocationOf(status.flags) : depthOf(status);
      const last = extents.at(-1);
      if (last?.flags === flags) last.bytes += status.bytes;
      else if (extents.length === maxExtents) break;
      else extents.push({ bytes: status.bytes, flags });
      done += status.bytes;
    }
    if (extents.length === 0) extents.push({ bytes, flags: 0 });
    return extents;
  }
}

function allocationOf(status: number): number {
  return ((status & Status.DATA) === 0 ? Allocation.HOLE : 0) | ((status & Status.ZERO) === 0 ? 0 : Allocation.ZERO);
}

/** 0 where no node of the chain has the range, 1 for the top, and so on. */
function depthOf({ flags, depth }: ChainStatus): number {
  return (flags & Status.ALLOCATED) === 0 ? 0 : depth;
}
