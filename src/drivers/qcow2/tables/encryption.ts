/** Encryption of the guest's data, as reads and writes use it. `open-encryption.ts` makes it. */
import type { SpecificInfo } from '../../../block/driver.ts';
import type { BlockNode } from '../../../block/graph/node.ts';
import type { GuestOffset, HostOffset } from '../format/offsets.ts';

/** Requests are cut to so many clusters (QEMU's QCOW_MAX_CRYPT_CLUSTERS), which bounds the memory beside them. */
export const MAX_ENCRYPTED_CLUSTERS = 32;

/** Where the LUKS header is in the image file, in bytes. */
export interface LuksPlace {
  readonly offset: number;
  readonly bytes: number;
  /** The extension that says it, as it was read. */
  readonly extension: Buffer;
}

/** Memory that is kept: more than the longest part of a request with clusters of 64 KiB is given up. */
const KEPT_BYTES_MAX = 4 << 20;

/** Memory for encrypted data on its way to the file. The last one is kept: fresh memory is slow. */
export class OutgoingMemory {
  #kept: Buffer | null = null;

  /** Memory of this length, with anything in it. */
  take(node: BlockNode, bytes: number): Buffer {
    const kept = this.#kept;
    if (kept === null || kept.length < bytes) return node.context.allocate(bytes);
    this.#kept = null;
    return kept.subarray(0, bytes);
  }

  /** Gives back what `take` gave, after its use. */
  giveBack(memory: Buffer): void {
    if (memory.length <= KEPT_BYTES_MAX) this.#kept = memory;
  }
}

/** An image's encryption, with its key. Offsets and lengths are multiples of a sector. */
export interface Encryption {
  /** Facts for `info`. */
  readonly info: SpecificInfo;
  readonly outgoing: OutgoingMemory;
  /** Encrypts the data of a place from `source` into `target`, which may be the same memory. */
  encrypt(host: HostOffset, guest: GuestOffset, source: Buffer, target: Buffer): void;
  /** Decrypts the data of a place where it lies. */
  decrypt(host: HostOffset, guest: GuestOffset, data: Buffer): void;
}
