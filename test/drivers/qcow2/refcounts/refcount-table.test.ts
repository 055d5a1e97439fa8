/** The offsets in a refcount table, checked beyond the numbers that doubles hold exactly. */
import { expect, it } from 'vitest';
import { RefcountTable } from '../../../../src/drivers/qcow2/tables/refcount-table.ts';

/** A table with these entries, of an image with clusters of 1 KiB. */
function tableOf(...entries: bigint[]): RefcountTable {
  const bytes = Buffer.alloc(entries.length * 8);
  for (const [index, entry] of entries.entries()) bytes.writeBigUInt64BE(entry, index * 8);
  return new RefcountTable(0, bytes, 1024);
}

it('sees that a block lies between clusters also where a number does not hold its offset exactly', () => {
  const table = tableOf(0x7f00_0011_d418_5e00n, 0x7f00_0011_d418_5c00n, 0x200n, 0x400n);
  expect([0, 1, 2, 3].map((index) => table.isUnaligned(index))).toEqual([true, false, true, false]);
  // As a number it would be 0x…6000.
  expect(table.blockText(0)).toBe('0x7f000011d4185e00');
});
