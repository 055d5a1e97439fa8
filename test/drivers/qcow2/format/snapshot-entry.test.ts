/** The snapshot table as it is written. */
import { describe, expect, it } from 'vitest';
import { encodeSnapshots } from '../../../../src/drivers/qcow2/format/snapshot-entry.ts';

const snapshot = {
  l1Offset: 65536,
  l1OffsetBytes: Buffer.from('0000000000010000', 'hex'),
  l1EntryCount: 1,
  id: Buffer.from('1'),
  name: Buffer.from('a'),
  diskBytes: 1 << 20,
  vmStateBytes: 512,
  times: Buffer.alloc(16),
};

describe('an entry of the snapshot table', () => {
  it('keeps lengths that no number holds', () => {
    const extra = Buffer.alloc(24, 0x04);
    const table = encodeSnapshots([{ ...snapshot, diskBytes: 0x0404_0404_0404_0000, extra }]);
    expect(table.subarray(40, 64)).toEqual(extra);
  });

  it('gets the lengths that it lacks', () => {
    const table = encodeSnapshots([{ ...snapshot, extra: Buffer.alloc(0) }]);
    expect([table.readBigUInt64BE(40), table.readBigUInt64BE(48)]).toEqual([512n, 1n << 20n]);
  });
});
