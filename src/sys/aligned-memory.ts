/** Buffers at addresses that O_DIRECT takes. */
import { libc } from './libc.ts';

const PAGE_BYTES = 4096;

/** A zeroed buffer that begins on a page. Where addresses cannot be known, a plain one. */
export function alignedBuffer(bytes: number): Buffer {
  return bufferAt(bytes, 0);
}

/** A zeroed buffer that O_DIRECT takes only from a host that asks for next to no alignment, as memory of malloc is. */
export function unalignedBuffer(bytes: number): Buffer {
  return bufferAt(bytes, 16);
}

/** A buffer that begins this far behind the begin of a page. */
function bufferAt(bytes: number, behindPage: number): Buffer {
  const library = libc();
  if (library === null) return Buffer.alloc(bytes);
  const roomy = Buffer.alloc(bytes + PAGE_BYTES);
  const address = Number(library.address(roomy) % BigInt(PAGE_BYTES));
  const start = (behindPage - address + PAGE_BYTES) % PAGE_BYTES;
  return roomy.subarray(start, start + bytes);
}

/** Whether a buffer begins at a multiple of `align` bytes. False where that cannot be known. */
export function isBufferAligned(buffer: Uint8Array, align: number): boolean {
  const library = libc();
  return library !== null && library.address(buffer) % BigInt(align) === 0n;
}
