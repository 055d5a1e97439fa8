/** A volume's header for `info`: its algorithms and key slots, and nothing that belongs to a key. */
import type { LuksAlgorithms, LuksHeader } from './luks-header.ts';
import { SECTOR_BYTES } from './sector-cipher.ts';

/** Facts about a volume, by QEMU's names (`QCryptoBlockInfoLUKS`). Offsets are in bytes. */
export type LuksInfo = Readonly<Record<string, string | number | boolean | readonly SlotInfo[]>>;
type SlotInfo = Readonly<Record<string, number | boolean>>;

/** A volume, and whether its facts are those of QEMU 9.0: whether the header is detached, too. */
interface Described {
  readonly header: LuksHeader;
  readonly algorithms: LuksAlgorithms;
  readonly tellsDetached: boolean;
}

/** The facts about a volume, in the order of QEMU's structures. */
export function luksInfo({ header, algorithms, tellsDetached }: Described): LuksInfo {
  const { cipher, mode, iv, hash } = algorithms;
  return {
    'cipher-alg': cipher.name,
    'cipher-mode': mode,
    'ivgen-alg': iv.name,
    ...(iv.essiv === null ? {} : { 'ivgen-hash-alg': iv.essiv.hash }),
    'hash-alg': hash,
    ...(tellsDetached ? { 'detached-header': header.payloadSector === 0 } : {}),
    'payload-offset': header.payloadSector * SECTOR_BYTES,
    'master-key-iters': header.digestIterations,
    uuid: header.uuid,
    slots: header.slots.map(
      ({ isActive, iterations, materialSector, stripes }): SlotInfo => ({
        active: isActive,
        ...(isActive ? { iters: iterations, stripes } : {}),
        'key-offset': materialSector * SECTOR_BYTES,
      }),
    ),
  };
}
