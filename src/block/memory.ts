/** Buffers for requests: page-aligned, so that O_DIRECT takes them as they are. */

/** Allocates a zeroed buffer; how, is the host's business and set once at start-up. */
export type Allocator = (bytes: number) => Buffer;

let allocator: Allocator = (bytes) => Buffer.alloc(bytes);

/** Sets how buffers are made (page-aligned, where the host library is there). */
export function setAllocator(allocate: Allocator): void {
  allocator = allocate;
}

/** A zeroed buffer whose memory is aligned as the host needs it. */
export function allocateAligned(bytes: number): Buffer {
  return allocator(bytes);
}
