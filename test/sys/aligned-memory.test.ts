/** Buffers at page boundaries, for O_DIRECT. */
import { afterEach, describe, expect, it } from 'vitest';
import { alignedBuffer, isBufferAligned, unalignedBuffer } from '../../src/sys/aligned-memory.ts';
import { setLibcAvailable } from '../../src/sys/libc.ts';

afterEach(() => setLibcAvailable(true));

describe('alignedBuffer', () => {
  it('begins on a page, has its length and is zero', () => {
    for (const bytes of [512, 4096, 5000, 1 << 20]) {
      const buffer = alignedBuffer(bytes);
      expect(buffer.length).toBe(bytes);
      expect(isBufferAligned(buffer, 4096)).toBe(true);
      expect(buffer.every((byte) => byte === 0)).toBe(true);
    }
  });

  it('is a plain buffer without the C library, and nobody claims that it is aligned', () => {
    setLibcAvailable(false);
    const buffer = alignedBuffer(4096);
    expect(buffer.length).toBe(4096);
    expect(isBufferAligned(buffer, 512)).toBe(false);
  });
});

describe('isBufferAligned', () => {
  it('looks at the first byte of a view', () => {
    const buffer = alignedBuffer(8192);
    expect(isBufferAligned(buffer.subarray(512), 512)).toBe(true);
    expect(isBufferAligned(buffer.subarray(512), 1024)).toBe(false);
    expect(isBufferAligned(buffer.subarray(1), 512)).toBe(false);
    expect(isBufferAligned(unalignedBuffer(8192), 512)).toBe(false);
  });
});
