/** The memory that replies and payloads are built in. */
import { expect, it } from 'vitest';
import { BlockPool } from '../../src/nbd/replies.ts';

const KIB = 1 << 10;
const MIB = 1 << 20;

it.each([1, 256 * KIB, 256 * KIB + 1, MIB + 28, 3 * MIB, 32 * MIB + 28])('takes little more than %i bytes', (bytes) => {
  const { length } = new BlockPool((size) => Buffer.allocUnsafe(size)).take(bytes).buffer;
  expect(length).toBeGreaterThanOrEqual(bytes);
  expect(length).toBeLessThanOrEqual(Math.max(256 * KIB, bytes * 1.25));
});

it('gives a block again for requests of about the same length', () => {
  const pool = new BlockPool((size) => Buffer.allocUnsafe(size));
  const block = pool.take(MIB + 28);
  pool.leave(block);
  expect(pool.take(MIB + 4096)).toBe(block);
});
