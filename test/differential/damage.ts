/** Damage to the metadata of a qcow2 image: one 64-bit word of a table or of the header changed. */
import { readFileSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';

const regions = ['header', 'L1', 'L2', 'refcount table', 'refcount block', 'snapshots', 'bitmaps'] as const;

export interface Damage {
  readonly region: (typeof regions)[number];
  /** Which word of the region. */
  readonly index: number;
  /** The damage: bits turned over, or another value. */
  readonly flip?: bigint;
  readonly set?: 'zero' | 'header' | 'L1' | 'refcount table' | 'refcount block' | 'end' | 'beyond';
}

/**
 * Bits that mean something in one table or another, and any others; but none that makes offsets longer than any file
 * can be: there file systems differ.
 */
const flip = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constantFrom(0, 1, 8, 9, 12, 16, 17, 20, 32, 33, 36, 56, 61, 62, 63).map((bit) => 1n << BigInt(bit)),
  },
  { weight: 1, arbitrary: fc.bigInt({ min: 1n, max: (1n << 64n) - 1n }).map((bits) => bits & 0xff00_003f_ffff_ffffn) },
);
const where = {
  region: fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom<Damage['region']>('L1', 'L2', 'refcount block') },
    { weight: 1, arbitrary: fc.constantFrom(...regions) },
  ),
  index: fc.oneof({ weight: 3, arbitrary: fc.nat(8) }, fc.nat(200)),
};

export const damage: fc.Arbitrary<Damage> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ ...where, flip }) },
  {
    weight: 1,
    arbitrary: fc.record({
      ...where,
      set: fc.constantFrom<NonNullable<Damage['set']>>(
        'zero',
        'header',
        'L1',
        'refcount table',
        'refcount block',
        'end',
        'beyond',
      ),
    }),
  },
);

export function describeDamage({ region, index, flip: bits, set }: Damage): string {
  return `word ${index} of ${region} ${bits === undefined ? `becomes ${set}` : `^= 0x${bits.toString(16)}`}`;
}

/** Which bits of a word of the header may change. */
function headerMask(index: number): bigint {
  // The encryption method stays: there are no encrypted images here.
  if (index === 4) return 0xffff_ffffn;
  // Feature bits may be any; offsets and the length must not leave what files can be.
  return index >= 9 ? ~0n : 0xff_ffff_ffffn;
}

/** Offsets are 56 bits without the lowest 9. */
const offsetOf = (word: bigint): number => Number(word & 0x00ff_ffff_ffff_fe00n);

/** Changes the file; nothing if it has no such word. */
export function applyDamage(file: string, { region, index, flip: bits, set }: Damage): void {
  const image = readFileSync(file);
  const word = (at: number): bigint => (at >= 0 && at + 8 <= image.length ? image.readBigUInt64BE(at) : 0n);
  const clusterBytes = 1 << image.readUInt32BE(20);
  const starts: Record<Damage['region'], number> = {
    header: 0,
    L1: offsetOf(word(40)),
    L2: 0,
    'refcount table': offsetOf(word(48)),
    'refcount block': offsetOf(word(offsetOf(word(48)))),
    snapshots: offsetOf(word(64)),
    bitmaps: 0,
  };
  for (let entry = 0; entry < image.readUInt32BE(36) && starts.L2 === 0; entry++) {
    starts.L2 = offsetOf(word(starts.L1 + 8 * entry));
  }
  const extension = image.subarray(0, clusterBytes).indexOf('2385287500000018', 0, 'hex');
  if (extension >= 0) starts.bitmaps = offsetOf(word(extension + 24));

  const start = starts[region];
  const at = start + 8 * index;
  // The first words of the header are its magic, version and cluster size.
  if ((start === 0 && (region !== 'header' || index < 3 || index > 30)) || at + 8 > image.length) return;
  const values: Record<NonNullable<Damage['set']>, number> = {
    zero: 0,
    header: 0,
    L1: starts.L1,
    'refcount table': starts['refcount table'],
    'refcount block': starts['refcount block'],
    end: Math.ceil(image.length / clusterBytes) * clusterBytes,
    beyond: 2 ** 40,
  };
  const flags = set === 'zero' ? 0n : word(at) & (1n << 63n);
  const mask = region === 'header' ? headerMask(index) : ~0n;
  const value = set === undefined ? word(at) ^ ((bits ?? 0n) & mask) : BigInt(values[set]) | flags;
  image.writeBigUInt64BE(value, at);
  writeFileSync(file, image);
}
