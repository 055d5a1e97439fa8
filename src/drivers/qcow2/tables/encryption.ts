/** Encryption of the guest's data, as reads and writes use it. `open-encryption.ts` makes it. */
import type { SpecificInfo } from '../../../block/driver.ts';
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

/** An image's encryption, with its key. Offsets and lengths are multiples of a sector. */
export interface Encryption {
  /** Facts for `info`. */
  readonly info: SpecificInfo;
  /** Encrypts the data of a place from `source` into `target`, which may be the same memory. */
  encrypt(host: HostOffset, guest: GuestOffset, source: Buffer, target: Buffer): void;
  /** Decrypts the data of a place where it lies. */
  decrypt(host: HostOffset, guest: GuestOffset, data: Buffer): void;
}
